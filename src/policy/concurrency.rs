//! How many requests of a subject run at once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The requests of one subject that run now.
#[derive(Debug, Default)]
pub struct Concurrency {
    running: AtomicU32,
}

/// As many run as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// One running request; its end gives the place back.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub struct Slot(Arc<Concurrency>);

impl Concurrency {
    /// Takes a place.
    ///
    /// # Errors
    /// When `limit` requests run already.
    pub fn enter(self: &Arc<Self>, limit: NonZeroU32) -> Result<Slot, Full> {
        self.running
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |running| {
                (running < limit.get()).then(|| running + 1)
            })
            .map(|_before| Slot(Arc::clone(self)))
            .map_err(|_running| Full)
    }

    #[must_use]
    pub fn running(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_when_its_request_ends() {
        let gate = Arc::new(Concurrency::default());
        let two = NonZeroU32::new(2).unwrap();
        let (first, second) = (gate.enter(two).unwrap(), gate.enter(two).unwrap());
        assert_eq!(gate.enter(two).unwrap_err(), Full);
        drop(first);
        let third = gate.enter(two).unwrap();
        assert_eq!(gate.running(), 2);
        drop((second, third));
        assert_eq!(gate.running(), 0);
    }
}
