//! A budget as the callers' snapshots keep it: finds the period of a moment, and turns over at its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::alerts::EventQueue;
use super::balances::Balances;
use super::lease::{Ask, Fleet, FleetView, Reply, World};
use super::period::{Lane, Opening, Period};
use super::spec::{BudgetId, BudgetSpec, Scope};
use super::terms::{Amendment, Cause};
use super::window::{Span, Window};
use crate::domain::{Moment, Usd};

/// Periods kept with full counters when nothing is reserved in them: the current one and its neighbours.
const KEPT_PERIODS: usize = 3;

/// How long before its period ends a fleet's budget opens the next one.
const AHEAD: Duration = Duration::from_secs(15);

/// The budget that a request does not fit under.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("budget {budget} has {spent} spent and {held} reserved of {limit}")]
pub struct CapReached {
    pub budget: BudgetId,
    pub limit: Usd,
    pub spent: Usd,
    pub held: Usd,
    /// What was still to be had: in a fleet less than the limit leaves, where other nodes hold some.
    pub left: Usd,
    /// When the budget starts anew; `None`: never.
    pub resets: Option<Moment>,
    pub cause: Cause,
}

/// How a budget stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetView {
    pub id: BudgetId,
    pub scope: Scope,
    pub window: Window,
    /// The limit of this period, with what was granted on top.
    pub limit: Usd,
    pub spent: Usd,
    /// Reserved by requests in flight.
    pub held: Usd,
    pub left: Usd,
    /// When the period began.
    pub since: Moment,
    /// When it ends; `None`: never.
    pub resets: Option<Moment>,
}

/// What all accounts of a ledger share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Spent in periods that have no counters: from before the start, and of periods put away.
    pub balances: Mutex<Balances>,
    pub events: Arc<EventQueue>,
    /// The balances that this process started with, in a fleet: what former boots of this node have answered for.
    pub before_boot: Balances,
    /// Shards of a budget that many callers share.
    pub shards: usize,
    pub fleet: Option<Arc<Fleet>>,
}

/// A period with its lanes, as the way of a request uses it.
#[derive(Debug)]
struct Active {
    period: Arc<Period>,
    lanes: Box<[Arc<Lane>]>,
}

/// The live counters of one budget. The ledger gives the same account for the same id.
#[derive(Debug)]
pub struct Account {
    id: BudgetId,
    spec: ArcSwap<BudgetSpec>,
    /// An operator's totals, by the start of the period that they are for.
    amendments: ArcSwap<Vec<(Moment, Amendment)>>,
    current: ArcSwap<Active>,
    /// All periods with counters, by start; also the lock under which periods come and go.
    periods: Mutex<BTreeMap<Moment, Arc<Active>>>,
    shared: Arc<Shared>,
}

impl Account {
    /// The counters start in 1970; the first reservation turns them over.
    pub(super) fn new(spec: &BudgetSpec, shared: Arc<Shared>) -> Self {
        let span = Span::containing(spec.window, &spec.zone, Moment::default());
        let first = Arc::new(Active::open(spec, span, &shared, &BTreeMap::new()));
        first.period.open(Moment::default());
        Self {
            id: spec.id.clone(),
            spec: ArcSwap::from_pointee(spec.clone()),
            amendments: ArcSwap::default(),
            current: ArcSwap::new(Arc::clone(&first)),
            periods: Mutex::new(BTreeMap::from([(span.start, first)])),
            shared,
        }
    }

    pub fn id(&self) -> &BudgetId {
        &self.id
    }

    /// The budget as last configured.
    pub fn spec(&self) -> Arc<BudgetSpec> {
        self.spec.load_full()
    }

    /// How the budget stands in the period of `now`.
    pub fn view(&self, now: Moment) -> BudgetView {
        let spec = self.spec();
        let active = self.active(now);
        let position = active.period.position();
        BudgetView {
            id: self.id.clone(),
            scope: spec.scope.clone(),
            window: spec.window,
            limit: position.limit,
            spent: position.spent,
            held: position.held,
            left: position.left,
            since: active.period.span.start,
            resets: active.period.span.end,
        }
    }

