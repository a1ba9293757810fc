//! What the audit costs a request, and how many rows it takes in a second. Run it alone: `cargo bench --bench audit`.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tollgate::audit::sqlite::SqliteSink;
use tollgate::audit::{Begin, Decision, Durability, Label, Log, LogError, LogOptions, Row};
use tollgate::budget::BudgetId;
use tollgate::domain::{Caller, KeyId, Moment, Name, Usd};
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const ROWS: u32 = 200_000;

fn begin(caller: &Caller, model: &Label, name: &Name, budget: &BudgetId) -> Begin {
    Begin {
        request: Uuid::now_v7(),
        at: Moment::now(),
        caller: caller.clone(),
        provider: name.clone(),
        dialect: "anthropic",
        endpoint: "messages",
        model: model.clone(),
        priced_as: name.clone(),
        stream: true,
        findings: Vec::new(),
        redactions: 0,
        reserved: Usd::from_nanos(120_000_000),
        price_revision: Label::clean("2026-11-01", 20),
        charges: vec![(budget.clone(), Moment::from_seconds(1_793_491_200))],
        bytes_in: 48_211,
        client: Some([10, 1, 2, 3].into()),
        user_agent: Label::clean("claude-cli/2.0.14 (external, cli)", Label::USER_AGENT),
    }
}

/// One request's worth: its begin, and its row.
struct Load {
    caller: Caller,
    model: Label,
    name: Name,
    budget: BudgetId,
}

impl Load {
    fn new() -> Self {
        Self {
            caller: Caller {
                key: KeyId::new("key_0123456789ab"),
                organisation: Name::new("acme"),
                team: Name::new("payments"),
                user: Some(Name::new("ada")),
            },
            model: Label::clean("claude-sonnet-4-5-20250929", Label::MODEL),
            name: Name::new("claude-sonnet-4-5"),
            budget: BudgetId::new("team/payments/month"),
        }
    }

    fn begin(&self) -> Begin {
        begin(&self.caller, &self.model, &self.name, &self.budget)
    }

    fn row(begin: Begin) -> Row {
        Row {
            decision: Decision::Allowed,
            status: 200,
            cost: Usd::from_nanos(31_123_000),
            latency: Duration::from_millis(2150),
            first_byte: Some(Duration::from_millis(480)),
            bytes_out: 9120,
            ..begin.lost()
        }
    }
}

fn open(state: &Path, durability: Durability) -> std::result::Result<Log, LogError> {
    let options = LogOptions {
        durability,
        ..LogOptions::default()
    };
    Ok(Log::open(state, options, Moment::now())?.0)
}

/// Processor time of this process so far, from the kernel's hundredths of a second.
fn cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let field = |index: usize| -> Result<u64> {
        let text = after_name.split(' ').nth(index).unwrap_or_default();
        Ok(text.parse()?)
    };
    Ok(Duration::from_millis(10 * (field(11)? + field(12)?)))
}

fn percentile(sorted: &[u64], share: usize) -> u64 {
    sorted
        .get(sorted.len() * share / 1000)
        .copied()
        .unwrap_or(0)
}

/// How long `begin` and `end` hold up a request, one thread, at full speed beside the keeper's syncs.
fn latency(out: &mut dyn std::io::Write) -> Result<()> {
    let state = tempfile::tempdir()?;
    let log = open(state.path(), Durability::Batched)?;
    let load = Load::new();
    let (mut begins, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..ROWS {
        let one = load.begin();
        let row = Load::row(one.clone());
        let start = Instant::now();
        drop(log.begin(one)?);
        begins.push(start.elapsed());
        let start = Instant::now();
        drop(log.end(row)?);
        ends.push(start.elapsed());
    }
    for (name, times) in [("begin", begins), ("end", ends)] {
        let mut nanos: Vec<u64> = times
            .iter()
            .map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
            .collect();
        nanos.sort_unstable();
        writeln!(
            out,
            "{name}: p50 {} ns, p99 {} ns, p99.9 {} ns, worst {} ns",
            percentile(&nanos, 500),
            percentile(&nanos, 990),
            percentile(&nanos, 999),
            percentile(&nanos, 1000).max(nanos.last().copied().unwrap_or(0)),
        )?;
    }
    log.close();
    Ok(())
}

/// Requests per second (a begin and a row each) from this many threads.
fn batched(threads: u32, out: &mut dyn std::io::Write) -> Result<()> {
    let state = tempfile::tempdir()?;
    let log = open(state.path(), Durability::Batched)?;
    let (start, before) = (Instant::now(), cpu()?);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let load = Load::new();
                for _ in 0..ROWS / threads {
                    let one = load.begin();
                    let row = Load::row(one.clone());
                    // A refused record would show in the count below.
                    drop(log.begin(one));
                    drop(log.end(row));
                }
            });
        }
    });
    let elapsed = start.elapsed();
    let rows = log.status().rows;
    log.close();
    let bytes = log.status().spooled_bytes;
    let rate = f64::from(u32::try_from(rows)?) / elapsed.as_secs_f64();
    let cost = cpu()?.saturating_sub(before).as_nanos() / u128::from(rows.max(1));
    writeln!(
        out,
        "batched, {threads} threads: {rate:.0} rows/s, {cost} ns of processor time and {} bytes a request",
        bytes / rows.max(1)
    )?;
    Ok(())
}

/// Rows per second when each waits for its disk, from this many tasks at once.
fn strict(tasks: u32, out: &mut dyn std::io::Write) -> Result<()> {
    const EACH: u32 = 200;
    let state = tempfile::tempdir()?;
    let log = open(state.path(), Durability::Strict)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()?;
    let start = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..tasks)
            .map(|_| {
                let log = log.clone();
                tokio::spawn(async move {
                    let load = Load::new();
                    for _ in 0..EACH {
                        let one = load.begin();
                        let row = Load::row(one.clone());
                        log.begin(one)?.wait().await?;
                        log.end(row)?.wait().await?;
                    }
                    Ok::<(), LogError>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok::<(), Box<dyn std::error::Error>>(())
    })?;
    let rate = f64::from(tasks * EACH) / start.elapsed().as_secs_f64();
    log.close();
    writeln!(out, "strict, {tasks} requests at once: {rate:.0} rows/s")?;
    Ok(())
}

/// Rows per second from the log into SQLite.
fn sqlite(out: &mut dyn std::io::Write) -> Result<()> {
    let state = tempfile::tempdir()?;
    let log = open(state.path(), Durability::Batched)?;
    let load = Load::new();
    for _ in 0..ROWS / 2 {
        drop(log.end(Load::row(load.begin()))?);
    }
    let start = Instant::now();
    let sink = SqliteSink::start(&log, state.path(), Duration::from_hours(24 * 400))?;
    log.close();
    sink.join();
    let rate = f64::from(ROWS / 2) / start.elapsed().as_secs_f64();
    writeln!(out, "SQLite: {rate:.0} rows/s")?;
    Ok(())
}

fn main() -> Result<()> {
    let out = &mut std::io::stdout().lock();
    latency(out)?;
    for threads in [1, 2, 4] {
        batched(threads, out)?;
    }
    for tasks in [1, 16, 64, 256] {
        strict(tasks, out)?;
    }
    sqlite(out)?;
    out.flush()?;
    Ok(())
}
