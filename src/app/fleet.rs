//! Joins the ledger with a fleet's store, where one is configured: leases are fetched and given back beside the way of
//! requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::StartError;
use crate::budget::{Balances, Ledger};
use crate::config::{Durability, Redis, SecretRef, Settings};
use crate::domain::{Moment, Usd};
use crate::ledger_store::{self, Courier, Journal, Traffic};

/// The longest that a start waits for its first leases: a store that has just started lends nothing for three seconds.
const START: Duration = Duration::from_secs(5);
/// The longest that a stop gives leases back.
const STOP: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(20);

/// The running courier of a fleet's ledger.
pub struct Fleet {
    pub traffic: Arc<Traffic>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// A ledger of one node, or one that spends what Redis lends, with its courier.
pub fn ledger(
    settings: &Settings,
    opening: Balances,
) -> Result<(Arc<Ledger>, Option<Courier>), StartError> {
    let Some(redis) = &settings.redis else {
        return Ok((Arc::new(Ledger::new(opening)), None));
    };
    let journal = match settings.audit.durability {
        Durability::Batched => Journal::Batched,
        Durability::Strict => Journal::Strict,
    };
    let dir = &settings.state.dir;
    let courier = Courier::new(&store(redis)?, dir, opening, journal, Moment::now())?;
    Ok((courier.ledger(), Some(courier)))
}

fn store(redis: &Redis) -> Result<ledger_store::Settings, StartError> {
    let password = redis.password.as_ref().map(SecretRef::resolve_here);
    Ok(ledger_store::Settings {
        url: redis.url.clone(),
        user: None,
        password: password.transpose()?,
        prefix: redis.prefix.clone(),
        response_timeout: redis.timeout,
        connect_timeout: redis.timeout,
    })
}

/// A budget asks for its first lease when somebody wants to spend; here nobody does yet, so the least amount is tried.
/// Answers how many budgets there are.
fn ask_for_leases(ledger: &Ledger) -> u64 {
    let now = Moment::now();
    let views = ledger.views(now);
    for view in &views {
        if let Some(account) = ledger.find(&view.id)
            && let Ok(hold) = ledger.reserve(&[account], Usd::from_nanos(1), now)
        {
            hold.release();
        }
    }
    views.len() as u64
}

impl Fleet {
    /// Starts the courier; all budgets must be in the ledger. Comes back once each has its first lease, or the store is
    /// away, or time is up: until then requests would be refused for want of a lease.
    pub async fn start(courier: Courier) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (ledger, traffic) = (courier.ledger(), courier.traffic());
        let budgets = ask_for_leases(&ledger);
        let task = tokio::spawn(courier.run(stopped, STOP));
        let leased = async {
            loop {
                let view = ledger.fleet_view(Moment::now());
                if view.away || (view.fresh == 0 && view.round_trips >= budgets) {
                    return;
                }
                sleep(STEP).await;
            }
        };
        // A store that is merely slow is no reason not to start: its budgets do what their setting says.
        let _in_time = timeout(START, leased).await;
        Self {
            traffic,
            stop,
            task,
        }
    }

    /// Gives all leases back.
    pub async fn finish(self) {
        // A courier that is gone has nothing left to give back.
        let _told = self.stop.send(true);
        let _ended = self.task.await;
    }
}
