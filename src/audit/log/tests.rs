//! The log's promises, on real files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::frame::{self, Read};
use super::*;
use crate::audit::chain::genesis;
use crate::audit::row::Decision;
use crate::audit::testing::{begin, budget, killed, row};

fn open(state: &Path) -> (Log, Recovered) {
    Log::open(state, LogOptions::default(), Moment::from_micros(1000)).unwrap()
}

/// Every row that stands in the log, and how many places could not be read.
fn rows(state: &Path) -> (Vec<StoredRow>, usize) {
    let mut reader = Reader::of(state);
    let (mut rows, mut damage) = (Vec::new(), 0);
    loop {
        let batch = reader.batch(100, None).unwrap();
        damage += batch.damage.len();
        if batch.items.is_empty() && batch.damage.is_empty() {
            return (rows, damage);
        }
        rows.extend(batch.items.into_iter().filter_map(|item| match item {
            Item::Row(row) => Some(row),
            Item::Seal(_) => None,
        }));
    }
}

fn requests(state: &Path) -> Vec<(Uuid, String)> {
    let decided = |row: StoredRow| {
        let entry = Entry::decode(&row.entry).unwrap();
        (entry.kind == convert::REQUEST).then(|| (entry.request, entry.decision.to_string()))
    };
    rows(state).0.into_iter().filter_map(decided).collect()
}

pub fn spent(balances: &Balances) -> u64 {
    let (budget, period) = budget();
    balances.spent(&budget, period).nanos()
}

fn segment(state: &Path, number: u64) -> PathBuf {
    Segments::of(state).path(number)
}

#[test]
fn spend_and_rows_survive_a_restart_and_the_chain_holds() {
    let state = tempfile::tempdir().unwrap();
    let (log, recovered) = open(state.path());
    assert_eq!(spent(&recovered.balances), 0);
    for id in 1..=3 {
        let _written = log.begin(begin(id, 100)).unwrap();
        let _written = log.end(row(id, 40)).unwrap();
    }
    let _written = log.end(row(4, 0)).unwrap();
    log.close();
    let (log, recovered) = open(state.path());
    assert_eq!(spent(&recovered.balances), 120);
    assert_eq!((recovered.lost, recovered.truncated_bytes), (0, 0));
    log.close();

    assert_eq!(requests(state.path()).len(), 4);
    let (rows, damage) = rows(state.path());
    assert_eq!(damage, 0);
    let mut hash = [0; 32];
    for row in &rows {
        let before = if row.seq == 0 {
            genesis(row.boot)
        } else {
            hash
        };
        assert_eq!(row.before, before);
        hash = row.hash;
    }
    assert_eq!(
        rows.iter().map(|row| row.seq).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 0]
    );
}

#[test]
fn a_request_in_flight_when_the_process_dies_is_lost_and_charged_in_full() {
    let state = tempfile::tempdir().unwrap();
    let (log, _) = open(state.path());
    let _written = log.begin(begin(1, 100)).unwrap();
    let _written = log.begin(begin(2, 100)).unwrap();
    let _written = log.end(row(1, 30)).unwrap();
    let state = killed(&log, state.path());
    let (log, recovered) = open(state.path());
    assert_eq!((recovered.lost, spent(&recovered.balances)), (1, 130));
    log.close();
    // A second restart finds its row, and does not charge it again.
    let (log, recovered) = open(state.path());
    assert_eq!((recovered.lost, spent(&recovered.balances)), (0, 130));
    log.close();
    let decided = requests(state.path());
    assert_eq!(
        decided[1],
        (begin(2, 0).request, Decision::Lost.as_str().to_owned())
    );
    assert_eq!(decided.len(), 2);
}

#[test]
fn a_second_process_is_kept_out() {
    let state = tempfile::tempdir().unwrap();
    let (log, _) = open(state.path());
    let second = Log::open(state.path(), LogOptions::default(), Moment::default());
    assert!(matches!(second, Err(LogError::Locked { .. })));
    log.close();
    drop(log);
    open(state.path()).0.close();
}

#[test]
fn a_request_in_flight_when_the_log_closes_has_its_row_at_once() {
    let state = tempfile::tempdir().unwrap();
    let (log, _) = open(state.path());
    let mut follower = log.follow("test");
    for id in [2, 1] {
        let _written = log.begin(begin(id, 100)).unwrap();
    }
    log.close();
    assert!(matches!(log.end(row(1, 30)), Err(LogError::Unavailable)));
    let decided = requests(state.path());
    let lost = |id| (begin(id, 0).request, Decision::Lost.as_str().to_owned());
    assert_eq!(decided, [lost(1), lost(2)]);
    let drained = follower.next(50, Duration::ZERO).unwrap().unwrap();
    let rows = drained
        .items
        .iter()
        .filter(|item| matches!(item, Item::Row(_)));
    assert_eq!(rows.count(), 3, "the boot's first row, and theirs");
    let (log, recovered) = open(state.path());
    assert_eq!((recovered.lost, spent(&recovered.balances)), (0, 200));
    log.close();
}

