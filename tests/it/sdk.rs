//! The vendors' own SDKs in a round trip: a file with a secret goes out, the provider says it in text and in a tool call,
//! and the caller gets it back, while the provider has never seen it.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::gateway::{Wish, World, planted};
use crate::provider::{Received, Script, Step, chunk, stream_end};

/// How the provider says its answer.
#[derive(Clone, Copy)]
struct Manner {
    /// Decides the sizes of the pieces of text and of the network's reads: another in every place.
    seed: u64,
    /// The most characters in one event, and bytes in one read.
    most: (usize, usize),
    gzip: bool,
    /// Lines end as in CRLF.
    crlf: bool,
}

const MANNERS: [Manner; 4] = [
    Manner {
        seed: 1,
        most: (1, 61),
        gzip: false,
        crlf: false,
    },
    Manner {
        seed: 2,
        most: (9, 3),
        gzip: false,
        crlf: true,
    },
    Manner {
        seed: 3,
        most: (40, 300),
        gzip: true,
        crlf: false,
    },
    Manner {
        seed: 4,
        most: (1000, 4000),
        gzip: true,
        crlf: true,
    },
];

/// Sizes from 1 to `most`, the same for the same seed.
fn sizes(seed: u64, most: usize) -> impl FnMut() -> usize {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        1 + usize::try_from(state >> 33).expect("31 bits") % most
    }
}

/// Where `tests/sdk/setup` installed the SDKs; `None` where somebody said that they are not wanted. That they are missing
/// is no reason to pass.
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn home() -> Option<PathBuf> {
    if std::env::var_os("TOLLGATE_SKIP_SDK").is_some_and(|value| !value.is_empty()) {
        eprintln!("SKIPPED: TOLLGATE_SKIP_SDK is set, so the vendors' SDKs are not tried");
        return None;
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let home = std::env::var_os("TOLLGATE_SDK_HOME").map_or("target/sdk".into(), PathBuf::from);
    Some(root.join(home))
}

/// Python with its SDKs, about to run a script of tests/sdk.
pub fn python(script: &str) -> Option<Command> {
    let python = home()?.join("bin/python");
    assert!(
        python.exists(),
        "no Python with the SDKs: run tests/sdk/setup"
    );
    let mut command = Command::new(python);
    command.arg(script_file(script));
    Some(command)
}

/// The same for JavaScript.
pub fn javascript(script: &str) -> Option<Command> {
    let home = home()?.join("js");
    assert!(
        home.join("node_modules/openai").exists(),
        "no JavaScript SDKs: run tests/sdk/setup"
    );
    let mut command = Command::new("node");
    command.env("SDK_HOME", home).arg(script_file(script));
    Some(command)
}

fn script_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/sdk")
        .join(name)
}

/// The file as it reached the provider.
fn file(request: &Received) -> String {
    let body = String::from_utf8(request.body.clone()).expect("UTF-8");
    let start = body.find("TG_aws_access_key_").expect("a placeholder");
    format!("KEY=\"{}\"\n", &body[start..start + 34])
}

/// A text in pieces; `next` gives their sizes in characters.
fn pieces(text: &str, next: &mut dyn FnMut() -> usize) -> Vec<String> {
    let mut rest: Vec<char> = text.chars().collect();
    let mut all = Vec::new();
    while !rest.is_empty() {
        let piece = rest.drain(..next().min(rest.len()));
        all.push(piece.collect());
    }
    all
}

/// An answer of the path's API that says the file and writes it.
fn whole(path: &str, file: &str) -> Value {
    let arguments = json!({"content": file});
    let usage = json!({"input_tokens": 5, "output_tokens": 5, "prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10});
    match path {
        "/v1/messages" => {
            json!({"id": "m", "type": "message", "role": "assistant", "model": "claude-haiku-4-5",
            "stop_reason": "tool_use", "stop_sequence": null, "usage": usage, "content": [{"type": "text", "text": file},
            {"type": "tool_use", "id": "t", "name": "Write", "input": arguments}]})
        }
        "/v1/chat/completions" => {
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-5.5", "usage": usage,
            "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": file, "tool_calls": [
            {"id": "t", "type": "function", "function": {"name": "Write", "arguments": arguments.to_string()}}]}}]})
        }
        _ => {
            json!({"id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-5.5", "usage": usage,
            "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "output": [
            {"id": "i0", "type": "message", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": file, "annotations": []}]},
            {"id": "i1", "type": "function_call", "call_id": "t", "name": "Write", "arguments": arguments.to_string()}]})
        }
    }
}

/// The same as events.
fn events(path: &str, file: &str, next: &mut dyn FnMut() -> usize) -> Vec<Value> {
    let arguments = json!({ "content": file }).to_string();
    let whole = whole(path, file);
    let mut all = Vec::new();
    match path {
        "/v1/messages" => {
            let mut start = whole.clone();
            start["content"] = json!([]);
            all.push(json!({"type": "message_start", "message": start}));
            all.push(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}));
            all.extend(pieces(file, next).iter().map(|text| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})));
            all.push(json!({"type": "content_block_stop", "index": 0}));
            all.push(json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "Write", "input": {}}}));
            all.extend(pieces(&arguments, next).iter().map(|text| json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": text}})));
            all.push(json!({"type": "content_block_stop", "index": 1}));
            all.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 5}}));
            all.push(json!({"type": "message_stop"}));
        }
        "/v1/chat/completions" => {
            let chunk = |delta: Value, finish: Value| {
                json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5.5",
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
            };
            all.push(chunk(
                json!({"role": "assistant", "content": ""}),
                Value::Null,
            ));
            all.extend(
                pieces(file, next)
                    .iter()
                    .map(|text| chunk(json!({"content": text}), Value::Null)),
            );
            let opening = json!({"index": 0, "id": "t", "type": "function", "function": {"name": "Write", "arguments": ""}});
            all.push(chunk(json!({"tool_calls": [opening]}), Value::Null));
            let call = |text: &String| json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]});
            all.extend(
                pieces(&arguments, next)
                    .iter()
                    .map(|text| chunk(call(text), Value::Null)),
            );
            all.push(chunk(json!({}), json!("tool_calls")));
        }
        _ => all = response_events(&whole, file, &arguments, next),
    }
    all
}

