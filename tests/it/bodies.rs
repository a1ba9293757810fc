//! Bodies of every size and framing, whole ones and broken ones.

use serde_json::json;

use crate::gateway::{Wish, World, message};
use crate::raw::Raw;

/// A valid body of about this size.
fn big(bytes: usize) -> Vec<u8> {
    let line = "the quick brown fox jumps over the lazy dog, line after line. \\n";
    let mut body =
        br#"{"model":"claude-haiku-4-5","max_tokens":10,"messages":[{"role":"user","content":""#
            .to_vec();
    while body.len() < bytes {
        body.extend_from_slice(line.as_bytes());
    }
    body.extend_from_slice(br#""}]}"#);
    body
}

fn chunked(body: &[u8], piece: usize) -> reqwest::Body {
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
        body.chunks(piece).map(|c| Ok(c.to_vec())).collect();
    reqwest::Body::wrap_stream(futures::stream::iter(pieces))
}

#[tokio::test]
async fn five_megabytes_arrive_byte_for_byte_however_they_are_framed() {
    let world = World::usual().await;
    let h2 = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .expect("a client");
    let body = big(5 << 20);
    for (name, client, content) in [
        (
            "h1 length",
            &world.client,
            reqwest::Body::from(body.clone()),
        ),
        ("h1 chunked", &world.client, chunked(&body, 70_000)),
        ("h2 length", &h2, reqwest::Body::from(body.clone())),
    ] {
        let request = client
            .post(world.gateway.url("/v1/messages"))
            .header("x-api-key", &world.key);
        let answer = request
            .header("content-type", "application/json")
            .body(content)
            .send()
            .await;
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(answer.status(), 200, "{name}");
        let received = world.provider.last();
        assert!(
            received.body == body,
            "{name}: {} bytes",
            received.body.len()
        );
        assert_eq!(
            received.header("content-length"),
            Some(body.len().to_string().as_str()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn every_size_around_the_buffers_edges_arrives() {
    let world = World::usual().await;
    let h2 = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .expect("a client");
    for size in [
        200, 65_400, 65_535, 65_536, 65_537, 65_700, 131_072, 200_000,
    ] {
        let mut body = big(size.min(65_000).min(size - 100));
        let end = body.split_off(body.len() - 4);
        body.resize(size - end.len(), b'x');
        body.extend(end);
        assert_eq!(body.len(), size);
        let mut ways = vec![
            ("length", &world.client, reqwest::Body::from(body.clone())),
            ("chunked", &world.client, chunked(&body, 4096)),
            ("h2", &h2, reqwest::Body::from(body.clone())),
        ];
        if size <= 65_536 {
            ways.push(("h2 untold", &h2, chunked(&body, 4096)));
        }
        for (name, client, content) in ways {
            let request = client
                .post(world.gateway.url("/v1/messages"))
                .header("x-api-key", &world.key);
            let answer = request
                .body(content)
                .send()
                .await
                .unwrap_or_else(|error| panic!("{size} {name}: {error:?}"));
            assert_eq!(
                answer.status(),
                200,
                "{size} {name}: {}",
                answer.text().await.unwrap_or_default()
            );
            assert!(world.provider.last().body == body, "{size} {name}");
        }
    }
}

#[tokio::test]
async fn an_h2_body_of_untold_length_past_the_buffer_needs_a_length() {
    let world = World::usual().await;
    let h2 = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .expect("a client");
    let request = h2
        .post(world.gateway.url("/v1/messages"))
        .header("x-api-key", &world.key);
    let answer = request
        .body(chunked(&big(300_000), 8192))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 411);
    assert_eq!(world.provider.connections(), 0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let wish = Wish {
        limits: "body = \"1 MiB\"\n".to_owned(),
        ..Wish::default()
    };
    let world = World::start(wish).await;
    let mut raw = Raw::connect(&world.gateway.data).await;
    raw.send(format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-length: 2000000\r\n\r\n",
        world.key
    ))
    .await;
    let (status, text) = raw.answer().await;
    assert_eq!(status, 413, "{text}");
    let late = world
        .post("/v1/messages")
        .body(chunked(&big(2 << 20), 60_000))
        .send()
        .await
        .expect("an answer");
    assert_eq!(late.status(), 413);
    assert_eq!(world.provider.connections(), 0);
    let rows = world.rows(2).await;
    assert!(rows.iter().all(|row| row["code"] == "body_too_large"));
}

#[tokio::test]
async fn an_upload_that_stalls_or_breaks_off_leaves_a_row_and_nothing_else() {
    let wish = Wish {
        limits: "upload_timeout = \"1s\"\n".to_owned(),
        ..Wish::default()
    };
    let world = World::start(wish).await;
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-length: 500\r\n\r\n{{",
        world.key
    );
    let mut stalled = Raw::connect(&world.gateway.data).await;
    stalled.send(&head).await;
    let (status, text) = stalled.answer().await;
    assert_eq!(status, 408, "{text}");
    let mut broken = Raw::connect(&world.gateway.data).await;
    broken.send(&head).await;
    drop(broken);
    let rows = world.rows(2).await;
    let codes: Vec<_> = rows
        .iter()
        .map(|row| row["code"].as_str().unwrap_or(""))
        .collect();
    assert_eq!(codes, ["upload_stalled", "upload_broken"]);
    assert_eq!(world.provider.connections(), 0);
}

#[tokio::test]
async fn bad_bodies_are_told_what_is_wrong_and_where() {
    let world = World::usual().await;
    for (body, told) in [
        ("", "invalid_request_error"),
        ("{", "line 1"),
        (r#"{"model": 3, "messages": []}"#, "model"),
        (r#"{"messages": []}"#, "model"),
        ("[1]", "invalid_request_error"),
        ("\u{0}\u{1}", "invalid_request_error"),
    ] {
        let answer = world
            .post("/v1/messages")
            .body(body)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 400, "{body:?}");
        let text = answer.text().await.expect("text");
        assert!(text.contains(told), "{body:?}: {text}");
    }
    let deep = format!(
        "{{\"model\":\"claude-haiku-4-5\",\"x\":{}",
        "[".repeat(200_000)
    );
    assert_eq!(
        world
            .post("/v1/messages")
            .body(deep)
            .send()
            .await
            .expect("an answer")
            .status(),
        400
    );
    assert_eq!(world.provider.connections(), 0);
    assert_eq!(world.status("hi").await, 200, "the gateway goes on");
}

#[tokio::test]
async fn two_lengths_are_refused() {
    let world = World::usual().await;
    let mut raw = Raw::connect(&world.gateway.data).await;
    raw.send(format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\n\r\n",
        world.key
    ))
    .await;
    let (status, text) = raw.answer().await;
    assert_eq!(status, 400, "{text}");
    assert!(
        text.contains("ambiguous_length") || text.contains("Content-Length"),
        "{text}"
    );
    assert_eq!(world.rows(1).await[0]["code"], "ambiguous_length");
}

#[tokio::test]
async fn headers_over_the_limit_are_refused() {
    let world = World::usual().await;
    let answer = world
        .message("hi")
        .header("x-long", "a".repeat(70_000))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 431);
    let told: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(told["type"], "error", "in the caller's dialect: {told}");
    assert_eq!(world.rows(1).await[0]["code"], "headers_too_large");
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let world = World::usual().await;
    let body = message("hi").to_string();
    let mut raw = Raw::connect(&world.gateway.data).await;
    raw.send(format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        world.key,
        body.len()
    ))
    .await;
    let leave = raw.line().await;
    assert!(leave.starts_with("HTTP/1.1 100"), "{leave}");
    assert_eq!(raw.line().await, "");
    raw.send(&body).await;
    let (status, text) = raw.answer().await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(world.provider.last().header("expect"), None);
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_refusal() {
    let world = World::usual().await;
    let mut raw = Raw::connect(&world.gateway.data).await;
    let body = message("hi").to_string();
    for (key, wanted) in [
        ("wrong", 401),
        (world.key.as_str(), 200),
        (world.key.as_str(), 200),
    ] {
        raw.send(format!(
            "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
        let (status, text) = raw.answer().await;
        assert_eq!(status, wanted, "{text}");
    }
}

#[tokio::test]
async fn unknown_fields_and_their_spelling_pass_untouched() {
    let world = World::usual().await;
    let body = "{ \"model\" : \"claude-haiku-4-5\",\"max_tokens\":1e1, \"new\":{\"b\":1,\"a\":[ 1.50, \"\\u00e9\\/\" ]},\n\"messages\":[]}";
    let answer = world
        .post("/v1/messages")
        .body(body)
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        answer.status(),
        200,
        "{}",
        answer.text().await.unwrap_or_default()
    );
    assert_eq!(world.provider.last().body, body.as_bytes());
    let value = json!({"model": "claude-haiku-4-5", "max_tokens": 5, "messages": [], "thinking": {"type": "enabled"}});
    world
        .post("/v1/messages")
        .json(&value)
        .send()
        .await
        .expect("an answer");
    assert_eq!(world.provider.last().json(), value);
}
