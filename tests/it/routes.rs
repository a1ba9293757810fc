//! Which paths are served, and in which words the others are refused.

use serde_json::json;

use crate::gateway::{PROVIDER_KEY, World, message};
use crate::raw::Raw;

fn chat() -> serde_json::Value {
    json!({"model": "gpt-5.5", "max_completion_tokens": 50, "messages": [{"role": "user", "content": "hi"}]})
}

/// Path, body, and the path that the provider must see.
fn cases() -> Vec<(&'static str, serde_json::Value, &'static str)> {
    let embed = json!({"model": "text-embedding-3-small", "input": "hi"});
    let respond = json!({"model": "gpt-5.5", "max_output_tokens": 50, "input": "hi"});
    vec![
        (
            "/v1/messages?beta=true",
            message("hi"),
            "/v1/messages?beta=true",
        ),
        ("/anthropic/v1/messages", message("hi"), "/v1/messages"),
        (
            "/v1/messages/count_tokens",
            message("hi"),
            "/v1/messages/count_tokens",
        ),
        ("/v1/chat/completions", chat(), "/v1/chat/completions"),
        (
            "/openai/v1/chat/completions",
            chat(),
            "/v1/chat/completions",
        ),
        ("/v1/responses", respond, "/v1/responses"),
        ("/v1/embeddings", embed, "/v1/embeddings"),
        (
            "/v1/completions",
            json!({"model": "gpt-5.5", "max_tokens": 50, "prompt": "hi"}),
            "/v1/completions",
        ),
    ]
}

#[tokio::test]
async fn every_route_reaches_its_provider_with_and_without_a_prefix() {
    let world = World::usual().await;
    let cases = cases();
    let count = cases.len();
    for (path, body, upstream) in cases {
        let answer = world
            .post(path)
            .json(&body)
            .send()
            .await
            .expect("an answer");
        assert_eq!(
            answer.status(),
            200,
            "{path}: {}",
            answer.text().await.unwrap_or_default()
        );
        assert!(answer.headers().contains_key("x-request-id"), "{path}");
        let last = world.provider.last();
        assert_eq!(
            (last.method.as_str(), last.path.as_str()),
            ("POST", upstream)
        );
        assert_eq!(last.json(), body, "{path}");
    }
    let rows = world.rows(count).await;
    let billed = rows
        .iter()
        .filter(|row| row["cost_usd"] != json!("0.00"))
        .count();
    assert_eq!(
        billed,
        count - 1,
        "count_tokens is free, all others are not"
    );
}

#[tokio::test]
async fn the_providers_key_goes_out_and_the_callers_does_not() {
    let world = World::usual().await;
    world
        .message("hi")
        .header("authorization", "Bearer something-else")
        .send()
        .await
        .expect("an answer");
    let sent = world.provider.last();
    assert_eq!(sent.header("x-api-key"), Some(PROVIDER_KEY));
    assert!(
        sent.headers
            .iter()
            .all(|(_, value)| !value.contains(&world.key) && !value.contains("something-else"))
    );

    let bearer = world
        .client
        .post(world.gateway.url("/v1/chat/completions"))
        .bearer_auth(&world.key)
        .json(&chat());
    assert_eq!(bearer.send().await.expect("an answer").status(), 200);
    let sent = world.provider.last();
    assert_eq!(
        sent.header("authorization"),
        Some(format!("Bearer {PROVIDER_KEY}").as_str())
    );
    assert!(
        sent.headers
            .iter()
            .all(|(_, value)| !value.contains(&world.key))
    );
}

