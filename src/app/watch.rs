//! Background tasks: the directory's changes, the providers' names.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{interval, timeout};
use tracing::{info, warn};

use super::Shared;
use super::assemble;
use crate::directory::{Census, Directory, DirectoryError};
use crate::domain::Name;
use crate::gateway::address::Address;
use crate::gateway::upstream::Upstream;
use crate::live::{Live, People, Snapshot};
use crate::scan::BuildError;

/// How often the directory is asked whether it changed: a change is seen within a second.
const DIRECTORY_TURN: Duration = Duration::from_millis(200);
/// How long the last readable directory stays in force while it cannot be read.
const DIRECTORY_GRACE: Duration = Duration::from_secs(5);
/// How often names that have never resolved are resolved again.
const MISSING_TURN: Duration = Duration::from_secs(1);
/// How often all names are resolved again.
const RESOLVE_TURN: Duration = Duration::from_secs(30);
/// The longest that one name may take to resolve.
const RESOLVE_TIME: Duration = Duration::from_secs(3);

/// Follows the directory until the process ends.
pub async fn directory(mut directory: Directory, shared: Arc<Shared>) {
    let mut turn = interval(DIRECTORY_TURN);
    let mut seen = None;
    let mut failing_since: Option<Instant> = None;
    loop {
        turn.tick().await;
        let worker = Arc::clone(&shared);
        let looked = tokio::task::spawn_blocking(move || {
            let found = look(&directory, seen, &worker);
            (directory, found)
        });
        // A look that panicked took the directory with it: without one the gateway must not go on.
        let Ok((returned, found)) = looked.await else {
            return;
        };
        directory = returned;
        match found {
            Ok(version) => {
                seen = Some(version);
                failing_since = None;
            }
            Err(error) => {
                let since = *failing_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= DIRECTORY_GRACE && shared.live.load().people.available {
                    warn!(%error, "the directory cannot be read: every key is refused");
                    shared.live.seat(&Arc::new(People::unavailable()));
                    seen = None;
                }
            }
        }
    }
}

/// Loads the directory if it is another one than was seen, and seats its people.
fn look(directory: &Directory, seen: Option<u64>, shared: &Shared) -> Result<u64, DirectoryError> {
    let version = directory.version()?;
    if seen == Some(version) {
        return Ok(version);
    }
    shared.seat(Arc::new(directory.load()?));
    if seen.is_some() {
        info!("the directory changed");
        let reloads = &shared.metrics.reloads;
        reloads.with_label_values(&["directory", "ok"]).inc();
    }
    Ok(version)
}

/// Compiles the scanner anew when teams have other entities, until the process ends. Apart from the directory's changes, of
/// which a revoked key must not wait so long.
pub async fn entities(shared: Arc<Shared>) {
    let mut turn = interval(DIRECTORY_TURN);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        if is_inspected(&shared.live.load()) {
            continue;
        }
        let worker = Arc::clone(&shared);
        let compiled = tokio::task::spawn_blocking(move || compile(&worker)).await;
        if let Ok(Err(error)) = compiled {
            warn!(%error, "the teams' new entities cannot be looked for yet");
            tokio::time::sleep(DIRECTORY_GRACE).await;
        }
    }
}

/// Whether the scanner looks for the entities that the directory has.
fn is_inspected(now: &Snapshot) -> bool {
    match (&now.inspects, &now.people.census) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other) || assemble::same_entities(one, other),
        (None, Some(_)) => false,
        (_, None) => true,
    }
}

fn compile(shared: &Shared) -> Result<(), BuildError> {
    let _alone = shared.compiling.lock();
    let now = shared.live.load();
    // Whoever held the lock may have done it.
    if !is_inspected(&now) {
        let inspection = assemble::inspection_of(&now.people, &now, &shared.key)?;
        shared.replace(Snapshot {
            inspection: Arc::new(inspection),
            inspects: now.people.census.clone(),
            ..Snapshot::clone(&now)
        });
    }
    Ok(())
}

/// Lets go of budgets that the directory has no more, until the process ends: each once its last request has ended.
pub async fn budgets(shared: Arc<Shared>) {
    let mut turn = interval(DIRECTORY_TURN);
    let mut seen: Option<Arc<Census>> = None;
    let mut lingering = 0;
    loop {
        turn.tick().await;
        // Not while somebody is between the ledger and the snapshot: an account may be wanted and not seated yet.
        let Some(_alone) = shared.changing.try_lock() else {
            continue;
        };
        let Some(census) = shared.live.load().people.census.clone() else {
            continue;
        };
        let same = seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &census));
        if !same || lingering > 0 {
            lingering = assemble::forget_budgets(&census, &shared.ledger);
            seen = Some(census);
        }
    }
}

/// Resolves the providers' names once; goes on without those that take long.
pub async fn resolve_all(upstreams: &[Arc<Upstream>]) {
    resolve_each(&addresses(upstreams)).await;
}

/// Resolves the providers' names again and again until the process ends.
pub async fn resolve(live: Arc<Live>) {
    resolve_again(|| addresses(&live.load().upstreams)).await;
}

fn addresses(upstreams: &[Arc<Upstream>]) -> Vec<Arc<Address>> {
    let all = upstreams.iter().flat_map(|upstream| &upstream.addresses);
    all.cloned().collect()
}

async fn resolve_each(addresses: &[Arc<Address>]) {
    for address in addresses {
        if timeout(RESOLVE_TIME, address.resolve()).await.is_err() {
            warn!(host = %address.host, "the provider's name does not resolve yet");
        }
    }
}

/// Names that have never resolved in every turn: until then all requests for them are refused. The others seldom.
async fn resolve_again(addresses: impl Fn() -> Vec<Arc<Address>>) {
    let mut turn = interval(MISSING_TURN);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut all_at = Instant::now();
    loop {
        turn.tick().await;
        let mut due = addresses();
        if all_at.elapsed() >= RESOLVE_TURN {
            all_at = Instant::now();
        } else {
            due.retain(|address| address.first().is_none());
        }
        resolve_each(&due).await;
    }
}

/// How often it is seen whose turn it is to be looked at.
const HEALTH_STEP: Duration = Duration::from_millis(100);

/// Looks at the addresses of providers whose settings ask for it, until the process ends.
pub async fn health(live: Arc<Live>) {
    let mut turn = interval(HEALTH_STEP);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut looked: HashMap<Name, Instant> = HashMap::new();
    loop {
        turn.tick().await;
        for upstream in live.load().upstreams.iter() {
            let last = looked.get(&upstream.name);
            let due = last.is_none_or(|last| last.elapsed() >= upstream.check_interval);
            if due && !upstream.checks.is_empty() {
                looked.insert(upstream.name.clone(), Instant::now());
                tokio::spawn(look_at(Arc::clone(upstream)));
            }
        }
    }
}

async fn look_at(upstream: Arc<Upstream>) {
    for (check, address) in upstream.checks.iter().zip(&upstream.addresses) {
        if let Some(healthy) = check.look(address).await {
            warn!(provider = %upstream.name, address = %address.label, healthy, "an address changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[tokio::test]
    async fn a_name_that_has_never_resolved_is_asked_for_soon() {
        let written = config::Address::parse("http://localhost:80").unwrap();
        let address = Arc::new(Address::new(&written));
        assert_eq!(address.first(), None);
        let resolving = resolve_again(|| vec![Arc::clone(&address)]);
        let until = Instant::now() + RESOLVE_TURN / 2;
        let resolved = async {
            while address.first().is_none() && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = resolving => {}
            () = resolved => {}
        }
        assert!(address.first().is_some());
    }
}
