//! What admission costs: identify, policy, reserve and settle; alone and on many threads that share one team's budget.
//!
//! `cargo bench --bench admit`. The engines' part must stay below 2 µs and allocate nothing once warm.

#![expect(clippy::expect_used, reason = "a benchmark may stop")]

use std::num::NonZeroU32;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tollgate::budget::{Account, Balances, BudgetSpec, Ledger, Scope, Window, Zone};
use tollgate::domain::{Caller, KeyId, Moment, Name, Secret, Usd};
use tollgate::identity::{Entry, Roster, generate, present};
use tollgate::ledger_store::{Courier, Journal, Settings};
use tollgate::policy::{ModelList, Pace};

const NOW: Moment = Moment::from_seconds(1_795_262_400);
const QUOTE: Usd = Usd::from_nanos(4_000_000);
const COST: Usd = Usd::from_nanos(1_250_000);

/// A team's month, a user's day and a key's total: what covers a usual request.
fn accounts(ledger: &Ledger, user: &str) -> [Arc<Account>; 3] {
    let team = Name::new("payments");
    let user = Scope::User {
        team: team.clone(),
        user: Name::new(user),
    };
    let key = Scope::Key(KeyId::new("key_0123456789ab"));
    let spec = |scope, window| BudgetSpec::new(scope, window, Zone::utc(), Usd::MAX);
    [
        ledger.account(&spec(Scope::Team(team), Window::Month)),
        ledger.account(&spec(user, Window::Day)),
        ledger.account(&spec(key, Window::Total)),
    ]
}

fn admit(ledger: &Ledger, accounts: &[Arc<Account>]) {
    let held = ledger
        .reserve(accounts, QUOTE, NOW)
        .expect("the cap is the largest amount");
    held.settle(COST);
}

fn alone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit");
    let ledger = Ledger::new(Balances::new());
    let accounts = accounts(&ledger, "ada");
    admit(&ledger, &accounts);
    let counted = allocation_counter::measure(|| (0..1000).for_each(|_| admit(&ledger, &accounts)));
    assert_eq!(
        counted.count_total, 0,
        "a warm reservation allocates nothing"
    );
    group.bench_function("reserve and settle, 3 budgets", |bencher| {
        bencher.iter(|| admit(&ledger, &accounts));
    });
    let pepper = Secret::new([7; 32]);
    let key = generate([9; 24]);
    let caller = Arc::new(Caller {
        key: key.id.clone(),
        organisation: Name::new("acme"),
        team: Name::new("payments"),
        user: Some(Name::new("ada")),
    });
    let entry = Entry {
        caller,
        revoked: false,
        expires: None,
    };
    let roster = Roster::new([(key.hash(&pepper), entry)]);
    let models = ModelList::only(["claude-*", "gpt-5*"]);
    let (pace, rate) = (Pace::default(), NonZeroU32::MAX);
    let whole = || {
        let presented = present(Some(key.text.expose()), None).expect("it was just made");
        roster
            .find(&presented.hash(&pepper), NOW)
            .expect("it is known");
        assert!(models.allows("claude-sonnet-4-5"));
        pace.take(rate, Duration::ZERO)
            .expect("the rate is the largest");
        admit(&ledger, &accounts);
    };
    whole();
    let counted = allocation_counter::measure(|| (0..1000).for_each(|_| whole()));
    assert_eq!(counted.count_total, 0, "nor does a whole admission");
    group.bench_function("identify, policy, reserve and settle", |bencher| {
        bencher.iter(whole);
    });
    group.finish();
}

/// Every thread is another user of one team, or all are one user. The time is the wall's, for one admission over all threads:
/// on enough cores it falls as threads are added, where they share no cache line.
fn together(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit together");
    group.throughput(Throughput::Elements(1));
    for threads in [1_u64, 2, 4, 8, 16] {
        group.bench_with_input(
            BenchmarkId::new("one hot team", threads),
            &threads,
            |b, _| {
                b.iter_custom(|rounds| {
                    let ledger = Ledger::new(Balances::new());
                    share(threads, rounds, &ledger, |n| {
                        accounts(&ledger, &format!("user{n}"))[..2].to_vec()
                    })
                });
            },
        );
        group.bench_with_input(
            BenchmarkId::new("one hot user", threads),
            &threads,
            |b, _| {
                b.iter_custom(|rounds| {
                    let ledger = Ledger::new(Balances::new());
                    share(threads, rounds, &ledger, |_| {
                        accounts(&ledger, "ada")[..2].to_vec()
                    })
                });
            },
        );
    }
    group.finish();
}

/// Splits the rounds over threads that start together.
fn share(
    threads: u64,
    rounds: u64,
    ledger: &Ledger,
    accounts: impl Fn(u64) -> Vec<Arc<Account>>,
) -> Duration {
    let all: Vec<_> = (0..threads).map(accounts).collect();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for accounts in &all {
            scope.spawn(move || (0..rounds / threads).for_each(|_| admit(ledger, accounts)));
        }
    });
    began.elapsed()
}

/// A process that ends with the benchmark, whatever became of that.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // One that is gone already needs no end.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// The same admission while leases are fetched from a Redis that answers, hangs, and is gone: no request waits for it.
fn beside_a_store(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit beside a store");
    let runtime = tokio::runtime::Runtime::new().expect("threads can be had");
    let _entered = runtime.enter();
    let directory = tempfile::tempdir().expect("there is room");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port is free")
        .port();
    let server = Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed by ./setup");
    let server = Server(server);
    let settings = Settings::new(&format!("redis://127.0.0.1:{port}"));
    let opening = Balances::new();
    let now = Moment::now();
    let courier = Courier::new(&settings, directory.path(), opening, Journal::Batched, now);
    let courier = courier.expect("the address is one");
    let ledger = courier.ledger();
    let accounts = accounts(&ledger, "ada");
    let (stop, stopped) = tokio::sync::watch::channel(false);
    runtime.spawn(courier.run(stopped, Duration::ZERO));
    let held = || ledger.reserve(&accounts, Usd::from_nanos(4000), Moment::now());
    // A Redis that has just started lends nothing for three seconds.
    while ledger.fleet_view(Moment::now()).leased == Usd::ZERO || held().is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let admit = || {
        held()
            .expect("the lease is large")
            .settle(Usd::from_nanos(1250))
    };
    group.bench_function("up", |bencher| bencher.iter(admit));
    let client = redis::Client::open(settings.url.as_str()).expect("the address is one");
    let mut operator = client.get_connection().expect("it is up");
    let pause = redis::cmd("CLIENT")
        .arg(&["PAUSE", "600000"])
        .exec(&mut operator);
    pause.expect("it is up");
    group.bench_function("hanging", |bencher| bencher.iter(admit));
    drop(server);
    group.bench_function("gone", |bencher| bencher.iter(admit));
    drop(stop);
    group.finish();
}

criterion_group!(benches, alone, beside_a_store, together);
criterion_main!(benches);
