//! The sink and its questions against a real engine: chdb behind `tests/facade/chdb_http.py`, or `CLICKHOUSE_URL`.
//!
//! Without either the tests say so and pass; `REQUIRE_CHDB=1` makes that a failure.

pub(crate) mod facade;
mod lost;
mod pieces;
mod trust;

use std::path::Path;
use std::time::{Duration, Instant};

use super::sink::Pace;
use super::*;
use crate::audit::chain::read_public_key;
use crate::audit::log::{Log, LogOptions};
use crate::audit::query::{
    By, Chain as _, Exact, Filter, Order, QueryError, Source as _, for_each,
};
use crate::audit::sqlite::{Archive, SqliteSink};
use crate::audit::testing::{begin, row, status};
use crate::audit::verify::verify;
use crate::audit::{Decision, Found, Label, Row};
use crate::domain::{Category, Moment, Name};
use facade::Facade;

const DECADE: Duration = Duration::from_hours(24 * 3660);
const PACE: Pace = Pace {
    between: Duration::from_millis(20),
    first_wait: Duration::from_millis(20),
    longest_wait: Duration::from_millis(200),
};

fn open(state: &Path) -> Log {
    let options = LogOptions {
        sync_every: Duration::from_millis(5),
        segment_bytes: 256 << 10,
        ..LogOptions::default()
    };
    Log::open(state, options, Moment::now()).unwrap().0
}

fn start(log: &Log, state: &Path, facade: &Facade) -> ClickHouseSink {
    ClickHouseSink::start_paced(log, state, facade.server(), PACE).unwrap()
}

