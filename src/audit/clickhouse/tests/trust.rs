//! Servers that hang, are years older, or would double what comes twice: rows wait, and come once when all is well again.

use super::*;

fn start_with(log: &Log, state: &Path, server: Server) -> ClickHouseSink {
    ClickHouseSink::start_paced(log, state, server, PACE).unwrap()
}

/// A log of twenty requests and a migrated engine.
fn twenty() -> Option<(Facade, tempfile::TempDir, Log)> {
    let facade = Facade::start()?;
    facade.migrate();
    let state = tempfile::tempdir().unwrap();
    let log = open(state.path());
    for id in 0..20 {
        let _written = log.end(row(id, 1)).unwrap();
    }
    Some((facade, state, log))
}

/// Why the sink fails, once it does.
fn failing(log: &Log) -> String {
    wait_for(log, |status| status.failing.is_some());
    assert_eq!(status(log, "clickhouse").rows, 0, "nothing was sent");
    status(log, "clickhouse").failing.unwrap()
}

fn check_all_once(facade: &Facade, log: &Log, sink: &ClickHouseSink) {
    wait_for(log, |status| status.rows >= 21);
    log.close();
    sink.join();
    let mut warehouse = Warehouse::new(facade.server()).unwrap();
    let found = ids(&mut warehouse, &requests());
    assert_eq!(found, (0..20).collect::<Vec<_>>());
    let sums = facade.ask("SELECT sum(requests) FROM tollgate.spend_hour");
    assert_eq!(sums, "20\n");
}

#[test]
fn a_server_that_hangs_and_then_does_it_all_the_same_doubles_nothing() {
    let Some((facade, state, log)) = twenty() else {
        return;
    };
    if !facade.fault(r#"{"kind": "delay", "match": "INSERT INTO .*audit", "n": 2, "ms": 1500}"#) {
        return;
    }
    let hasty = Server {
        timeout: Duration::from_millis(300),
        ..facade.server()
    };
    let sink = start_with(&log, state.path(), hasty);
    assert!(!failing(&log).is_empty());
    wait_for(&log, |status| status.rows >= 21);
    // Both late inserts have landed by now, or will have.
    std::thread::sleep(Duration::from_secs(3));
    check_all_once(&facade, &log, &sink);
}

#[test]
fn rows_wait_for_a_server_that_is_young_enough_to_drop_what_comes_twice() {
    let Some((facade, state, log)) = twenty() else {
        return;
    };
    if !facade.fault(r#"{"kind": "old", "n": 1000000, "version": "18.16.1"}"#) {
        return;
    }
    let sink = start_with(&log, state.path(), facade.server());
    let told = failing(&log);
    assert!(told.contains("18.16") && told.contains("too old"), "{told}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = runtime.block_on(migrate(&facade.server())).unwrap_err();
    assert!(refused.to_string().contains("too old"), "{refused}");
    facade.fault(r#"{"kind": "clear"}"#);
    check_all_once(&facade, &log, &sink);
}

#[test]
fn a_setting_that_the_server_has_not_heard_of_stops_the_sink_and_not_only_the_setting() {
    let Some((facade, state, log)) = twenty() else {
        return;
    };
    let unknown = r#"{"kind": "old", "n": 1000000, "version": "22.3.2.1",
        "unknown": ["deduplicate_blocks_in_dependent_materialized_views"]}"#;
    if !facade.fault(unknown) {
        return;
    }
    let sink = start_with(&log, state.path(), facade.server());
    let told = failing(&log);
    assert!(told.contains("Unknown setting"), "{told}");
    facade.fault(r#"{"kind": "clear"}"#);
    check_all_once(&facade, &log, &sink);
}

#[test]
fn a_table_that_would_take_rows_twice_gets_none() {
    let Some((facade, state, log)) = twenty() else {
        return;
    };
    let change = "ALTER TABLE tollgate.audit MODIFY SETTING non_replicated_deduplication_window";
    facade.ask(&format!("{change} = 0"));
    let sink = start_with(&log, state.path(), facade.server());
    let told = failing(&log);
    assert!(told.contains("audit would take rows twice"), "{told}");
    facade.ask(&format!("{change} = 10000"));
    check_all_once(&facade, &log, &sink);
}
