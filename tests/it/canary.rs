//! What a client says is kept by nobody: a thousand requests with secrets in every field that a client controls, and then
//! a search of every file, table, log line, metric and error for them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::gateway::{Home, Wish, World, message};
use crate::raw::Raw;
use crate::warehouse;

/// What all secrets of this test begin with, so that one search finds any of them, a part of one, and each form of it.
const CORE: &str = "AKIAQCANARYQ";

/// A secret of its own for each request: an AWS key to the rules.
fn secret(number: usize) -> String {
    let mut rest = number;
    let digits: String = (0..8)
        .map(|_| {
            let digit = char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[rest % 32]);
            rest /= 32;
            digit
        })
        .collect();
    format!("{CORE}{digits}")
}

/// Every form of the secrets' beginning that would give one away.
fn forms() -> Vec<Vec<u8>> {
    let mut forms = vec![
        CORE.as_bytes().to_vec(),
        CORE.to_ascii_lowercase().into_bytes(),
        CORE.bytes().rev().collect(),
    ];
    let each = |f: &dyn Fn(u8) -> String| CORE.bytes().map(f).collect::<String>().into_bytes();
    forms.push(each(&|byte| format!("%{byte:02X}")));
    forms.push(each(&|byte| format!("%{byte:02x}")));
    forms.push(each(&|byte| format!("{byte:02x}")));
    forms.push(each(&|byte| format!("{byte:02X}")));
    forms.push(each(&|byte| format!("\\u{byte:04x}")));
    forms.push(CORE.encode_utf16().flat_map(u16::to_le_bytes).collect());
    for engine in [STANDARD, URL_SAFE] {
        for shift in 0..3 {
            // A secret may begin at any of three places in base64's groups of letters; what depends on its neighbours
            // is cut off.
            let shifted = [&vec![b'x'; shift][..], CORE.as_bytes()].concat();
            let text = engine.encode(shifted);
            let start = (shift * 8).div_ceil(6);
            let end = (shift + CORE.len()) * 8 / 6;
            forms.push(text.as_bytes()[start..end].to_vec());
        }
    }
    forms
}

/// The first form that stands in these bytes.
fn found(bytes: &[u8]) -> Option<String> {
    let holds = |form: &&Vec<u8>| memchr::memmem::find(bytes, form).is_some();
    let forms = forms();
    forms
        .iter()
        .find(holds)
        .map(|form| String::from_utf8_lossy(form).into_owned())
}

/// A body with the secret in one of the places that clients fill.
fn body(place: usize, secret: &str) -> Value {
    let file = STANDARD.encode(secret);
    let session = format!("user_{secret}_account__session_{secret}");
    let (field, value) = match place {
        0 => ("model", json!(secret)),
        1 => ("model", json!(format!("claude-haiku-4-5-{secret}"))),
        2 => ("metadata", json!({"user_id": secret})),
        3 => ("metadata", json!({"user_id": session})),
        4 => ("system", json!(secret)),
        5 => ("content", json!(format!("key={secret}"))),
        6 => ("role", json!(secret)),
        7 => ("tools", json!([{"name": secret, "description": secret}])),
        8 => (secret, json!(1)),
        9 => {
            let source = json!({"type": "base64", "media_type": "application/pdf", "data": file});
            let title = format!("{secret}.pdf");
            let document = json!([{"type": "document", "title": title, "source": source}]);
            ("content", document)
        }
        10 => {
            let source = json!({"type": "url", "url": format!("https://x/{secret}.png")});
            ("content", json!([{"type": "image", "source": source}]))
        }
        11 => ("max_tokens", json!(secret)),
        12 => ("stream", json!(secret)),
        13 => ("service_tier", json!(secret)),
        14 => ("container", json!(secret)),
        15 => ("stop_sequences", json!([secret])),
        16 => (
            "mcp_servers",
            json!([{"url": "https://x", "authorization_token": secret}]),
        ),
        _ => ("messages", json!(format!("{secret}{secret}"))),
    };
    let mut body = message("hi");
    if ["content", "role"].contains(&field) {
        body["messages"][0][field] = value;
    } else {
        body[field] = value;
    }
    body
}

