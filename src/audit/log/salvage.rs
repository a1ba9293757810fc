//! After damage: a request whose row the log lost, but SQLite had drained before, has its row. It is settled by that,
//! and does not become a second, `lost` one.

use std::path::Path;

use uuid::Uuid;

use super::fold::Fold;
use crate::audit::convert::read_charges;
use crate::audit::query::{Filter, Order, QueryError, Source as _};
use crate::audit::sqlite::Archive;
use crate::domain::Usd;

/// Settles what SQLite knows of the requests that the log thinks in flight; how many those are.
///
/// # Errors
/// When the month files cannot be read: the requests then stay in flight, and are charged in full.
pub fn salvage(state: &Path, fold: &mut Fold) -> Result<u64, QueryError> {
    if fold.open.is_empty() {
        return Ok(0);
    }
    let mut archive = Archive::open(state)?;
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
