//! The response cache: who gets an answer from it, and which answers are never in it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::gateway::{Wish, World, message, planted};
use crate::provider::{Step, chunk, json as answer, stream_head, usual};

async fn world(more: &str) -> World {
    World::start(Wish {
        teams: "[[team]]\nname = \"payments\"\n[[team.budget]]\nwindow = \"total\"\nlimit = \"1.00\"\n[[team]]\nname = \"research\"\n\
                [[team]]\nname = \"without\"\n"
            .to_owned(),
        settings: format!("[cache]\nteams = [\"payments\", \"research\"]\n{more}"),
        actions: "aws_access_key = \"redact\"\n".to_owned(),
        ..Wish::default()
    })
    .await
}

/// Sends and waits for the row: only then is an answer kept.
async fn settled(
    world: &World,
    request: reqwest::RequestBuilder,
    rows: usize,
) -> (Option<String>, String) {
    let told = send(request).await;
    world.rows(rows).await;
    told
}

/// Sends, and says whether the answer came from the cache; with the answer's body.
async fn send(request: reqwest::RequestBuilder) -> (Option<String>, String) {
    let answer = request.send().await.expect("an answer");
    let header = answer.headers().get("tollgate-cache");
    let told = header.map(|value| value.to_str().expect("text").to_owned());
    (told, answer.text().await.unwrap_or_default())
}

fn with_key(world: &World, key: &str) -> reqwest::RequestBuilder {
    let url = world.gateway.url("/v1/messages");
    world
        .client
        .post(url)
        .header("x-api-key", key)
        .json(&message("hi"))
}

#[tokio::test]
async fn the_same_request_of_the_same_team_is_answered_from_memory_for_nothing() {
    let world = world("").await;
    let first = settled(&world, world.message("hi"), 1).await;
    let again = send(world.message("hi").header("user-agent", "another/1")).await;
    assert_eq!(first.0.as_deref(), Some("miss"));
    assert_eq!(again, (Some("hit".to_owned()), first.1));
    let colleague = world.home.create_key("payments");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        send(with_key(&world, &colleague)).await.0.as_deref(),
        Some("hit")
    );
    assert_eq!(world.provider.received().len(), 1);
    let rows = world.rows(3).await;
    assert_eq!(
        (&rows[0]["cached"], &rows[0]["cost_usd"]),
        (&json!(false), &json!("0.0003"))
    );
    for row in &rows[1..] {
        let told = (
            &row["cached"],
            &row["cost_usd"],
            &row["decision"],
            &row["status"],
        );
        assert_eq!(
            told,
            (&json!(true), &json!("0.00"), &json!("allowed"), &json!(200))
        );
        assert_eq!(
            (&row["model"], &row["served"]),
            (&json!("claude-haiku-4-5"), &json!("claude-haiku-4-5"))
        );
    }
    let budgets: Value = world.budgets().await;
    assert_eq!(
        (&budgets[0]["spent"], &budgets[0]["reserved"]),
        (&json!("0.0003"), &json!("0.00"))
    );
}

#[tokio::test]
async fn another_team_another_header_or_another_byte_is_another_request() {
    let world = world("").await;
    let research = world.home.create_key("research");
    let without = world.home.create_key("without");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut count = 0;
    let mut told = async |request: reqwest::RequestBuilder| {
        count += 1;
        settled(&world, request, count).await.0
    };
    assert_eq!(told(world.message("hi")).await.as_deref(), Some("miss"));
    let other = told(with_key(&world, &research)).await;
    assert_eq!(other.as_deref(), Some("miss"), "never across teams");
    for (name, value) in [
        ("anthropic-beta", "a"),
        ("anthropic-beta", "b"),
        ("anthropic-version", "2023-06-01"),
        ("x-unheard-of", "1"),
    ] {
        let request = || world.message("hi").header(name, value);
        assert_eq!(
            told(request()).await.as_deref(),
            Some("miss"),
            "{name}: {value}"
        );
        assert_eq!(
            told(request()).await.as_deref(),
            Some("hit"),
            "{name}: {value}"
        );
    }
    for (path, expected) in [
        ("/v1/messages?beta=true", "miss"),
        ("/anthropic/v1/messages", "hit"),
    ] {
        let request = world.post(path).json(&message("hi"));
        assert_eq!(told(request).await.as_deref(), Some(expected), "{path}");
    }
    assert_eq!(told(world.message("hi ")).await.as_deref(), Some("miss"));
    for _ in 0..2 {
        assert_eq!(
            told(with_key(&world, &without)).await,
            None,
            "off unless asked for"
        );
    }
}

