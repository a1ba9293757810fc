//! Answers that say a text again: in prose, and in a tool call that writes it into a file, plain and inside JSON that the
//! file holds. Streamed in pieces, and at once, in the shape of each API.

use serde_json::{Value, json};

use super::plant::{Dice, nested};
use crate::provider::Endpoint;

/// The arguments of the call: the text, JSON that holds it, and JSON that holds such JSON.
pub fn arguments(text: &str) -> Value {
    json!({ "content": text, "edits": [{"old": nested(text, 1)}], "new": nested(text, 2) })
}

pub fn streamed(endpoint: Endpoint, text: &str, dice: &mut Dice) -> String {
    let arguments = arguments(text).to_string();
    let say = dice.pieces(text);
    let call = dice.pieces(&arguments);
    let all = match endpoint {
        Endpoint::Messages => messages(&say, &call),
        Endpoint::ChatCompletions => chat(&say, &call),
        _ => responses(text, &arguments, &say, &call),
    };
    super::sse(&all)
}

fn messages(say: &[String], call: &[String]) -> Vec<Value> {
    let mut all = vec![super::start(0, &json!({"type": "text", "text": ""}))];
    all.extend(say.iter().map(|text| super::text_delta(0, text)));
    all.push(super::stop(0));
    let tool = json!({"type": "tool_use", "name": "Write", "input": {}});
    all.push(super::start(1, &tool));
    all.extend(call.iter().map(|text| super::json_delta(1, text)));
    all.push(super::stop(1));
    all
}

fn chat(say: &[String], call: &[String]) -> Vec<Value> {
    let one = |delta: Value| super::chat(0, &delta, &Value::Null);
    let mut all: Vec<Value> = say
        .iter()
        .map(|text| one(json!({ "content": text })))
        .collect();
    all.push(one(json!({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "write", "arguments": ""}}]})));
    all.extend(call.iter().map(|text| one(super::call_delta(0, text))));
    all.push(super::chat(0, &json!({}), &json!("tool_calls")));
    all
}

/// Every text three times: in deltas, in the event that closes it, and in the one that closes the response.
fn responses(text: &str, arguments: &str, say: &[String], call: &[String]) -> Vec<Value> {
    let message = json!({"type": "message", "content": [{"type": "output_text", "text": text}]});
    let item =
        |arguments: &str| json!({"type": "function_call", "name": "write", "arguments": arguments});
    let mut all: Vec<Value> = say
        .iter()
        .map(|text| json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text}))
        .collect();
    all.push(json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": text}));
    all.push(json!({"type": "response.output_item.done", "output_index": 0, "item": message}));
    all.push(json!({"type": "response.output_item.added", "output_index": 1, "item": item("")}));
    all.extend(call.iter().map(|text| json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": text})));
    all.push(json!({"type": "response.function_call_arguments.done", "output_index": 1, "arguments": arguments}));
    let output = [message, item(arguments)];
    all.push(json!({"type": "response.completed", "response": {"output": output}}));
    all
}

pub fn at_once(endpoint: Endpoint, text: &str) -> Value {
    let arguments = arguments(text);
    match endpoint {
        Endpoint::Messages => json!({"type": "message", "content": [{"type": "text", "text": text},
            {"type": "tool_use", "name": "Write", "input": arguments}]}),
        Endpoint::ChatCompletions => {
            json!({"choices": [{"index": 0, "message": {"content": text, "tool_calls": [
            {"function": {"name": "write", "arguments": arguments.to_string()}}]}}]})
        }
        _ => {
            json!({"object": "response", "output": [{"type": "message", "content": [{"type": "output_text", "text": text}]},
            {"type": "function_call", "name": "write", "arguments": arguments.to_string()}]})
        }
    }
}

/// Every text that an answer says, streamed or at once, as a client reads it: prose as it is, calls as their arguments.
pub fn heard(answer: &[u8], sse: bool) -> Vec<Value> {
    let mut all = Vec::new();
    if sse {
        for (key, text) in super::collected(answer) {
            if !key.starts_with("name") {
                all.push(read(&text));
            }
        }
        for event in super::events(answer) {
            repeats(&event, &mut all);
        }
    } else {
        said(&serde_json::from_slice(answer).unwrap(), &mut all);
    }
    all
}

/// A text, or the arguments that it says.
fn read(text: &str) -> Value {
    let arguments = serde_json::from_str::<Value>(text).ok();
    let arguments =
        arguments.filter(|one| one.get("content").is_some() && one.get("new").is_some());
    arguments.unwrap_or_else(|| json!(text))
}

/// What an event says that has been streamed before.
fn repeats(event: &Value, all: &mut Vec<Value>) {
    let done = event["type"]
        .as_str()
        .and_then(|kind| kind.rsplit('.').next())
        .is_some_and(|stage| stage == "done" || stage == "completed");
    if done {
        said(event, all);
    }
}

fn said(value: &Value, all: &mut Vec<Value>) {
    match value {
        Value::Array(list) => list.iter().for_each(|one| said(one, all)),
        Value::Object(members) => {
            for (key, one) in members {
                match (key.as_str(), one) {
                    ("text" | "content" | "arguments", Value::String(text)) => all.push(read(text)),
                    ("input", Value::Object(_)) => all.push(one.clone()),
                    _ => said(one, all),
                }
            }
        }
        _ => {}
    }
}
