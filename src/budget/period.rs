//! One budget in one of its periods: the counters, and the terms they are held to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::alerts::{Event, EventKind, EventQueue};
use super::lease::{self, Ask, Fleet, FleetView, Lease, Reply, World};
use super::pool::{Pool, Taken};
use super::spec::{AtCap, BudgetId, BudgetSpec};
use super::terms::{Amendment, Cause, Terms};
use super::window::Span;
use crate::domain::{Moment, Usd};

/// The counters of one budget in one period.
#[derive(Debug)]
pub(super) struct Period {
    pub id: BudgetId,
    pub span: Span,
    pub pool: Pool,
    /// Of what the pool counts as spent: charged to another period of this budget that overlaps this one.
    carried: Usd,
    terms: Mutex<Terms>,
    leased: Option<Leased>,
    /// For the cap.
    refused: AtomicU64,
    /// For want of a lease while the store was away.
    refused_away: AtomicU64,
    events: Arc<EventQueue>,
}

/// The part of a period that only a fleet has.
#[derive(Debug)]
struct Leased {
    fleet: Arc<Fleet>,
    /// Locked before the terms where both are.
    lease: Mutex<Lease>,
    /// The largest amount that found little since the last ask, and one; 0: none.
    hungry: AtomicU64,
    told: Mutex<Vec<u8>>,
}

