//! One budget in one of its periods: the counters, and the terms they are held to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::alerts::{Event, EventKind, EventQueue, Thresholds};
use super::pool::Pool;
use super::spec::{AtCap, BudgetId, BudgetSpec};
use super::window::Span;
use crate::domain::Usd;

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

#[derive(Debug)]
struct Terms {
    limit: Usd,
    at_cap: AtCap,
    amendment: Amendment,
    thresholds: Thresholds,
}

/// The counters of one budget in one period.
#[derive(Debug)]
pub(super) struct Period {
    pub id: BudgetId,
    pub span: Span,
    pub pool: Pool,
    /// Of what the pool counts as spent: charged to another period of this budget that overlaps this one.
    carried: Usd,
    terms: Mutex<Terms>,
    refused: AtomicU64,
    events: Arc<EventQueue>,
}

/// What was spent before a period's counters were made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Opening {
    pub own: Usd,
    pub carried: Usd,
}

/// A shard of a period as a reservation holds it. Each has its own reference count and its own copy of the id, so that
/// cores that spend from different shards share no cache line.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Lane {
    pub id: BudgetId,
    pub shard: usize,
    pub period: Arc<Period>,
}

/// What a period looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub limit: Usd,
    pub spent: Usd,
    pub held: Usd,
    pub left: Usd,
}

impl Period {
    pub fn new(
        spec: &BudgetSpec,
        span: Span,
        opening: Opening,
        amendment: Amendment,
        shards: usize,
        events: Arc<EventQueue>,
    ) -> Self {
        let spent = opening.own.saturating_add(opening.carried);
        let terms = Terms {
            limit: spec.limit,
            at_cap: spec.at_cap,
            amendment,
            thresholds: Thresholds::default(),
        };
        let period = Self {
            id: spec.id.clone(),
            span,
            pool: Pool::new(shards, terms.allowance(), spent.nanos()),
            carried: opening.carried,
            terms: Mutex::new(terms),
            refused: AtomicU64::new(0),
            events,
        };
        let mut terms = period.terms();
        terms.thresholds = Thresholds::ahead_of(
            terms.shown_spent(spent),
            terms.shown_limit(),
            &spec.alert_at,
        );
        period.arm(&terms);
        drop(terms);
        period
    }

    /// Reserves on one shard. `false`: it does not fit under the cap.
    pub fn take(&self, shard: usize, amount: Usd) -> bool {
        if self.pool.take(shard, amount.nanos()) {
            return true;
        }
        if self.terms().at_cap == AtCap::Alert {
            self.pool.take_anyway(shard, amount.nanos());
            return true;
        }
        if self.refused.fetch_add(1, Ordering::Relaxed) == 0 {
            self.report(EventKind::Refused);
        }
        false
    }

    pub fn give_back(&self, shard: usize, amount: Usd) {
        self.pool.give_back(shard, amount.nanos());
    }

    /// Turns a reservation into spending; returns by how much it passed the cap.
    pub fn charge(&self, shard: usize, held: Usd, actual: Usd) -> Usd {
        let charged = self.pool.charge(shard, held.nanos(), actual.nanos());
        if charged.alarm {
            self.look();
        }
        let beyond = Usd::from_nanos(charged.beyond);
        if beyond > Usd::ZERO {
            self.report(EventKind::Overrun { beyond });
        }
        beyond
    }

    /// Follows a changed limit or cap behaviour.
    pub fn follow(&self, spec: &BudgetSpec) {
        let mut terms = self.terms();
        terms.limit = spec.limit;
        terms.at_cap = spec.at_cap;
        self.pool.set_allowance(terms.allowance());
        drop(terms);
        self.look();
    }

    /// Puts an operator's totals in place of the former ones.
    pub fn amend(&self, amendment: Amendment) {
        let mut terms = self.terms();
        terms.amendment = amendment;
        self.pool.set_allowance(terms.allowance());
        drop(terms);
        self.look();
    }

    pub fn amendment(&self) -> Amendment {
        self.terms().amendment
    }

    pub fn position(&self) -> Position {
        let terms = self.terms();
        let standing = self.pool.standing();
        let limit = terms.shown_limit();
        let spent = terms.shown_spent(Usd::from_nanos(standing.spent));
        let held = Usd::from_nanos(standing.held);
        Position {
            limit,
            spent,
            held,
            left: limit.left_after(spent.saturating_add(held)),
        }
    }

    /// Spent here and charged to this very period: what the journal folds to.
    pub fn own_spent(&self) -> Usd {
        Usd::from_nanos(self.pool.spent()).left_after(self.carried)
    }

    pub fn is_idle(&self) -> bool {
        self.pool.standing().held == 0
    }

    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Adds up all shards, reports the thresholds that are reached, and sets the alarms for the next one.
    fn look(&self) {
        let mut terms = self.terms();
        let limit = terms.shown_limit();
        let spent = terms.shown_spent(Usd::from_nanos(self.pool.spent()));
        let reached = terms.thresholds.reached(spent, limit);
        self.arm(&terms);
        drop(terms);
        for percent in reached {
            self.events.push(Event {
                budget: self.id.clone(),
                period: self.span.start,
                kind: EventKind::Threshold { percent },
                spent,
                limit,
            });
        }
    }

    fn arm(&self, terms: &Terms) {
        let spent = terms.shown_spent(Usd::from_nanos(self.pool.spent()));
        let room = terms.thresholds.room(spent, terms.shown_limit());
        self.pool.set_alarms(room.unwrap_or(Usd::MAX).nanos());
    }

    fn report(&self, kind: EventKind) {
        let position = self.position();
        self.events.push(Event {
            budget: self.id.clone(),
            period: self.span.start,
            kind,
            spent: position.spent,
            limit: position.limit,
        });
    }

    fn terms(&self) -> MutexGuard<'_, Terms> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Terms {
    /// What may be committed in all. A credit raises it instead of lowering what is spent, so that spending only grows.
    fn allowance(&self) -> u64 {
        match self.at_cap {
            AtCap::Alert => u64::MAX,
            AtCap::Block => self
                .shown_limit()
                .saturating_add(self.amendment.credited)
                .left_after(self.amendment.charged)
                .nanos(),
        }
    }

    fn shown_limit(&self) -> Usd {
        self.limit.saturating_add(self.amendment.granted)
    }

    fn shown_spent(&self, spent: Usd) -> Usd {
        spent
            .saturating_add(self.amendment.charged)
            .left_after(self.amendment.credited)
    }
}
