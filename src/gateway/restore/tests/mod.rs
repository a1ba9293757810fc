mod bodies;
mod corpus;
mod echo;
mod plant;
mod property;
mod streams;
mod whole;

use serde_json::{Value, json};

use super::{Counts, StreamRestorer};
use crate::domain::Category;
use crate::provider::Endpoint;
use crate::scan::restore::{Collected, Restorations};

const KEY: &str = "TG_api_key_ABCDEFGHIJKLMNOP";
const PEM: &str = "TG_private_key_ABCDEFGHIJKLMNO2";
/// A value that needs every kind of care: quotes, backslashes, line ends, other alphabets.
const PEM_VALUE: &str = "-----BEGIN \"KEY\"-----\nA\\nB\r\n\u{2028}é😀\u{1}</script>\n";
const KEY_VALUE: &str = "sk-secret";

fn known() -> Restorations {
    let mut collected = Collected::default();
    assert!(collected.add(KEY, KEY_VALUE, &Category::new("api_key")));
    assert!(collected.add(PEM, PEM_VALUE, &Category::new("private_key")));
    collected.finish()
}

/// What a text becomes.
fn restored(text: &str) -> String {
    text.replace(KEY, KEY_VALUE).replace(PEM, PEM_VALUE)
}

/// Sends a stream through, cut where it says.
fn stream(endpoint: Endpoint, bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, Counts) {
    let mut restorer = StreamRestorer::new(endpoint, true, known());
    let mut out = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        let cut = cut.clamp(from, bytes.len());
        restorer.push(&bytes[from..cut], &mut out);
        from = cut;
    }
    restorer.finish(&mut out);
    assert_eq!(restorer.held(), 0);
    (out, restorer.counts().clone())
}

fn body(endpoint: Endpoint, body: &Value) -> (Value, Counts) {
    let mut restorer = StreamRestorer::new(endpoint, false, known());
    let mut out = Vec::new();
    for chunk in body.to_string().as_bytes().chunks(7) {
        restorer.push(chunk, &mut out);
    }
    restorer.finish(&mut out);
    (
        serde_json::from_slice(&out).unwrap(),
        restorer.counts().clone(),
    )
}

fn sse(events: &[Value]) -> String {
    events.iter().map(one).collect()
}

fn one(event: &Value) -> String {
    match event["type"].as_str() {
        Some(kind) => format!("event: {kind}\ndata: {event}\n\n"),
        None => format!("data: {event}\n\n"),
    }
}

/// The events of a stream, each of them valid JSON on one line.
fn events(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}")))
        .collect()
}

/// All texts of an answer put together, as a client does it.
fn collected(stream: &[u8]) -> std::collections::BTreeMap<String, String> {
    let mut texts = std::collections::BTreeMap::<String, String>::new();
    let mut add = |key: String, text: &Value| {
        if let Some(text) = text.as_str() {
            texts.entry(key).or_default().push_str(text);
        }
    };
    for event in events(stream) {
        if let Some(kind) = event["type"].as_str() {
            let (block, delta) = (&event["index"], &event["delta"]);
            for name in ["text", "partial_json", "thinking", "signature"] {
                add(format!("{name} {block}"), &delta[name]);
            }
            if kind.split('.').next_back() == Some("delta") {
                add(format!("{} {}", kind, event["output_index"]), delta);
            }
        }
        for choice in event["choices"].as_array().into_iter().flatten() {
            let number = &choice["index"];
            add(format!("content {number}"), &choice["delta"]["content"]);
            add(format!("refusal {number}"), &choice["delta"]["refusal"]);
            add(format!("text {number}"), &choice["text"]);
            for call in choice["delta"]["tool_calls"]
                .as_array()
                .into_iter()
                .flatten()
            {
                add(
                    format!("call {number} {}", call["index"]),
                    &call["function"]["arguments"],
                );
                add(
                    format!("name {number} {}", call["index"]),
                    &call["function"]["name"],
                );
            }
        }
    }
    texts
}

fn text_delta(block: u64, text: &str) -> Value {
    json!({"type": "content_block_delta", "index": block, "delta": {"type": "text_delta", "text": text}})
}

fn json_delta(block: u64, text: &str) -> Value {
    json!({"type": "content_block_delta", "index": block, "delta": {"type": "input_json_delta", "partial_json": text}})
}

fn start(block: u64, content: &Value) -> Value {
    json!({"type": "content_block_start", "index": block, "content_block": content})
}

fn stop(block: u64) -> Value {
    json!({"type": "content_block_stop", "index": block})
}

fn chat(choice: u64, delta: &Value, finish: &Value) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": choice, "delta": delta, "finish_reason": finish}]})
}

fn call_delta(index: u64, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
}
