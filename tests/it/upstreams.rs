//! Providers that are down, slow, or close their connections.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpListener;

use crate::gateway::{USUAL_TEAM, Wish, World, message};
use crate::provider::{Step, usual};

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    format!("http://{address}")
}

#[tokio::test]
async fn a_second_address_gets_the_whole_body_when_the_first_is_down() {
    let world = World::start(Wish {
        addresses: vec![nobody().await],
        ..Wish::default()
    })
    .await;
    for size in [10, 100_000, 3_000_000] {
        let body = message(&"x".repeat(size));
        let answer = world
            .post("/v1/messages")
            .json(&body)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{size}");
        assert_eq!(world.provider.last().json(), body);
    }
    let rows = world.rows(3).await;
    assert!(
        rows.iter().all(|row| row["cost_usd"] == "0.0003"),
        "a retry is one charge: {rows:#?}"
    );
    assert_eq!(rows[0]["attempts"], 2);
}

#[tokio::test]
async fn a_provider_that_is_down_is_a_502_and_costs_nothing() {
    let teams = format!("{USUAL_TEAM}[[team.budget]]\nwindow = \"day\"\nlimit = \"1.00\"\n");
    let world = World::start(Wish {
        teams,
        ..Wish::default()
    })
    .await;
    world.provider.answers(|_| vec![Step::Close]);
    let answer = world.message("hi").send().await.expect("an answer");
    assert_eq!(answer.status(), 502);
    let body: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(body["error"]["type"], "api_error");
    let chat = world
        .post("/v1/chat/completions")
        .json(&json!({"model": "gpt-5.5", "max_tokens": 5, "messages": []}));
    let body: serde_json::Value = chat
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(body["error"]["code"], "upstream_broken");
    // A request is settled when its row is there, not when its answer is read.
    world.rows(2).await;
    let budgets = world.budgets().await;
    assert_eq!(
        (
            budgets[0]["spent"].as_str(),
            budgets[0]["reserved"].as_str()
        ),
        (Some("0.00"), Some("0.00"))
    );
    world.provider.answers(usual);
    assert_eq!(world.status("hi").await, 200);
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_a_504() {
    let world = World::usual().await;
    let settings =
        std::fs::read_to_string(world.home.path("tollgate.toml")).expect("the configuration");
    let quick = settings.replace(
        "credential = \"env:PROVIDER_KEY\"",
        "credential = \"env:PROVIDER_KEY\"\nread_timeout = \"1s\"",
    );
    world.home.write("tollgate.toml", &quick);
    world.gateway.signal("HUP");
    tokio::time::sleep(Duration::from_secs(2)).await;
    world
        .provider
        .answers(|_| vec![Step::Wait(Duration::from_mins(1))]);
    let began = Instant::now();
    let answer = world.message("hi").send().await.expect("an answer");
    assert_eq!(answer.status(), 504);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(world.rows(1).await[0]["code"], "upstream_timeout");
    let failures = r#"tollgate_upstream_failures_total{kind="timeout",provider="anthropic"} 1"#;
    world.metrics_with(failures).await;
}

#[tokio::test]
async fn a_stale_pooled_connection_is_not_the_clients_trouble() {
    let world = World::usual().await;
    world.provider.answers(|request| {
        let mut script = usual(request);
        script.push(Step::Wait(Duration::from_millis(100)));
        script.push(Step::Close);
        script
    });
    for _ in 0..5 {
        assert_eq!(world.status("hi").await, 200);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let rows = world.rows(5).await;
    assert!(rows.iter().all(|row| row["decision"] == "allowed"));
}

/// What the provider had for seconds it may have served, though it never told: neither free nor sent a second time.
#[tokio::test]
async fn a_request_that_is_dropped_late_is_charged_its_reservation_and_not_sent_again() {
    let world = World::usual().await;
    for pooled in [false, true] {
        if pooled {
            world.provider.answers(usual);
            assert_eq!(world.status("hi").await, 200);
        }
        world
            .provider
            .answers(|_| vec![Step::Wait(Duration::from_millis(5_300)), Step::Close]);
        let before = world.provider.received().len();
        assert_eq!(world.status("hi").await, 502);
        assert_eq!(world.provider.received().len(), before + 1, "{pooled}");
    }
    let rows = world.rows(3).await;
    for dropped in [&rows[0], &rows[2]] {
        assert_eq!(dropped["code"], "upstream_broken");
        assert_ne!(dropped["cost_usd"], "0.00");
        assert_eq!(dropped["cost_usd"], dropped["reserved_usd"]);
        assert_eq!(dropped["provenance"], "estimated");
    }
}

#[tokio::test]
async fn connections_to_the_provider_are_used_again() {
    let world = World::usual().await;
    for _ in 0..10 {
        assert_eq!(world.status("hi").await, 200);
    }
    assert!(
        world.provider.connections() <= 2,
        "{} connections",
        world.provider.connections()
    );
}

/// After a failover every connection that was kept is dead, and there may be more of them than a request has attempts.
#[tokio::test]
async fn many_stale_connections_are_not_the_clients_trouble() {
    let world = World::usual().await;
    world.provider.answers(|request| {
        let mut script = vec![Step::Wait(Duration::from_millis(300))];
        script.extend(usual(request));
        script
    });
    let requests = (0..24).map(|_| world.status("hi"));
    let statuses = futures::future::join_all(requests).await;
    assert!(statuses.iter().all(|status| *status == 200));
    let kept = world.provider.connections();
    assert!(kept >= 12, "{kept}");
    // Who has a number below that is served no more.
    world.provider.forgets(kept);
    world.provider.answers(usual);
    for _ in 0..24 {
        assert_eq!(world.status("hi").await, 200);
    }
}

#[tokio::test]
async fn a_kept_connection_that_does_not_answer_is_an_attempt_like_any() {
    let world = World::start(Wish {
        provider: "read_timeout = \"400ms\"\nattempts = 1".to_owned(),
        ..Wish::default()
    })
    .await;
    assert_eq!(world.status("hi").await, 200);
    world
        .provider
        .answers(|_| vec![Step::Wait(Duration::from_mins(1))]);
    assert_eq!(world.status("hi").await, 504);
    assert_eq!(world.provider.received().len(), 2);
    assert_eq!(world.provider.connections(), 1, "the second was kept");
}

#[tokio::test]
async fn a_provider_that_sends_the_caller_elsewhere_is_refused() {
    let world = World::usual().await;
    assert_eq!(world.status("hi").await, 200);
    world.provider.answers(|_| {
        let head = "HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:9/v1/messages\r\ncontent-length: 0\r\n\r\n";
        vec![Step::Send(head.into())]
    });
    let answer = world.post("/v1/messages").json(&message("hi")).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 502);
    assert!(!answer.headers().contains_key("location"));
    let rows = world.rows(2).await;
    assert_eq!(
        (&rows[1]["code"], &rows[1]["cost_usd"]),
        (&json!("upstream_broken"), &json!("0.00"))
    );
    let tries = rows[1]["tries"].as_str().expect("the attempts");
    assert!(tries.starts_with("307 ") && !tries.contains(';'), "{tries}");
    assert_eq!(world.provider.received().len(), 2, "asked once");
}