/// Waits until what the sink says satisfies `done`.
fn wait_for(log: &Log, done: impl Fn(&crate::audit::SinkStatus) -> bool) {
    let until = Instant::now() + Duration::from_mins(1);
    while !done(&status(log, "clickhouse")) {
        assert!(Instant::now() < until, "{:?}", status(log, "clickhouse"));
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn ids(source: &mut dyn crate::audit::query::Source, filter: &Filter) -> Vec<u128> {
    let mut ids = Vec::new();
    for_each::<QueryError>(source, filter, Order::Oldest, |record| {
        assert_eq!(record.computed_hash(), record.hash);
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

/// Rows that use every kind of column, in two months.
fn full(id: u128) -> Row {
    let month = if id.is_multiple_of(2) { 0 } else { 31 * 86_400 };
    Row {
        at: Moment::from_seconds(1_790_000_000 + month + i64::try_from(id / 2).unwrap()),
        findings: vec![Found {
            category: Category::new("github_token"),
            count: 1,
            action: "redact",
        }],
        first_byte: id.is_multiple_of(3).then_some(Duration::ZERO),
        user: None,
        model: Label::clean("it's \\ a \"model\"", Label::MODEL),
        team: Some(Name::new(if id.is_multiple_of(5) {
            "search"
        } else {
            "payments"
        })),
        decision: Decision::Redacted,
        ..row(id, 7)
    }
}

#[test]
fn rows_arrive_once_whatever_goes_wrong_on_the_way() {
    let Some(facade) = Facade::start() else {
        return;
    };
    facade.migrate();
    assert!(
        facade.migrate().is_empty(),
        "a second migration has nothing to do"
    );
    let state = tempfile::tempdir().unwrap();
    // The answer is lost after the rows were taken; the connection breaks before; the server is busy.
    facade.fault(r#"{"kind": "drop_after", "match": "INSERT", "n": 3}"#);
    facade.fault(r#"{"kind": "drop_before", "match": "INSERT", "n": 2}"#);
    facade.fault(r#"{"kind": "error", "match": "INSERT", "n": 2, "code": 252}"#);
    for boot in 0..2 {
        let log = open(state.path());
        let sink = start(&log, state.path(), &facade);
        let sqlite = SqliteSink::start(&log, state.path(), DECADE).unwrap();
        for id in 0..1500 {
            let _written = log.end(full(boot * 1500 + id)).unwrap();
            if id % 500 == 0 {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        wait_for(&log, |status| {
            status.failing.is_none() && status.rows >= 1500
        });
        log.close();
        sink.join();
        sqlite.join();
        assert_eq!(status(&log, "clickhouse").failing, None);
    }
    let mut warehouse = Warehouse::new(facade.server()).unwrap();
    let mut found = ids(&mut warehouse, &requests());
    found.sort_unstable();
    assert_eq!(found, (0..3000).collect::<Vec<_>>());

    let key = read_public_key(&state.path().join("audit.pub")).unwrap();
    let report = verify(&mut warehouse, &[], &key).unwrap();
    assert_eq!(report.faults, []);
    let mut archive = Archive::open(state.path()).unwrap();
    assert_eq!(verify(&mut archive, &[], &key).unwrap(), report);
    assert_eq!(warehouse.ends().unwrap(), archive.ends().unwrap());
    for by in [By::Team, By::User, By::Key, By::Model, By::Day, By::Context] {
        let sums = warehouse.sums(&Filter::default(), by).unwrap();
        assert_eq!(
            sums,
            archive.sums(&Filter::default(), by).unwrap(),
            "{by:?}"
        );
    }
    let rollups = "SELECT sum(requests), sum(cost_nanos) FROM tollgate";
    for rollup in ["spend_hour", "spend_day", "context_day"] {
        assert_eq!(facade.ask(&format!("{rollups}.{rollup}")), "3000\t21000\n");
    }
}

#[test]
fn filters_and_pages_find_what_sqlite_finds() {
    let Some(facade) = Facade::start() else {
        return;
    };
    facade.migrate();
    let state = tempfile::tempdir().unwrap();
    let log = open(state.path());
    let sinks = (
        start(&log, state.path(), &facade),
        SqliteSink::start(&log, state.path(), DECADE).unwrap(),
    );
    for id in 0..2500 {
        let _written = log.end(full(id)).unwrap();
    }
    log.close();
    sinks.0.join();
    sinks.1.join();
    let equal = |exact, text: &str| Filter {
        equal: vec![(exact, text.to_owned())],
        ..Filter::default()
    };
    let mut warehouse = Warehouse::new(facade.server()).unwrap();
    let mut archive = Archive::open(state.path()).unwrap();
    for filter in [
        requests(),
        equal(Exact::Team, "search"),
        equal(Exact::User, "' OR 1 = 1 --"),
        Filter {
            category: Some("github_token".to_owned()),
            since: Some(Moment::from_seconds(1_790_000_100)),
            until: Some(Moment::from_seconds(1_790_000_200)),
            ..Filter::default()
        },
        Filter {
            request: Some(row(17, 0).request),
            ..Filter::default()
        },
        Filter {
            model: Some("it's \\ a \"model\"".to_owned()),
            ..Filter::default()
        },
        Filter {
            with_findings: true,
            ..Filter::default()
        },
    ] {
        assert_eq!(
            ids(&mut warehouse, &filter),
            ids(&mut archive, &filter),
            "{filter:?}"
        );
    }
}

#[test]
fn rows_wait_while_the_table_is_missing_or_changed() {
    let Some(facade) = Facade::start() else {
        return;
    };
    let state = tempfile::tempdir().unwrap();
    let log = open(state.path());
    let sink = start(&log, state.path(), &facade);
    for id in 0..20 {
        let _written = log.end(row(id, 1)).unwrap();
    }
    wait_for(&log, |status| status.failing.is_some());
    assert_eq!(status(&log, "clickhouse").rows, 0);
    facade.migrate();
    wait_for(&log, |status| status.rows == 21);

    facade.ask("ALTER TABLE tollgate.audit DROP COLUMN `change`");
    for id in 20..40 {
        let _written = log.end(row(id, 1)).unwrap();
    }
    wait_for(&log, |status| status.failing.is_some());
    assert_eq!(
        (
            status(&log, "clickhouse").rows,
            status(&log, "clickhouse").rejected
        ),
        (21, 0)
    );
    facade.ask("ALTER TABLE tollgate.audit ADD COLUMN `change` String CODEC(ZSTD(1))");
    wait_for(&log, |status| status.rows == 41);
    log.close();
    sink.join();
    let mut warehouse = Warehouse::new(facade.server()).unwrap();
    assert_eq!(
        ids(&mut warehouse, &requests()),
        (0..40).collect::<Vec<_>>()
    );
}

#[test]
fn a_row_that_the_server_cannot_take_is_put_aside_and_the_others_go_on() {
    let Some(facade) = Facade::start() else {
        return;
    };
    facade.migrate();
    if !facade
        .fault(r#"{"kind": "error", "match": "INSERT", "body": "teapot", "n": 99, "code": 117}"#)
    {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let log = open(state.path());
    for id in 0..50 {
        let name = if id == 33 { "teapot" } else { "kettle" };
        let model = Label::clean(name, 20);
        let _written = log
            .end(Row {
                model,
                ..row(id, 1)
            })
            .unwrap();
    }
    let sink = start(&log, state.path(), &facade);
    wait_for(&log, |status| status.rejected == 1);
    log.close();
    sink.join();
    let mut warehouse = Warehouse::new(facade.server()).unwrap();
    let expected: Vec<u128> = (0..50).filter(|id| *id != 33).collect();
    assert_eq!(ids(&mut warehouse, &requests()), expected);
    let aside = std::fs::read_to_string(state.path().join("clickhouse-rejected.ndjson")).unwrap();
    assert_eq!(aside.lines().count(), 1);
}

/// Of this process, in kibibytes and in hundredths of a second.
fn memory_and_time() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let memory = resident.split_ascii_whitespace().nth(1).unwrap();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let mut fields = stat.rsplit(") ").next().unwrap().split(' ').skip(11);
    let mut time = || fields.next().unwrap().parse::<u64>().unwrap();
    (memory.parse().unwrap(), time() + time())
}

/// `TOLLGATE_AWAY=100000` for the figures of a long outage.
#[test]
fn while_the_server_is_away_rows_wait_on_disk_and_then_come_once_in_order() {
    let Some(facade) = Facade::start() else {
        return;
    };
    facade.migrate();
    let count = std::env::var("TOLLGATE_AWAY").map_or(4000, |count| count.parse().unwrap());
    let state = tempfile::tempdir().unwrap();
    let log = open(state.path());
    let sink = start(&log, state.path(), &facade);
    let write = |from: u128| {
        let before = memory_and_time();
        for id in from..from + count {
            let _written = log.begin(begin(id, 50)).unwrap();
            let _written = log.end(row(id, 7)).unwrap();
        }
        let after = memory_and_time();
        println!(
            "{count} requests: {} KiB resident, {} KiB more, {} hundredths of a second",
            after.0,
            after.0.saturating_sub(before.0),
            after.1 - before.1
        );
    };
    write(0);
    wait_for(&log, |status| u128::from(status.rows) > count);
    if !facade.fault(r#"{"kind": "drop_before", "n": 1000000}"#) {
        return;
    }
    write(count);
    wait_for(&log, |status| status.failing.is_some());
    facade.fault(r#"{"kind": "clear"}"#);
    wait_for(&log, |status| u128::from(status.rows) > 2 * count);
    log.close();
    sink.join();
    let mut warehouse = Warehouse::new(facade.server()).unwrap();
    assert_eq!(
        ids(&mut warehouse, &requests()),
        (0..2 * count).collect::<Vec<_>>()
    );
    let key = read_public_key(&state.path().join("audit.pub")).unwrap();
    assert_eq!(verify(&mut warehouse, &[], &key).unwrap().faults, []);
}
