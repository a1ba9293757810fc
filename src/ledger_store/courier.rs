//! The background task that carries the ledger's messages to the store and back. A request never waits for it: a store that
//! is slow or gone only makes the answers late.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::boots::{Boots, BootsError, Journal};
use super::store::{Served, Settings, Store, StoreError};
use crate::budget::{Ask, Balances, BudgetId, FleetOptions, Ledger, Reply, StoreNews};
use crate::domain::{Moment, Usd};

/// How often the ledger is looked at when nothing calls.
const TICK: Duration = Duration::from_millis(100);
/// The shortest time between two looks, however hungry the budgets are.
const PAUSE: Duration = Duration::from_millis(2);
/// Kinds of faults that the log tells of, at most.
const KINDS: usize = 4;
/// How often the node shows itself.
const PRESENCE: Duration = Duration::from_secs(1);
/// Asks under way at once; more wait for the next look.
const UNDER_WAY: usize = 256;

/// What went over the wire so far, for metrics.
#[derive(Debug, Default)]
pub struct Traffic {
    asked: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    unintelligible: AtomicU64,
    /// Microseconds of the last round trip.
    last_trip: AtomicU64,
    servers_changed: AtomicU64,
    /// What silent leases hold, by budget, as last looked at.
    suspended: Mutex<BTreeMap<BudgetId, Usd>>,
}

/// A reading of [`Traffic`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficView {
    pub asked: u64,
    pub answered: u64,
    /// No answer, or an error instead.
    pub failed: u64,
    /// Answers that the lease script does not give.
    pub unintelligible: u64,
    pub last_trip: Duration,
    /// How often another process took the store's place.
    pub servers_changed: u64,
    /// Held by leases of nodes that have been silent for long, over the budgets of this node; each is looked at in turn, one a
    /// second.
    pub suspended: Usd,
}

impl Traffic {
    #[must_use]
    pub fn view(&self) -> TrafficView {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TrafficView {
            asked: count(&self.asked),
            answered: count(&self.answered),
            failed: count(&self.failed),
            unintelligible: count(&self.unintelligible),
            last_trip: Duration::from_micros(count(&self.last_trip)),
            servers_changed: count(&self.servers_changed),
            suspended: self
                .suspended()
                .values()
                .fold(Usd::ZERO, |sum, one| sum.saturating_add(*one)),
        }
    }

    /// Takes in what a look at a budget's silent leases found.
    fn holds(&self, budget: BudgetId, held: Usd) {
        if held == Usd::ZERO {
            self.suspended().remove(&budget);
        } else {
            self.suspended().insert(budget, held);
        }
    }

    /// Forgets the budgets that are gone: they are not looked at again.
    fn keep(&self, is_known: impl Fn(&BudgetId) -> bool) {
        self.suspended().retain(|id, _| is_known(id));
    }