    /// Reserves `amount` in the period of `now`, on the shard that `thread` prefers.
    pub(super) fn take(
        &self,
        thread: usize,
        amount: Usd,
        now: Moment,
    ) -> Result<Arc<Lane>, CapReached> {
        let current = self.current.load();
        if current.period.span.contains(now) {
            return current.take(thread, amount, now);
        }
        drop(current);
        self.turn(now).take(thread, amount, now)
    }

    /// Follows a changed specification; counters stay. A changed zone counts from the next period on.
    pub(super) fn follow(&self, spec: &BudgetSpec) {
        let periods = self.periods();
        if *self.spec.load_full() == *spec {
            return;
        }
        self.spec.store(Arc::new(spec.clone()));
        for active in periods.values() {
            active.period.follow(spec);
        }
    }

    /// Follows an operator's changed totals, in all periods that they concern.
    pub fn follow_amendments(&self, totals: Vec<(Moment, Amendment)>) {
        let periods = self.periods();
        self.amendments.store(Arc::new(totals));
        for active in periods.values() {
            active.period.amend(self.amendment_of(active.period.span));
        }
    }

    /// What an operator changed for this period: for itself, and for one that mostly overlaps it under another zone. A
    /// period runs to its end after its budget's zone was changed, and what is granted then is for one of the new zone.
    fn amendment_of(&self, span: Span) -> Amendment {
        let amendments = self.amendments.load();
        let concern = |start: Moment| start == span.start || span.is_near(start);
        amendments
            .iter()
            .filter(|(start, _)| concern(*start))
            .fold(Amendment::default(), |sum, (_, one)| sum.plus(*one))
    }

    /// Calls for a first lease, before anybody wants to spend.
    pub(super) fn want(&self, now: Moment) {
        self.active(now).period.want();
    }

    /// The most that would be admitted now; `None` where any amount would.
    pub(super) fn room(&self, now: Moment) -> Option<Usd> {
        self.active(now).period.room()
    }

    /// Puts what was spent in each period with counters into `balances`.
    pub(super) fn fold_into(&self, balances: &mut Balances) {
        for active in self.periods().values() {
            let spent = active.period.own_spent();
            if spent > Usd::ZERO {
                balances.set(&self.id, active.period.span.start, spent);
            }
        }
    }

    /// What the periods of this budget have to say to the store. Shortly before a period ends the next one is opened, so
    /// that its first request finds money.
    pub(super) fn asks(&self, world: &World, asks: &mut Vec<Ask>) {
        self.turn(world.now);
        self.active(world.now.plus(AHEAD));
        let periods = self.periods();
        asks.extend(
            periods
                .values()
                .filter_map(|active| active.period.ask(world)),
        );
    }

    pub(super) fn answer(&self, ask: &Ask, reply: &Reply, world: &World) {
        let active = self.periods().get(&ask.span.start).cloned();
        if let Some(active) = active {
            active.period.answer(ask, reply, world);
        }
    }

    pub(super) fn add_to(&self, view: &mut FleetView) {
        for active in self.periods().values() {
            active.period.add_to(view);
        }
    }

    /// Whether this budget is no more: it returns what it was lent, and asks for nothing.
    pub(super) fn retire(&self, retired: bool) {
        for active in self.periods().values() {
            active.period.retire(retired);
        }
    }

    /// Whether nobody but its keeper holds this account, and nothing is reserved or unreported in it.
    pub(super) fn is_unused(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1
            && self
                .periods()
                .values()
                .all(|active| active.period.is_idle())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.periods()
            .values()
            .all(|active| active.period.is_closed())
    }

    /// The counters of the period of `now`: the current ones, or found, or made.
    fn active(&self, now: Moment) -> Arc<Active> {
        let current = self.current.load_full();
        if current.period.span.contains(now) {
            return current;
        }
        let mut periods = self.periods();
        let spec = self.spec.load_full();
        let known = periods
            .values()
            .rev()
            .find(|active| active.period.span.contains(now))
            .cloned();
        if let Some(active) = known {
            return active;
        }
        let span = Span::containing(spec.window, &spec.zone, now);
        let active = Arc::new(Active::open(&spec, span, &self.shared, &periods));
        active.period.amend(self.amendment_of(span));
        active.period.open(now);
        periods.insert(span.start, Arc::clone(&active));
        self.put_away(&mut periods);
        active
    }

