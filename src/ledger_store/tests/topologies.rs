//! The same protocol through a cluster, and through sentinels that change the master.

use std::time::{Duration, Instant};

use super::server::Server;
use crate::budget::{Ask, Boot, BudgetId, Micros, Purpose, Reply, Span, Status};
use crate::domain::{Moment, Usd};
use crate::ledger_store::{Settings, Store};

fn wants(seq: u64, want: u64, granted: u64) -> Ask {
    let boot = Boot::new("node", "boot").unwrap();
    let budget = BudgetId::new("team/a/total");
    let cap = Usd::from_nanos(1_000_000);
    Ask {
        purpose: Purpose::Beat,
        seq,
        want: Micros::new(want).unwrap(),
        least: Micros::new(1).unwrap(),
        granted: Micros::new(granted).unwrap(),
        share: 1,
        ..Ask::last_word(boot, budget, Span::EVER, Usd::ZERO, cap)
    }
}

fn store(url: &str) -> Store {
    let mut store = Store::new(&Settings::new(url)).unwrap();
    store.envelope_mut().quarantine_ms = 200;
    store
}

/// Says an ask until it is neither lost nor told to wait.
async fn granted(store: &Store, mut ask: Ask) -> u64 {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match store.say(&ask, Moment::now()).await {
            Ok(Reply::Answer(answer)) if answer.status != Status::Warming => {
                return answer.granted.get();
            }
            answer => assert!(Instant::now() < until, "{answer:?}"),
        }
        ask.seq += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_grants_as_one_server_does() {
    let server = Server::cluster();
    let store = store(&server.url().replace("redis://", "redis+cluster://"));
    let first = store.say(&wants(1, 300, 0), Moment::now()).await.unwrap();
    // In a cluster no key can vouch for a server: what is not there may have been lost.
    assert!(matches!(first, Reply::Answer(answer) if answer.status == Status::Warming));
    assert_eq!(granted(&store, wants(2, 300, 0)).await, 300);
    assert_eq!(granted(&store, wants(1000, 900, 300)).await, 1000);
    assert_eq!(store.show("node").await.unwrap().nodes, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_replica_is_found_and_waits_for_all_nodes() {
    let master = Server::start();
    let replica = Server::replica_of(&master);
    let sentinel = Server::sentinel_of(&master);
    let url = sentinel.url().replace("redis://", "redis+sentinel://");
    let store = store(&format!("{url}mymaster"));
    assert_eq!(granted(&store, wants(1, 300, 0)).await, 300);
    let before = store.show("node").await.unwrap().server;
    sentinel.promote(&replica);
    let until = Instant::now() + Duration::from_secs(30);
    let mut after = store.show("node").await;
    while !after.as_ref().is_ok_and(|served| served.server != before) {
        assert!(Instant::now() < until, "{after:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        // A write finds out that the old master is none any more.
        after = store.show("node").await;
    }
    let first = store
        .say(&wants(1000, 100, 300), Moment::now())
        .await
        .unwrap();
    assert!(matches!(first, Reply::Answer(answer) if answer.status == Status::Warming));
    assert_eq!(granted(&store, wants(2000, 100, 300)).await, 400);
}

#[test]
fn an_address_that_is_none_is_told_without_repeating_it() {
    for url in [
        "",
        "localhost",
        "http://user:hunter2@host",
        "redis+sentinel://host:1",
        "redis+sentinel://host:1/",
        "redis://host:notaport",
    ] {
        let error = Store::new(&Settings::new(url)).err().unwrap().to_string();
        assert!(
            error.starts_with("not an address of Redis"),
            "{url}: {error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}
