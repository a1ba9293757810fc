//! The sink against its log, and the archive against the sink.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use uuid::Uuid;

use super::*;
use crate::audit::chain::read_public_key;
use crate::audit::log::{Log, LogOptions};
use crate::audit::query::{By, Chain as _, Exact, Filter, Order, Source as _, for_each};
use crate::audit::testing::{begin, row, status};
use crate::audit::verify::verify;
use crate::audit::{Decision, Found, Row};
use crate::domain::{Category, Moment, Name};

const YEAR: Duration = Duration::from_hours(24 * 366);

fn run(state: &Path, rows: impl IntoIterator<Item = Row>) {
    let options = LogOptions {
        sync_every: Duration::from_millis(2),
        segment_bytes: 16 << 10,
        ..LogOptions::default()
    };
    let (log, _) = Log::open(state, options, Moment::now()).unwrap();
    let sink = SqliteSink::start(&log, state, YEAR * 100).unwrap();
    for row in rows {
        let _written = log.end(row).unwrap();
    }
    log.close();
    sink.join();
    assert_eq!(status(&log, "sqlite").failing, None);
}

fn listed(state: &Path, filter: &Filter, order: Order) -> Vec<u128> {
    let mut archive = Archive::open(state).unwrap();
    let mut ids = Vec::new();
    for_each::<crate::audit::query::QueryError>(&mut archive, filter, order, |record| {
        ids.push(record.entry.request.as_u128() - 1);
        Ok(true)
    })
    .unwrap();
    ids
}

fn requests() -> Filter {
    Filter {
        requests_only: true,
        ..Filter::default()
    }
}

#[test]
fn every_row_is_there_once_over_restarts_and_months() {
    let state = tempfile::tempdir().unwrap();
    let month = 31 * 86_400;
    let at = |id: u128| i64::try_from(id).unwrap() % 3 * month + 1_790_000_000;
    let made = |ids: std::ops::Range<u128>| {
        ids.map(move |id| Row {
            at: Moment::from_seconds(at(id)),
            ..row(id, 10)
        })
    };
    run(state.path(), made(0..700));
    run(state.path(), made(700..1500));
    assert!(months(state.path()).unwrap().len() >= 3);
    let mut ids = listed(state.path(), &requests(), Order::Oldest);
    assert!(
        ids.windows(2).all(|pair| at(pair[0]) <= at(pair[1])),
        "by time"
    );
    ids.sort_unstable();
    assert_eq!(ids, (0..1500).collect::<Vec<_>>());
    let newest = listed(state.path(), &requests(), Order::Newest);
    assert_eq!(at(newest[0]), at(2));
    assert_eq!(newest.len(), 1500);
    let mut archive = Archive::open(state.path()).unwrap();
    let ends = archive.ends().unwrap();
    let boots: Vec<Uuid> = ends.iter().map(|(boot, _)| *boot).collect();
    assert_eq!((boots.len(), &boots), (2, &archive.boots().unwrap()));
    for (boot, end) in ends {
        let rows = archive.chain(boot, 0, 10_000).unwrap();
        assert_eq!(rows.last().unwrap().seq + 1, end);
    }
}

#[test]
fn a_row_reads_back_as_it_was_and_its_hash_with_it() {
    let state = tempfile::tempdir().unwrap();
    let full = Row {
        findings: vec![Found {
            category: Category::new("github_token"),
            count: 2,
            action: "redact",
        }],
        first_byte: Some(Duration::ZERO),
        client: Some("2001:db8::1".parse().unwrap()),
        user: None,
        ..row(1, 123_456_789)
    };
    let mut bytes = Vec::new();
    crate::audit::entry::Entry::from(&full).encode(&mut bytes);
    run(state.path(), [full.clone()]);
    let page = Archive::open(state.path())
        .unwrap()
        .page(&requests(), Order::Oldest, None, 10)
        .unwrap();
    assert_eq!(page[0].entry, crate::audit::entry::Entry::from(&full));
    assert_eq!(page[0].computed_hash(), page[0].hash);
}

/// Three requests: allowed; blocked in another team; allowed with a finding whose category has another's as its start.
fn three() -> tempfile::TempDir {
    let state = tempfile::tempdir().unwrap();
    let found = |name: &str| {
        vec![Found {
            category: Category::new(name),
            count: 1,
            action: "block",
        }]
    };
    let blocked = Row {
        team: Some(Name::new("search")),
        findings: found("aws_access_key"),
        decision: Decision::Blocked,
        status: 400,
        ..row(2, 5)
    };
    let found = Row {
        findings: found("aws_access_key_id"),
        ..row(3, 1)
    };
    run(state.path(), [row(1, 10), blocked, found]);
    state
}

