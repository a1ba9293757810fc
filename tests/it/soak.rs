//! Hours of a working day in a few seconds: healthy traffic beside upstreams that break, clients that leave, a Redis that
//! is started anew, a ClickHouse that refuses, and a reload every second. `TOLLGATE_SOAK_SECONDS` makes it longer.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::gateway::{Gateway, USUAL_TEAM, Wish, World, message};
use crate::provider::{Received, Script, Step, anthropic_events, chunk, stream, usual};
use crate::raw::Raw;
use crate::redis::Redis;
use crate::warehouse;

/// Seconds of a run in the test-suite.
const USUAL: u64 = 8;
/// In a longer run, how long a client rests between two requests: the rows of an hour are read back at its end.
const REST: Duration = Duration::from_millis(50);
/// A gateway may keep this much more than after its first third: pools and buffers that are still filling.
const ROOM_KIB: u64 = 16 * 1024;
/// Connections that clients and pools may leave open.
const ROOM_DESCRIPTORS: usize = 64;

fn seconds() -> u64 {
    let told = std::env::var("TOLLGATE_SOAK_SECONDS").ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(USUAL)
}

/// A provider that breaks where the text of the request says so.
fn answer(request: &Received) -> Script {
    let says = |word: &str| {
        request
            .body
            .windows(word.len())
            .any(|w| w == word.as_bytes())
    };
    if says("break before the answer") {
        return vec![Step::Close];
    }
    if says("break in the answer") {
        let events = anthropic_events(&["a", "b"], 10, 5);
        return vec![
            crate::provider::stream_head(),
            chunk(events[0].as_bytes()),
            Step::Close,
        ];
    }
    if says("\"stream\":true") {
        let events = anthropic_events(&["one ", "two ", "three"], 100, 20);
        return stream(&events, Duration::from_millis(2));
    }
    usual(request)
}

/// What the kernel says of the process.
fn resident_kib(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .expect("a size")
}

fn descriptors(gateway: &Gateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.pid()))
        .expect("proc")
        .count()
}

/// Requests that must succeed: small, large, streamed. Gives their ids.
async fn work(request: reqwest::RequestBuilder, until: Instant) -> Vec<String> {
    let mut ids = Vec::new();
    let large = "let total = parts.iter().sum::<u64>();\n".repeat(3000);
    while Instant::now() < until {
        let turn = ids.len() % 3;
        let mut body = message(if turn == 1 { &large } else { "hello" });
        body["stream"] = json!(turn == 2);
        let one = request.try_clone().expect("no body yet").json(&body);
        let got = one.send().await.expect("a healthy request is answered");
        let id = got.headers()["x-request-id"]
            .to_str()
            .expect("ASCII")
            .to_owned();
        let status = got.status();
        let text = got.text().await.expect("a healthy answer is whole");
        assert_eq!(status, 200, "{text}");
        assert!(turn != 2 || text.contains("message_stop"), "{text}");
        ids.push(id);
        if seconds() > USUAL {
            tokio::time::sleep(REST).await;
        }
    }
    ids
}

