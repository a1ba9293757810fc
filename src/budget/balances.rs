//! What each budget had spent in each of its periods: how a ledger is opened, and what the journal folds to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::spec::BudgetId;
use crate::domain::{Moment, Usd};

/// How long before the newest month of any session one is remembered: its own month, and the one before.
const SESSIONS_KEPT: Duration = Duration::from_hours(32 * 24);

/// Spent amounts by budget and start of period. Sums stop at [`Usd::MAX`] and never wrap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    spent: BTreeMap<BudgetId, BTreeMap<Moment, Usd>>,
}

impl Balances {
    /// The periods kept per budget by [`Balances::prune`]: more than a year of days would never be looked at again.
    pub const PERIODS: usize = 64;

    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a charge.
    pub fn add(&mut self, budget: BudgetId, start: Moment, amount: Usd) {
        let periods = self.spent.entry(budget).or_default();
        let spent = periods.entry(start).or_default();
        *spent = spent.saturating_add(amount);
    }

    /// Puts the amount in place of what was known.
    pub fn set(&mut self, budget: &BudgetId, start: Moment, amount: Usd) {
        self.spent
            .entry(budget.clone())
            .or_default()
            .insert(start, amount);
    }

    /// Adds every charge of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (budget, start, amount) in other.iter() {
            self.add(budget.clone(), start, amount);
        }
    }

    /// Puts every amount of `other` in place of what was known, where that is less: spending only grows.
    pub(super) fn put(&mut self, other: &Self) {
        for (budget, start, amount) in other.iter() {
            let amount = amount.max(self.spent(budget, start));
            self.set(budget, start, amount);
        }
    }

    /// What the budget had spent in the period that began at `start`.
    #[must_use]
    pub fn spent(&self, budget: &BudgetId, start: Moment) -> Usd {
        self.periods(budget)
            .find(|(known, _)| *known == start)
            .map_or(Usd::ZERO, |(_, spent)| spent)
    }

    /// The known periods of one budget, oldest first.
    pub fn periods(&self, budget: &BudgetId) -> impl Iterator<Item = (Moment, Usd)> {
        self.spent
            .get(budget)
            .into_iter()
            .flatten()
            .map(|(start, spent)| (*start, *spent))
    }

    /// Everything, by budget, oldest period first.
    pub fn iter(&self) -> impl Iterator<Item = (&BudgetId, Moment, Usd)> {
        self.spent.iter().flat_map(|(budget, periods)| {
            periods
                .iter()
                .map(move |(start, spent)| (budget, *start, *spent))
        })
    }

    /// How many amounts are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spent.values().map(BTreeMap::len).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spent.is_empty()
    }

    /// Forgets all but the newest [`Balances::PERIODS`] periods of each budget, and sessions of months before the last two:
    /// there is no end of sessions.
    pub fn prune(&mut self) {
        let session = |id: &BudgetId| id.as_str().starts_with("session/");
        let newest = self
            .spent
            .iter()
            .filter(|(id, _)| session(id))
            .filter_map(|(_, periods)| periods.keys().next_back().copied())
            .max();
        self.spent.retain(|id, periods| {
            if session(id) {
                periods.retain(|start, _| {
                    newest.is_none_or(|newest| newest.since(*start) <= SESSIONS_KEPT)
                });
            }
            while periods.len() > Self::PERIODS {
                periods.pop_first();
            }
            !periods.is_empty()
        });
    }
}

impl FromIterator<(BudgetId, Moment, Usd)> for Balances {
    fn from_iter<I: IntoIterator<Item = (BudgetId, Moment, Usd)>>(charges: I) -> Self {
        let mut balances = Self::new();
        for (budget, start, amount) in charges {
            balances.add(budget, start, amount);
        }
        balances
    }
}