#[test]
fn filters_find_what_they_name() {
    let state = three();
    let equal = |exact, text: &str| Filter {
        equal: vec![(exact, text.to_owned())],
        ..requests()
    };
    let category = Filter {
        category: Some("aws_access_key".to_owned()),
        ..requests()
    };
    let request = Filter {
        request: Some(Uuid::from_u128(4)),
        ..requests()
    };
    let model = Filter {
        model: Some("claude-sonnet-4-5".to_owned()),
        since: Some(Moment::from_seconds(1_790_000_002)),
        ..requests()
    };
    let with_findings = Filter {
        with_findings: true,
        ..requests()
    };
    for (filter, expected) in [
        (equal(Exact::Team, "search"), &[2][..]),
        (equal(Exact::Decision, "allowed"), &[1, 3]),
        (equal(Exact::Team, "' OR 1=1 --"), &[]),
        (category, &[2]),
        (request, &[3]),
        (model, &[2, 3]),
        (with_findings, &[2, 3]),
    ] {
        let found = listed(state.path(), &filter, Order::Oldest);
        assert_eq!(found, expected, "{filter:?}");
    }
}

#[test]
fn sums_add_up_by_whatever_they_are_grouped() {
    let state = three();
    let mut archive = Archive::open(state.path()).unwrap();
    let sums = archive.sums(&Filter::default(), By::Team).unwrap();
    let told: Vec<_> = sums
        .iter()
        .map(|sum| {
            (
                sum.group.as_str(),
                sum.requests,
                sum.errors,
                sum.cost.nanos(),
            )
        })
        .collect();
    assert_eq!(told, [("payments", 2, 0, 11), ("search", 1, 1, 5)]);
    for by in [By::User, By::Key, By::Model, By::Day, By::Context] {
        let sums = archive.sums(&Filter::default(), by).unwrap();
        let total: u64 = sums.iter().map(|sum| sum.cost.nanos()).sum();
        assert_eq!(total, 16);
    }
}

#[test]
fn while_a_file_is_broken_rows_wait_and_come_once_when_it_is_whole_again() {
    let state = tempfile::tempdir().unwrap();
    let at = row(0, 0).at.micros().unsigned_abs();
    let path = Month::of(at).path(state.path());
    fs::write(&path, b"this was a database once").unwrap();
    let (log, _) = Log::open(state.path(), LogOptions::default(), Moment::now()).unwrap();
    let sink = SqliteSink::start(&log, state.path(), YEAR * 100).unwrap();
    for id in 0..50 {
        let _written = log.end(row(id, 1)).unwrap();
    }
    let until = Instant::now() + Duration::from_secs(10);
    while status(&log, "sqlite").failing.is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    let failing = status(&log, "sqlite").failing.unwrap();
    assert!(failing.contains("audit-"), "names the file: {failing}");
    fs::remove_file(&path).unwrap();
    log.close();
    sink.join();
    assert_eq!(listed(state.path(), &requests(), Order::Oldest).len(), 50);
}

#[test]
fn a_file_of_an_older_version_is_extended() {
    let state = tempfile::tempdir().unwrap();
    run(state.path(), [row(1, 1)]);
    let path = months(state.path()).unwrap()[0].path(state.path());
    let db = Connection::open(&path).unwrap();
    db.execute_batch("ALTER TABLE audit DROP COLUMN change")
        .unwrap();
    drop(db);
    run(state.path(), [row(2, 1)]);
    assert_eq!(listed(state.path(), &requests(), Order::Oldest), [1, 2]);
}

#[test]
fn a_log_that_began_anew_is_read_from_its_start() {
    let state = tempfile::tempdir().unwrap();
    run(state.path(), (0..300).map(|id| row(id, 1)));
    fs::remove_dir_all(state.path().join("log")).unwrap();
    run(state.path(), (300..310).map(|id| row(id, 1)));
    assert_eq!(listed(state.path(), &requests(), Order::Oldest).len(), 310);
}