/// Requests whose provider breaks.
async fn meet_breaks(request: reqwest::RequestBuilder, until: Instant, sent: Arc<AtomicU64>) {
    while Instant::now() < until {
        for fault in ["break before the answer", "break in the answer"] {
            let one = request
                .try_clone()
                .expect("no body yet")
                .json(&message(fault));
            sent.fetch_add(1, Ordering::Relaxed);
            if let Ok(got) = one.send().await {
                // The answer breaks off, as the provider's did.
                let _text = got.text().await;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Clients that leave: in an upload, and in an answer that they read slowly.
async fn leave(address: String, key: String, until: Instant, sent: Arc<AtomicU64>) {
    while Instant::now() < until {
        let mut raw = Raw::connect(&address).await;
        sent.fetch_add(2, Ordering::Relaxed);
        let head = format!("POST /v1/messages HTTP/1.1\r\nhost: h\r\nx-api-key: {key}\r\n");
        raw.send(format!("{head}content-length: 100000\r\n\r\n{{\"model\""))
            .await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(raw);
        let mut body = message("hello");
        body["stream"] = json!(true);
        let body = body.to_string();
        let mut raw = Raw::connect(&address).await;
        raw.send(format!(
            "{head}content-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
        raw.line().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A store that comes back empty, and one that fails in each of the ways that a restart has.
async fn break_stores(mut redis: Redis, engine: Option<Arc<Engine>>, until: Instant) -> Redis {
    let pause = Duration::from_secs(seconds()) / 8;
    for kind in ["drop_before", "error", "drop_after"].iter().cycle() {
        if Instant::now() + pause > until {
            break;
        }
        redis.stop();
        if let Some(engine) = &engine {
            engine.fault(&format!(
                r#"{{"kind": "{kind}", "match": "INSERT", "n": 1000, "code": 241}}"#
            ));
        }
        tokio::time::sleep(pause / 4).await;
        redis.go_on();
        if let Some(engine) = &engine {
            engine.fault(r#"{"kind": "clear"}"#);
        }
        tokio::time::sleep(pause / 2).await;
    }
    redis
}

/// A gateway with both stores, or with Redis alone where there is no engine.
async fn with_stores(redis: &Redis, engine: Option<&Engine>) -> World {
    let clickhouse = engine.map(warehouse::settings).unwrap_or_default();
    let budget = "[[team.budget]]\nwindow = \"month\"\nlimit = \"1000000.00\"\n";
    let wish = Wish {
        settings: format!("{}{clickhouse}", redis.settings()),
        teams: format!("{USUAL_TEAM}{budget}"),
        ..Wish::default()
    };
    World::with(wish, |home| {
        if engine.is_some() {
            home.run(&["migrate"]);
        }
        home.serve()
    })
    .await
}

/// Memory in KiB and open files, every twelfth of the time, while the gateway is told to reload.
async fn watch(gateway: &Gateway, until: Instant) -> Vec<(u64, usize)> {
    let step = Duration::from_secs(seconds()) / 12;
    let (mut seen, mut next) = (Vec::new(), Instant::now() + step);
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_secs(1).min(step)).await;
        gateway.signal("HUP");
        if Instant::now() >= next {
            seen.push((resident_kib(gateway), descriptors(gateway)));
            next += step;
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_faults_fails_no_healthy_request_and_leaves_nothing_behind() {
    let (redis, engine) = (Redis::start(), Engine::start().map(Arc::new));
    let world = with_stores(&redis, engine.as_deref()).await;
    world.provider.answers(answer);
    let until = Instant::now() + Duration::from_secs(seconds());
    let others = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        workers.spawn(work(world.post("/v1/messages"), until));
    }
    let mut nuisances = JoinSet::new();
    nuisances.spawn(meet_breaks(
        world.post("/v1/messages"),
        until,
        others.clone(),
    ));
    let (address, key) = (world.gateway.data.clone(), world.key.clone());
    nuisances.spawn(leave(address, key, until, others.clone()));
    let stores = tokio::spawn(break_stores(redis, engine.clone(), until));
    let seen = watch(&world.gateway, until).await;
    let healthy: Vec<String> = workers.join_all().await.into_iter().flatten().collect();
    nuisances.join_all().await;
    let _redis = stores.await.expect("the stores are broken and mended");
    world.metrics_with("tollgate_in_flight 0").await;
    leaves_nothing_behind(&world.gateway, &seen, healthy.len());

    let whole = healthy.len() + usize::try_from(others.load(Ordering::Relaxed)).expect("a count");
    let mut rows: HashMap<String, usize> = HashMap::new();
    for id in world.requests(whole).await {
        *rows.entry(id).or_default() += 1;
    }
    assert!(
        rows.values().all(|count| *count == 1),
        "one request, one row"
    );
    assert!(healthy.iter().all(|id| rows.contains_key(id)));
    if let Some(engine) = &engine {
        let all = || async { warehouse::count(engine) >= whole as u64 };
        world.until("every row in ClickHouse", all).await;
        assert_eq!(warehouse::count(engine), whole as u64, "and once");
    }
}

/// Says what was seen, and holds the last of it against the first third.
fn leaves_nothing_behind(gateway: &Gateway, seen: &[(u64, usize)], healthy: usize) {
    let (late, left) = (resident_kib(gateway), descriptors(gateway));
    let told =
        format!("{healthy} healthy requests; KiB and files: {seen:?}, and then {late}, {left}\n");
    let stderr = std::io::stderr().write_all(told.as_bytes());
    stderr.expect("standard error");
    let (memory, open) = seen[seen.len() / 3];
    assert!(
        late < memory * 5 / 4 + ROOM_KIB,
        "{memory} KiB became {late} KiB"
    );
    assert!(
        left < open + ROOM_DESCRIPTORS,
        "{open} descriptors became {left}"
    );
    assert!(healthy > 20, "{healthy} healthy requests");
}
