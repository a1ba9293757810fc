//! Request bodies: made here in the shape of each API, or read from a folder; and their bytes, as clients write them.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::plant::Dice;
use crate::provider::Endpoint;

pub const APIS: [Endpoint; 3] = [
    Endpoint::Messages,
    Endpoint::ChatCompletions,
    Endpoint::Responses,
];

/// The bytes of a body as some client writes it.
pub fn written(body: &Value, dice: &mut Dice) -> Vec<u8> {
    let text = match dice.below(3) {
        0 => serde_json::to_string_pretty(body).unwrap(),
        _ => body.to_string(),
    };
    if dice.below(2) == 0 {
        return text.into_bytes();
    }
    // As Python writes it: nothing but ASCII.
    let mut ascii = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                write!(ascii, "\\u{unit:04x}").unwrap();
            }
        }
    }
    ascii.into_bytes()
}

/// A conversation with a file, a command and its outcome, in the shape of an API.
pub fn made(endpoint: Endpoint, dice: &mut Dice) -> Value {
    let (file, said, came) = (dice.text(), dice.text(), dice.text());
    let arguments = json!({"path": "a.env", "content": file, "edits": [{"old": said}]});
    let mut body = Map::new();
    body.insert("model".to_owned(), json!("m"));
    let (name, turns) = match endpoint {
        Endpoint::Messages => (
            "messages",
            json!([
            {"role": "user", "content": said},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "t", "name": "Write", "input": arguments}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": came}]}]}]),
        ),
        Endpoint::ChatCompletions => (
            "messages",
            json!([
            {"role": "user", "content": said},
            {"role": "assistant", "tool_calls": [{"id": "t", "type": "function", "function": {"name": "write", "arguments": arguments.to_string()}}]},
            {"role": "tool", "tool_call_id": "t", "content": came}]),
        ),
        _ => (
            "input",
            json!([
            {"role": "user", "content": [{"type": "input_text", "text": said}]},
            {"type": "function_call", "call_id": "t", "name": "write", "arguments": arguments.to_string()},
            {"type": "function_call_output", "call_id": "t", "output": came}]),
        ),
    };
    body.insert(name.to_owned(), turns);
    Value::Object(body)
}

/// The bodies of the folder that `TOLLGATE_CORPUS` names.
pub fn folder(folder: PathBuf, bodies: &mut Vec<(Endpoint, Value)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy().into_owned();
        if path.is_dir() {
            self::folder(path, bodies);
        } else if path.extension().is_some_and(|ext| ext == "json") {
            let api = ["anthropic", "chat", "responses"]
                .iter()
                .position(|api| name.contains(api));
            let body = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            bodies.push((APIS[api.unwrap_or(0)], body));
        } else if path.extension().is_some_and(|ext| ext == "jsonl") {
            let text = std::fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                let case: Value = serde_json::from_str(line).unwrap();
                // A list of other files has no texts.
                let Some(text) = case["text"].as_str() else {
                    continue;
                };
                let body = json!({"messages": [{"role": "user", "content": text}]});
                bodies.push((APIS[number % 3], body));
            }
        }
    }
}
