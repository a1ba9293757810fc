//! The time that a thread has run: unlike the time of day it does not pass while others have the processor.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