const BODIES: usize = 18;

/// Fields of `OpenAI`'s API with the secret in one of them.
fn openai(place: usize, secret: &str) -> (&'static str, Value) {
    let chat = |field: &str, value: Value| {
        let mut body = json!({"model": "gpt-5.5", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]});
        body[field] = value;
        ("/v1/chat/completions", body)
    };
    let responses = |field: &str, value: Value| {
        let mut body = json!({"model": "gpt-5.5", "max_output_tokens": 10, "input": "hi"});
        body[field] = value;
        ("/v1/responses", body)
    };
    match place {
        0 => chat("user", json!(secret)),
        1 => chat("safety_identifier", json!(secret)),
        2 => chat("n", json!(secret)),
        3 => responses("prompt_cache_key", json!(secret)),
        4 => responses("previous_response_id", json!(secret)),
        5 => responses("conversation", json!({"id": secret})),
        6 => responses("model", json!(secret)),
        7 => responses(
            "input",
            json!([{"type": "input_file", "filename": secret, "file_data": STANDARD.encode(secret)}]),
        ),
        _ => (
            "/v1/embeddings",
            json!({"model": "text-embedding-3-small", "input": [secret], "user": secret}),
        ),
    }
}
const OPENAI: usize = 9;

/// Headers that clients send.
const HEADERS: [&str; 17] = [
    "user-agent",
    "anthropic-beta",
    "anthropic-version",
    "x-request-id",
    "x-session-id",
    "session_id",
    "conversation_id",
    "x-stainless-lang",
    "cookie",
    "referer",
    "accept",
    "accept-encoding",
    "idempotency-key",
    "openai-organization",
    "traceparent",
    "x-forwarded-for",
    "x-claude-code-session-id",
];

/// Sends the request of this number; the body of an answer that is ours and no provider's.
async fn send(world: &World, number: usize) -> String {
    let secret = secret(number);
    let kinds = BODIES + OPENAI + HEADERS.len() + 9;
    let kind = number % kinds;
    let headers = BODIES + OPENAI;
    let request = if kind < BODIES {
        world.post("/v1/messages").json(&body(kind, &secret))
    } else if kind < headers {
        let (path, body) = openai(kind - BODIES, &secret);
        world.post(path).json(&body)
    } else if kind < headers + HEADERS.len() {
        world.message("hi").header(HEADERS[kind - headers], &secret)
    } else {
        match kind - headers - HEADERS.len() {
            0 => world.post(&format!("/v1/{secret}")).json(&message("hi")),
            1 => world
                .post(&format!("/{secret}/v1/messages"))
                .json(&message("hi")),
            2 => world
                .post(&format!("/v1/messages?beta={secret}&{secret}"))
                .json(&message("hi")),
            3 => world.message("hi").header(format!("x-{secret}"), "1"),
            4 => world
                .message("hi")
                .header("content-type", format!("text/{secret}")),
            5 => world.message("hi").header("content-encoding", &secret),
            6 => world
                .post("/v1/messages")
                .body(format!("{{\"model\": \"{secret}")),
            7 => world
                .client
                .post(world.gateway.url("/v1/messages"))
                .header("x-api-key", &secret)
                .json(&message("hi")),
            _ => world
                .client
                .post(world.gateway.url("/v1/messages"))
                .header("authorization", format!("Bearer tg_live_{secret}"))
                .json(&message("hi")),
        }
    };
    let answer = request.send().await.expect("an answer");
    format!(
        "{:?}\n{}",
        answer.headers().clone(),
        answer.text().await.expect("text")
    )
}

