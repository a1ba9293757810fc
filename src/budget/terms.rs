//! What a budget is held to in one period: its limit, what an operator changed, and what happens at the cap.

use super::alerts::Thresholds;
use super::spec::{AtCap, BudgetSpec, OnStoreLoss, Scope};
use crate::domain::{Moment, Usd};

/// What an operator changed for one period: totals, so that saying them twice changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amendment {
    /// Raises the cap of this period.
    pub granted: Usd,
    /// Spending that the ledger had not seen.
    pub charged: Usd,
    /// Spending that the ledger should not have counted.
    pub credited: Usd,
}

impl Amendment {
    /// A limit with what was granted on top.
    pub(super) fn raised(self, limit: Usd) -> Usd {
        limit.saturating_add(self.granted)
    }

    /// What counts as spent.
    pub(super) fn corrected(self, spent: Usd) -> Usd {
        spent.saturating_add(self.charged).left_after(self.credited)
    }

    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            granted: self.granted.saturating_add(other.granted),
            charged: self.charged.saturating_add(other.charged),
            credited: self.credited.saturating_add(other.credited),
        }
    }
}

/// Why a budget refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The request does not fit under the cap.
    Cap,
    /// The cap may have room, but this node's lease has none yet: more is being fetched, or may be returned by other nodes.
    /// Worth another try in a second.
    Lease,
    /// The cap may have room, but this node's lease has none, and the store does not answer.
    StoreAway,
}

#[derive(Debug)]
pub(super) struct Terms {
    pub limit: Usd,
    pub at_cap: AtCap,
    pub on_store_loss: OnStoreLoss,
    pub alert_at: Vec<u8>,
    pub amendment: Amendment,
    /// Which change of the limit this is; the fleet follows the largest. What operators granted and corrected is no change
    /// of the limit: the store adds it up over all nodes.
    pub version: u64,
    /// Whether the limit changed without a version of its own, and so takes the time as one.
    pub unversioned: bool,
    /// Whether it is a session's.
    pub passing: bool,
    /// Whether the budget is no more, and only returns what it was lent.
    pub retired: bool,
    /// Reported by this node itself; in a fleet the store chooses who reports.
    pub thresholds: Option<Thresholds>,
}

impl Terms {
    /// The terms of a specification. `report` says whether this node itself reports thresholds; those that `spent` has
    /// passed are old news.
    pub fn new(spec: &BudgetSpec, report: bool, spent: Usd) -> Self {
        let thresholds = report.then(|| Thresholds::ahead_of(spent, spec.limit, &spec.alert_at));
        Self {
            limit: spec.limit,
            at_cap: spec.at_cap,
            on_store_loss: spec.on_store_loss,
            alert_at: spec.alert_at.clone(),
            amendment: Amendment::default(),
            version: spec.revision,
            unversioned: spec.revision == 0,
            passing: matches!(spec.scope, Scope::Session { .. }),
            retired: false,
            thresholds,
        }
    }

    /// Follows a changed specification.
    pub fn follow(&mut self, spec: &BudgetSpec) {
        if spec.revision > self.version {
            self.version = spec.revision;
        } else if spec.limit != self.limit {
            self.unversioned = true;
        }
        self.limit = spec.limit;
        self.at_cap = spec.at_cap;
        self.on_store_loss = spec.on_store_loss;
        self.alert_at.clone_from(&spec.alert_at);
        if let Some(thresholds) = &mut self.thresholds {
            thresholds.follow(&spec.alert_at);
        }
    }

    /// Puts an operator's totals in place of the former ones; returns whether they are others.
    pub fn amend(&mut self, amendment: Amendment) -> bool {
        let changed = self.amendment != amendment;
        self.amendment = amendment;
        changed
    }

    /// Gives a change without a version the time as one, so that the fleet follows the latest.
    pub fn date(&mut self, now: Moment) {
        if std::mem::take(&mut self.unversioned) {
            let time = u64::try_from(now.micros()).unwrap_or(0);
            self.version = time.max(self.version.saturating_add(1));
        }
    }

    /// What may be spent in all. A credit raises it instead of lowering what is spent, so that spending only grows.
    pub fn cap(&self) -> Usd {
        self.shown_limit()
            .saturating_add(self.amendment.credited)
            .left_after(self.amendment.charged)
    }

    pub fn allowance(&self) -> u64 {
        match self.at_cap {
            AtCap::Alert => u64::MAX,
            AtCap::Block => self.cap().nanos(),
        }
    }

    pub fn shown_limit(&self) -> Usd {
        self.amendment.raised(self.limit)
    }

    pub fn shown_spent(&self, spent: Usd) -> Usd {
        self.amendment.corrected(spent)
    }
}
