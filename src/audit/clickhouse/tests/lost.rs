//! Ranges that were sealed, and of which the log lost a part before the server took them: the rest goes on.

use std::fs;

use super::*;
use crate::audit::clickhouse::cursor::Cursor;
use crate::audit::log::Position;

/// A state directory whose log ends with fifty rows that a server has refused, and where their sealed range ends.
fn refused(facade: &Facade) -> (tempfile::TempDir, Position) {
    facade.migrate();
    facade.fault(r#"{"kind": "error", "match": "INSERT", "n": 9999, "code": 252}"#);
    let state = tempfile::tempdir().unwrap();
    let log = open(state.path());
    for id in 0..50 {
        let _written = log.end(row(id, 1)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(100));
    let sink = start(&log, state.path(), facade);
    wait_for(&log, |status| status.failing.is_some());
    log.close();
    sink.join();
    facade.fault(r#"{"kind": "clear"}"#);
    let cursor = Cursor::read(&state.path().join("clickhouse.cursor")).unwrap();
    (state, cursor.sealed.unwrap())
}

/// Everything that the server has, once one more row came and the sink has ended.
fn after_one_more(facade: &Facade, state: &Path) -> Vec<u128> {
    let log = open(state);
    let sink = start(&log, state, facade);
    let _written = log.end(row(99, 1)).unwrap();
    log.close();
    sink.join();
    assert_eq!(status(&log, "clickhouse").failing, None);
    ids(&mut Warehouse::new(facade.server()).unwrap(), &requests())
}

#[test]
fn what_recovery_left_of_a_range_is_sent_and_the_sink_goes_on() {
    let Some(facade) = Facade::start() else {
        return;
    };
    let (state, sealed) = refused(&facade);
    let path = state.path().join(format!("log/{:010}.seg", sealed.segment));
    let file = fs::File::options().write(true).open(path).unwrap();
    // Within the last record of the range.
    file.set_len(sealed.offset - 3).unwrap();
    let found = after_one_more(&facade, state.path());
    assert_eq!(found, (0..49).chain([99]).collect::<Vec<_>>());
}

#[test]
fn a_range_whose_log_was_put_away_is_let_go_and_the_sink_goes_on() {
    let Some(facade) = Facade::start() else {
        return;
    };
    let (state, _) = refused(&facade);
    fs::remove_dir_all(state.path().join("log")).unwrap();
    assert_eq!(after_one_more(&facade, state.path()), [99]);
}
