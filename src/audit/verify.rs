//! Proving that rows are as they were written: nothing changed, missing, reordered or cut off.
//!
//! The proof reads a store boot by boot. Within a boot the hash chain shows any change; seals, and the first row of
//! the boot that followed, show an end that was cut off. The first bad row is named, and the reading goes on.

use std::collections::BTreeMap;

use ed25519_dalek::VerifyingKey;
use uuid::Uuid;

use super::chain::{Hash, Seal, genesis, unhex};
use super::convert;
use super::query::{Chain, QueryError};
use super::record::Record;

/// Rows read at once.
const PAGE: usize = 1000;
/// Faults that are listed; more are only counted.
const MOST_LISTED: usize = 100;

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub boot: Uuid,
    /// The row, or the first of those missing.
    pub seq: u64,
    pub what: String,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub rows: u64,
    pub boots: u64,
    pub seals: u64,
    /// In the order of boots and rows; at most 100.
    pub faults: Vec<Fault>,
    pub fault_count: u64,
    /// Rows at the end of the newest boot that no seal covers yet: a cut among them would not show.
    pub unsealed: u64,
    /// What the reader should know although nothing is wrong.
    pub notes: Vec<String>,
}

impl Report {
    fn fault(&mut self, boot: Uuid, seq: u64, what: impl Into<String>) {
        self.fault_count += 1;
        if self.faults.len() < MOST_LISTED {
            let what = what.into();
            self.faults.push(Fault { boot, seq, what });
        }
    }
}

/// Where a boot ended, as its last row shows.
#[derive(Clone, Copy)]
struct End {
    next: u64,
    hash: Hash,
}

/// Verifies everything that a store holds, by its own seals and by those that a witness kept.
///
/// # Errors
/// When the store cannot be read. What is wrong with its rows is in the report.
pub fn verify(
    source: &mut dyn Chain,
    witnessed: &[Seal],
    key: &VerifyingKey,
) -> Result<Report, QueryError> {
    let mut report = Report::default();
    let mut seals = source.seals()?;
    let unknown = witnessed.iter().filter(|seal| !seals.contains(seal));
    let unknown: Vec<Seal> = unknown.cloned().collect();
    seals.extend(unknown);
    let seals = sound_seals(seals, key, &mut report);
    let mut ends: BTreeMap<Uuid, End> = BTreeMap::new();
    let boots = source.boots()?;
    report.boots = boots.len() as u64;
    for (index, &boot) in boots.iter().enumerate() {
        let seals = seals.get(&boot).map_or(&[][..], Vec::as_slice);
        let end = verify_boot(source, boot, index == 0, seals, &ends, &mut report)?;
        ends.insert(boot, end);
    }
    for (boot, list) in &seals {
        if let (None, Some(last)) = (ends.get(boot), list.last()) {
            let what = format!("a seal covers {} rows, none is there", last.seq + 1);
            if boots.first().is_some_and(|oldest| boot < oldest) {
                // The seal that was made after the turn of a month outlives the rows before it.
                report.notes.push(format!(
                    "boot {boot}: {what}; older than every boot that is kept"
                ));
            } else {
                report.fault(*boot, 0, what);
            }
        }
    }
    if let Some((boot, end)) = ends.last_key_value() {
        let sealed = seals.get(boot).and_then(|list| list.last());
        report.unsealed = end.next - sealed.map_or(0, |seal| (seal.seq + 1).min(end.next));
    }
    Ok(report)
}

/// The seals that our key signed, by boot, in the order of rows.
fn sound_seals(
    seals: Vec<Seal>,
    key: &VerifyingKey,
    report: &mut Report,
) -> BTreeMap<Uuid, Vec<Seal>> {
    let mut by_boot: BTreeMap<Uuid, Vec<Seal>> = BTreeMap::new();
    for seal in seals {
        report.seals += 1;
        if seal.is_signed_by(key) {
            by_boot.entry(seal.boot).or_default().push(seal);
        } else {
            report.fault(seal.boot, seal.seq, "a seal that this key did not sign");
        }
    }
    for list in by_boot.values_mut() {
        list.sort_by_key(|seal| seal.seq);
    }
    by_boot
}

