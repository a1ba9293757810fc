//! All limits of one caller besides money, passed together or not at all.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::concurrency::{Concurrency, Slot};
use super::rate::{Pace, RateLimiter, RetryAfter};
use super::registry::Subject;
use super::{Closed, Hours, Limits};
use crate::domain::Moment;

/// Why a request may not pass now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Outside the team's hours.
    Closed(Closed),
    /// Too many requests in a minute.
    Requests { of: Subject, wait: RetryAfter },
    /// Too many tokens in a minute.
    Tokens { of: Subject, wait: RetryAfter },
    /// Too many requests at once.
    Concurrent { of: Subject },
}

#[derive(Debug)]
struct Limit<T> {
    of: Subject,
    counter: Arc<T>,
    most: NonZeroU32,
}

/// The limits of a caller (of its team, user and key) or of a provider: resolved when a snapshot is built, so that a
/// request only counts.
#[derive(Debug, Default)]
pub struct Gate {
    hours: Option<Hours>,
    requests: Vec<Limit<Pace>>,
    tokens: Vec<Limit<Pace>>,
    concurrent: Vec<Limit<Concurrency>>,
}

/// A request that was let in. Its end gives back the places that it took; its tokens count as estimated until settled.
#[derive(Debug)]
#[must_use = "the places are given back when this is dropped"]
pub struct Pass {
    gate: Arc<Gate>,
    slots: Vec<Slot>,
    estimate: u64,
}

impl RateLimiter {
    /// The gate of these subjects, each with its limits.
    #[must_use]
    pub fn gate(&self, limits: &[(Subject, Limits)], hours: Option<Hours>) -> Gate {
        let mut gate = Gate {
            hours,
            ..Gate::default()
        };
        for (of, limits) in limits {
            let limit = |counter, most| Limit {
                of: of.clone(),
                counter,
                most,
            };
            gate.requests.extend(
                limits
                    .requests_per_minute
                    .map(|most| limit(self.pace(of), most)),
            );
            gate.tokens.extend(
                limits
                    .tokens_per_minute
                    .map(|most| limit(self.token_pace(of), most)),
            );
            let running = |most| Limit {
                of: of.clone(),
                counter: self.running(of),
                most,
            };
            gate.concurrent.extend(limits.concurrent.map(running));
        }
        gate
    }
}

impl Gate {
    /// Whether requests may pass at this hour.
    ///
    /// # Errors
    /// Outside of the hours.
    pub fn check_hours(&self, now: Moment) -> Result<(), Denied> {
        match &self.hours {
            Some(hours) => hours.open(now).map_err(Denied::Closed),
            None => Ok(()),
        }
    }

    /// Lets a request in that will use about `tokens`, or says why not; a request that is not let in has taken nothing. `now`
    /// is since the process started: limits per minute do not follow a clock that is set.
    ///
    /// # Errors
    /// The first limit that it does not pass.
    pub fn enter(self: &Arc<Self>, tokens: u64, now: Duration) -> Result<Pass, Denied> {
        // Places first: they come back by themselves where a later limit refuses.
        let slots = self.take_slots()?;
        self.take_requests(now)?;
        if let Err(denied) = self.take_tokens(tokens, now) {
            self.give_requests_back();
            return Err(denied);
        }
        Ok(Pass {
            gate: Arc::clone(self),
            slots,
            estimate: tokens,
        })
    }

    fn take_slots(&self) -> Result<Vec<Slot>, Denied> {
        let enter = |limit: &Limit<Concurrency>| {
            limit
                .counter
                .enter(limit.most)
                .map_err(|_full| Denied::Concurrent {
                    of: limit.of.clone(),
                })
        };
        self.concurrent.iter().map(enter).collect()
    }

    fn take_requests(&self, now: Duration) -> Result<(), Denied> {
        for (taken, limit) in self.requests.iter().enumerate() {
            if let Err(wait) = limit.counter.take(limit.most, now) {
                self.requests[..taken]
                    .iter()
                    .for_each(|earlier| earlier.counter.give_back(earlier.most));
                return Err(Denied::Requests {
                    of: limit.of.clone(),
                    wait,
                });
            }
        }
        Ok(())
    }

    fn give_requests_back(&self) {
        self.requests
            .iter()
            .for_each(|limit| limit.counter.give_back(limit.most));
    }

