//! Couriers, a real server and real time: kills, restarts with and without loss, a slow store, foreign keys, drain.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::server::Server;
use crate::budget::{
    Account, Balances, BudgetSpec, Cause, FleetOptions, Grace, Ledger, OnStoreLoss, Scope, Window,
    Zone,
};
use crate::domain::{Moment, Name, Usd};
use crate::ledger_store::{Boots, Courier, Journal, Settings, Store};

/// One node: its ledger, and the task that carries for it.
struct Node {
    ledger: Arc<Ledger>,
    accounts: [Arc<Account>; 1],
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Node {
    /// A node that counts as away after 400 ms, and whose store waits 300 ms where it lost something.
    fn start(url: &str, directory: &Path, opening: Balances, spec: &BudgetSpec) -> Self {
        Self::waiting(300, url, directory, opening, spec)
    }

    /// The same, whose store waits for so many milliseconds.
    fn waiting(
        quarantine_ms: u64,
        url: &str,
        directory: &Path,
        opening: Balances,
        spec: &BudgetSpec,
    ) -> Self {
        let settings = Settings {
            response_timeout: Duration::from_millis(500),
            ..Settings::new(url)
        };
        let mut store = Store::new(&settings).unwrap();
        store.envelope_mut().quarantine_ms = quarantine_ms;
        let now = Moment::now();
        let boots = Boots::open(directory, &opening, Journal::Batched, now).unwrap();
        let mut options = FleetOptions::new(boots.this().clone());
        options.report_every = Duration::from_millis(50);
        options.retry_after = Duration::from_millis(200);
        options.away_after = Duration::from_millis(400);
        options.nodes = 3;
        let courier = Courier::with(store, boots, options, opening);
        let ledger = courier.ledger();
        let accounts = [ledger.account(spec)];
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(courier.run(stopped, Duration::from_secs(5)));
        Self {
            ledger,
            accounts,
            stop,
            task,
        }
    }

    fn spend(&self, amount: Usd) -> Result<(), Cause> {
        let held = self.ledger.reserve(&self.accounts, amount, Moment::now());
        held.map(|held| {
            held.settle(amount);
        })
        .map_err(|reached| reached.cause)
    }

    fn own_spent(&self) -> u64 {
        self.ledger
            .balances()
            .iter()
            .map(|(_, _, spent)| spent.nanos())
            .sum()
    }

    async fn drain(self) -> Balances {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
        assert!(self.ledger.is_drained());
        self.ledger.balances()
    }

    /// Ends it as a kill would; returns what its journal would recover.
    async fn kill(self) -> Balances {
        self.task.abort();
        let _ = self.task.await;
        self.ledger.balances()
    }

    async fn is_lent(&self, amount: Usd) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.ledger.fleet_view(Moment::now()).leased < amount {
            assert!(
                Instant::now() < until,
                "{:?}",
                self.ledger.fleet_view(Moment::now())
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn spends_soon(&self, amount: Usd) {
        let until = Instant::now() + Duration::from_secs(10);
        while let Err(cause) = self.spend(amount) {
            assert!(Instant::now() < until, "still refused: {cause:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

fn spec(limit: &str, on_store_loss: OnStoreLoss) -> BudgetSpec {
    let scope = Scope::Team(Name::new("payments"));
    let mut spec = BudgetSpec::new(scope, Window::Total, Zone::utc(), usd(limit));
    spec.on_store_loss = on_store_loss;
    spec.revision = 1;
    spec
}

/// What can be spent of the cap when all is over, on a machine of any speed.
const MOST: &str = "9.50";

/// Three nodes spend one cap while the server is killed and comes back again and again.
async fn storm(mut server: Server) -> u64 {
    let spec = spec("10.00", OnStoreLoss::Deny);
    let disks: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let url = server.url();
    let nodes: Vec<_> = disks
        .iter()
        .map(|disk| Node::start(&url, disk.path(), Balances::new(), &spec))
        .collect();
    let began = Instant::now();
    let mut kills = 0;
    let all = || nodes.iter().map(Node::own_spent).sum::<u64>();
    let (least, late) = (Duration::from_secs(6), Duration::from_secs(30));
    while began.elapsed() < least || (all() < usd(MOST).nanos() && began.elapsed() < late) {
        for node in &nodes {
            let _ = node.spend(usd("0.002"));
        }
        assert!(all() <= usd("10.00").nanos());
        if began.elapsed() > Duration::from_millis(900) * (kills + 1) && kills < 4 {
            kills += 1;
            tokio::task::block_in_place(|| {
                server.kill();
                server.start_again();
            });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    all()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_killed_and_forgets_everything_costs_nothing() {
    let spent = storm(Server::start()).await;
    assert!(spent >= usd(MOST).nanos(), "{spent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_killed_and_remembers_most_costs_nothing() {
    let spent = storm(Server::durable()).await;
    assert!(spent >= usd(MOST).nanos(), "{spent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_gives_its_lease_back_when_it_starts_again() {
    let server = Server::start();
    let disk = tempfile::tempdir().unwrap();
    let spec = spec("10.00", OnStoreLoss::Deny);
    let node = Node::start(&server.url(), disk.path(), Balances::new(), &spec);
    node.spends_soon(usd("0.50")).await;
    let journal = node.kill().await;
    let node = Node::start(&server.url(), disk.path(), journal, &spec);
    for _ in 0..19 {
        node.spends_soon(usd("0.50")).await;
    }
    assert_eq!(node.spend(Usd::from_nanos(1)), Err(Cause::Cap));
    assert_eq!(node.accounts[0].view(Moment::now()).spent, usd("10.00"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_leaves_everything_to_the_others() {
    let server = Server::start();
    let disks = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let spec = spec("10.00", OnStoreLoss::Deny);
    let [first, second] = disks
        .each_ref()
        .map(|disk| Node::start(&server.url(), disk.path(), Balances::new(), &spec));
    first.spends_soon(usd("1.00")).await;
    first.drain().await;
    for _ in 0..9 {
        second.spends_soon(usd("1.00")).await;
    }
    assert_eq!(second.spend(Usd::from_nanos(1)), Err(Cause::Cap));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_vanishes_from_a_running_store_is_not_spent_again_by_a_new_node() {
    let server = Server::start();
    let disks = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let spec = spec("10.00", OnStoreLoss::Deny);
    let start = |disk: &tempfile::TempDir| {
        Node::waiting(3_000, &server.url(), disk.path(), Balances::new(), &spec)
    };
    let first = start(&disks[0]);
    for _ in 0..16 {
        first.spends_soon(usd("0.50")).await;
    }
    // It has shown itself since, and has nothing new to tell.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    redis::cmd("DEL")
        .arg("tollgate:{team/payments/total}:0")
        .exec(&mut server.connect())
        .unwrap();
    let second = start(&disks[1]);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(8) {
        let _ = second.spend(usd("0.50"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let all = first.own_spent() + second.own_spent();
    assert!(all <= usd("10.00").nanos(), "{all}");
    assert!(second.own_spent() > 0, "what is left is there for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_store_a_node_spends_its_lease_then_its_grace_then_refuses() {
    let mut server = Server::start();
    let disk = tempfile::tempdir().unwrap();
    let spec = spec("10.00", OnStoreLoss::Grace(Grace::Amount(usd("3.00"))));
    let node = Node::start(&server.url(), disk.path(), Balances::new(), &spec);
    node.spends_soon(usd("0.10")).await;
    node.is_lent(usd("0.20")).await;
    assert!(!node.ledger.fleet_view(Moment::now()).away);
    server.kill();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let view = node.ledger.fleet_view(Moment::now());
    assert!(view.away);
    // One node has been seen: the whole grace is its share, less what it spent of it before the store first answered.
    assert!(
        (usd("2.90")..=usd("3.00")).contains(&view.grace),
        "{view:?}"
    );
    let room = view
        .leased
        .saturating_add(view.grace)
        .left_after(usd("0.10"));
    node.spend(room).unwrap();
    assert_eq!(node.spend(Usd::from_nanos(1)), Err(Cause::StoreAway));
    server.start_again();
    node.spends_soon(usd("0.10")).await;
    let spent = node.accounts[0].view(Moment::now()).spent;
    assert_eq!(spent, room.saturating_add(usd("0.20")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_store_makes_no_request_wait() {
    let server = Server::start();
    let disk = tempfile::tempdir().unwrap();
    let spec = spec("1000.00", OnStoreLoss::Deny);
    let node = Node::start(&server.url(), disk.path(), Balances::new(), &spec);
    node.spends_soon(usd("0.001")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut admin = server.connect();
    // Every command of every client hangs for two seconds.
    redis::cmd("CLIENT")
        .arg("PAUSE")
        .arg(2000)
        .exec(&mut admin)
        .unwrap();
    let mut slowest = Duration::ZERO;
    for _ in 0..500 {
        let began = Instant::now();
        node.spend(usd("0.001")).unwrap();
        slowest = slowest.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(slowest < Duration::from_millis(50), "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_data_in_the_key_refuses_and_is_counted() {
    let server = Server::start();
    redis::cmd("SET")
        .arg("tollgate:{team/payments/total}:0")
        .arg("theirs")
        .exec(&mut server.connect())
        .unwrap();
    let disk = tempfile::tempdir().unwrap();
    let spec = spec("10.00", OnStoreLoss::Deny);
    let node = Node::start(&server.url(), disk.path(), Balances::new(), &spec);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(node.spend(usd("0.01")), Err(Cause::StoreAway));
    assert_eq!(node.ledger.fleet_view(Moment::now()).foreign, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_node_holds_is_counted_as_suspended() {
    let server = Server::start();
    let disks = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let spec = spec("10.00", OnStoreLoss::Deny);
    let [dead, alive] = disks
        .each_ref()
        .map(|disk| Node::start(&server.url(), disk.path(), Balances::new(), &spec));
    dead.is_lent(usd("0.10")).await;
    alive.is_lent(usd("0.10")).await;
    assert_eq!(alive.ledger.fleet_view(Moment::now()).fresh, 0);
    let held = dead.ledger.fleet_view(Moment::now()).leased;
    dead.kill().await;
    let mut store = Store::new(&Settings::new(&server.url())).unwrap();
    assert_eq!(
        store.suspended(&spec.id, Moment::default()).await.unwrap(),
        Usd::ZERO
    );
    let in_a_minute = Moment::now().plus(Duration::from_mins(1)).micros() / 1000;
    store.envelope_mut().now_ms = u64::try_from(in_a_minute).ok();
    let both = held.saturating_add(alive.ledger.fleet_view(Moment::now()).leased);
    assert_eq!(
        store.suspended(&spec.id, Moment::default()).await.unwrap(),
        both
    );
}