/// What was spent before a period's counters were made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Opening {
    /// In this very period.
    pub own: Usd,
    /// Of that, before this process started.
    pub before_boot: Usd,
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
        shards: usize,
        events: Arc<EventQueue>,
        fleet: Option<Arc<Fleet>>,
    ) -> Self {
        let spent = opening.own.saturating_add(opening.carried);
        let base = opening.before_boot.saturating_add(opening.carried);
        let untouched = opening.own == Usd::ZERO;
        let period = Self {
            id: spec.id.clone(),
            span,
            pool: Pool::new(shards, 0, spent.nanos()),
            carried: opening.carried,
            terms: Mutex::new(Terms::new(spec, fleet.is_none(), spent)),
            leased: fleet.map(|fleet| Leased {
                fleet,
                lease: Mutex::new(Lease::new(base.nanos(), untouched)),
                hungry: AtomicU64::new(0),
                told: Mutex::default(),
            }),
            refused: AtomicU64::new(0),
            refused_away: AtomicU64::new(0),
            events,
        };
        period.arm(&period.terms());
        period
    }

    /// Reserves on one shard, or says why not.
    pub fn take(&self, shard: usize, amount: Usd, now: Moment) -> Result<(), Cause> {
        match self.pool.take(shard, amount.nanos()) {
            Taken::Yes => return Ok(()),
            Taken::Low => {
                self.hunger(amount);
                return Ok(());
            }
            Taken::Refused => self.hunger(amount),
        }
        if self.terms().at_cap == AtCap::Alert {
            self.pool.take_anyway(shard, amount.nanos());
            return Ok(());
        }
        Err(self.refuse(amount, now))
    }

    pub fn give_back(&self, shard: usize, amount: Usd) {
        self.pool.give_back(shard, amount.nanos());
    }

    /// Turns a reservation into spending; returns by how much it passed what was allowed.
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

    /// Follows a changed limit or behaviour.
    pub fn follow(&self, spec: &BudgetSpec) {
        self.terms().follow(spec);
        self.refit();
    }

    /// Puts an operator's totals in place of the former ones.
    pub fn amend(&self, amendment: Amendment) {
        let changed = self.terms().amend(amendment);
        if changed {
            self.refit();
        }
    }

    pub fn retire(&self, retired: bool) {
        self.terms().retired = retired;
    }

    /// Brings the pool's allowance to the terms, or in a fleet to what the lease gives at the start.
    pub fn open(&self, now: Moment) {
        if let Some(leased) = &self.leased {
            let world = leased.fleet.world(now);
            let mut lease = leased.lease();
            self.with_terms(|terms| lease.fit(&self.pool, terms, &world));
        } else {
            self.refit();
        }
    }

    /// Brings the pool's allowance to changed terms; in a fleet the next ask does.
    fn refit(&self) {
        if let Some(leased) = &self.leased {
            leased.fleet.wake();
            return;
        }
        let terms = self.terms();
        self.pool.set_allowance(terms.allowance());
        drop(terms);
        self.look();
    }

    /// What this period has to say to the store.
    pub fn ask(&self, world: &World) -> Option<Ask> {
        let leased = self.leased.as_ref()?;
        let mut lease = leased.lease();
        let hungry = match leased.hungry.swap(0, Ordering::SeqCst) {
            0 => None,
            amount => Some(Usd::from_nanos(amount - 1)),
        };
        self.terms().date(world.now);
        self.with_terms(|terms| lease.ask(&self.pool, terms, world, hungry))
    }

    /// What the store had to say to this period.
    pub fn answer(&self, ask: &Ask, reply: &Reply, world: &World) {
        let Some(leased) = &self.leased else { return };
        let mut lease = leased.lease();
        let again = self.with_terms(|terms| lease.answer(&self.pool, ask, reply, terms, world));
        drop(lease);
        if again {
            leased.fleet.wake();
        }
        if let Reply::Answer(answer) = reply {
            let mut told = leased.told.lock().unwrap_or_else(PoisonError::into_inner);
            for percent in &answer.alerts {
                if !told.contains(percent) {
                    told.push(*percent);
                    self.report(EventKind::Threshold { percent: *percent });
                }
            }
        }
    }

    pub fn position(&self) -> Position {
        let lease = self.leased.as_ref().map(Leased::lease);
        let terms = self.terms();
        let standing = self.pool.standing();
        let held = Usd::from_nanos(standing.held);
        let fleet = lease
            .as_ref()
            .and_then(|lease| Some((lease.fleet()?, lease)));
        let Some((fleet, lease)) = fleet else {
            let limit = terms.shown_limit();
            let spent = terms.shown_spent(Usd::from_nanos(standing.spent));
            let left = limit.left_after(spent.saturating_add(held));
            return Position {
                limit,
                spent,
                held,
                left,
            };
        };
        let unreported = lease.spent(&self.pool).left_after(fleet.reported);
        let amendment = fleet.amendment(terms.amendment);
        let limit = amendment.raised(fleet.limit(terms.limit, terms.version));
        let spent = amendment.corrected(fleet.spent.saturating_add(unreported));
        let unspent = limit.left_after(spent.saturating_add(held));
        let here = Usd::from_nanos(standing.free).left_after(lease.grace());
        let left = match terms.at_cap {
            // Nothing is lent: what other nodes hold is not known.
            AtCap::Alert => unspent,
            AtCap::Block => {
                let lendable = fleet.cap.left_after(fleet.used);
                unspent.min(lendable.saturating_add(here))
            }
        };
        Position {
            limit,
            spent,
            held,
            left,
        }
    }

    /// The most that would be admitted now; `None` where any amount would.
    pub fn room(&self) -> Option<Usd> {
        let hard = self.terms().at_cap == AtCap::Block;
        hard.then(|| Usd::from_nanos(self.pool.standing().free))
    }

    /// Spent here and charged to this very period: what the journal folds to.
    pub fn own_spent(&self) -> Usd {
        Usd::from_nanos(self.pool.spent()).left_after(self.carried)
    }

    /// Whether nothing is reserved, and nothing is left to be told.
    pub fn is_idle(&self) -> bool {
        match &self.leased {
            Some(leased) => leased.lease().is_settled(&self.pool),
            None => self.pool.standing().held == 0,
        }
    }

    pub fn is_closed(&self) -> bool {
        match &self.leased {
            Some(leased) => leased.lease().is_closed(),
            None => true,
        }
    }

    /// Adds this period's numbers to the node's.
    pub fn add_to(&self, view: &mut FleetView) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        view.refused += count(&self.refused) + count(&self.refused_away);
        view.refused_away += count(&self.refused_away);
        let Some(leased) = &self.leased else { return };
        let lease = leased.lease();
        view.leased = view.leased.saturating_add(lease.leased());
        view.spent = view.spent.saturating_add(lease.spent(&self.pool));
        view.grace = view.grace.saturating_add(lease.grace());
        view.leases += u64::from(!lease.is_closed());
        view.fresh += u64::from(lease.is_fresh());
        view.foreign += u64::from(lease.is_foreign());
    }

    /// Calls for a first lease, before anybody wants to spend.
    pub fn want(&self) {
        self.hunger(Usd::from_nanos(1));
    }

    /// Calls for more, once until the next ask.
    fn hunger(&self, amount: Usd) {
        let Some(leased) = &self.leased else { return };
        let mark = amount.nanos().saturating_add(1);
        if leased.hungry.fetch_max(mark, Ordering::SeqCst) == 0 {
            leased.fleet.wake();
        }
    }

    fn refuse(&self, amount: Usd, now: Moment) -> Cause {
        let cause = self.cause(amount, now);
        match cause {
            // Not the budget's doing: the cap is told of when it is reached.
            Cause::StoreAway => {
                self.refused_away.fetch_add(1, Ordering::Relaxed);
            }
            Cause::Cap if self.refused.fetch_add(1, Ordering::Relaxed) == 0 => {
                self.report(EventKind::Refused);
            }
            // For want of a lease, whoever asks tries again in a moment: the next one is on its way.
            Cause::Cap | Cause::Lease => {}
        }
        cause
    }

    fn cause(&self, amount: Usd, now: Moment) -> Cause {
        let Some(leased) = &self.leased else {
            return Cause::Cap;
        };
        let world = leased.fleet.world(now);
        let lease = leased.lease();
        // A lease that is just being asked for is not the store's absence.
        let away = world.away || lease.is_foreign();
        let elsewhere = !away && lease.may_come_back(amount, &world);
        drop(lease);
        let fits = elsewhere || amount <= self.position().left;
        match (fits, away) {
            (false, _) => Cause::Cap,
            (true, true) => Cause::StoreAway,
            (true, false) => Cause::Lease,
        }
    }

    /// Adds up all shards, reports the thresholds that are reached, and sets the alarms for the next one.
    fn look(&self) {
        let mut terms = self.terms();
        let limit = terms.shown_limit();
        let spent = terms.shown_spent(Usd::from_nanos(self.pool.spent()));
        let thresholds = terms.thresholds.as_mut();
        let reached = thresholds.map_or_else(Vec::new, |waiting| waiting.reached(spent, limit));
        self.arm(&terms);
        drop(terms);
        for percent in reached {
            self.say(EventKind::Threshold { percent }, spent, limit);
        }
    }

    fn arm(&self, terms: &Terms) {
        let spent = terms.shown_spent(Usd::from_nanos(self.pool.spent()));
        let limit = terms.shown_limit();
        let waiting = terms.thresholds.as_ref();
        let room = waiting.and_then(|waiting| waiting.room(spent, limit));
        self.pool.set_alarms(room.unwrap_or(Usd::MAX).nanos());
    }

    fn report(&self, kind: EventKind) {
        let position = self.position();
        self.say(kind, position.spent, position.limit);
    }

    fn say(&self, kind: EventKind, spent: Usd, limit: Usd) {
        self.events.push(Event {
            budget: self.id.clone(),
            period: self.span.start,
            kind,
            spent,
            limit,
        });
    }

    fn with_terms<R>(&self, say: impl FnOnce(&lease::Terms) -> R) -> R {
        let terms = self.terms();
        say(&lease::Terms {
            id: &self.id,
            span: self.span,
            retired: terms.retired,
            limit: terms.limit,
            limit_version: terms.version,
            amendment: terms.amendment,
            cap: terms.cap(),
            hard: terms.at_cap == AtCap::Block,
            on_store_loss: terms.on_store_loss,
            alert_at: &terms.alert_at,
            passing: terms.passing,
        })
    }

    fn terms(&self) -> MutexGuard<'_, Terms> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leased {
    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
