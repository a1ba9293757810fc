//! `tollgate`: see `tollgate --help`.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;
use tikv_jemalloc_ctl::{Access as _, AsName as _, background_thread};
use tikv_jemallocator::Jemalloc;
use tollgate::cli::{Cli, told};

/// Gives memory back once a burst is over, which the C library's allocator does not.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// How long memory stays free before the system gets it back, in milliseconds. The allocator's own ten seconds are long to
/// look at after a burst, and cost no less.
const DECAY: isize = 5000;

/// Has the allocator give back what was free for a while. Where it does not do as told it does so later.
fn give_memory_back() {
    let _started = background_thread::write(true);
    for arenas in ["arena.0.dirty_decay_ms\0", "arenas.dirty_decay_ms\0"] {
        let _set = arenas.name().write(DECAY);
    }
}

fn main() -> ExitCode {
    give_memory_back();
    let mut out = stdout().lock();
    match Cli::parse().run(&mut out) {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to tell when standard error itself is gone.
            let _written = writeln!(stderr(), "tollgate: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}
