//! What is tried again, where, and how often: nothing of it reaches the client twice, and it is one charge.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::gateway::{Wish, World, message};
use crate::provider::{
    Provider, Received, Script, Step, anthropic_events, chunk, respond, stream_head, usual,
};

/// A world with one more provider, `more`, of these settings.
async fn world(more: &str) -> World {
    World::start(Wish {
        settings: format!(
            "[provider.more]\ndialect = \"anthropic\"\ncredential = \"env:PROVIDER_KEY\"\nprices = \"anthropic\"\n{more}\n"
        ),
        ..Wish::default()
    })
    .await
}

async fn more(world: &World) -> reqwest::Response {
    let sent = world.post("/more/v1/messages").json(&message("hi"));
    sent.send().await.expect("an answer")
}

/// An error as the provider tells it, with these headers.
fn failing(status: u16, headers: &str) -> Script {
    let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    vec![Step::Send([head.as_bytes(), body.as_bytes()].concat())]
}

/// Fails so many times as given, then answers as usual.
fn fails_first(
    times: usize,
    status: u16,
    headers: &'static str,
) -> impl Fn(&Received) -> Script + Send + Sync {
    let seen = AtomicUsize::new(0);
    move |request| {
        if seen.fetch_add(1, Ordering::SeqCst) < times {
            failing(status, headers)
        } else {
            usual(request)
        }
    }
}

#[tokio::test]
async fn an_error_before_the_first_byte_is_tried_again_with_the_whole_body_for_one_charge() {
    let world = World::usual().await;
    let mut count = 0;
    for (status, size) in [(429, 10), (500, 3_000_000), (503, 100_000), (529, 70_000)] {
        world.provider.answers(fails_first(1, status, ""));
        let body = message(&"x".repeat(size));
        let sent = world.post("/v1/messages").json(&body).send().await;
        assert_eq!(sent.expect("an answer").status(), 200, "{status}");
        count += 2;
        let received = world.provider.received();
        assert_eq!(received.len(), count, "{status}");
        assert!(received[count - 2..].iter().all(|one| one.json() == body));
    }
    let rows = world.rows(4).await;
    assert!(
        rows.iter().all(|row| row["cost_usd"] == "0.0003"),
        "{rows:#?}"
    );
    let at = world.provider.address;
    assert_eq!(rows[3]["tries"], format!("529 {at}; 200 {at}"));
    assert_eq!(
        (&rows[3]["attempts"], &rows[3]["upstream"]),
        (&json!(2), &json!(at.to_string()))
    );
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for_and_a_long_one_is_the_clients() {
    let world = World::usual().await;
    world
        .provider
        .answers(fails_first(1, 429, "retry-after: 1\r\n"));
    let began = Instant::now();
    assert_eq!(world.status("hi").await, 200);
    assert!(began.elapsed() >= Duration::from_secs(1));
    for headers in ["retry-after: 30\r\n", "x-should-retry: false\r\n"] {
        world.provider.answers(move |_| failing(529, headers));
        let before = world.provider.received().len();
        let answer = world.message("hi").send().await.expect("an answer");
        assert_eq!(answer.status(), 529);
        let (name, value) = headers.trim().split_once(": ").expect("a header");
        assert_eq!(answer.headers()[name], value, "as the provider said it");
        let text = answer.text().await.expect("text");
        assert_eq!(
            text,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#
        );
        assert_eq!(world.provider.received().len(), before + 1, "{headers}");
    }
    for status in [400, 401, 403, 404, 413, 422] {
        world.provider.answers(move |_| failing(status, ""));
        let before = world.provider.received().len();
        assert_eq!(world.status("hi").await, status);
        assert_eq!(
            world.provider.received().len(),
            before + 1,
            "{status} is final"
        );
    }
    let rows = world.rows(9).await;
    assert!(
        rows[1..]
            .iter()
            .all(|row| row["cost_usd"] == "0.00" && row["reserved_usd"] != "0.00")
    );
    // The one that was tried again and the two that the client saw.
    let failures = r#"tollgate_upstream_failures_total{kind="status",provider="anthropic"} 3"#;
    world.metrics_with(failures).await;
}

#[tokio::test]
async fn nothing_is_tried_again_once_a_byte_was_passed_on() {
    let world = World::usual().await;
    world.provider.answers(|_| {
        let events = anthropic_events(&["a"], 100, 20);
        vec![
            stream_head(),
            chunk(events[0].as_bytes()),
            Step::Wait(Duration::from_millis(200)),
            Step::Close,
        ]
    });
    let mut body = message("hi");
    body["stream"] = json!(true);
    let answer = world
        .post("/v1/messages")
        .json(&body)
        .send()
        .await
        .expect("a head");
    assert_eq!(answer.status(), 200);
    assert!(
        answer.bytes().await.is_err(),
        "the client sees that it is cut"
    );
    let row = &world.rows(1).await[0];
    assert_eq!(world.provider.received().len(), 1);
    assert_eq!(
        (&row["decision"], &row["attempts"]),
        (&json!("failed"), &json!(1))
    );
}

#[tokio::test]
async fn requests_are_spread_by_weight_and_an_error_goes_to_another_address_at_once() {
    let (heavy, light) = (Provider::start().await, Provider::start().await);
    let world = world(&format!(
        "addresses = [{{ url = \"{}\", weight = 3 }}, \"{}\"]\n",
        heavy.url(),
        light.url()
    ))
    .await;
    for _ in 0..40 {
        assert_eq!(more(&world).await.status(), 200);
    }
    assert_eq!((heavy.received().len(), light.received().len()), (30, 10));
    heavy.answers(|_| failing(529, "retry-after: 60\r\n"));
    let began = Instant::now();
    for _ in 0..4 {
        assert_eq!(more(&world).await.status(), 200);
    }
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "no wait for another address"
    );
    assert_eq!(light.received().len(), 14);
}