fn response_events(
    whole: &Value,
    file: &str,
    arguments: &str,
    next: &mut dyn FnMut() -> usize,
) -> Vec<Value> {
    let mut all = Vec::new();
    let (message, call) = (&whole["output"][0], &whole["output"][1]);
    all.push(json!({"type": "response.created", "response": whole}));
    all.push(json!({"type": "response.output_item.added", "output_index": 0, "item": {"id": "i0", "type": "message", "role": "assistant", "status": "in_progress", "content": []}}));
    all.extend(pieces(file, next).iter().map(|text| json!({"type": "response.output_text.delta", "item_id": "i0", "output_index": 0, "content_index": 0, "delta": text, "logprobs": []})));
    all.push(json!({"type": "response.output_text.done", "item_id": "i0", "output_index": 0, "content_index": 0, "text": file, "logprobs": []}));
    all.push(json!({"type": "response.output_item.done", "output_index": 0, "item": message}));
    all.push(json!({"type": "response.output_item.added", "output_index": 1, "item": {"id": "i1", "type": "function_call", "call_id": "t", "name": "Write", "arguments": ""}}));
    all.extend(pieces(arguments, next).iter().map(|text| json!({"type": "response.function_call_arguments.delta", "item_id": "i1", "output_index": 1, "delta": text})));
    all.push(json!({"type": "response.function_call_arguments.done", "item_id": "i1", "output_index": 1, "name": "Write", "arguments": arguments}));
    all.push(json!({"type": "response.output_item.done", "output_index": 1, "item": call}));
    all.push(json!({"type": "response.completed", "response": whole}));
    for (number, event) in all.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    all
}

fn script(request: &Received, manner: Manner) -> Script {
    let (path, file) = (request.path.as_str(), file(request));
    let (kind, mut sent) = if request.json()["stream"] == json!(true) {
        ("text/event-stream", stream_of(path, &file, manner))
    } else {
        (
            "application/json",
            whole(path, &file).to_string().into_bytes(),
        )
    };
    let mut head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n");
    if manner.gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&sent).expect("a vector takes all");
        sent = encoder.finish().expect("a vector takes all");
        head += "content-encoding: gzip\r\n";
    }
    head += "transfer-encoding: chunked\r\n\r\n";
    let mut steps = vec![Step::Send(head.into_bytes())];
    let mut next = sizes(manner.seed, manner.most.1);
    let mut rest = sent.as_slice();
    while !rest.is_empty() {
        let (read, more) = rest.split_at(next().min(rest.len()));
        steps.push(chunk(read));
        rest = more;
    }
    steps.push(stream_end());
    steps
}

fn stream_of(path: &str, file: &str, manner: Manner) -> Vec<u8> {
    let mut next = sizes(manner.seed, manner.most.0);
    let mut sent = String::new();
    for event in events(path, file, &mut next) {
        if let Some(kind) = event["type"].as_str() {
            sent.extend(["event: ", kind, "\n"]);
        }
        sent.extend(["data: ", &event.to_string(), "\n\n"]);
    }
    if path.ends_with("completions") {
        sent += "data: [DONE]\n\n";
    }
    if manner.crlf {
        sent = sent.replace('\n', "\r\n");
    }
    sent.into_bytes()
}

/// Sends the file with these SDKs, through every manner of answering.
async fn roundtrip(sdks: impl Fn() -> Option<Command>) {
    if sdks().is_none() {
        return;
    }
    let world = World::start(Wish {
        actions: "aws_access_key = \"redact\"".to_owned(),
        ..Wish::default()
    })
    .await;
    let secret = planted(77);
    let file = format!("KEY=\"{secret}\"\n");
    for manner in MANNERS {
        world
            .provider
            .answers(move |request| script(request, manner));
        let Some(mut command) = sdks() else { return };
        let output = command
            .env("GATEWAY_URL", world.gateway.url(""))
            .env("GATEWAY_KEY", &world.key)
            .env("FILE_CONTENT", &file)
            .output()
            .await
            .expect("the SDKs' language is installed");
        check(&output, &file);
    }
    let seen = world.provider.received();
    assert_eq!(seen.len(), 6 * MANNERS.len());
    assert!(
        seen.iter()
            .all(|one| !String::from_utf8_lossy(&one.body).contains(&secret))
    );
}

fn check(output: &std::process::Output, file: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    let told: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(told.len(), 6, "{lines}");
    for one in told {
        assert_eq!(one["text"], file, "{one}");
        assert_eq!(one["arguments"]["content"], file, "{one}");
    }
}

#[tokio::test]
async fn the_python_sdks_get_their_file_back_and_the_provider_never_sees_it() {
    roundtrip(|| python("roundtrip.py")).await;
}

#[tokio::test]
async fn the_javascript_sdks_get_their_file_back_and_the_provider_never_sees_it() {
    roundtrip(|| javascript("roundtrip.mjs")).await;
}