    fn take_tokens(&self, tokens: u64, now: Duration) -> Result<(), Denied> {
        for (taken, limit) in self.tokens.iter().enumerate() {
            if let Err(wait) = limit.counter.take_tokens(tokens, limit.most, now) {
                self.tokens[..taken]
                    .iter()
                    .for_each(|earlier| earlier.counter.settle(tokens, 0, earlier.most));
                return Err(Denied::Tokens {
                    of: limit.of.clone(),
                    wait,
                });
            }
        }
        Ok(())
    }
}

impl Pass {
    /// Counts the tokens that were used instead of those that were estimated. Without this the estimate stands.
    pub fn settle(mut self, used: u64) {
        for limit in &self.gate.tokens {
            limit.counter.settle(self.estimate, used, limit.most);
        }
        self.slots.clear();
    }

    /// Gives all back: another gate did not let the request in.
    pub fn cancel(self) {
        self.gate.give_requests_back();
        self.settle(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Name;

    const NOW: Moment = Moment::from_seconds(1_800_000_000);
    const START: Duration = Duration::ZERO;

    fn limits(requests: u32, tokens: u32, concurrent: u32) -> Limits {
        let [requests, tokens, concurrent] = [requests, tokens, concurrent].map(NonZeroU32::new);
        Limits {
            requests_per_minute: requests,
            tokens_per_minute: tokens,
            concurrent,
        }
    }

    fn team() -> Subject {
        Subject::Team(Name::new("payments"))
    }

    fn user(name: &str) -> Subject {
        Subject::User {
            team: Name::new("payments"),
            user: Name::new(name),
        }
    }

    #[test]
    fn a_request_that_one_limit_refuses_takes_nothing_of_the_others() {
        let limiter = RateLimiter::default();
        let both = [(team(), limits(3, 100, 3)), (user("ada"), limits(9, 9, 1))];
        let gate = Arc::new(limiter.gate(&both, None));
        let first = gate.enter(5, START).unwrap();
        for _ in 0..10 {
            assert_eq!(
                gate.enter(5, START).unwrap_err(),
                Denied::Concurrent { of: user("ada") }
            );
        }
        first.settle(9);
        for _ in 0..10 {
            assert!(
                matches!(gate.enter(5, START).unwrap_err(), Denied::Tokens { of, .. } if of == user("ada"))
            );
        }
        let others = Arc::new(limiter.gate(&[(team(), limits(3, 100, 3))], None));
        let passes: Vec<Pass> = (0..2).map(|_| others.enter(1, START).unwrap()).collect();
        assert!(
            matches!(others.enter(1, START).unwrap_err(), Denied::Requests { of, .. } if of == team())
        );
        drop(passes);
    }

    #[test]
    fn a_request_that_is_called_off_has_taken_nothing() {
        let limiter = RateLimiter::default();
        let both = [(team(), limits(1, 9, 1)), (user("ada"), limits(1, 0, 0))];
        let gate = Arc::new(limiter.gate(&both, None));
        for _ in 0..3 {
            gate.enter(9, START).unwrap().cancel();
        }
        gate.enter(9, START).unwrap().settle(0);
        assert!(matches!(gate.enter(9, START), Err(Denied::Requests { .. })));
    }

    #[test]
    fn a_reload_does_not_forgive_what_was_taken() {
        let limiter = RateLimiter::default();
        let gate = |most| Arc::new(limiter.gate(&[(team(), limits(most, 0, 0))], None));
        let _pass = gate(1).enter(0, START).unwrap();
        assert!(gate(1).enter(0, START).is_err());
        assert!(
            gate(2).enter(0, START).is_err(),
            "half a minute's share of two was taken by one of one"
        );
        assert!(gate(2).enter(0, Duration::from_secs(30)).is_ok());
    }

    #[test]
    fn outside_the_hours_nothing_is_taken() {
        let limiter = RateLimiter::default();
        let hours = Hours::parse("mon 08:00-09:00 UTC").unwrap();
        let gate = Arc::new(limiter.gate(&[(team(), limits(1, 0, 0))], Some(hours)));
        // 2027-01-15, a Friday.
        let Err(Denied::Closed(closed)) = gate.check_hours(NOW) else {
            panic!("open on a Friday")
        };
        assert!(gate.check_hours(closed.opens.unwrap()).is_ok());
    }

    #[test]
    fn without_limits_everything_passes() {
        let gate = Arc::new(RateLimiter::default().gate(&[(team(), Limits::default())], None));
        for _ in 0..10_000 {
            gate.enter(u64::MAX, START).unwrap().settle(u64::MAX);
        }
    }
}
