//! `kill -9` at random moments under load: what had begun has exactly one row, and the chain verifies.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use uuid::Uuid;

use super::tests::spent;
use super::*;
use crate::audit::LogSource;
use crate::audit::chain::read_public_key;
use crate::audit::clickhouse::tests::facade::Facade;
use crate::audit::clickhouse::{ClickHouseSink, Warehouse};
use crate::audit::query::{Filter, Order, QueryError, Source, for_each};
use crate::audit::sqlite::{Archive, SqliteSink};
use crate::audit::testing::{begin, row};
use crate::audit::verify::verify;

/// Says to a test binary that it is the process to be killed, and where its state is.
const CHILD: &str = "TOLLGATE_TEST_KILLED_STATE";
/// Where its ClickHouse is, if anywhere.
const CLICKHOUSE: &str = "TOLLGATE_TEST_KILLED_CLICKHOUSE";
const DECADE: Duration = Duration::from_hours(24 * 3660);

fn options() -> LogOptions {
    LogOptions {
        // Small, so that kills fall into changes of segments and into seals too.
        segment_bytes: 64 << 10,
        sync_every: Duration::from_millis(5),
        seal_every: Duration::from_millis(20),
        keep: Duration::ZERO,
        ..LogOptions::default()
    }
}

/// The process that is killed: two threads that begin and end requests, and say on standard output that one has begun
/// only once the log has it, as a gateway forwards only then.
#[test]
fn a_process_to_be_killed() {
    let Some(state) = std::env::var_os(CHILD) else {
        return;
    };
    let state = Path::new(&state).to_owned();
    let (log, _) = Log::open(&state, options(), Moment::now()).unwrap();
    let _sink = SqliteSink::start(&log, &state, DECADE).unwrap();
    let server = std::env::var(CLICKHOUSE).ok().map(Facade::server_at);
    let _clickhouse = server.map(|server| ClickHouseSink::start(&log, &state, server).unwrap());
    let threads = (0..2_u32).map(|_| {
        let log = log.clone();
        std::thread::spawn(move || -> () {
            loop {
                let id = Uuid::now_v7().as_u128();
                let _written = log.begin(begin(id, 50)).unwrap();
                writeln!(std::io::stdout().lock(), "begun {}", id + 1).unwrap();
                let _written = log.end(row(id, 10)).unwrap();
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
}

/// Starts the process, kills it a while after its first request, and returns the requests that it said had begun. Not
/// `warm`, it is killed a while after its start, wherever it is: while it recovers what the last one left, perhaps.
fn killed_after(state: &Path, facade: Option<&Facade>, warm: bool, pause: Duration) -> Vec<u128> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    if let Some(facade) = facade {
        command.env(CLICKHOUSE, facade.server().url);
    }
    let mut child = command
        .args([
            "--exact",
            "audit::log::kill::a_process_to_be_killed",
            "--nocapture",
        ])
        .env(CHILD, state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (first, begun) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let ids = lines.map_while(Result::ok).filter_map(|line| {
            let id = line.strip_prefix("begun ")?.parse().ok()?;
            // Nobody waits for more than the first.
            let _told = first.send(());
            Some(id)
        });
        ids.collect()
    });
    if warm {
        begun.recv_timeout(Duration::from_mins(1)).unwrap();
    }
    std::thread::sleep(pause);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

/// How many rows each request has in a store, and what they cost together.
fn counted(source: &mut dyn Source) -> (BTreeMap<u128, u64>, u64) {
    let mut rows: BTreeMap<u128, u64> = BTreeMap::new();
    let mut cost = 0;
    let requests = Filter {
        requests_only: true,
        ..Filter::default()
    };
    for_each::<QueryError>(source, &requests, Order::Oldest, |record| {
        *rows.entry(record.entry.request.as_u128()).or_default() += 1;
        cost += record.entry.cost_nanos;
        Ok(true)
    })
    .unwrap();
    (rows, cost)
}

#[test]
fn killed_at_any_moment_every_request_that_began_has_exactly_one_row() {
    let kills = std::env::var("TOLLGATE_KILLS").map_or(12, |count| count.parse().unwrap());
    let state = tempfile::tempdir().unwrap();
    let facade = Facade::start();
    if let Some(facade) = &facade {
        facade.migrate();
    }
    let mut begun = BTreeSet::new();
    for kill in 0..kills {
        let pause = Duration::from_micros(rand::random::<u64>() % 60_000);
        let warm = kill % 4 != 3;
        begun.extend(killed_after(state.path(), facade.as_ref(), warm, pause));
    }
    let (log, recovered) = Log::open(state.path(), options(), Moment::now()).unwrap();
    let sink = SqliteSink::start(&log, state.path(), DECADE).unwrap();
    let clickhouse = facade
        .as_ref()
        .map(|facade| ClickHouseSink::start(&log, state.path(), facade.server()).unwrap());
    log.close();
    sink.join();

    let mut archive = Archive::open(state.path()).unwrap();
    let (rows, cost) = counted(&mut archive);
    assert!(begun.len() > kills, "{} requests", begun.len());
    assert!(rows.values().all(|count| *count == 1), "no row twice");
    assert!(
        begun.iter().all(|id| rows.contains_key(id)),
        "no row missing"
    );
    assert_eq!(
        spent(&recovered.balances),
        cost,
        "the balance is what the rows add up to"
    );

    println!(
        "{kills} kills, {} requests, {cost} nano-dollars",
        rows.len()
    );
    let key = read_public_key(&state.path().join("audit.pub")).unwrap();
    let report = verify(&mut archive, &[], &key).unwrap();
    assert_eq!(report.faults, []);
    if let (Some(facade), Some(clickhouse)) = (&facade, clickhouse) {
        clickhouse.join();
        let mut warehouse = Warehouse::new(facade.server()).unwrap();
        assert_eq!(counted(&mut warehouse), (rows, cost));
        assert_eq!(verify(&mut warehouse, &[], &key).unwrap().faults, []);
    }
    assert!(report.boots <= kills as u64 + 1);
    // Drained segments are gone, so the log begins later; what it has verifies.
    let mut log = LogSource::open(state.path()).unwrap();
    assert_eq!(verify(&mut log, &[], &key).unwrap().faults, []);
}
