//! What the log does when there is no room, and how operators' actions come into it.

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::audit::testing::{begin, row};
use crate::audit::{Label, inbox};

fn open(state: &Path, options: LogOptions) -> Log {
    Log::open(state, options, Moment::now()).unwrap().0
}

/// The entries that stand in the log, by kind.
fn kinds(state: &Path) -> Vec<String> {
    let mut reader = Reader::of(state);
    let batch = reader.batch(usize::MAX, None).unwrap();
    let entries = batch.items.into_iter().filter_map(|item| match item {
        Item::Row(row) => Some(Entry::decode(&row.entry).unwrap().kind.to_string()),
        Item::Seal(_) => None,
    });
    entries.collect()
}

fn count(state: &Path, kind: &str) -> usize {
    kinds(state).iter().filter(|known| *known == kind).count()
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn readiness_ends_long_before_the_disk_is_too_full_for_a_request() {
    let state = tempfile::tempdir().unwrap();
    let space = rustix::fs::statvfs(state.path()).unwrap();
    let free = space.f_bavail * space.f_frsize;
    let with = |reserve| LogOptions {
        reserve,
        ..LogOptions::default()
    };
    let log = open(state.path(), with(free / 2));
    wait_until("not ready", || log.status().unready.is_some());
    assert!(log.begin(begin(1, 5)).is_ok(), "requests still pass");
    log.close();

    let log = open(state.path(), with(u64::MAX));
    wait_until("full", || {
        matches!(log.begin(begin(2, 5)), Err(LogError::Full))
    });
    let _written = log.end(row(3, 0)).unwrap();
    log.close();
    // The one in flight at the first close, perhaps some before the keeper looked, and the refused one.
    assert!(count(state.path(), convert::REQUEST) >= 2);
}

#[test]
fn past_the_bound_rows_wait_in_memory_and_are_written_at_the_end() {
    let state = tempfile::tempdir().unwrap();
    let options = LogOptions {
        spool_bytes: 0,
        headroom: 0,
        on_full: OnFull::Shed,
        ..LogOptions::default()
    };
    let log = open(state.path(), options);
    for id in 0..10 {
        assert!(log.begin(begin(id, 5)).is_ok(), "shed lets requests pass");
        let _kept = log.end(row(id, 1)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(log.status().queued, 10);
    assert_eq!(count(state.path(), convert::REQUEST), 0);
    log.close();
    assert_eq!(count(state.path(), convert::REQUEST), 10);
}

#[test]
fn rows_that_cannot_be_kept_at_all_are_counted_and_a_row_says_how_many() {
    let state = tempfile::tempdir().unwrap();
    let options = LogOptions {
        spool_bytes: 0,
        headroom: 0,
        on_full: OnFull::Shed,
        ..LogOptions::default()
    };
    let log = open(state.path(), options);
    for id in 0..QUEUE as u128 + 7 {
        let _kept = log.end(row(id, 1)).unwrap();
    }
    assert_eq!(log.status().shed, 7);
    log.close();
    assert_eq!(count(state.path(), convert::SHED), 1);
    let again = open(state.path(), LogOptions::default());
    again.close();
}

#[test]
fn an_action_whose_file_outlived_a_crash_is_not_written_twice() {
    let state = tempfile::tempdir().unwrap();
    let action = OperatorAction {
        id: Uuid::now_v7(),
        at: Moment::from_seconds(5),
        organisation: None,
        team: None,
        who: Label::clean("ada", 40),
        what: "key.created",
        subject: Label::clean("key_1", 40),
        change: Label::default(),
    };
    let file = state.path().join(format!("log/inbox/{}.action", action.id));
    for boot in 0..3 {
        // As if the process had died between the row and the file's removal.
        inbox::submit(state.path(), &action).unwrap();
        open(state.path(), LogOptions::default()).close();
        assert!(!file.exists(), "boot {boot}");
    }
    assert_eq!(count(state.path(), convert::ACTION), 1);
    open(state.path(), LogOptions::default()).close();
    open(state.path(), LogOptions::default()).close();
    let (log, recovered) = Log::open(state.path(), LogOptions::default(), Moment::now()).unwrap();
    assert_eq!((recovered.lost, recovered.missing), (0, 0));
    log.close();
}
