//! Answers that are not as they were asked for: encoded, or no event stream and no JSON at all.

use std::io::Write;

use serde_json::json;

use crate::gateway::{Wish, World, message, planted};
use crate::provider::{Received, Script, Step, anthropic_events, respond};

/// A type, what is sent of it for a placeholder, and how many of its events or bodies cannot be read.
type Case = (&'static str, fn(&str) -> String, u64);

const TOKEN: &str = "TG_aws_access_key_";

fn redacting() -> Wish {
    Wish {
        actions: "aws_access_key = \"redact\"".to_owned(),
        ..Wish::default()
    }
}

fn placeholder(request: &Received) -> String {
    let body = String::from_utf8(request.body.clone()).expect("UTF-8");
    let start = body.find(TOKEN).expect("a placeholder");
    body[start..start + TOKEN.len() + 16].to_owned()
}

/// The text in a content encoding; as it is for one that nobody knows.
pub fn packed(encoding: &str, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let level = flate2::Compression::fast();
    match encoding {
        "gzip" => flate2::write::GzEncoder::new(&mut out, level).write_all(text),
        "deflate" => flate2::write::ZlibEncoder::new(&mut out, level).write_all(text),
        "br" => brotli::CompressorWriter::new(&mut out, 4096, 5, 20).write_all(text),
        "zstd" => zstd::stream::copy_encode(text, &mut out, 1),
        _ => out.write_all(text),
    }
    .expect("a vector takes all");
    out
}

/// An answer of this type and encoding, in network reads of `size` bytes.
fn sent(kind: &str, encoding: &str, body: &[u8], size: usize) -> Script {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut script = vec![Step::Send(head.into_bytes())];
    script.extend(body.chunks(size).map(|piece| Step::Send(piece.to_vec())));
    script
}

fn events(text: &str) -> String {
    anthropic_events(&[&text[..10], &text[10..]], 100, 20).concat()
}

#[tokio::test]
async fn an_answer_that_comes_encoded_is_decoded_restored_and_metered() {
    let world = World::start(redacting()).await;
    let secret = planted(31);
    let mut rows = 0;
    for encoding in ["gzip", "deflate", "br", "zstd", "GZIP"] {
        for stream in [true, false] {
            let name = encoding.to_ascii_lowercase();
            world.provider.answers(move |request| {
                let said = placeholder(request);
                let whole = json!({"type": "message", "model": "claude-haiku-4-5", "content": [{"type": "text", "text": said}],
                    "usage": {"input_tokens": 100, "output_tokens": 20}});
                let (kind, text) = if stream {
                    ("text/event-stream; charset=utf-8", events(&said))
                } else {
                    ("application/json", whole.to_string())
                };
                sent(kind, encoding, &packed(&name, text.as_bytes()), 37)
            });
            let mut body = message(&format!("key {secret}"));
            body["stream"] = json!(stream);
            let reply = world.post("/v1/messages").json(&body).send().await;
            let reply = reply.expect("an answer");
            assert!(!reply.headers().contains_key("content-encoding"));
            let text = reply.text().await.expect("text");
            assert!(
                text.contains(&secret) && !text.contains(TOKEN),
                "{encoding}: {text}"
            );
            rows += 1;
            let row = world.rows(rows).await.pop().expect("a row");
            assert_eq!(row["restorations"], 1);
            assert_eq!(
                (&row["provenance"], &row["cost_usd"]),
                (&json!("exact"), &json!("0.0003")),
                "{row}"
            );
        }
    }
}

#[tokio::test]
async fn an_encoding_that_nobody_knows_passes_and_the_row_says_so() {
    let world = World::start(redacting()).await;
    world.provider.answers(|request| {
        let text = events(&placeholder(request));
        sent("text/event-stream", "exi", text.as_bytes(), 1000)
    });
    let secret = planted(32);
    let reply = world.message(&secret).send().await.expect("an answer");
    assert_eq!(reply.headers()["content-encoding"], "exi");
    let text = reply.text().await.expect("text");
    assert!(text.contains(&TOKEN[..10]) && !text.contains(&secret));
    let row = world.rows(1).await.pop().expect("a row");
    assert!(
        row["findings"].to_string().contains("\"unrestored\""),
        "{row}"
    );
    assert_eq!(row["restorations"], 0);
    // What it said it used cannot be read either, and its size says nothing: all that was held is charged.
    assert_ne!(row["reserved_usd"], "0.00");
    assert_eq!(row["cost_usd"], row["reserved_usd"]);
    assert_eq!(row["provenance"], "estimated");
}

#[tokio::test]
async fn a_broken_encoding_breaks_the_answer_off() {
    let world = World::start(redacting()).await;
    world.provider.answers(|request| {
        let mut body = packed("gzip", events(&placeholder(request)).as_bytes());
        let middle = body.len() / 2;
        body[middle..].fill(0xFF);
        sent("text/event-stream", "gzip", &body, 50)
    });
    let sent = world.message(&planted(33)).send().await;
    // Either nothing of it has been passed on yet, and the client is told so, or its answer breaks off.
    let taken_for_whole = match sent {
        Ok(reply) => reply.status() == 200 && reply.text().await.is_ok(),
        Err(_) => false,
    };
    assert!(!taken_for_whole);
    let row = world.rows(1).await.pop().expect("a row");
    assert_eq!(row["decision"], "failed");
}

#[tokio::test]
async fn what_is_no_event_or_no_json_passes_untouched_and_is_counted() {
    let world = World::start(redacting()).await;
    let event = |text: &str| {
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
        )
    };
    let secret = planted(34);
    let mut counted = 0;
    let cases: [Case; 4] = [
        (
            "text/event-stream",
            |it| format!("data: {{\"type\": {it}\n\ndata: [{it}\n\n: {it}\n\n"),
            2,
        ),
        (
            "text/event-stream",
            |it| format!("data: {{\"delta\":{{\"text\":\"{it}\"\n\n"),
            1,
        ),
        (
            "application/json",
            |it| format!("{{\"content\":[{{\"type\":\"text\",\"text\":\"{it}\"}}"),
            1,
        ),
        ("application/json", |it| format!("\u{0}\u{1}{it}"), 1),
    ];
    for (kind, made, malformed) in cases {
        world
            .provider
            .answers(move |request| respond(200, kind, &made(&placeholder(request))));
        let reply = world.message(&secret).send().await.expect("an answer");
        let text = reply.text().await.expect("text");
        assert_eq!(text, made(&placeholder(&world.provider.last())));
        counted += malformed;
    }
    // A good event after a bad one is restored all the same.
    world.provider.answers(move |request| {
        let it = placeholder(request);
        respond(
            200,
            "text/event-stream",
            &format!("data: {{{it}\n\n{}", event(&it)),
        )
    });
    let reply = world.message(&secret).send().await.expect("an answer");
    let text = reply.text().await.expect("text");
    assert!(text.contains(&secret) && text.contains(TOKEN), "{text}");
    counted += 1;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let expected = format!("tollgate_malformed_answers_total{{endpoint=\"messages\"}} {counted}");
    loop {
        let metrics = world.gateway.admin("/metrics").await.text().await;
        let metrics = metrics.expect("text");
        if metrics.contains(&expected) {
            return;
        }
        assert!(std::time::Instant::now() < until, "{expected}: {metrics}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
