//! `audit tail --follow`: rows as they come, each boot's in the order of its chain.

use std::collections::HashMap;
use std::io::Write;
use std::thread;
use std::time::Duration;

use uuid::Uuid;

use super::ListingArgs;
use crate::audit::query::{Chain, Filter, Order, QueryError, Source};
use crate::audit::record::Record;

/// How often the store is asked.
const EVERY: Duration = Duration::from_millis(500);
const PAGE: usize = 1000;

/// Lists the newest rows, then new ones until the process is interrupted or nobody reads any more.
pub fn follow(
    listing: &ListingArgs,
    lines: usize,
    filter: &Filter,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let settings = listing.config.settings()?;
    let mut store = listing.store.open(&settings)?;
    // Before the listing: what comes in between is not listed, but followed.
    let mut heads = Heads::of(store.chain())?;
    let mut rows = store.source().page(filter, Order::Newest, None, lines)?;
    rows.retain(|row| heads.is_behind(row));
    rows.reverse();
    super::list(&rows, listing.json, out)?;
    loop {
        out.flush()?;
        thread::sleep(EVERY);
        // Opened anew: a new month begins a new file.
        store = listing.store.open(&settings)?;
        loop {
            let page = heads.next(store.chain())?;
            if page.is_empty() {
                break;
            }
            let passed = passing(store.source(), filter, page)?;
            super::list_plain(&passed, listing.json, out)?;
        }
    }
}

/// The number of the next row of each boot. Rows are followed by their numbers: by time, a long request would come in
/// behind what was listed already. Of all boots: each node of a fleet has one.
struct Heads(HashMap<Uuid, u64>);

impl Heads {
    fn of(chain: &mut dyn Chain) -> Result<Self, QueryError> {
        Ok(Self(chain.ends()?.into_iter().collect()))
    }

    fn is_behind(&self, row: &Record<'_>) -> bool {
        self.0.get(&row.boot).is_some_and(|next| row.seq < *next)
    }

    /// A page of new rows of every boot that has some; empty where none has.
    fn next(&mut self, chain: &mut dyn Chain) -> Result<Vec<Record<'static>>, QueryError> {
        let mut rows = Vec::new();
        for (boot, end) in chain.ends()? {
            let next = self.0.entry(boot).or_default();
            if *next >= end {
                continue;
            }
            let mut page = chain.chain(boot, *next, PAGE)?;
            // What came since may lie behind rows of another file, which was read before.
            page.retain(|row| row.seq < end);
            *next = page.last().map_or(end, |last| last.seq + 1);
            rows.append(&mut page);
        }
        Ok(rows)
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
        let found = source.page(&one, Order::Oldest, None, 1)?;
        if !found.is_empty() {
            passed.push(record);
        }
    }
    Ok(passed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::chain::Seal;

    /// Rows of some boots, each numbered from 0.
    #[derive(Default)]
    struct Store(Vec<(Uuid, u64)>);

    impl Store {
        fn add(&mut self, boot: u128, rows: u64) {
            let boot = Uuid::from_u128(boot);
            let known = self.0.iter().position(|(one, _)| *one == boot);
            let at = known.unwrap_or_else(|| {
                self.0.push((boot, 0));
                self.0.len() - 1
            });
            self.0[at].1 += rows;
        }
    }

    impl Chain for Store {
        fn boots(&mut self) -> Result<Vec<Uuid>, QueryError> {
            Ok(self.0.iter().map(|(boot, _)| *boot).collect())
        }

        fn ends(&mut self) -> Result<Vec<(Uuid, u64)>, QueryError> {
            Ok(self.0.clone())
        }

        fn chain(
            &mut self,
            boot: Uuid,
            from: u64,
            limit: usize,
        ) -> Result<Vec<Record<'static>>, QueryError> {
            let end = self.0.iter().find(|(one, _)| *one == boot).unwrap().1;
            let row = |seq| Record {
                boot,
                seq,
                ..Record::default()
            };
            // One more than there was when the ends were asked for.
            Ok((from..=end).take(limit).map(row).collect())
        }

        fn seals(&mut self) -> Result<Vec<Seal>, QueryError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn every_boots_rows_come_once_from_where_the_listing_ended() {
        let mut store = Store::default();
        // Two nodes: the one that started first goes on as well.
        store.add(1, 5);
        store.add(2, 3);
        let mut heads = Heads::of(&mut store).unwrap();
        assert!(heads.next(&mut store).unwrap().is_empty());
        store.add(1, 2500);
        store.add(3, 1);
        store.add(2, 2);
        let mut seen = Vec::new();
        loop {
            let page = heads.next(&mut store).unwrap();
            if page.is_empty() {
                break;
            }
            seen.extend(page.iter().map(|row| (row.boot.as_u128(), row.seq)));
        }
        seen.sort_unstable();
        let wanted = [(1, 5..2505), (2, 3..5), (3, 0..1)];
        let wanted = wanted.map(|(boot, rows)| rows.map(move |seq| (boot, seq)));
        assert_eq!(seen, wanted.into_iter().flatten().collect::<Vec<_>>());
    }
}