/// Requests that no client library would send; how many rows they have.
async fn send_raw(world: &World) -> (usize, String) {
    let secret = secret(5_000);
    let body = message("hi").to_string();
    let mut told = String::new();
    for head in [
        format!("{secret} /v1/messages HTTP/1.1\r\nhost: x\r\n"),
        format!("POST http://{secret}/v1/messages HTTP/1.1\r\nhost: {secret}\r\n"),
        format!("POST /v1/messages HTTP/1.1\r\nhost: {secret}\r\n"),
        format!("POST /v1/messages#{secret} HTTP/1.1\r\nhost: x\r\n"),
    ] {
        let mut raw = Raw::connect(&world.gateway.data).await;
        let length = body.len();
        raw.send(format!(
            "{head}x-api-key: {}\r\ncontent-length: {length}\r\n\r\n{body}",
            world.key
        ))
        .await;
        told.push_str(&raw.answer().await.1);
    }
    // Heads that cannot be read have no row, and must leave no trace either.
    for head in [
        format!("POST /v1/messages {secret}\r\n\r\n"),
        format!("POST /v1/messages HTTP/1.1\r\nhost: x\r\n{secret}\r\n\r\n"),
        format!("CONNECT {secret}:443 HTTP/1.1\r\nhost: x\r\n\r\n"),
    ] {
        let mut raw = Raw::connect(&world.gateway.data).await;
        raw.send(head).await;
        told.push_str(&raw.answer().await.1);
    }
    (4, told)
}

fn search(dir: &std::path::Path) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            search(&path);
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        assert_eq!(found(&bytes), None, "in {}", path.display());
    }
}

#[test]
fn the_search_finds_a_secret_in_every_form_of_it() {
    let secret = secret(7);
    for shift in 0..3 {
        let text = STANDARD.encode(format!("{}{secret} and more", "y".repeat(shift)));
        assert!(found(text.as_bytes()).is_some(), "{shift}");
    }
    let percent = secret.replace('Q', "%51").replace("AKIA", "%41%4B%49%41");
    let percent = percent.replace("CANARY", "%43%41%4E%41%52%59");
    assert!(found(percent.as_bytes()).is_some());
    assert!(found(format!("x{}y", &secret[..14]).as_bytes()).is_some());
    assert_eq!(found(b"AKIAnothing"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_leave_no_trace_of_what_they_said() {
    const COUNT: usize = 1000;
    let engine = Engine::start();
    let mut world = match &engine {
        Some(engine) => warehouse::prepared(engine, Home::serve_telling_all).await,
        None => World::with(Wish::default(), Home::serve_telling_all).await,
    };
    for first in (0..COUNT).step_by(20) {
        let answers = (first..first + 20).map(|number| send(&world, number));
        for (index, text) in futures::future::join_all(answers).await.iter().enumerate() {
            assert_eq!(
                found(text.as_bytes()),
                None,
                "in the answer to {}: {text}",
                first + index
            );
        }
    }
    let (more, told) = send_raw(&world).await;
    assert_eq!(found(told.as_bytes()), None, "in an answer: {told}");
    let rows = world.rows(COUNT + more).await;
    let withheld = rows
        .iter()
        .filter(|row| row["model"] == "(withheld)")
        .count();
    assert!(withheld > 20, "{withheld} models were withheld");
    check_shown(&world).await;
    if let Some(engine) = &engine {
        check_tables(&world, engine, COUNT + more).await;
    }
    world.gateway.signal("TERM");
    assert!(
        world
            .gateway
            .wait(std::time::Duration::from_secs(30))
            .is_some()
    );
    search(world.home.dir.path());
}

/// What the gateway shows holds nothing.
async fn check_shown(world: &World) {
    let metrics = world
        .gateway
        .admin("/metrics")
        .await
        .text()
        .await
        .expect("text");
    for (place, text) in [
        ("a metric", metrics),
        ("the log", world.gateway.log()),
        (
            "a listing",
            world.home.run(&["audit", "export", "--format", "csv"]),
        ),
        ("spend", world.home.run(&["spend", "--by", "model"])),
    ] {
        assert_eq!(found(text.as_bytes()), None, "in {place}");
    }
}

/// ClickHouse holds all rows, and nothing else.
async fn check_tables(world: &World, engine: &Engine, rows: usize) {
    world
        .until("all rows", || async {
            warehouse::count(engine) >= rows as u64
        })
        .await;
    for table in ["audit", "seals", "spend_hour", "spend_day", "context_day"] {
        let text = engine.ask(&format!("SELECT * FROM tollgate.{table}"));
        assert_eq!(found(text.as_bytes()), None, "in {table}");
    }
}