#[tokio::test]
async fn a_clients_own_headers_pass_and_hop_headers_do_not() {
    let world = World::usual().await;
    world
        .message("hi")
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "a-2025-01-01,b")
        .header("anthropic-dangerous-new-thing", "x y")
        .header("x-stainless-lang", "js")
        .header("connection", "x-secret-hop")
        .header("x-secret-hop", "1")
        .header("cookie", "a=b")
        .header("openai-organization", "org-of-an-engineer")
        .header("openai-project", "proj_of_an_engineer")
        .header("te", "trailers")
        .send()
        .await
        .expect("an answer");
    let sent = world.provider.last();
    assert_eq!(sent.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(sent.header("anthropic-beta"), Some("a-2025-01-01,b"));
    assert_eq!(sent.header("anthropic-dangerous-new-thing"), Some("x y"));
    assert_eq!(sent.header("x-stainless-lang"), Some("js"));
    assert_eq!(sent.header("accept-encoding"), Some("identity"));
    assert_eq!(
        sent.header("host"),
        Some(world.provider.address.to_string().as_str())
    );
    for gone in [
        "x-secret-hop",
        "cookie",
        "te",
        "transfer-encoding",
        "openai-organization",
        "openai-project",
    ] {
        assert_eq!(sent.header(gone), None, "{gone}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_refused_in_the_callers_words_and_never_forwarded() {
    let world = World::usual().await;
    for (path, dialect) in [
        ("/v1/messages/batches", "anthropic"),
        ("/anthropic/v1/files", "anthropic"),
        ("/v1/files", "openai"),
    ] {
        let answer = world
            .client
            .post(world.gateway.url(path))
            .bearer_auth(&world.key)
            .body("{}")
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 404, "{path}");
        let body: serde_json::Value = answer.json().await.expect("JSON");
        match dialect {
            "anthropic" => {
                assert_eq!(body["type"], "error");
                assert_eq!(body["error"]["type"], "not_found_error");
            }
            _ => assert_eq!(body["error"]["code"], "unknown_path"),
        }
    }
    assert_eq!(world.provider.connections(), 0);
    let rows = world.rows(3).await;
    assert!(
        rows.iter()
            .all(|row| row["decision"] == "refused" && row["status"] == 404)
    );
}

#[tokio::test]
async fn a_base_url_that_is_wrong_by_v1_is_told_so() {
    let world = World::usual().await;
    for (path, advice) in [
        (
            "/v1/v1/messages",
            "this path has /v1 twice: leave it out of the base URL",
        ),
        (
            "/chat/completions",
            "this path lacks /v1: end the base URL with it",
        ),
        ("/elsewhere/v1/messages", "the name of no provider"),
        ("/v1/files", "It serves POST /v1/messages, "),
    ] {
        let answer = world.post(path).body("{}").send().await.expect("an answer");
        assert_eq!(answer.status(), 404, "{path}");
        let text = answer.text().await.expect("text");
        assert!(text.contains(advice), "{path}: {text}");
    }
    world.rows(4).await;
}

#[tokio::test]
async fn a_providers_own_request_id_is_kept_beside_ours() {
    let world = World::usual().await;
    world.provider.answers(|request| {
        let answered = |name: &str, id: &str| {
            let head = format!("HTTP/1.1 429 X\r\n{name}: {id}\r\nx-should-retry: false\r\ncontent-length: 2\r\n\r\n{{}}");
            vec![crate::provider::Step::Send(head.into_bytes())]
        };
        match request.path.as_str() {
            "/v1/messages" => answered("request-id", "req_theirs"),
            "/v1/responses" => answered("x-request-id", &"7".repeat(500)),
            _ => answered("x-request-id", request.header("x-request-id").unwrap_or("")),
        }
    });
    let paths = ["/v1/messages", "/v1/responses", "/v1/chat/completions"];
    let long = "7".repeat(128);
    let kept = ["req_theirs", &long, ""];
    let bodies = [message("hi"), cases()[5].1.clone(), chat()];
    for ((path, body), kept) in paths.iter().zip(&bodies).zip(kept) {
        let answer = world.post(path).json(body).send().await.expect("an answer");
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .map(|id| id.to_str().expect("ASCII"))
        };
        assert_eq!(header("tollgate-upstream-request-id").unwrap_or(""), kept);
        assert_eq!(header("x-request-id").map(str::len), Some(36), "ours");
        assert_eq!(header("request-id").is_some(), *path == "/v1/messages");
    }
    let rows = world.rows(3).await;
    for (row, kept) in rows.iter().zip(kept) {
        assert_eq!(row["upstream_request"], kept);
    }
    let refused = world
        .post("/v1/messages")
        .body("{")
        .send()
        .await
        .expect("an answer");
    assert_eq!(refused.status(), 400);
    let (ours, theirs) = (
        &refused.headers()["x-request-id"],
        &refused.headers()["request-id"],
    );
    assert_eq!(ours, theirs, "where Anthropic's SDKs look for it");
}

#[tokio::test]
async fn a_websocket_is_told_to_use_http() {
    let world = World::usual().await;
    let mut raw = Raw::connect(&world.gateway.data).await;
    raw.send(format!(
        "GET /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        world.key
    ))
    .await;
    let (status, text) = raw.answer().await;
    assert_eq!(status, 426, "{text}");
    assert_eq!(world.provider.connections(), 0);
}

#[tokio::test]
async fn a_probe_is_answered_here() {
    let world = World::usual().await;
    let answer = world
        .client
        .head(world.gateway.url("/"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(world.provider.connections(), 0);
}

#[tokio::test]
async fn models_are_listed_by_the_provider_that_the_caller_speaks_to() {
    let world = World::usual().await;
    let listed = world
        .client
        .get(world.gateway.url("/v1/models?limit=1000"))
        .header("x-api-key", &world.key);
    let answer = listed
        .header("anthropic-version", "2023-06-01")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(world.provider.last().path, "/v1/models?limit=1000");
    assert_eq!(
        world.provider.last().header("x-api-key"),
        Some(PROVIDER_KEY)
    );
}
