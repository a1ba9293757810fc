//! The vendors' own SDKs in a round trip: a file with a secret goes out, the provider says it in text and in a tool call,
//! and the caller gets it back, while the provider has never seen it.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::gateway::{Wish, World, planted};
use crate::provider::{Received, Script, chunk, json as answer, stream_end, stream_head};

/// The Python that `tests/sdk/setup` made.
fn python() -> Option<PathBuf> {
    let home = std::env::var_os("TOLLGATE_SDK_HOME").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/sdk"),
        PathBuf::from,
    );
    Some(home.join("bin/python")).filter(|python| python.exists())
}

/// The file as it reached the provider.
fn file(request: &Received) -> String {
    let body = String::from_utf8(request.body.clone()).expect("UTF-8");
    let start = body.find("TG_aws_access_key_").expect("a placeholder");
    format!("KEY=\"{}\"\n", &body[start..start + 34])
}

fn pieces(text: &str, size: usize) -> Vec<String> {
    let all: Vec<char> = text.chars().collect();
    all.chunks(size)
        .map(|piece| piece.iter().collect())
        .collect()
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
fn events(path: &str, file: &str, size: usize) -> Vec<Value> {
    let arguments = json!({ "content": file }).to_string();
    let whole = whole(path, file);
    let mut all = Vec::new();
    match path {
        "/v1/messages" => {
            let mut start = whole.clone();
            start["content"] = json!([]);
            all.push(json!({"type": "message_start", "message": start}));
            all.push(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}));
            all.extend(pieces(file, size).iter().map(|text| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})));
            all.push(json!({"type": "content_block_stop", "index": 0}));
            all.push(json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "Write", "input": {}}}));
            all.extend(pieces(&arguments, size).iter().map(|text| json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": text}})));
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
                pieces(file, size)
                    .iter()
                    .map(|text| chunk(json!({"content": text}), Value::Null)),
            );
            let opening = json!({"index": 0, "id": "t", "type": "function", "function": {"name": "Write", "arguments": ""}});
            all.push(chunk(json!({"tool_calls": [opening]}), Value::Null));
            let call = |text: &String| json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]});
            all.extend(
                pieces(&arguments, size)
                    .iter()
                    .map(|text| chunk(call(text), Value::Null)),
            );
            all.push(chunk(json!({}), json!("tool_calls")));
        }
        _ => all = response_events(&whole, file, &arguments, size),
    }
    all
}

fn response_events(whole: &Value, file: &str, arguments: &str, size: usize) -> Vec<Value> {
    let mut all = Vec::new();
    let (message, call) = (&whole["output"][0], &whole["output"][1]);
    all.push(json!({"type": "response.created", "response": whole}));
    all.push(json!({"type": "response.output_item.added", "output_index": 0, "item": {"id": "i0", "type": "message", "role": "assistant", "status": "in_progress", "content": []}}));
    all.extend(pieces(file, size).iter().map(|text| json!({"type": "response.output_text.delta", "item_id": "i0", "output_index": 0, "content_index": 0, "delta": text, "logprobs": []})));
    all.push(json!({"type": "response.output_text.done", "item_id": "i0", "output_index": 0, "content_index": 0, "text": file, "logprobs": []}));
    all.push(json!({"type": "response.output_item.done", "output_index": 0, "item": message}));
    all.push(json!({"type": "response.output_item.added", "output_index": 1, "item": {"id": "i1", "type": "function_call", "call_id": "t", "name": "Write", "arguments": ""}}));
    all.extend(pieces(arguments, size).iter().map(|text| json!({"type": "response.function_call_arguments.delta", "item_id": "i1", "output_index": 1, "delta": text})));
    all.push(json!({"type": "response.function_call_arguments.done", "item_id": "i1", "output_index": 1, "name": "Write", "arguments": arguments}));
    all.push(json!({"type": "response.output_item.done", "output_index": 1, "item": call}));
    all.push(json!({"type": "response.completed", "response": whole}));
    for (number, event) in all.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    all
}

fn script(request: &Received, size: usize, read: usize) -> Script {
    let (path, file) = (request.path.as_str(), file(request));
    if request.json()["stream"] != json!(true) {
        return answer(200, &whole(path, &file));
    }
    let mut sent = String::new();
    for event in events(path, &file, size) {
        if let Some(kind) = event["type"].as_str() {
            sent.extend(["event: ", kind, "\n"]);
        }
        sent.extend(["data: ", &event.to_string(), "\n\n"]);
    }
    if path.ends_with("completions") {
        sent += "data: [DONE]\n\n";
    }
    let mut steps = vec![stream_head()];
    steps.extend(sent.as_bytes().chunks(read).map(chunk));
    steps.push(stream_end());
    steps
}

#[tokio::test]
async fn the_sdks_get_their_file_back_and_the_provider_never_sees_it() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with the SDKs; tests/sdk/setup makes one");
        return;
    };
    let world = World::start(Wish {
        actions: "aws_access_key = \"redact\"".to_owned(),
        ..Wish::default()
    })
    .await;
    let secret = planted(77);
    let file = format!("KEY=\"{secret}\"\n");
    for (size, read) in [(1, 61), (5, 1), (1000, 4000)] {
        world
            .provider
            .answers(move |request| script(request, size, read));
        let output = tokio::process::Command::new(&python)
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/sdk/roundtrip.py"
            ))
            .env("GATEWAY_URL", world.gateway.url(""))
            .env("GATEWAY_KEY", &world.key)
            .env("FILE_CONTENT", &file)
            .output()
            .await
            .expect("Python runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let lines = String::from_utf8(output.stdout).expect("UTF-8");
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
    let seen = world.provider.received();
    assert_eq!(seen.len(), 18);
    assert!(
        seen.iter()
            .all(|one| !String::from_utf8_lossy(&one.body).contains(&secret))
    );
}
