//! Ranges of which the server could not read all: what it took in pieces stands once, whatever came between.

use super::*;

/// Fifty rows, of which these are teapots, and one is named.
fn write(log: &Log, is_teapot: impl Fn(u128) -> bool, named: u128) {
    for id in 0..50 {
        let name = match id {
            _ if id == named => "named",
            _ if is_teapot(id) => "teapot",
            _ => "kettle",
        };
        let model = Label::clean(name, 20);
        let _written = log.end(Row {
            model,
            ..row(id, 1)
        });
    }
}

fn failing(log: &Log, why: &str) {
    wait_for(log, |status| {
        let failing = status.failing.as_deref();
        failing.is_some_and(|told| told.contains(why))
    });
}

/// Everything that the server has, once the sink that starts now has sent it.
fn after_a_restart(facade: &Facade, state: &Path) -> Vec<u128> {
    facade.fault(r#"{"kind": "clear"}"#);
    let log = open(state);
    let sink = start(&log, state, facade);
    log.close();
    sink.join();
    assert_eq!(status(&log, "clickhouse").failing, None);
    ids(&mut Warehouse::new(facade.server()).unwrap(), &requests())
}

#[test]
fn a_range_that_was_sent_in_part_is_never_sent_whole_again() {
    for named in [0, 49] {
        let Some(facade) = Facade::start() else {
            return;
        };
        facade.migrate();
        // Both halves that hold the teapot are refused; then the server has no time for one row.
        let refuses =
            r#"{"kind": "error", "match": "INSERT", "body": "teapot", "n": 2, "code": 117}"#;
        if !facade.fault(refuses) {
            return;
        }
        facade.fault(
            r#"{"kind": "error", "match": "INSERT", "body": "named", "n": 9999, "code": 252}"#,
        );
        let state = tempfile::tempdir().unwrap();
        let log = open(state.path());
        write(&log, |id| id == 33, named);
        let sink = start(&log, state.path(), &facade);
        failing(&log, "252");
        log.close();
        sink.join();
        let found = after_a_restart(&facade, state.path());
        assert_eq!(found, (0..50).collect::<Vec<_>>(), "{named}");
    }
}

#[test]
fn a_table_that_takes_few_rows_and_is_mended_has_none_twice() {
    let Some(facade) = Facade::start() else {
        return;
    };
    facade.migrate();
    let refuses =
        r#"{"kind": "error", "match": "INSERT", "body": "teapot", "n": 9999, "code": 117}"#;
    if !facade.fault(refuses) {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let log = open(state.path());
    write(&log, |id| id % 16 != 0, 99);
    let sink = start(&log, state.path(), &facade);
    failing(&log, "its table is not what it was");
    log.close();
    sink.join();
    let found = after_a_restart(&facade, state.path());
    assert_eq!(found, (0..50).collect::<Vec<_>>());
}
