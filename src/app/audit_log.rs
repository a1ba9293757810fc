//! Opens the audit's log as the configuration says, and tells what an earlier process left behind.

use tracing::{error, warn};

use crate::audit::{Durability, Log, LogError, LogOptions, OnFull, Recovered, SealTo};
use crate::config::{self, Settings};
use crate::domain::Moment;

/// # Errors
/// When the log cannot be used, or what was spent is not known.
pub fn open(settings: &Settings) -> Result<(Log, Recovered), LogError> {
    let (log, recovered) = Log::open(&settings.state.dir, options(settings), Moment::now())?;
    tell_recovered(&recovered);
    Ok((log, recovered))
}

/// What an earlier process left behind that was not as it should be.
fn tell_recovered(recovered: &Recovered) {
    let counts = [
        recovered.lost,
        recovered.truncated_bytes,
        recovered.missing,
        recovered.salvaged,
    ];
    if counts.iter().any(|count| *count > 0) {
        warn!(
            lost = recovered.lost,
            truncated_bytes = recovered.truncated_bytes,
            missing = recovered.missing,
            salvaged = recovered.salvaged,
            "recovered the audit log"
        );
    }
    for place in &recovered.damage {
        error!(path = %place.path.display(), offset = place.offset, bytes = place.bytes,
            "a place in the audit log does not read; the records around it are kept");
    }
}

fn options(settings: &Settings) -> LogOptions {
    let audit = &settings.audit;
    LogOptions {
        durability: match audit.durability {
            config::Durability::Batched => Durability::Batched,
            config::Durability::Strict => Durability::Strict,
        },
        on_full: match audit.on_full {
            config::OnFull::Refuse => OnFull::Refuse,
            config::OnFull::Shed => OnFull::Shed,
        },
        sync_every: audit.flush_interval,
        segment_bytes: audit.segment,
        spool_bytes: audit.spool,
        seal_to: {
            let file = audit.seal_file.clone().map(SealTo::File);
            let url = audit.seal_url.clone().map(SealTo::Url);
            file.into_iter().chain(url).collect()
        },
        ..LogOptions::default()
    }
}
