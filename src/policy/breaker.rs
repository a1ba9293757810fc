//! Whether something that keeps failing is worth another try: closed while it works, open after so many failures in a
//! row, and after a pause open for one try at a time, whose outcome decides.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use super::rate::RetryAfter;
use crate::domain::Moment;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerTerms {
    /// Failures in a row.
    pub after: NonZeroU32,
    /// From opening until the next try.
    pub pause: Duration,
}

/// The state of one address. Never locked.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: AtomicU32,
    /// Until when no try is made, in microseconds since 1970; 0 while closed.
    open_until: AtomicI64,
}

impl Breaker {
    /// Whether a try may be made now. Of an open breaker whose pause is over, one caller in each pause is told yes: a try
    /// whose outcome is never told costs no more than that.
    ///
    /// # Errors
    /// While it is open: when the next try may be made.
    pub fn enter(&self, terms: BreakerTerms, now: Moment) -> Result<(), RetryAfter> {
        let until = self.open_until.load(Ordering::Relaxed);
        if until == 0 {
            return Ok(());
        }
        let wait = until.saturating_sub(now.micros());
        let next = after(now, terms.pause);
        if wait > 0 && until <= next {
            return Err(RetryAfter::micros(wait));
        }
        if wait > 0 {
            // The clock was set back, or the pause is a shorter one now. Whoever else sees that does the same.
            self.open_until.store(next, Ordering::Relaxed);
            return Err(RetryAfter::micros(next.saturating_sub(now.micros())));
        }
        self.open_until
            .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
            .map(|_probe| ())
            .map_err(|_taken| RetryAfter::micros(next.saturating_sub(now.micros())))
    }

    /// A try went well: whatever was before is forgotten.
    pub fn succeeded(&self) {
        if self.failures.swap(0, Ordering::Relaxed) > 0 {
            self.open_until.store(0, Ordering::Relaxed);
        }
    }

    /// A try failed. Says whether that opened it.
    pub fn failed(&self, terms: BreakerTerms, now: Moment) -> bool {
        let before = self.failures.fetch_add(1, Ordering::Relaxed);
        if before.saturating_add(1) < terms.after.get() {
            return false;
        }
        let was = self
            .open_until
            .swap(after(now, terms.pause), Ordering::Relaxed);
        was == 0
    }

    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open_until.load(Ordering::Relaxed) != 0
    }

    /// Takes over another one's state: of the same address, before a reload.
    pub fn adopt(&self, other: &Self) {
        let failures = other.failures.load(Ordering::Relaxed);
        self.failures.store(failures, Ordering::Relaxed);
        let until = other.open_until.load(Ordering::Relaxed);
        self.open_until.store(until, Ordering::Relaxed);
    }
}

fn after(now: Moment, pause: Duration) -> i64 {
    now.plus(pause).micros().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: BreakerTerms = BreakerTerms {
        after: NonZeroU32::new(3).unwrap(),
        pause: Duration::from_secs(30),
    };

    fn at(seconds: i64) -> Moment {
        Moment::from_seconds(1_800_000_000 + seconds)
    }

    #[test]
    fn so_many_failures_in_a_row_open_it_and_one_success_between_does_not() {
        let breaker = Breaker::default();
        for _ in 0..5 {
            assert!(!breaker.failed(TERMS, at(0)) && !breaker.failed(TERMS, at(0)));
            assert_eq!(breaker.enter(TERMS, at(0)), Ok(()));
            breaker.succeeded();
        }
        assert!(!breaker.failed(TERMS, at(0)) && !breaker.failed(TERMS, at(0)));
        assert!(breaker.failed(TERMS, at(0)));
        assert_eq!(breaker.enter(TERMS, at(10)).unwrap_err().seconds(), 20);
    }

    #[test]
    fn after_the_pause_one_try_decides() {
        let breaker = Breaker::default();
        (0..3).for_each(|_| {
            breaker.failed(TERMS, at(0));
        });
        assert!(breaker.enter(TERMS, at(29)).is_err());
        assert_eq!(breaker.enter(TERMS, at(30)), Ok(()));
        assert!(breaker.enter(TERMS, at(31)).is_err(), "one at a time");
        assert!(
            !breaker.failed(TERMS, at(31)),
            "it was open: nothing new to tell"
        );
        assert_eq!(breaker.enter(TERMS, at(32)).unwrap_err().seconds(), 29);
        assert_eq!(breaker.enter(TERMS, at(61)), Ok(()));
        breaker.succeeded();
        assert!(!breaker.is_open());
        for _ in 0..9 {
            assert_eq!(breaker.enter(TERMS, at(61)), Ok(()));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_adds_no_more_than_a_pause() {
        let breaker = Breaker::default();
        (0..3).for_each(|_| {
            breaker.failed(TERMS, at(3600));
        });
        assert_eq!(breaker.enter(TERMS, at(0)).unwrap_err().seconds(), 30);
        assert_eq!(breaker.enter(TERMS, at(20)).unwrap_err().seconds(), 10);
        assert_eq!(breaker.enter(TERMS, at(30)), Ok(()));
    }

    #[test]
    fn a_try_that_never_tells_is_followed_by_another_one() {
        let breaker = Breaker::default();
        (0..3).for_each(|_| {
            breaker.failed(TERMS, at(0));
        });
        for turn in 1..4 {
            assert_eq!(breaker.enter(TERMS, at(30 * turn)), Ok(()));
            assert!(breaker.enter(TERMS, at(30 * turn + 29)).is_err());
        }
    }
}
