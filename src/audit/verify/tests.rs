//! Whoever changes a store is found out; the first bad row is named.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::*;
use crate::audit::LogSource;
use crate::audit::chain::read_public_key;
use crate::audit::log::{Log, LogOptions};
use crate::audit::sqlite::{Archive, SqliteSink, months};
use crate::audit::testing::row;
use crate::domain::Moment;

/// Two boots of ten rows each, in the log and in SQLite.
fn state() -> tempfile::TempDir {
    let state = tempfile::tempdir().unwrap();
    for boot in 0..2 {
        let (log, _) = Log::open(state.path(), LogOptions::default(), Moment::now()).unwrap();
        let year = Duration::from_hours(24 * 3660);
        let sink = SqliteSink::start(&log, state.path(), year).unwrap();
        for id in 0..10 {
            let _written = log.end(row(boot * 10 + id, 1)).unwrap();
        }
        log.close();
        sink.join();
    }
    state
}

fn checked(state: &Path) -> Report {
    let key = read_public_key(&state.join("audit.pub")).unwrap();
    verify(&mut Archive::open(state).unwrap(), &[], &key).unwrap()
}

/// Runs SQL on the month of the requests, and says what is found first.
fn first_fault(state: &Path, sql: &str) -> (u64, String) {
    for month in months(state).unwrap() {
        let db = Connection::open(month.path(state)).unwrap();
        db.execute_batch(sql).unwrap();
    }
    let fault = checked(state).faults.into_iter().next().unwrap();
    (fault.seq, fault.what)
}

const FIRST: &str = "(SELECT min(boot) FROM audit)";

#[test]
fn what_nobody_touched_verifies_from_sqlite_and_from_the_log() {
    let state = state();
    let report = checked(state.path());
    assert_eq!(report.faults, []);
    assert_eq!(
        (report.rows, report.boots, report.seals, report.unsealed),
        (22, 2, 2, 0)
    );
    let key = read_public_key(&state.path().join("audit.pub")).unwrap();
    let log = verify(&mut LogSource::open(state.path()).unwrap(), &[], &key).unwrap();
    assert_eq!(log, report);
}

#[test]
fn a_changed_row_is_named() {
    let state = state();
    let sql = format!("UPDATE audit SET cost_nanos = 0 WHERE boot = {FIRST} AND seq = 4");
    let (seq, what) = first_fault(state.path(), &sql);
    assert_eq!(seq, 4);
    assert!(what.ends_with("was changed"), "{what}");
    assert_eq!(checked(state.path()).fault_count, 1);
}

#[test]
fn a_changed_row_with_a_fitting_hash_does_not_fit_the_next() {
    let state = state();
    let key = read_public_key(&state.path().join("audit.pub")).unwrap();
    let mut archive = Archive::open(state.path()).unwrap();
    let boot = archive.boots().unwrap()[0];
    let mut record = archive.chain(boot, 4, 1).unwrap().remove(0);
    record.entry.cost_nanos = 0;
    let hash = crate::audit::chain::hex(&record.computed_hash());
    let sql = format!(
        "UPDATE audit SET cost_nanos = 0, hash = x'{hash}' WHERE boot = {FIRST} AND seq = 4"
    );
    assert_eq!(first_fault(state.path(), &sql).0, 5);
    assert!(verify(&mut archive, &[], &key).is_ok());
}

#[test]
fn missing_doubled_and_reordered_rows_are_named() {
    let delete = format!("DELETE FROM audit WHERE boot = {FIRST} AND seq IN (3, 4)");
    let (seq, what) = first_fault(state().path(), &delete);
    assert_eq!((seq, what.as_str()), (3, "rows 3 to 4 are missing"));

    let swap = format!(
        "UPDATE audit SET seq = seq + 1000 WHERE boot = {FIRST} AND seq IN (5, 6);
         UPDATE audit SET seq = 1011 - seq WHERE seq > 1000;"
    );
    assert_eq!(first_fault(state().path(), &swap).0, 5);
}

#[test]
fn an_end_that_was_cut_off_shows_by_its_seal_and_by_the_next_boot() {
    let cut = format!("DELETE FROM audit WHERE boot = {FIRST} AND seq >= 8");
    let (seq, what) = first_fault(state().path(), &cut);
    assert_eq!(seq, 8);
    assert!(what.contains("cut off"), "{what}");

    let (seq, what) = first_fault(state().path(), &format!("{cut}; DELETE FROM seals"));
    assert_eq!(
        (seq, what.as_str()),
        (8, "rows 8 to 10 are cut off: the next boot follows them")
    );

    let newest = "DELETE FROM audit WHERE boot = (SELECT max(boot) FROM audit)";
    let (_, what) = first_fault(state().path(), newest);
    assert_eq!(what, "a seal covers 11 rows, none is there");
}

#[test]
fn a_store_that_was_rewritten_with_its_seals_does_not_fit_what_a_witness_kept() {
    let state = tempfile::tempdir().unwrap();
    let kept = state.path().join("elsewhere.ndjson");
    let options = LogOptions {
        seal_to: vec![crate::audit::SealTo::File(kept.clone())],
        ..LogOptions::default()
    };
    let (log, _) = Log::open(state.path(), options, Moment::now()).unwrap();
    let year = Duration::from_hours(24 * 3660);
    let sink = SqliteSink::start(&log, state.path(), year).unwrap();
    for id in 0..10 {
        let _written = log.end(row(id, 1)).unwrap();
    }
    log.close();
    sink.join();
    for month in months(state.path()).unwrap() {
        let db = Connection::open(month.path(state.path())).unwrap();
        db.execute_batch("DELETE FROM audit WHERE seq >= 8; DELETE FROM seals")
            .unwrap();
    }
    let key = read_public_key(&state.path().join("audit.pub")).unwrap();
    let mut archive = Archive::open(state.path()).unwrap();
    assert_eq!(verify(&mut archive, &[], &key).unwrap().faults, []);
    let witnessed = crate::audit::witness::read_seals(&kept).unwrap();
    let report = verify(&mut archive, &witnessed, &key).unwrap();
    assert_eq!(report.faults[0].seq, 8, "{report:?}");
}

#[test]
fn a_forged_seal_is_not_believed() {
    let (seq, what) = first_fault(state().path(), "UPDATE seals SET seq = 3");
    assert_eq!(
        (seq, what.as_str()),
        (3, "a seal that this key did not sign")
    );
}

#[test]
fn rows_past_their_retention_are_a_note_and_no_fault() {
    let state = state();
    let sql = format!("DELETE FROM audit WHERE boot = {FIRST} AND seq < 5");
    for month in months(state.path()).unwrap() {
        let db = Connection::open(month.path(state.path())).unwrap();
        db.execute_batch(&sql).unwrap();
    }
    let report = checked(state.path());
    assert_eq!((report.faults.len(), report.notes.len()), (0, 1));
}