#[tokio::test]
async fn an_address_that_keeps_failing_is_left_alone_until_one_try_succeeds() {
    let broken = Provider::start().await;
    let world = world(&format!(
        "addresses = [\"{}\"]\nattempts = 1\nbreaker = 3\nbreaker_pause = \"2s\"\n",
        broken.url()
    ))
    .await;
    broken.answers(|_| failing(503, ""));
    for _ in 0..3 {
        assert_eq!(more(&world).await.status(), 503);
    }
    let answer = more(&world).await;
    let left: u64 = answer.headers()["retry-after"]
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds");
    assert!((1..=2).contains(&left));
    let body: Value = answer.json().await.expect("JSON");
    assert!(
        body["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("in a row")),
        "{body}"
    );
    assert_eq!(broken.received().len(), 3, "left alone");
    broken.answers(usual);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(more(&world).await.status(), 200, "the probe");
    assert_eq!(more(&world).await.status(), 200);
    let rows = world.rows(6).await;
    assert_eq!(
        (&rows[3]["code"], &rows[3]["cost_usd"]),
        (&json!("upstream_paused"), &json!("0.00"))
    );
    let metrics = world
        .gateway
        .admin("/metrics")
        .await
        .text()
        .await
        .expect("text");
    assert!(metrics.contains("tollgate_in_flight 0"));
}

#[tokio::test]
async fn errors_that_are_the_requests_own_do_not_close_an_address_for_others() {
    let provider = Provider::start().await;
    let world = world(&format!(
        "addresses = [\"{}\"]\nattempts = 1\nbreaker = 2\n",
        provider.url()
    ))
    .await;
    for status in [500, 429, 400, 500, 429, 400] {
        provider.answers(move |_| failing(status, ""));
        assert_eq!(more(&world).await.status(), status);
    }
}

/// Answers a look as one who asks for a key, and all else as usual.
fn looked_at(request: &Received) -> Script {
    match request.method.as_str() {
        "GET" => respond(401, "text/plain", "who are you?"),
        _ => usual(request),
    }
}

#[tokio::test]
async fn an_address_that_does_not_stand_a_look_gets_no_requests_until_it_does() {
    for check in ["tcp", "/healthz"] {
        let well = Provider::start().await;
        well.answers(looked_at);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let ill = listener.local_addr().expect("bound").to_string();
        drop(listener);
        let world = world(&format!(
            "addresses = [\"http://{ill}\", \"{}\"]\nhealth = \"{check}\"\nhealth_interval = \"100ms\"\nbreaker = 100000\n",
            well.url()
        ))
        .await;
        let mut count = 0;
        loop {
            for _ in 0..4 {
                assert_eq!(more(&world).await.status(), 200);
            }
            count += 4;
            let rows = world.rows(count).await;
            if rows[count - 4..].iter().all(|row| row["attempts"] == 1) {
                break;
            }
            assert!(
                count < 100,
                "{check}: an address that is down is still tried"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let back = Provider::at(&ill).await;
        back.answers(looked_at);
        let posted = || {
            back.received()
                .iter()
                .any(|request| request.method == "POST")
        };
        while !posted() {
            assert!(count < 400, "{check}: an address that is back is not tried");
            count += 1;
            assert_eq!(more(&world).await.status(), 200);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
