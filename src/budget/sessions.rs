//! Budgets of sessions: accounts that appear with their first request, bounded in number.
//!
//! A session that is forgotten and comes back would have its cap anew. So only those that have been silent for long are
//! forgotten; where nothing may be, a new session shares one account with all further ones of its key, which is stricter
//! and never free.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::account::{Account, Shared};
use super::balances::Balances;
use super::spec::{BudgetId, BudgetSpec, OnStoreLoss, Scope, SessionId};
use super::window::{Window, Zone};
use crate::domain::{KeyId, Moment, Usd};

/// Locks that the sessions are spread over.
const SHARDS: usize = 16;
/// How long a session must be silent before it may be forgotten.
const SILENT: Duration = Duration::from_hours(7 * 24);
/// How often a full shard is searched for silent sessions.
const SEARCH_EVERY: Duration = Duration::from_mins(1);

/// Stands for all sessions of a key that found no room, and for what is told no session.
const NOBODY: SessionId = SessionId([0; 16]);

/// What one session may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTerms {
    pub limit: Usd,
    pub on_store_loss: OnStoreLoss,
}

impl SessionTerms {
    /// The budget of one session of a key: a hard cap in each such window, UTC. Nobody is told of thresholds: there are
    /// many sessions, and who works in one reads the refusal.
    fn spec(self, key: &KeyId, session: SessionId, window: Window) -> BudgetSpec {
        let key = key.clone();
        BudgetSpec {
            alert_at: Vec::new(),
            on_store_loss: self.on_store_loss,
            ..BudgetSpec::new(
                Scope::Session { key, session },
                window,
                Zone::utc(),
                self.limit,
            )
        }
    }
}

/// The accounts of sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    shards: [Mutex<Shard>; SHARDS],
    /// The most sessions of one shard.
    bound: usize,
}

#[derive(Debug, Default)]
struct Shard {
    known: HashMap<SessionId, Known>,
    overflow: HashMap<KeyId, Arc<Account>>,
    unnamed: HashMap<KeyId, Arc<Account>>,
    searched_at: Moment,
}

#[derive(Debug)]
struct Known {
    account: Arc<Account>,
    used_at: Moment,
}

impl Sessions {
    pub fn new(most: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            bound: (most / SHARDS).max(1),
        }
    }

    /// The account of a session, made at its first request. A changed limit counts at once.
    pub fn account(
        &self,
        key: &KeyId,
        session: SessionId,
        terms: SessionTerms,
        now: Moment,
        ledger: &Arc<Shared>,
    ) -> Arc<Account> {
        let mut shard = self.shard(session);
        if let Some(known) = shard.known.get_mut(&session) {
            known.used_at = now;
            return under(&known.account, terms);
        }
        shard.make_room(self.bound, now, ledger);
        if shard.known.len() < self.bound {
            let account = open(&terms.spec(key, session, Window::Month), ledger);
            let known = Known {
                account: Arc::clone(&account),
                used_at: now,
            };
            shard.known.insert(session, known);
            return account;
        }
        let account = shard
            .overflow
            .entry(key.clone())
            .or_insert_with(|| open(&terms.spec(key, NOBODY, Window::Month), ledger));
        under(account, terms)
    }

    /// The account of what is told no session: one for each key, anew each day.
    pub fn unnamed(&self, key: &KeyId, terms: SessionTerms, ledger: &Arc<Shared>) -> Arc<Account> {
        let mut shard = self.shard(NOBODY);
        let account = shard
            .unnamed
            .entry(key.clone())
            .or_insert_with(|| open(&terms.spec(key, NOBODY, Window::Day), ledger));
        under(account, terms)
    }

    pub fn find(&self, id: &BudgetId) -> Option<Arc<Account>> {
        self.all().find(|account| account.id() == id)
    }

    pub fn all(&self) -> impl Iterator<Item = Arc<Account>> {
        self.shards.iter().flat_map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let known = shard.known.values().map(|known| &known.account);
            let others = shard.overflow.values().chain(shard.unnamed.values());
            let accounts: Vec<_> = known.chain(others).cloned().collect();
            accounts
        })
    }

    /// How many sessions are kept.
    pub fn len(&self) -> usize {
        self.shards.iter().fold(0, |sum, shard| {
            sum + shard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .known
                .len()
        })
    }

    fn shard(&self, session: SessionId) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(session.0[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Forgets silent sessions where there is no room; what they spent stays in the books of this process.
    fn make_room(&mut self, bound: usize, now: Moment, shared: &Shared) {
        if self.known.len() < bound || now.since(self.searched_at) < SEARCH_EVERY {
            return;
        }
        self.searched_at = now;
        let mut forgotten = Balances::new();
        self.known.retain(|_, known| {
            let silent = now.since(known.used_at) >= SILENT && known.account.is_unused();
            if silent {
                known.account.fold_into(&mut forgotten);
            }
            !silent
        });
        let mut balances = shared.balances();
        balances.put(&forgotten);
        balances.prune();
    }
}

fn open(spec: &BudgetSpec, shared: &Arc<Shared>) -> Arc<Account> {
    Arc::new(Account::new(spec, Arc::clone(shared)))
}

/// The account, held to these terms.
fn under(account: &Arc<Account>, terms: SessionTerms) -> Arc<Account> {
    let spec = account.spec();
    if spec.limit != terms.limit || spec.on_store_loss != terms.on_store_loss {
        account.follow(&BudgetSpec {
            limit: terms.limit,
            on_store_loss: terms.on_store_loss,
            ..BudgetSpec::clone(&spec)
        });
    }
    Arc::clone(account)
}
