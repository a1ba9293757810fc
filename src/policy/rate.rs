//! Requests and tokens per minute, by the generic cell rate algorithm: one atomic number for each subject.
//!
//! A limit of N per minute lets N pass at once and then one every 60/N seconds; a full minute of rest restores all N.
//! So no minute sees more than twice the limit, and no long run more than the limit.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::concurrency::Concurrency;
use super::registry::{Registry, Subject};

const MINUTE: i64 = 60_000_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// The limit is reached; after this long the next one passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetryAfter(Duration);

impl RetryAfter {
    /// So many microseconds from now; none at all for less than none.
    pub(super) fn micros(micros: i64) -> Self {
        Self(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }

    /// Whole seconds for a `retry-after` header, rounded up, at least 1.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
            .as_secs()
            .saturating_add(u64::from(self.0.subsec_nanos() > 0))
            .max(1)
    }
}

/// How fast one subject goes. Shared by all requests of the subject; never locked.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the subject will have paid for all that it took, in nanoseconds of the process's life: by a clock that is never
    /// set, so that nobody waits for the time by which the wall's was wrong.
    paid_at: AtomicI64,
}

impl Pace {
    /// Takes one of `per_minute`, or nothing. `now` is since the process started, here and below.
    ///
    /// # Errors
    /// When the minute's number is used up.
    pub fn take(&self, per_minute: NonZeroU32, now: Duration) -> Result<(), RetryAfter> {
        let cost = cost(1, per_minute);
        self.advance(cost, MINUTE - cost, now)
    }

    /// Takes an estimate of tokens as soon as any are left: what a request turns out to use is known only afterwards
    /// ([`Pace::settle`]). A debt is kept, and later requests wait for it.
    ///
    /// # Errors
    /// When none are left.
    pub fn take_tokens(
        &self,
        estimate: u64,
        per_minute: NonZeroU32,
        now: Duration,
    ) -> Result<(), RetryAfter> {
        self.advance(cost(estimate, per_minute), MINUTE - 1, now)
    }

    /// Corrects a taken estimate to what was used.
    pub fn settle(&self, estimate: u64, used: u64, per_minute: NonZeroU32) {
        let correction = cost(used, per_minute).saturating_sub(cost(estimate, per_minute));
        self.shift(correction);
    }

    /// Gives back one, taken for a request that another limit then refused.
    pub fn give_back(&self, per_minute: NonZeroU32) {
        self.shift(cost(1, per_minute).saturating_neg());
    }

    fn shift(&self, by: i64) {
        // The closure always answers, so the update always happens.
        let _previous = self
            .paid_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| {
                Some(paid.saturating_add(by))
            });
    }

    /// Moves on by `cost` if the debt so far is at most `bound`.
    fn advance(&self, cost: i64, bound: i64, now: Duration) -> Result<(), RetryAfter> {
        let now = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        self.paid_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| {
                let start = paid.max(now);
                (start - now <= bound).then(|| start.saturating_add(cost))
            })
            .map(|_before| ())
            .map_err(|paid| {
                let wait = paid.saturating_sub(now).saturating_sub(bound);
                RetryAfter(Duration::from_nanos(u64::try_from(wait).unwrap_or(0)))
            })
    }
}

/// The time that a number of units takes at a rate, rounded up; never zero, so that no limit is free. At most a day: what is
/// taken can be given back.
fn cost(units: u64, per_minute: NonZeroU32) -> i64 {
    let nanos = (u128::from(units) * u128::from(MINUTE.unsigned_abs()))
        .div_ceil(u128::from(per_minute.get()));
    i64::try_from(nanos).unwrap_or(i64::MAX).min(DAY)
}

/// The counters of all subjects. They outlive a reload, so that changing a limit does not forgive what was taken.
#[derive(Debug, Default)]
pub struct RateLimiter {
    requests: Registry<Pace>,
    tokens: Registry<Pace>,
    running: Registry<Concurrency>,
}

impl RateLimiter {
    /// How fast a subject's requests come.
    #[must_use]
    pub fn pace(&self, subject: &Subject) -> Arc<Pace> {
        self.requests.of(subject)
    }

    /// How fast a subject uses tokens.
    #[must_use]
    pub fn token_pace(&self, subject: &Subject) -> Arc<Pace> {
        self.tokens.of(subject)
    }

    /// The requests of a subject that run now.
    #[must_use]
    pub fn running(&self, subject: &Subject) -> Arc<Concurrency> {
        self.running.of(subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Name;

    fn per(limit: u32) -> NonZeroU32 {
        NonZeroU32::new(limit).unwrap()
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_limit_passes_at_once_and_the_next_is_told_when_to_come() {
        let limiter = RateLimiter::default();
        let pace = |name| limiter.pace(&Subject::Team(Name::new(name)));
        let team = pace("payments");
        for _ in 0..60 {
            assert_eq!(team.take(per(60), at(0)), Ok(()));
        }
        let wait = team.take(per(60), at(0)).unwrap_err();
        assert_eq!(wait.seconds(), 1);
        assert!(team.take(per(60), at(999)).is_err());
        assert_eq!(team.take(per(60), at(1000)), Ok(()));
        assert!(team.take(per(60), at(1000)).is_err());
        assert_eq!(pace("other").take(per(60), at(0)), Ok(()));
    }

    #[test]
    fn a_limit_of_one_waits_a_minute() {
        let pace = Pace::default();
        assert_eq!(pace.take(per(1), at(0)), Ok(()));
        assert_eq!(pace.take(per(1), at(30_000)).unwrap_err().seconds(), 30);
        assert_eq!(pace.take(per(1), at(60_000)), Ok(()));
    }

    #[test]
    fn a_token_debt_is_not_forgiven() {
        let pace = Pace::default();
        assert_eq!(pace.take_tokens(100, per(6_000), at(0)), Ok(()));
        pace.settle(100, 12_000, per(6_000));
        let wait = pace.take_tokens(1, per(6_000), at(0)).unwrap_err();
        assert_eq!(
            wait.seconds(),
            61,
            "twice the minute's tokens are used: a minute until any are left"
        );
        assert!(pace.take_tokens(1, per(6_000), at(61_000)).is_ok());
    }

    #[test]
    fn an_estimate_that_was_too_high_is_given_back() {
        let pace = Pace::default();
        assert_eq!(pace.take_tokens(6_000, per(6_000), at(0)), Ok(()));
        assert!(pace.take_tokens(1, per(6_000), at(0)).is_err());
        pace.settle(6_000, 10, per(6_000));
        assert_eq!(pace.take_tokens(1, per(6_000), at(0)), Ok(()));
    }

    #[test]
    fn absurd_numbers_do_not_wrap_into_free_requests() {
        let pace = Pace::default();
        assert!(pace.take_tokens(u64::MAX, per(1), at(0)).is_ok());
        assert!(pace.take_tokens(1, per(1), at(0)).is_err());
        assert!(pace.take(per(u32::MAX), at(0)).is_err());
        // Nor does what comes back forgive what others took.
        let pace = Pace::default();
        assert!(pace.take_tokens(60, per(60), at(0)).is_ok());
        pace.settle(60, 180, per(60));
        let debt = pace.take_tokens(1, per(60), at(0)).unwrap_err();
        assert!(pace.take_tokens(u64::MAX, per(60), at(130_000)).is_ok());
        pace.settle(u64::MAX, 0, per(60));
        assert!(
            pace.take_tokens(u64::MAX, per(60), at(0)).is_err(),
            "{debt:?}"
        );
    }
}