#[test]
fn a_full_segment_is_followed_by_one_that_knows_everything() {
    let state = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_bytes: 4 << 10,
        sync_every: Duration::from_millis(1),
        ..LogOptions::default()
    };
    let (log, _) = Log::open(state.path(), options, Moment::default()).unwrap();
    let mut follower = log.follow("test");
    let _written = log.begin(begin(1000, 7)).unwrap();
    let mut ids = 2000..;
    let mut rows: u64 = 202;
    for id in 0..200 {
        let _written = log.begin(begin(id, 10)).unwrap();
        let _written = log.end(row(id, 1)).unwrap();
        if id % 50 == 49 {
            // Far more than a segment: go on until the keeper, which looks when something is written, has come to it.
            let due = usize::try_from(id / 50).unwrap() + 2;
            let until = std::time::Instant::now() + Duration::from_secs(30);
            while Segments::of(state.path()).list().unwrap().len() < due {
                assert!(std::time::Instant::now() < until);
                std::thread::sleep(Duration::from_millis(20));
                let id = ids.next().unwrap();
                let _written = log.begin(begin(id, 10)).unwrap();
                let _written = log.end(row(id, 1)).unwrap();
                rows += 1;
            }
        }
    }
    log.close();
    let mut seen = 0;
    while let Some(batch) = follower.next(50, Duration::from_secs(5)).unwrap() {
        assert!(batch.damage.is_empty());
        seen += batch
            .items
            .iter()
            .filter(|item| matches!(item, Item::Row(_)))
            .count();
    }
    assert_eq!(seen as u64, rows);
    let segments = Segments::of(state.path()).list().unwrap();
    assert!(segments.len() > 2, "{segments:?}");
    // Only the newest is needed.
    for number in &segments[..segments.len() - 1] {
        fs::remove_file(segment(state.path(), *number)).unwrap();
    }
    let (log, recovered) = open(state.path());
    assert_eq!((recovered.lost, spent(&recovered.balances)), (0, rows + 5));
    log.close();
}

#[tokio::test]
async fn strict_waits_until_the_record_is_durable() {
    let state = tempfile::tempdir().unwrap();
    let options = LogOptions {
        durability: Durability::Strict,
        ..LogOptions::default()
    };
    let (log, _) = Log::open(state.path(), options, Moment::default()).unwrap();
    let mut follower = log.follow("test");
    log.begin(begin(1, 5)).unwrap().wait().await.unwrap();
    log.end(row(1, 5)).unwrap().wait().await.unwrap();
    let batch = follower.next(10, Duration::ZERO).unwrap().unwrap();
    assert_eq!(batch.items.len(), 2, "the boot's first row, and this one");
    log.close();
}

#[test]
fn over_its_bound_the_log_lets_no_request_out_but_keeps_its_rows() {
    let state = tempfile::tempdir().unwrap();
    let options = LogOptions {
        spool_bytes: 0,
        ..LogOptions::default()
    };
    let (log, _) = Log::open(state.path(), options.clone(), Moment::default()).unwrap();
    assert!(matches!(log.begin(begin(1, 5)), Err(LogError::Full)));
    let _written = log.end(row(1, 0)).unwrap();
    assert!(log.status().unready.is_some());
    log.close();
    assert_eq!(requests(state.path()).len(), 1);
    let shed = LogOptions {
        on_full: OnFull::Shed,
        ..options
    };
    let (log, _) = Log::open(state.path(), shed, Moment::default()).unwrap();
    assert!(log.begin(begin(2, 5)).is_ok());
    log.close();
}

#[test]
fn an_operators_action_left_by_another_process_becomes_a_row() {
    let state = tempfile::tempdir().unwrap();
    let action = OperatorAction {
        id: Uuid::now_v7(),
        at: Moment::from_seconds(5),
        organisation: None,
        team: None,
        who: crate::audit::Label::clean("ada", 40),
        what: "key.created",
        subject: crate::audit::Label::clean("key_1", 40),
        change: crate::audit::Label::default(),
    };
    crate::audit::inbox::submit(state.path(), &action).unwrap();
    let (log, _) = open(state.path());
    log.close();
    let (stored, _) = rows(state.path());
    let entry = Entry::decode(&stored[1].entry).unwrap();
    assert_eq!(
        (&*entry.actor, &*entry.action, &*entry.subject),
        ("ada", "key.created", "key_1")
    );
    open(state.path()).0.close();
    assert_eq!(rows(state.path()).0.len(), 3, "taken once");
}

