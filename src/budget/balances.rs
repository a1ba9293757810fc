//! What has been spent, by budget and period: the opening state of a ledger, and what a journal folds into.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::domain::{Moment, Usd};

/// A budget's stable natural key: `team/payments/month`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BudgetId(Arc<str>);

impl BudgetId {
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BudgetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Spend by budget and start of period. Merging is adding, so a journal's records may be folded in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balances(BTreeMap<(BudgetId, Moment), Usd>);

impl Balances {
    /// Adds to what was spent; held at [`Usd::MAX`], where too much is the safe side.
    pub fn add(&mut self, budget: BudgetId, period: Moment, spent: Usd) {
        let sum = self.0.entry((budget, period)).or_default();
        *sum = sum.saturating_add(spent);
    }

    #[must_use]
    pub fn spent(&self, budget: &BudgetId, period: Moment) -> Usd {
        self.0
            .get(&(budget.clone(), period))
            .copied()
            .unwrap_or(Usd::ZERO)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&BudgetId, Moment, Usd)> {
        self.0
            .iter()
            .map(|((budget, period), spent)| (budget, *period, *spent))
    }
}