#[tokio::test]
async fn a_stream_is_kept_as_the_client_saw_it() {
    let world = world("").await;
    world.provider.answers(|_| {
        let chat = [
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"grüße\"}}],\"usage\":null}\r\n\r\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":20,\"total_tokens\":120}}\r\n\r\n",
            "data: [DONE]\r\n\r\n",
        ];
        crate::provider::stream(&chat.map(str::to_owned), Duration::ZERO)
    });
    let body =
        json!({"model": "gpt-5.5", "stream": true, "max_completion_tokens": 50, "messages": []});
    let request = || world.post("/v1/chat/completions").json(&body);
    let first = send(request()).await;
    assert!(
        !first.1.contains("\"prompt_tokens\""),
        "the usage chunk was ours: {}",
        first.1
    );
    let again = request().send().await.expect("an answer");
    assert_eq!(again.headers()["content-type"], "text/event-stream");
    assert_eq!(again.headers()["tollgate-cache"], "hit");
    assert_eq!(again.text().await.expect("text"), first.1);
}

#[tokio::test]
async fn what_is_not_whole_or_not_sure_is_not_kept() {
    let world = world("entry = \"2 KiB\"\n").await;
    let mut count = 0;
    let mut twice = async |what: &str, body: &Value| {
        for turn in 0..2 {
            count += 1;
            let (told, _) = settled(&world, world.post("/v1/messages").json(body), count).await;
            assert_ne!(told.as_deref(), Some("hit"), "{what}, turn {turn}");
        }
    };
    let mut tools = message("hi");
    tools["tools"] = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    twice("the provider's tools", &tools).await;
    twice(
        "a redacted request",
        &message(&format!("my key is {}", planted(3))),
    )
    .await;
    assert!(
        !String::from_utf8_lossy(&world.provider.last().body).contains("AKIA"),
        "it was redacted"
    );
    let plain = message("plain");
    world
        .provider
        .answers(|_| answer(400, &json!({"type": "error"})));
    twice("an error", &plain).await;
    world
        .provider
        .answers(|_| answer(200, &json!({"type": "message", "content": []})));
    twice("no usage", &plain).await;
    world.provider.answers(|_| answer(200, &json!({"type": "message", "content": "x".repeat(3000), "usage": {"input_tokens": 1, "output_tokens": 1}})));
    twice("a long one", &plain).await;
    world.provider.answers(|_| {
        vec![
            stream_head(),
            chunk(b"event: ping\ndata: {\"type\":\"ping\"}\n\n"),
            Step::Close,
        ]
    });
    twice("a cut one", &plain).await;
    world.provider.answers(usual);
    assert_eq!(
        send(world.message("plain")).await.0.as_deref(),
        Some("miss")
    );
    assert_eq!(send(world.message("plain")).await.0.as_deref(), Some("hit"));
}

#[tokio::test]
async fn an_answer_is_kept_no_longer_than_its_age() {
    let world = world("age = \"1s\"\n").await;
    assert_eq!(
        settled(&world, world.message("hi"), 1).await.0.as_deref(),
        Some("miss")
    );
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(send(world.message("hi")).await.0.as_deref(), Some("miss"));
}
