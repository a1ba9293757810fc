//! What a request holds until its cost is known.

use std::sync::Arc;

use super::account::{Account, CapReached};
use super::period::Lane;
use super::spec::BudgetId;
use crate::domain::{Moment, Usd};

/// Budgets that a reservation holds without allocating; more are allowed.
const INLINE: usize = 8;

/// Money reserved on every budget of a request. Settle it or release it; a dropped one is charged in full, so that no
/// early return, panic or hang-up makes spending free.
#[derive(Debug)]
#[must_use = "a reservation that is dropped is charged in full"]
pub struct Reservation {
    amount: Usd,
    first: [Option<Arc<Lane>>; INLINE],
    rest: Vec<Arc<Lane>>,
}

/// What settling did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The actual cost above the reservation, nothing in the rule.
    pub overrun: Usd,
    /// The most by which a cap was passed through this overrun.
    pub beyond_cap: Usd,
}

impl Reservation {
    /// Reserves on every account, or on none.
    pub(super) fn take(
        accounts: &[Arc<Account>],
        thread: usize,
        amount: Usd,
        now: Moment,
    ) -> Result<Self, CapReached> {
        let mut reservation = Self {
            amount,
            first: [const { None }; INLINE],
            rest: Vec::new(),
        };
        for (index, account) in accounts.iter().enumerate() {
            match account.take(thread, amount, now) {
                Ok(lane) => match reservation.first.get_mut(index) {
                    Some(place) => *place = Some(lane),
                    None => reservation.rest.push(lane),
                },
                Err(reached) => {
                    reservation.release();
                    return Err(reached);
                }
            }
        }
        Ok(reservation)
    }

    /// What is reserved on each budget.
    pub fn amount(&self) -> Usd {
        self.amount
    }

    /// Each budget with the start of the period that is charged, for the journal. Cloning these ids is cheap on many cores.
    pub fn charges(&self) -> impl Iterator<Item = (&BudgetId, Moment)> {
        self.lanes().map(|lane| (&lane.id, lane.period.span.start))
    }

    /// Charges the actual cost and frees the rest. A cost above the reservation is booked too, past the cap if need be.
    pub fn settle(mut self, actual: Usd) -> Settled {
        self.charge(actual)
    }

    /// Frees everything: nothing was spent.
    pub fn release(mut self) {
        for lane in self.take_lanes() {
            lane.period.give_back(lane.shard, self.amount);
        }
    }

    fn charge(&mut self, actual: Usd) -> Settled {
        let held = self.amount;
        let mut beyond_cap = Usd::ZERO;
        for lane in self.take_lanes() {
            beyond_cap = beyond_cap.max(lane.period.charge(lane.shard, held, actual));
        }
        Settled {
            overrun: actual.left_after(held),
            beyond_cap,
        }
    }

    fn lanes(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.first.iter().flatten().chain(&self.rest)
    }

    /// Moves the lanes out, so that nothing can be charged twice.
    fn take_lanes(&mut self) -> impl Iterator<Item = Arc<Lane>> + use<> {
        let first = std::mem::replace(&mut self.first, [const { None }; INLINE]);
        let rest = std::mem::take(&mut self.rest);
        first.into_iter().flatten().chain(rest)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.charge(self.amount);
    }
}
