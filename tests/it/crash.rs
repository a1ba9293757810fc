//! `kill -9` at any moment under load: every request that reached the provider has exactly one row, in SQLite and in
//! ClickHouse. `TOLLGATE_KILLS=200` for the long run.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::engine::Engine;
use crate::gateway::{Home, Wish, World, message};
use crate::warehouse;

/// Requests at once.
const AT_ONCE: usize = 8;

/// Sends messages until the gateway is gone.
async fn load(client: reqwest::Client, url: String, key: String, streams: bool) {
    let mut body = message("hi");
    body["stream"] = streams.into();
    loop {
        let request = client.post(&url).header("x-api-key", &key).json(&body);
        match request.send().await {
            Ok(answer) => drop(answer.bytes().await),
            Err(_) => return,
        }
    }
}

/// Serves under load for a while, and kills the gateway in the midst of it.
async fn kill_under_load(world: &mut World, pause: Duration) {
    let client = reqwest::Client::new();
    let url = world.gateway.url("/v1/messages");
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|task| {
            let (client, url, key) = (client.clone(), url.clone(), world.key.clone());
            tokio::spawn(load(client, url, key, task % 2 == 0))
        })
        .collect();
    tokio::time::sleep(pause).await;
    world.gateway.kill();
    for task in tasks {
        task.await.expect("the load ends");
    }
}

/// How often each request stands in a store's export.
fn counted(home: &Home, store: &str) -> HashMap<String, u32> {
    let words = [
        "audit",
        "export",
        "--format",
        "ndjson",
        "--requests",
        "--store",
        store,
    ];
    let mut counts = HashMap::new();
    for line in home.run(&words).lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let id = row["request"].as_str().expect("an id").to_owned();
        *counts.entry(id).or_default() += 1;
    }
    counts
}

fn check(world: &World, store: &str, reached: &HashSet<String>) -> usize {
    let counts = counted(&world.home, store);
    assert!(
        counts.values().all(|count| *count == 1),
        "{store}: a request has two rows"
    );
    let missing = reached
        .iter()
        .filter(|id| !counts.contains_key(*id))
        .count();
    assert_eq!(
        missing,
        0,
        "{store}: of {} that reached the provider",
        reached.len()
    );
    let told = world.home.run(&["audit", "verify", "--store", store]);
    assert!(told.starts_with("verified"), "{store}: {told}");
    counts.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_every_request_that_reached_the_provider_has_one_row() {
    let kills = std::env::var("TOLLGATE_KILLS").map_or(5, |count| count.parse().expect("a number"));
    let engine = Engine::start();
    let mut world = match &engine {
        Some(engine) => warehouse::with(engine).await,
        None => World::start(Wish::default()).await,
    };
    for kill in 0..kills {
        let pause = Duration::from_micros(rand::random::<u64>() % 400_000);
        kill_under_load(&mut world, pause).await;
        // Every other one while it recovers, perhaps: nothing waits for what the last one left.
        world.gateway = world.home.serve();
        assert!(
            !world.gateway.log().contains("does not read"),
            "kill {kill}"
        );
    }
    let last = world.messages(1).await;
    assert_eq!(last, [200]);
    let received = world.provider.received();
    let reached: HashSet<String> = received
        .iter()
        .filter_map(|request| request.header("x-request-id").map(str::to_owned))
        .collect();
    assert_eq!(received.len(), reached.len(), "no request was sent twice");
    assert!(reached.len() > kills, "{} requests", reached.len());
    world.gateway.signal("TERM");
    let ended = world.gateway.wait(Duration::from_mins(1));
    assert!(ended.expect("it ends").success());
    let rows = check(&world, "sqlite", &reached);
    if engine.is_some() {
        assert_eq!(check(&world, "clickhouse", &reached), rows);
    }
    println!(
        "{kills} kills, {} requests reached the provider, {rows} rows",
        reached.len()
    );
}
