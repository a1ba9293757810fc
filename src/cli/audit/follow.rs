//! `audit tail --follow`: rows as they come, in the order of the chain.

use std::io::Write;
use std::thread;
use std::time::Duration;

use uuid::Uuid;

use super::ListingArgs;
use crate::audit::query::{Filter, Source};
use crate::audit::record::Record;
use crate::cli::store::Store;

/// How often the store is asked.
const EVERY: Duration = Duration::from_millis(500);
const PAGE: usize = 1000;

/// Lists new rows until the process is interrupted or nobody reads any more.
pub fn follow(listing: &ListingArgs, filter: &Filter, out: &mut dyn Write) -> anyhow::Result<()> {
    let settings = listing.config.settings()?;
    let mut store = listing.store.open(&settings)?;
    // Rows are followed by their numbers: by time, a long request would come in behind what was listed already.
    let mut at = match store.chain().boots()?.pop() {
        Some(boot) => (boot, end(&mut store, boot)?),
        None => (Uuid::nil(), 0),
    };
    loop {
        thread::sleep(EVERY);
        // Opened anew: a new month begins a new file.
        store = listing.store.open(&settings)?;
        for boot in store.chain().boots()? {
            if boot > at.0 {
                at = (boot, 0);
            }
            if boot < at.0 {
                continue;
            }
            loop {
                let page = store.chain().chain(boot, at.1, PAGE)?;
                let count = page.len();
                at.1 = page.last().map_or(at.1, |last| last.seq + 1);
                let passed = passing(store.source(), filter, page)?;
                super::list_plain(&passed, listing.json, out)?;
                if count < PAGE {
                    break;
                }
            }
        }
        out.flush()?;
    }
}

/// The number after a boot's last row.
fn end(store: &mut Store, boot: Uuid) -> anyhow::Result<u64> {
    let mut next = 0;
    loop {
        let page = store.chain().chain(boot, next, PAGE)?;
        match page.last() {
            Some(last) => next = last.seq + 1,
            None => return Ok(next),
        }
    }
}

/// The rows that pass the filter, which the store decides: one question for each row, where there is a filter at all.
fn passing(
    source: &mut dyn Source,
    filter: &Filter,
    page: Vec<Record<'static>>,
) -> anyhow::Result<Vec<Record<'static>>> {
    if *filter == Filter::default() {
        return Ok(page);
    }
    let mut passed = Vec::new();
    for record in page {
        let one = Filter {
            request: Some(record.entry.request),
            ..filter.clone()
        };
        let found = source.page(&one, crate::audit::query::Order::Oldest, None, 1)?;
        if !found.is_empty() {
            passed.push(record);
        }
    }
    Ok(passed)
}