fn verify_boot(
    source: &mut dyn Chain,
    boot: Uuid,
    oldest: bool,
    seals: &[Seal],
    ends: &BTreeMap<Uuid, End>,
    report: &mut Report,
) -> Result<End, QueryError> {
    let mut seals = seals.iter().peekable();
    let mut end = End {
        next: 0,
        hash: genesis(boot),
    };
    let mut from = 0;
    loop {
        let page = source.chain(boot, from, PAGE)?;
        for record in &page {
            report.rows += 1;
            verify_row(record, oldest && end.next == 0, &mut end, report);
            if record.seq == 0 {
                verify_start(record, oldest, ends, report);
            }
            while let Some(seal) = seals.next_if(|seal| seal.seq < end.next) {
                if seal.seq + 1 == end.next && seal.hash != end.hash {
                    report.fault(boot, seal.seq, "not the row that was sealed here");
                }
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => from = last.seq.saturating_add(1),
            _ => break,
        }
    }
    if let Some(last) = seals.last() {
        report.fault(
            boot,
            end.next,
            format!(
                "rows {} to {} are cut off: a seal covers them",
                end.next, last.seq
            ),
        );
    }
    Ok(end)
}

/// One row against the one before it. `may_begin_late`: older rows of the oldest boot may be past their retention.
fn verify_row(record: &Record<'_>, may_begin_late: bool, end: &mut End, report: &mut Report) {
    let (boot, seq) = (record.boot, record.seq);
    let request = record.entry.request;
    if seq < end.next {
        return report.fault(boot, seq, format!("row {request} is there twice"));
    }
    if seq > end.next {
        let missing = format!("rows {} to {} are missing", end.next, seq - 1);
        if may_begin_late {
            report.notes.push(format!(
                "boot {boot}: {missing}: before the first that is kept, so past their retention or removed"
            ));
        } else {
            report.fault(boot, end.next, missing);
        }
    } else if record.before != end.hash {
        let what =
            format!("row {request} does not follow the row before it: one of them was changed");
        report.fault(boot, seq, what);
    }
    let hash = record.computed_hash();
    if hash != record.hash {
        report.fault(boot, seq, format!("row {request} was changed"));
    }
    // What the store says the hash is: a changed row is told once, not again at the row after it.
    *end = End {
        next: seq.saturating_add(1),
        hash: record.hash,
    };
}

/// A boot's first row names the boot before it and where that one's chain ended.
fn verify_start(
    record: &Record<'_>,
    oldest: bool,
    ends: &BTreeMap<Uuid, End>,
    report: &mut Report,
) {
    if record.entry.kind != convert::START || record.entry.subject.is_empty() {
        return;
    }
    let told = |name: &str| {
        record
            .entry
            .change
            .split(' ')
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    };
    let before = Uuid::try_parse(&record.entry.subject).ok();
    let next = told("seq").and_then(|text| text.parse::<u64>().ok());
    let hash = told("hash").and_then(unhex::<32>);
    let (Some(before), Some(next), Some(hash)) = (before, next, hash) else {
        return report.fault(record.boot, record.seq, "a first row that does not read");
    };
    match ends.get(&before) {
        Some(end) if end.next == next && end.hash == hash => {}
        Some(end) if end.next < next => report.fault(
            before,
            end.next,
            format!("rows {} to {} are cut off: the next boot follows them", end.next, next - 1),
        ),
        Some(end) => report.fault(
            before,
            end.next.saturating_sub(1),
            "does not end as the next boot says it did",
        ),
        None if oldest => report.notes.push(format!(
            "boot {} is the oldest that is kept; boot {before} before it is past its retention or removed",
            record.boot
        )),
        None => report.fault(before, 0, "all rows of this boot are missing"),
    }
}

#[cfg(test)]
mod tests;
