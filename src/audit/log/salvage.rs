//! Rows that the log lost, but SQLite had drained before: damage took them, or the log was restored from a copy that is older
//! than the month files. They count as if they stood in the log: their requests do not become second, `lost` rows.

use std::path::Path;

use uuid::Uuid;

use super::fold::{Fold, Link};
use super::recover::Before;
use crate::audit::convert::read_charges;
use crate::audit::query::{Chain as _, Filter, Order, QueryError, Source as _};
use crate::audit::record::Record;
use crate::audit::sqlite::Archive;
use crate::domain::Usd;

/// Rows read at once.
const PAGE: usize = 1000;

/// Takes in what SQLite has and the log lost; how many rows those are.
///
/// # Errors
/// When the month files cannot be read: requests in flight then stay so, and are charged in full.
pub fn salvage(state: &Path, before: &mut Before) -> Result<u64, QueryError> {
    let mut archive = Archive::open(state)?;
    let mut count = follow(&mut archive, &mut before.fold)?;
    if !before.damage.is_empty() {
        count += settle(&mut archive, &mut before.fold)?;
    }
    Ok(count)
}

/// The rows that continue the chain where the log ends. The next boot's first row names the last of them, and so proves that
/// they were there.
fn follow(archive: &mut Archive, fold: &mut Fold) -> Result<u64, QueryError> {
    let mut count = 0;
    while let Some(end) = fold.link.clone() {
        let page = archive.chain(end.boot, end.next, PAGE)?;
        let taken = page.iter().take_while(|record| take(record, fold)).count();
        count += taken as u64;
        if taken < PAGE {
            break;
        }
    }
    Ok(count)
}

/// Takes a row in if it is the next of the chain; whether it was.
fn take(record: &Record<'_>, fold: &mut Fold) -> bool {
    let hash = record.computed_hash();
    let continues = |end: &Link| {
        (record.boot, record.seq, record.before, record.hash)
            == (end.boot, end.next, end.hash, hash)
    };
    let link = Link {
        boot: record.boot,
        next: record.seq.saturating_add(1),
        hash,
    };
    fold.link.as_ref().is_some_and(continues) && fold.row(&record.entry, link).is_ok()
}

/// Settles the requests that the log thinks in flight by their rows.
fn settle(archive: &mut Archive, fold: &mut Fold) -> Result<u64, QueryError> {
    let open: Vec<Uuid> = fold.open.keys().copied().collect();
    let mut settled = 0;
    for request in open {
        let filter = Filter {
            request: Some(request),
            requests_only: true,
            ..Filter::default()
        };
        for record in archive.page(&filter, Order::Oldest, None, 1)? {
            if let Some(charges) = read_charges(&record.entry.charges) {
                fold.close(request, &charges, Usd::from_nanos(record.entry.cost_nanos));
                settled += 1;
            }
        }
    }
    Ok(settled)
}
