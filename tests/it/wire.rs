//! Clients that stop in the middle, or speak a protocol's odd corners; and what providers say that is not for clients.

use std::time::{Duration, Instant};

use h2::client::SendRequest;
use serde_json::Value;
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::gateway::{Home, USUAL_TEAM, Wish, World, message};
use crate::provider::{Step, anthropic_events, respond, stream, usual};
use crate::raw::Raw;

/// The longest that a test waits.
const PATIENCE: Duration = Duration::from_secs(20);

async fn world(limits: &str, team: &str) -> World {
    World::start(Wish {
        limits: limits.to_owned(),
        teams: format!("{USUAL_TEAM}{team}"),
        ..Wish::default()
    })
    .await
}

/// A whole request byte by byte.
fn request(world: &World, version: &str, more: &str) -> String {
    let body = message("hi").to_string();
    format!(
        "POST /v1/messages {version}\r\nhost: x\r\nx-api-key: {}\r\ncontent-length: {}\r\n{more}\r\n{body}",
        world.key,
        body.len()
    )
}

/// A connection of HTTP/2, which is driven until it closes.
async fn http2(world: &World) -> (SendRequest<bytes::Bytes>, tokio::task::JoinHandle<()>) {
    let stream = TcpStream::connect(&world.gateway.data).await;
    let stream = stream.expect("the gateway listens");
    let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let driven = tokio::spawn(async move {
        let _closed = connection.await;
    });
    (client, driven)
}

fn http2_request(world: &World, length: usize) -> http::Request<()> {
    http::Request::post(world.gateway.url("/v1/messages"))
        .header("x-api-key", &world.key)
        .header("content-length", length)
        .body(())
        .expect("a request")
}

/// Reads until the connection closes.
async fn rest(raw: &mut Raw) -> String {
    let mut all = Vec::new();
    let read = raw.0.read_to_end(&mut all);
    let _reset = timeout(PATIENCE, read).await.expect("closed in time");
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go() {
    let world = world("stall_timeout = \"1s\"\n", "concurrent = 2\n").await;
    world
        .provider
        .answers(|_| respond(200, "application/json", &"x".repeat(40_000_000)));
    let mut first = Raw::connect(&world.gateway.data).await;
    first.send(request(&world, "HTTP/1.1", "")).await;
    let (client, _driven) = http2(&world).await;
    let mut client = client.ready().await.expect("room for a stream");
    let body = message("hi").to_string();
    let asked = client.send_request(http2_request(&world, body.len()), false);
    let (answer, mut upload) = asked.expect("asked");
    upload.send_data(body.into(), true).expect("sent");
    let unread = answer.await.expect("an answer");
    assert_eq!(unread.status(), 200);
    let rows = world.rows(2).await;
    for row in rows {
        assert_eq!(row["code"], "client_gone");
        assert_ne!(row["cost_usd"], "0.00");
    }
    world.provider.answers(usual);
    assert_eq!(world.status("hi").await, 200, "their places are free");
}

/// One that reads slowly makes progress.
#[tokio::test]
async fn a_client_that_takes_its_time_is_served() {
    let world = world("stall_timeout = \"2s\"\n", "").await;
    world
        .provider
        .answers(|_| respond(200, "application/json", &"x".repeat(12_000_000)));
    let mut raw = Raw::connect(&world.gateway.data).await;
    SockRef::from(&raw.0)
        .set_recv_buffer_size(64 << 10)
        .expect("a TCP stream");
    raw.send(request(&world, "HTTP/1.1", "connection: close\r\n"))
        .await;
    let mut piece = vec![0; 1 << 20];
    let (mut read, began) = (0, Instant::now());
    while let Ok(n @ 1..) = raw.0.read(&mut piece).await {
        read += n;
        if began.elapsed() < Duration::from_secs(5) {
            sleep(Duration::from_millis(100)).await;
        }
    }
    assert!(read > 12_000_000, "{read}");
    assert_eq!(world.rows(1).await[0]["code"], "");
}

#[tokio::test]
async fn what_a_client_did_not_stay_to_read_is_in_its_row() {
    let world = world("", "").await;
    let whole = request(&world, "HTTP/1.1", "");
    let mut raw = Raw::connect(&world.gateway.data).await;
    raw.send(&whole.as_bytes()[..whole.len() - 5]).await;
    sleep(Duration::from_millis(200)).await;
    SockRef::from(&raw.0)
        .set_linger(Some(Duration::ZERO))
        .expect("a TCP stream");
    drop(raw);
    world.rows(1).await;
    let (client, _driven) = http2(&world).await;
    let mut client = client.ready().await.expect("room for a stream");
    let asked = client.send_request(http2_request(&world, 100), false);
    let (_answer, mut upload) = asked.expect("asked");
    upload.send_data("{".into(), false).expect("sent");
    sleep(Duration::from_millis(200)).await;
    upload.send_reset(h2::Reason::CANCEL);
    let told: Vec<(Value, Value)> = world
        .rows(2)
        .await
        .iter()
        .map(|row| (row["code"].clone(), row["decision"].clone()))
        .collect();
    let broken = (Value::from("upload_broken"), Value::from("refused"));
    assert_eq!(told, [broken.clone(), broken]);
}

#[tokio::test]
async fn a_connection_without_a_whole_head_closes() {
    let world = world("idle_timeout = \"1s\"\n", "").await;
    world.provider.answers(|request| {
        let mut script = vec![Step::Wait(Duration::from_secs(2))];
        script.extend(usual(request));
        script
    });
    // An answer may take longer than that.
    let mut kept = Raw::connect(&world.gateway.data).await;
    kept.send(request(&world, "HTTP/1.1", "")).await;
    assert_eq!(kept.answer().await.0, 200);
    assert_eq!(rest(&mut kept).await, "");
    let mut slow = Raw::connect(&world.gateway.data).await;
    slow.send("POST /v1/messages HTTP/1.1\r\n").await;
    let (mut from, mut to) = slow.0.into_split();
    let dribble = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        while to.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    });
    let mut nothing = Vec::new();
    let read = from.read_to_end(&mut nothing);
    let _reset = timeout(PATIENCE, read).await.expect("closed in time");
    dribble.abort();
    let (client, driven) = http2(&world).await;
    let mut client = client.ready().await.expect("room for a stream");
    let body = message("hi").to_string();
    let asked = client.send_request(http2_request(&world, body.len()), false);
    let (answer, mut upload) = asked.expect("asked");
    upload.send_data(body.into(), true).expect("sent");
    assert_eq!(answer.await.expect("an answer").status(), 200);
    timeout(PATIENCE, driven)
        .await
        .expect("closed in time")
        .expect("driven");
}