#[test]
fn a_row_that_the_log_lost_and_sqlite_has_is_not_written_again_as_lost() {
    let state = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(state.path(), LogOptions::default(), Moment::now()).unwrap();
    let sink = SqliteSink::start(&log, state.path(), YEAR * 100).unwrap();
    for id in 0..5 {
        let _written = log.begin(begin(id, 100)).unwrap();
        let _written = log.end(row(id, 7)).unwrap();
    }
    log.close();
    sink.join();
    let mut segments = fs::read_dir(state.path().join("log")).unwrap();
    let segment = segments.find_map(|file| {
        let path = file.unwrap().path();
        path.extension()
            .is_some_and(|kind| kind == "seg")
            .then_some(path)
    });
    let segment = segment.unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let id = row(2, 0).request;
    // The id stands in the begin, and last in the row.
    let at = bytes.windows(16).rposition(|part| part == id.as_bytes());
    bytes[at.unwrap()] ^= 1;
    fs::write(&segment, bytes).unwrap();

    let (log, recovered) = Log::open(state.path(), LogOptions::default(), Moment::now()).unwrap();
    assert_eq!((recovered.salvaged, recovered.lost), (1, 0));
    let (budget, period) = crate::audit::testing::budget();
    assert_eq!(recovered.balances.spent(&budget, period).nanos(), 35);
    let sink = SqliteSink::start(&log, state.path(), YEAR * 100).unwrap();
    log.close();
    sink.join();
    assert_eq!(
        listed(state.path(), &requests(), Order::Oldest),
        [0, 1, 2, 3, 4]
    );
}

#[test]
fn an_end_that_the_log_lost_and_sqlite_has_stands_in_the_books_and_in_the_chain() {
    let state = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(state.path(), LogOptions::default(), Moment::now()).unwrap();
    let sink = SqliteSink::start(&log, state.path(), YEAR * 100).unwrap();
    let _written = log.begin(begin(0, 100)).unwrap();
    let _written = log.begin(begin(1, 100)).unwrap();
    let copied = copy_of_log(state.path());
    for id in 0..4 {
        let _written = log.end(row(id, 7)).unwrap();
    }
    log.close();
    sink.join();
    // Put back as it was copied: before the rows were written that SQLite has.
    fs::remove_dir_all(state.path().join("log")).unwrap();
    fs::rename(copied.path(), state.path().join("log")).unwrap();

    let (log, recovered) = Log::open(state.path(), LogOptions::default(), Moment::now()).unwrap();
    assert_eq!((recovered.salvaged, recovered.lost), (4, 0));
    let (budget, period) = crate::audit::testing::budget();
    assert_eq!(recovered.balances.spent(&budget, period).nanos(), 28);
    let sink = SqliteSink::start(&log, state.path(), YEAR * 100).unwrap();
    log.close();
    sink.join();
    let found = listed(state.path(), &requests(), Order::Oldest);
    assert_eq!(found, [0, 1, 2, 3]);
    let key = read_public_key(&state.path().join("audit.pub")).unwrap();
    let proof = verify(&mut Archive::open(state.path()).unwrap(), &[], &key).unwrap();
    assert_eq!(proof.faults, []);
}

/// A copy of the segments, made while they are written.
fn copy_of_log(state: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir_in(state).unwrap();
    for file in fs::read_dir(state.join("log")).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
    }
    copy
}

#[test]
fn a_log_that_is_closed_does_not_wait_for_a_file_that_takes_no_rows() {
    let state = tempfile::tempdir().unwrap();
    let at = row(0, 0).at.micros().unsigned_abs();
    fs::write(Month::of(at).path(state.path()), b"no database").unwrap();
    let (log, _) = Log::open(state.path(), LogOptions::default(), Moment::now()).unwrap();
    let sink = SqliteSink::start(&log, state.path(), YEAR * 100).unwrap();
    let _written = log.end(row(0, 1)).unwrap();
    log.close();
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        sink.join();
        ended.send(())
    });
    assert_eq!(end.recv_timeout(Duration::from_secs(20)), Ok(()));
}

#[test]
fn months_past_the_retention_go_with_their_files() {
    let state = tempfile::tempdir().unwrap();
    run(state.path(), [row(1, 1)]);
    assert!(state.path().join("audit-2026-09.db").exists());
    let (log, _) = Log::open(state.path(), LogOptions::default(), Moment::now()).unwrap();
    let day = Duration::from_hours(24);
    let sink = SqliteSink::start(&log, state.path(), day).unwrap();
    log.close();
    sink.join();
    let left = months(state.path()).unwrap();
    assert_eq!(left, [Month::of(Moment::now().micros().unsigned_abs())]);
}
