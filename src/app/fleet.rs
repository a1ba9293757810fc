//! Joins the ledger with a fleet's store, where one is configured: leases are fetched and given back beside the way of
//! requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::StartError;
use crate::budget::{Balances, Ledger};
use crate::config::{Durability, Redis, SecretRef, Settings};
use crate::domain::Moment;
use crate::ledger_store::{self, Courier, Journal, Traffic};

/// The longest that a start waits for its first leases: a store that has just started lends nothing for three seconds. One
/// that takes longer (a cluster: ten) is waited for by readiness alone.
const START: Duration = Duration::from_secs(5);
/// The longest that a stop gives leases back.
const STOP: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(20);

/// The running courier of a fleet's ledger.
pub struct Fleet {
    pub traffic: Arc<Traffic>,
    /// Turned on with the first leases, or once the store is known to be away; stays on.
    pub is_leased: Arc<AtomicBool>,
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
        user: redis.user.clone(),
        password: password.transpose()?,
        prefix: redis.prefix.clone(),
        response_timeout: redis.timeout,
        connect_timeout: redis.timeout,
    })
}

/// Waits until each budget has its first lease, or the store is known to be away: then budgets do what their
/// `on_store_loss` says, and waiting would not help.
async fn first_leases(ledger: &Ledger, traffic: &Traffic, budgets: u64) {
    loop {
        let view = ledger.fleet_view(Moment::now());
        let leased = !view.away && view.fresh == 0 && view.round_trips >= budgets;
        if leased || (view.away && traffic.view().failed > 0) {
            return;
        }
        sleep(STEP).await;
    }
}

impl Fleet {
    /// Starts the courier; all budgets must be in the ledger. Comes back once each has its first lease, or the store is
    /// away, or time is up: until then requests would be refused for want of a lease.
    pub async fn start(courier: Courier) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (ledger, traffic) = (courier.ledger(), courier.traffic());
        let budgets = ledger.want_leases(Moment::now()) as u64;
        let task = tokio::spawn(courier.run(stopped, STOP));
        let is_leased = Arc::new(AtomicBool::new(false));
        let (flag, carried) = (Arc::clone(&is_leased), Arc::clone(&traffic));
        let mut first = tokio::spawn(async move {
            first_leases(&ledger, &carried, budgets).await;
            flag.store(true, Ordering::Relaxed);
        });
        // A store that is merely slow is no reason not to start: the node says that it is not ready.
        let _in_time = timeout(START, &mut first).await;
        Self {
            traffic,
            is_leased,
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
