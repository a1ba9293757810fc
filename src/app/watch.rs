//! Background tasks: the directory's changes, the providers' names.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{interval, timeout};
use tracing::{info, warn};

use super::Shared;
use super::assemble::{self, Parts};
use crate::directory::Directory;
use crate::live::{Live, People};

/// How often the directory is asked whether it changed: a change is seen within a second.
const DIRECTORY_TURN: Duration = Duration::from_millis(200);
/// How long the last readable directory stays in force while it cannot be read.
const DIRECTORY_GRACE: Duration = Duration::from_secs(5);
/// How often names are resolved again.
const RESOLVE_TURN: Duration = Duration::from_secs(30);
/// The most that one look at all names may take at the start.
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
fn look(
    directory: &Directory,
    seen: Option<u64>,
    shared: &Shared,
) -> Result<u64, crate::directory::DirectoryError> {
    let version = directory.version()?;
    if seen == Some(version) {
        return Ok(version);
    }
    let census = directory.load()?;
    let settings = Arc::clone(&shared.live.load().settings);
    let parts = Parts {
        ledger: &shared.ledger,
        key: &shared.key,
    };
    let people = assemble::people(&census, &settings, &parts);
    shared.live.seat(&Arc::new(people));
    if seen.is_some() {
        info!("the directory changed");
        shared
            .metrics
            .reloads
            .with_label_values(&["directory", "ok"])
            .inc();
    }
    Ok(version)
}

/// Resolves the providers' names once, so that the first request finds them; goes on without those that take long.
pub async fn resolve_once(live: &Live) {
    let upstreams = Arc::clone(&live.load().upstreams);
    for address in upstreams.iter().flat_map(|upstream| &upstream.addresses) {
        if timeout(RESOLVE_TIME, address.resolve()).await.is_err() {
            warn!(host = %address.host, "the provider's name does not resolve yet");
        }
    }
}

/// Resolves the providers' names again and again until the process ends.
pub async fn resolve(live: Arc<Live>) {
    let mut turn = interval(RESOLVE_TURN);
    turn.tick().await;
    loop {
        turn.tick().await;
        resolve_once(&live).await;
    }
}
