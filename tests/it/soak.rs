//! Hours of a working day in a few seconds: healthy traffic beside upstreams that break, clients that leave and a reload
//! every second. `TOLLGATE_SOAK_SECONDS` makes it longer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::gateway::{Gateway, World, message};
use crate::provider::{Received, Script, Step, anthropic_events, chunk, stream, usual};
use crate::raw::Raw;

/// Seconds of a run in the test-suite.
const USUAL: u64 = 8;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_faults_fails_no_healthy_request_and_leaves_nothing_behind() {
    let world = World::usual().await;
    world.provider.answers(answer);
    let began = Instant::now();
    let until = began + Duration::from_secs(seconds());
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
    let mut early = None;
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.gateway.signal("HUP");
        if early.is_none() && began.elapsed() * 3 > until - began {
            early = Some((resident_kib(&world.gateway), descriptors(&world.gateway)));
        }
    }
    let healthy: Vec<String> = workers.join_all().await.into_iter().flatten().collect();
    nuisances.join_all().await;
    world.metrics_with("tollgate_in_flight 0").await;
    let (memory, open) = early.expect("a third of the time passed");
    let late = resident_kib(&world.gateway);
    assert!(
        late < memory * 5 / 4 + ROOM_KIB,
        "{memory} KiB became {late} KiB"
    );
    let left = descriptors(&world.gateway);
    assert!(
        left < open + ROOM_DESCRIPTORS,
        "{open} descriptors became {left}"
    );

    let whole = healthy.len() + usize::try_from(others.load(Ordering::Relaxed)).expect("a count");
    let mut seen: HashMap<String, usize> = HashMap::new();
    for row in world.rows(whole).await {
        let id = row["request"].as_str().expect("an id").to_owned();
        *seen.entry(id).or_default() += 1;
    }
    assert!(
        seen.values().all(|count| *count == 1),
        "one request, one row"
    );
    assert!(healthy.iter().all(|id| seen.contains_key(id)));
    assert!(healthy.len() > 20, "{} healthy requests", healthy.len());
}