#[tokio::test]
async fn the_limit_of_open_files_is_raised() {
    let world = World::with(Wish::default(), Home::serve_with_few_files).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", world.gateway.pid()));
    let limits = limits.expect("the gateway runs");
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<&str> = files.expect("a limit").split_whitespace().skip(3).collect();
    assert_eq!(numbers[0], numbers[1], "{numbers:?}");
    assert_ne!(numbers[0], "256");
}

#[tokio::test]
async fn a_large_head_over_http_2_is_refused_like_any() {
    let world = world("", "").await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build();
    let request = client
        .expect("a client")
        .post(world.gateway.url("/v1/messages"));
    let request = request.header("x-api-key", &world.key);
    let request = (0..9).fold(request, |request, n| {
        request.header(format!("x-{n}"), "y".repeat(8_000))
    });
    let answer = request
        .json(&message("hi"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 431);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body["type"], "error");
    assert_eq!(world.rows(1).await[0]["code"], "headers_too_large");
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_what_it_can_read() {
    let world = world("", "").await;
    world.provider.answers(|_| {
        let mut script = vec![Step::Send(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec())];
        script.extend(stream(
            &anthropic_events(&["Hello"], 100, 20),
            Duration::ZERO,
        ));
        script
    });
    let mut raw = Raw::connect(&world.gateway.data).await;
    let more = "connection: keep-alive\r\nexpect: 100-continue\r\n";
    raw.send(request(&world, "HTTP/1.0", more)).await;
    let text = rest(&mut raw).await;
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(
        !head.to_ascii_lowercase().contains("transfer-encoding"),
        "{head}"
    );
    assert_eq!(body, anthropic_events(&["Hello"], 100, 20).concat());
}

#[tokio::test]
async fn a_head_that_cannot_be_passed_on_is_answered() {
    let world = world("", "").await;
    for named in ["host", "close, Host"] {
        let mut raw = Raw::connect(&world.gateway.data).await;
        let more = format!("connection: {named}\r\n");
        raw.send(request(&world, "HTTP/1.1", &more)).await;
        let (status, text) = raw.answer().await;
        assert_eq!(status, 400, "{text}");
        assert!(text.contains("invalid_request_error"), "{text}");
    }
    for row in world.rows(2).await {
        assert_eq!(
            (row["code"].as_str(), row["cost_usd"].as_str()),
            (Some("invalid_head"), Some("0.00"))
        );
    }
    assert!(world.provider.received().is_empty());
}

#[tokio::test]
async fn a_change_of_protocol_that_nobody_asked_for_is_a_providers_error() {
    let world = world("", "").await;
    world.provider.answers(|_| {
        let head = "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: other\r\n\r\nother";
        vec![Step::Send(head.into()), Step::Wait(PATIENCE)]
    });
    let answer = world.message("hi").send().await.expect("an answer");
    assert_eq!(answer.status(), 502);
    let rows = world.rows(1).await;
    assert_eq!(rows[0]["code"], "upstream_broken");
    assert_eq!(rows[0]["cost_usd"], "0.00");
}

#[tokio::test]
async fn events_with_a_length_come_as_they_are_said() {
    let world = world("", "").await;
    let events = anthropic_events(&["Hello"], 100, 20);
    let (first, others) = (events[0].clone(), events[1..].concat());
    let all = events.concat();
    world.provider.answers(move |_| {
        let head = format!(
            "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{first}",
            first.len() + others.len()
        );
        let pause = Step::Wait(Duration::from_secs(3));
        vec![Step::Send(head.into()), pause, Step::Send(others.clone().into())]
    });
    let began = Instant::now();
    let mut answer = world.message("hi").send().await.expect("an answer");
    let piece = answer.chunk().await.expect("an event").expect("an event");
    assert!(began.elapsed() < Duration::from_secs(2));
    let text = [&piece[..], &answer.bytes().await.expect("the rest")].concat();
    assert_eq!(String::from_utf8_lossy(&text), all);
}

#[tokio::test]
async fn a_body_that_no_endpoint_reads_leaves_nothing_behind() {
    let world = world("", "").await;
    let request = world.client.get(world.gateway.url("/v1/models"));
    let request = request.header("x-api-key", &world.key).body("{}");
    assert_eq!(request.send().await.expect("an answer").status(), 200);
    let received = world.provider.last();
    assert_eq!(received.header("transfer-encoding"), None);
    assert!(received.body.is_empty());
}