    /// The counters of the period of `now`, which become the ones looked at first.
    fn turn(&self, now: Moment) -> Arc<Active> {
        let active = self.active(now);
        let mut periods = self.periods();
        let (start, current) = (
            active.period.span.start,
            self.current.load().period.span.start,
        );
        // A clock that ran far ahead and came back must not leave every request on the slow way.
        if start > current || current > now.plus(AHEAD) {
            self.current.store(Arc::clone(&active));
            self.put_away(&mut periods);
        }
        active
    }

    /// Folds the oldest periods that nobody uses into the balances, and the past ones that nobody ever used.
    fn put_away(&self, periods: &mut BTreeMap<Moment, Arc<Active>>) {
        let current = self.current.load().period.span.start;
        let spare = periods.len().saturating_sub(KEPT_PERIODS);
        let unused = |start: &Moment, active: &Arc<Active>| *start != current && active.is_unused();
        let never = |start: &Moment, active: &Arc<Active>| {
            *start < current && active.period.own_spent() == Usd::ZERO
        };
        let gone: Vec<Moment> = periods
            .iter()
            .filter(|(start, active)| unused(start, active))
            .enumerate()
            .filter(|(index, (start, active))| *index < spare || never(start, active))
            .map(|(_, (start, _))| *start)
            .collect();
        let mut balances = self.shared.balances();
        for start in gone {
            let spent = periods
                .remove(&start)
                .map(|active| active.period.own_spent());
            if let Some(spent) = spent.filter(|spent| *spent > Usd::ZERO) {
                balances.set(&self.id, start, spent);
            }
        }
    }

    fn periods(&self) -> MutexGuard<'_, BTreeMap<Moment, Arc<Active>>> {
        self.periods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    fn open(
        spec: &BudgetSpec,
        span: Span,
        shared: &Shared,
        live: &BTreeMap<Moment, Arc<Active>>,
    ) -> Self {
        let shards = match spec.scope {
            Scope::Organisation(_) | Scope::Team(_) => shared.shards,
            Scope::User { .. } | Scope::Key(_) | Scope::Session { .. } => 1,
        };
        let opening = opening(spec, span, shared, live);
        let period = Arc::new(Period::new(
            spec,
            span,
            opening,
            shards,
            Arc::clone(&shared.events),
            shared.fleet.clone(),
        ));
        let lanes = (0..shards)
            .map(|shard| {
                Arc::new(Lane {
                    id: spec.id.detached(),
                    shard,
                    period: Arc::clone(&period),
                })
            })
            .collect();
        Self { period, lanes }
    }

    fn take(&self, thread: usize, amount: Usd, now: Moment) -> Result<Arc<Lane>, CapReached> {
        let lane = &self.lanes[thread % self.lanes.len()];
        let Err(cause) = self.period.take(lane.shard, amount, now) else {
            return Ok(Arc::clone(lane));
        };
        let position = self.period.position();
        Err(CapReached {
            budget: self.period.id.clone(),
            limit: position.limit,
            spent: position.spent,
            held: position.held,
            left: position.left,
            resets: self.period.span.end,
            cause,
        })
    }

    /// Whether nobody but the map holds this period, and nothing is reserved in it.
    fn is_unused(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1
            && self.lanes.iter().all(|lane| Arc::strong_count(lane) == 1)
            && self.period.is_idle()
    }
}

/// What was spent before these counters: in this very period, and in one that mostly overlaps it under another zone. A
/// changed zone moves a period by hours; without the second part that would be a fresh budget.
fn opening(
    spec: &BudgetSpec,
    span: Span,
    shared: &Shared,
    live: &BTreeMap<Moment, Arc<Active>>,
) -> Opening {
    let mut known = Balances::new();
    for (start, spent) in shared.balances().periods(&spec.id) {
        known.set(&spec.id, start, spent);
    }
    for (start, active) in live {
        known.set(&spec.id, *start, active.period.own_spent());
    }
    Opening {
        own: known.spent(&spec.id, span.start),
        before_boot: shared.before_boot.spent(&spec.id, span.start),
        carried: known
            .periods(&spec.id)
            .filter(|(start, _)| *start != span.start && span.is_near(*start))
            .fold(Usd::ZERO, |sum, (_, spent)| sum.saturating_add(spent)),
    }
}

impl Shared {
    pub fn balances(&self) -> MutexGuard<'_, Balances> {
        self.balances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
