//! All budgets of this process: gives accounts, reserves over several at once, and says what was spent.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::account::{Account, BudgetView, CapReached, Shared};
use super::alerts::{Event, EventQueue};
use super::balances::Balances;
use super::lease::{Ask, Fleet, FleetOptions, FleetView, Reply, StoreNews};
use super::reservation::Reservation;
use super::sessions::{SessionTerms, Sessions};
use super::spec::{BudgetId, BudgetSpec, SessionId};
use super::terms::Amendment;
use crate::domain::{KeyId, Moment, Usd};

/// Shards of a budget that many callers share: cores beyond this many meet on a cache line.
const SHARDS: usize = 16;

/// Sessions with an account of their own.
const SESSIONS: usize = 16_384;

/// An operator's change is for a budget that is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such budget")]
pub struct NoSuchBudget;

/// The ledger. One per process; shared by reference.
#[derive(Debug)]
pub struct Ledger {
    accounts: Mutex<BTreeMap<BudgetId, Arc<Account>>>,
    sessions: Sessions,
    shared: Arc<Shared>,
}

impl Ledger {
    /// A ledger of one node alone, that goes on from what was spent before.
    #[must_use]
    pub fn new(opening: Balances) -> Self {
        Self::with(opening, Balances::new(), None)
    }

    /// A ledger of one node of a fleet: it spends what it is lent. `opening` is what this node spent before, by its
    /// journal; `wake` is called, on the way of a request, when [`Ledger::asks`] should be looked at soon.
    #[must_use]
    pub fn leased(
        opening: Balances,
        options: FleetOptions,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let fleet = Fleet::new(options, wake);
        Self::with(opening.clone(), opening, Some(Arc::new(fleet)))
    }

    fn with(opening: Balances, before_boot: Balances, fleet: Option<Arc<Fleet>>) -> Self {
        Self {
            accounts: Mutex::default(),
            sessions: Sessions::new(SESSIONS),
            shared: Arc::new(Shared {
                balances: Mutex::new(opening),
                events: Arc::new(EventQueue::default()),
                before_boot,
                shards: SHARDS,
                fleet,
            }),
        }
    }

    /// The account of this budget: the same counters for the same id; a changed limit counts at once.
    pub fn account(&self, spec: &BudgetSpec) -> Arc<Account> {
        let mut accounts = self.accounts();
        if let Some(account) = accounts.get(&spec.id) {
            account.follow(spec);
            return Arc::clone(account);
        }
        let account = Arc::new(Account::new(spec, Arc::clone(&self.shared)));
        accounts.insert(spec.id.clone(), Arc::clone(&account));
        account
    }

    /// Lets go of the accounts that are not wanted any more: what they spent stays known, what they were lent is returned.
    /// One that is still in use goes at a later call; answers how many such there are.
    pub fn retain(&self, wanted: impl Fn(&BudgetId) -> bool) -> usize {
        let mut gone = Balances::new();
        let mut lingering = 0;
        self.accounts().retain(|id, account| {
            let wanted = wanted(id);
            account.retire(!wanted);
            let keep = wanted || !account.is_unused();
            if !keep {
                account.fold_into(&mut gone);
            }
            lingering += usize::from(keep && !wanted);
            keep
        });
        self.shared.balances().put(&gone);
        lingering
    }

    /// Reserves `amount` on every account, or on none. An account named twice is charged twice.
    ///
    /// # Errors
    /// The first budget, in the order given, that the amount does not fit under.
    pub fn reserve(
        &self,
        accounts: &[Arc<Account>],
        amount: Usd,
        now: Moment,
    ) -> Result<Reservation, CapReached> {
        Reservation::take(accounts, this_thread(), amount, now)
    }

    /// The account of one session of a key; of all that is told no session (`None`), one a day. The number of sessions is
    /// bounded; those beyond it share an account per key.
    pub fn session(
        &self,
        key: &KeyId,
        session: Option<SessionId>,
        terms: SessionTerms,
        now: Moment,
    ) -> Arc<Account> {
        match session {
            Some(session) => self
                .sessions
                .account(key, session, terms, now, &self.shared),
            None => self.sessions.unnamed(key, terms, &self.shared),
        }
    }

    /// How many sessions have an account of their own.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The most that [`Ledger::reserve`] would admit on these accounts now; `None` where any amount would. A moment later
    /// it may be less.
    pub fn room(&self, accounts: &[Arc<Account>], now: Moment) -> Option<Usd> {
        accounts
            .iter()
            .filter_map(|account| account.room(now))
            .min()
    }