    fn suspended(&self) -> MutexGuard<'_, BTreeMap<BudgetId, Usd>> {
        self.suspended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a fleet's ledger could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error(transparent)]
    Boots(#[from] BootsError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Carries messages between one ledger and one store.
pub struct Courier {
    ledger: Arc<Ledger>,
    store: Arc<Store>,
    called: Arc<Notify>,
    traffic: Arc<Traffic>,
    boots: Boots,
    /// Who served last.
    served: Option<Served>,
    /// The kinds of faults since the store was last there: one that lacks its password also breaks connections.
    faults: Vec<String>,
    /// Whether the log says that the store is away.
    is_told_away: bool,
    under_way: JoinSet<Said>,
    looks: Looks,
    /// How many budgets have been looked at for silent leases.
    inspected: usize,
    /// Last words of former boots that are not confirmed, by number; `None` until they are known.
    last_words: Option<BTreeMap<usize, Ask>>,
}

/// What came of something said to the store.
enum Said {
    Ask(Ask, Result<Reply, StoreError>),
    LastWord(usize, Result<Reply, StoreError>),
    Presence(Result<Served, StoreError>),
    Suspended(BudgetId, Result<Usd, StoreError>),
}

impl Courier {
    /// A fleet's ledger and its courier. `directory` keeps the node's name; `opening` is what the journal recovered.
    ///
    /// # Errors
    /// When the address is none, or the directory's file cannot be used. A store that is away is no error.
    pub fn new(
        settings: &Settings,
        directory: &Path,
        opening: Balances,
        journal: Journal,
        now: Moment,
    ) -> Result<Self, FleetError> {
        let store = Store::new(settings)?;
        let boots = Boots::open(directory, &opening, journal, now)?;
        let options = FleetOptions::new(boots.this().clone());
        Ok(Self::with(store, boots, options, opening))
    }

    pub(super) fn with(
        store: Store,
        boots: Boots,
        options: FleetOptions,
        opening: Balances,
    ) -> Self {
        let called = Arc::new(Notify::new());
        let bell = Arc::clone(&called);
        let ledger = Ledger::leased(opening, options, Arc::new(move || bell.notify_one()));
        Self {
            ledger: Arc::new(ledger),
            store: Arc::new(store),
            called,
            traffic: Arc::default(),
            boots,
            served: None,
            faults: Vec::new(),
            is_told_away: false,
            under_way: JoinSet::new(),
            looks: Looks::new(),
            inspected: 0,
            last_words: None,
        }
    }

    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// Carries until `stop` is true or gone; then closes all leases, for at most `patience`. Call it once every account
    /// that the configuration names is in the ledger: former boots have their last word about them first.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>, patience: Duration) {
        while !*stop.borrow() {
            tokio::select! {
                () = self.round() => {}
                changed = stop.changed() => if changed.is_err() { break },
            }
        }
        if timeout(patience, self.drain()).await.is_err() {
            tracing::warn!("leases could not be closed in time; the next start of this node will");
        }
    }

    /// Waits for what comes first, an answer or the time to look at the ledger, and deals with it. May be dropped while it
    /// waits.
    async fn round(&mut self) {
        let due = self.looks.due;
        tokio::select! {
            () = sleep_until(due) => self.look(),
            () = self.called.notified(), if due > self.looks.soonest => self.looks.due = self.looks.soonest,
            Some(said) = self.under_way.join_next() => self.take_in(said),
        }
    }

    /// Says what there is to say, without waiting for answers.
    fn look(&mut self) {
        let (began, now) = (Instant::now(), Moment::now());
        if began >= self.looks.presence {
            self.looks.presence = began + PRESENCE;
            self.show();
            self.say_last_words(now);
            self.inspect(now);
            self.tell(now);
        }
        let room = UNDER_WAY.saturating_sub(self.under_way.len());
        for ask in self.ledger.asks_up_to(room, now) {
            self.say(ask, now);
        }
        self.looks.schedule(began);
    }

    fn say(&mut self, ask: Ask, now: Moment) {
        self.traffic.asked.fetch_add(1, Ordering::Relaxed);
        let (store, traffic) = (Arc::clone(&self.store), Arc::clone(&self.traffic));
        self.under_way.spawn(async move {
            let began = Instant::now();
            let reply = store.say(&ask, now).await;
            let trip = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            traffic.last_trip.store(trip, Ordering::Relaxed);
            Said::Ask(ask, reply)
        });
    }

    fn show(&mut self) {
        let store = Arc::clone(&self.store);
        let node = self.boots.this().node.to_string();
        self.under_way
            .spawn(async move { Said::Presence(store.show(&node).await) });
    }

    /// Says the last words of former boots until each has been heard.
    fn say_last_words(&mut self, now: Moment) {
        let words = self.last_words.get_or_insert_with(|| {
            let words = self.boots.last_words(&self.ledger.views(now), now);
            words.into_iter().enumerate().collect()
        });
        if words.is_empty() {
            self.ledger.store(StoreNews::TotalKnown, now);
        }
        for (number, word) in words.iter().take(UNDER_WAY) {
            let (number, word, store) = (*number, word.clone(), Arc::clone(&self.store));
            self.under_way.spawn(async move {
                let reply = store.say(&word, now).await;
                Said::LastWord(number, reply)
            });
        }
    }

    fn take_in(&mut self, said: Result<Said, JoinError>) {
        let now = Moment::now();
        match said {
            Ok(Said::Ask(ask, Ok(reply))) => {
                self.traffic.answered.fetch_add(1, Ordering::Relaxed);
                self.ledger.answered(&ask, &reply, now);
            }
            Ok(Said::LastWord(number, Ok(_))) => self.confirm(number, now),
            Ok(Said::Presence(Ok(served))) => self.served_by(served, now),
            Ok(Said::Suspended(budget, Ok(held))) => {
                self.traffic.holds(budget, held);
            }
            Ok(
                Said::Suspended(_, Err(error))
                | Said::Ask(_, Err(error))
                | Said::LastWord(_, Err(error))
                | Said::Presence(Err(error)),
            ) => self.failed(&error),
            Err(_) => {}
        }
    }

    /// Looks at the silent leases of the next budget.
    fn inspect(&mut self, now: Moment) {
        let views = self.ledger.views(now);
        self.traffic
            .keep(|id| views.iter().any(|view| view.id == *id));
        let Some(view) = views.get(self.inspected % views.len().max(1)) else {
            return;
        };
        self.inspected = self.inspected.wrapping_add(1);
        let (store, id, since) = (Arc::clone(&self.store), view.id.clone(), view.since);
        self.under_way.spawn(async move {
            let held = store.suspended(&id, since).await;
            Said::Suspended(id, held)
        });
    }

    fn confirm(&mut self, number: usize, now: Moment) {
        let Some(words) = &mut self.last_words else {
            return;
        };
        words.remove(&number);
        if !words.is_empty() {
            return;
        }
        self.ledger.store(StoreNews::TotalKnown, now);
        if let Err(error) = self.boots.forget_former() {
            tracing::warn!(%error, "former leases are closed, but not forgotten");
        }
    }

    fn served_by(&mut self, served: Served, now: Moment) {
        let nodes = served.nodes;
        self.ledger.store(StoreNews::Heard { nodes }, now);
        if let Some(before) = &self.served
            && served.is_doubtful_after(before)
        {
            let another = served.server != before.server;
            self.traffic
                .servers_changed
                .fetch_add(u64::from(another), Ordering::Relaxed);
            tracing::warn!(
                another,
                "the lease store may have lost something: all leases are reported anew"
            );
            self.ledger.store(StoreNews::Doubted, now);
        }
        self.served = Some(served);
    }

    /// Says once in the log that the store is away, and why, and once that it is back.
    fn tell(&mut self, now: Moment) {
        let is_away = self.ledger.is_store_away(now);
        match &self.faults[..] {
            [_, ..] if is_away && !self.is_told_away => {
                tracing::warn!(
                    why = self.faults.join(", "),
                    "the lease store is away: budgets spend what they were lent, then do what on_store_loss says"
                );
                self.is_told_away = true;
            }
            _ if !is_away && self.is_told_away => {
                tracing::info!("the lease store is back");
                self.is_told_away = false;
            }
            _ => {}
        }
        if !is_away {
            self.faults.clear();
        }
    }

    fn failed(&mut self, error: &StoreError) {
        let kind = error.kind();
        if self.faults.len() < KINDS && !self.faults.contains(&kind) {
            self.faults.push(kind);
        }
        self.traffic.failed.fetch_add(1, Ordering::Relaxed);
        if matches!(error, StoreError::Unintelligible) {
            self.traffic.unintelligible.fetch_add(1, Ordering::Relaxed);
        }
        tracing::debug!(%error, "the lease store did not answer");
    }

    /// Returns and closes all leases, as their requests end.
    async fn drain(&mut self) {
        self.ledger.store(StoreNews::Draining, Moment::now());
        while !self.ledger.is_drained() {
            self.round().await;
        }
    }
}

/// When the ledger is looked at.
#[derive(Debug)]
struct Looks {
    due: Instant,
    /// Not before this, however hungry the budgets are: looking takes at most a tenth of the time.
    soonest: Instant,
    /// When this node shows itself next.
    presence: Instant,
}

impl Looks {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            due: now,
            soonest: now,
            presence: now,
        }
    }

    /// After a look that began at `began`.
    fn schedule(&mut self, began: Instant) {
        let now = Instant::now();
        self.soonest = now + PAUSE.max(began.elapsed() * 10);
        self.due = self.soonest.max(now + TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_silent_leases_hold_ends_with_their_budget() {
        let traffic = Traffic::default();
        let [gone, free, kept] = ["gone", "free", "kept"].map(BudgetId::new);
        let two = Usd::from_nanos(2);
        for id in [&gone, &free, &kept] {
            traffic.holds(id.clone(), two);
        }
        traffic.holds(free, Usd::ZERO);
        traffic.keep(|id| *id != gone);
        assert_eq!(traffic.view().suspended, two);
    }
}