/// A log of `count` finished requests at 10 each and one in flight at 100, and its first segment's bytes.
fn written(count: u128) -> (TempDir, Vec<u8>) {
    let state = tempfile::tempdir().unwrap();
    let (log, _) = open(state.path());
    let _written = log.begin(begin(10_000, 100)).unwrap();
    for id in 0..count {
        let _written = log.begin(begin(id, 50)).unwrap();
        let _written = log.end(row(id, 10)).unwrap();
    }
    let state = killed(&log, state.path());
    let bytes = fs::read(segment(state.path(), 1)).unwrap();
    (state, bytes)
}

#[test]
fn cut_off_anywhere_the_log_opens_with_every_whole_record() {
    let (state, bytes) = written(3);
    let segments = Segments::of(state.path());
    let mut ends = vec![0];
    while let Read::Frame(frame) = frame::read(&bytes[ends[ends.len() - 1]..]) {
        ends.push(ends[ends.len() - 1] + frame.size());
    }
    // Next to every border, and at every eleventh byte.
    let near = |end: &usize| {
        ends.iter().any(|border| border.abs_diff(*end) <= 1) || end.is_multiple_of(11)
    };
    for end in (0..=bytes.len()).filter(near) {
        fs::write(segment(state.path(), 1), &bytes[..end]).unwrap();
        let before = recover::recover(&segments, Moment::default()).unwrap();
        let whole = ends.iter().rev().find(|whole| **whole <= end).unwrap();
        assert_eq!(before.truncated_bytes, (end - whole) as u64, "cut at {end}");
        assert_eq!(segments.size(1), *whole as u64);
        assert!(before.damage.is_empty() && before.missing == 0);
        // Records: head, first row, the begin of the one in flight, then a begin and a row for each.
        let records = ends.iter().position(|place| place == whole).unwrap();
        let requests = records.saturating_sub(3).min(6);
        let open = usize::from(records >= 3) + requests % 2;
        assert_eq!((before.fold.open.len(), before.seq), (open, records as u64));
        assert_eq!(spent(&before.fold.balances), 10 * (requests / 2) as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn whatever_bit_flips_nothing_panics_and_no_other_record_is_lost(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let (state, mut bytes) = written(4);
        let before = rows(state.path()).0;
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(segment(state.path(), 1), &bytes).unwrap();
        match Log::open(state.path(), LogOptions::default(), Moment::default()) {
            Ok((log, recovered)) => {
                log.close();
                let after = rows(state.path()).0;
                let kept = before.iter().filter(|row| after.contains(row)).count();
                prop_assert!(kept + 1 >= before.len(), "one record at most is gone");
                // A damaged row leaves its request in flight, and so charged in full; a damaged begin costs nothing.
                prop_assert!(spent(&recovered.balances) >= 40);
                let told = !recovered.damage.is_empty() || recovered.truncated_bytes > 0;
                prop_assert!(told, "damage at {} was not told", at);
            }
            // Only the head's own damage leaves the spend unknown.
            Err(LogError::Corrupt { path, offset, .. }) => {
                prop_assert_eq!((path, offset), (segment(state.path(), 1), 0));
                let head = frame::find(&bytes, 1, None).unwrap_or(bytes.len());
                prop_assert!(at < head);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn a_range_ends_where_the_log_does_though_its_end_was_cut_off_or_its_segment_is_gone() {
    let (state, mut bytes) = written(3);
    let end = Position {
        segment: 1,
        offset: bytes.len() as u64,
    };
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    fs::write(segment(state.path(), 1), &bytes).unwrap();
    let (log, recovered) = open(state.path());
    assert!(recovered.truncated_bytes > 0);
    let mut follower = log.follow("test");
    follower.seek(Position {
        segment: 1,
        offset: 0,
    });
    let batch = follower.until(end).unwrap();
    assert_eq!(batch.items.len(), 3, "the first row, and two of requests");
    assert!(batch.end < end && batch.damage.is_empty());
    fs::remove_file(segment(state.path(), 1)).unwrap();
    let mut follower = log.follow("test");
    let start = Position {
        segment: 1,
        offset: 20,
    };
    follower.seek(start);
    let batch = follower.until(end).unwrap();
    assert_eq!((batch.items.len(), batch.end), (0, start));
    let later = follower.next(10, Duration::ZERO).unwrap().unwrap();
    assert!(!later.items.is_empty(), "the log goes on");
    log.close();
}

#[test]
fn a_damaged_newest_head_is_made_good_from_the_segment_before() {
    let (state, _) = written(3);
    open(state.path()).0.close();
    let path = segment(state.path(), 2);
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (log, recovered) = open(state.path());
    assert_eq!(spent(&recovered.balances), 130);
    assert_eq!(recovered.damage.len(), 1);
    log.close();
}