    /// Puts an operator's totals, by the start of the period that each is for, in place of the former ones. Saying them
    /// again changes nothing.
    ///
    /// # Errors
    /// When there is no such budget.
    pub fn amend(
        &self,
        id: &BudgetId,
        totals: Vec<(Moment, Amendment)>,
    ) -> Result<(), NoSuchBudget> {
        let account = self.find(id).ok_or(NoSuchBudget)?;
        account.follow_amendments(totals);
        Ok(())
    }

    /// The account of a known budget.
    pub fn find(&self, id: &BudgetId) -> Option<Arc<Account>> {
        let known = self.accounts().get(id).cloned();
        known.or_else(|| self.sessions.find(id))
    }

    /// How every budget stands that somebody configured, by id: all but those of sessions.
    pub fn standing_views(&self, now: Moment) -> Vec<BudgetView> {
        let accounts: Vec<_> = self.accounts().values().cloned().collect();
        accounts.iter().map(|account| account.view(now)).collect()
    }

    /// How every budget stands, by id.
    pub fn views(&self, now: Moment) -> Vec<BudgetView> {
        self.all().iter().map(|account| account.view(now)).collect()
    }

    /// All that was spent, by budget and period: what was known at the start and what was settled since.
    pub fn balances(&self) -> Balances {
        let mut live = Balances::new();
        for account in self.all() {
            account.fold_into(&mut live);
        }
        let mut balances = self.shared.balances().clone();
        balances.put(&live);
        balances
    }

    /// What happened since the last call; each thing once.
    pub fn events(&self) -> Vec<Event> {
        self.shared.events.drain()
    }

    /// Events lost because nobody fetched them in time.
    pub fn events_dropped(&self) -> u64 {
        self.shared.events.dropped()
    }

    /// Calls for a first lease of every budget, before anybody wants to spend; answers how many there are.
    pub fn want_leases(&self, now: Moment) -> usize {
        let accounts = self.all();
        for account in &accounts {
            account.want(now);
        }
        accounts.len()
    }

    /// What this node has to say to the store now: about every budget, and only where there is something to say.
    pub fn asks(&self, now: Moment) -> Vec<Ask> {
        self.asks_up_to(usize::MAX, now)
    }

    /// The same, but not much more than `most` at once; the rest will be said later. Every budget gets its turn.
    pub fn asks_up_to(&self, most: usize, now: Moment) -> Vec<Ask> {
        let mut asks = Vec::new();
        let Some(fleet) = &self.shared.fleet else {
            return asks;
        };
        let world = fleet.world(now);
        let accounts = self.all();
        let first = fleet.turn() % accounts.len().max(1);
        for account in accounts.iter().cycle().skip(first).take(accounts.len()) {
            if asks.len() >= most {
                break;
            }
            account.asks(&world, &mut asks);
        }
        asks
    }

    /// The store's reply to an ask, in any order, any number of times.
    pub fn answered(&self, ask: &Ask, reply: &Reply, now: Moment) {
        let Some(fleet) = &self.shared.fleet else {
            return;
        };
        if ask.boot != *fleet.boot() {
            return;
        }
        fleet.answered(now);
        if let Some(account) = self.find(&ask.budget) {
            account.answer(ask, reply, &fleet.world(now));
        }
    }

    /// Tells the fleet's budgets something about the store. Without a fleet, nothing.
    pub fn store(&self, news: StoreNews, now: Moment) {
        if let Some(fleet) = &self.shared.fleet {
            fleet.hear(news, now);
        }
    }

    /// Whether a fleet's store was not heard for long.
    pub fn is_store_away(&self, now: Moment) -> bool {
        let fleet = self.shared.fleet.as_ref();
        fleet.is_some_and(|fleet| fleet.world(now).away)
    }

    /// Whether every lease is closed, after [`StoreNews::Draining`].
    pub fn is_drained(&self) -> bool {
        self.all().iter().all(|account| account.is_closed())
    }

    /// The fleet's numbers on this node; a node alone has only refusals.
    pub fn fleet_view(&self, now: Moment) -> FleetView {
        let mut view = match &self.shared.fleet {
            Some(fleet) => fleet.view(now),
            None => FleetView::default(),
        };
        for account in self.all() {
            account.add_to(&mut view);
        }
        view
    }

    fn all(&self) -> Vec<Arc<Account>> {
        let mut all: Vec<_> = self.accounts().values().cloned().collect();
        all.extend(self.sessions.all());
        all
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<BudgetId, Arc<Account>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that differs between threads that run at the same time, mostly: which shard to try first.
fn this_thread() -> usize {
    let mut number = ThreadNumber(0);
    std::thread::current().id().hash(&mut number);
    usize::try_from(number.0).unwrap_or(0)
}

/// Takes the number out of a `ThreadId`, which gives it to hashers only. Ids count up, so their low bits spread evenly.
struct ThreadNumber(u64);

impl Hasher for ThreadNumber {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(31).wrapping_add(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
