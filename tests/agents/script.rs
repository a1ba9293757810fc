//! What the provider says to an agent: it has the file read, and then tells what it saw; or it says a text.

use std::time::Duration;

use serde_json::{Value, json};

use crate::provider::{Received, Script, stream, usual};

/// A tool of an agent, and what it is called with.
#[derive(Clone, Debug)]
pub struct Call {
    pub name: &'static str,
    pub arguments: Value,
}

/// One answer.
pub enum Said {
    Call(Call),
    Text(String),
}

/// Says it in the path's API, as a stream: 100 tokens in, 20 out.
pub fn say(request: &Received, said: &Said) -> Script {
    let path = request.path.split('?').next().unwrap_or_default();
    let events = match path {
        "/v1/messages" => messages(said),
        "/v1/chat/completions" => chat(request, said),
        "/v1/responses" => responses(said),
        _ => return usual(request),
    };
    let written = |event: &Value| {
        let kind = event["type"].as_str();
        let named = kind.map_or_else(String::new, |kind| format!("event: {kind}\n"));
        format!("{named}data: {event}\n\n")
    };
    let mut lines: Vec<String> = events.iter().map(written).collect();
    if path.ends_with("completions") {
        lines.push("data: [DONE]\n\n".to_owned());
    }
    stream(&lines, Duration::ZERO)
}

/// Whether the result of a tool has come.
pub fn has_result(body: &Value) -> bool {
    let of_messages = |message: &Value| {
        let parts = message["content"].as_array();
        message["role"] == "tool"
            || parts.is_some_and(|parts| parts.iter().any(|part| part["type"] == "tool_result"))
    };
    let all = |name: &str| body[name].as_array().cloned().unwrap_or_default();
    all("messages").iter().any(of_messages)
        || all("input")
            .iter()
            .any(|item| item["type"] == "function_call_output")
}

/// Whether the agent offers this tool. It does not where it wants a title, for example.
pub fn offers(body: &Value, tool: &str) -> bool {
    let named = |one: &Value| one["name"] == tool || one["function"]["name"] == tool;
    body["tools"]
        .as_array()
        .is_some_and(|tools| tools.iter().any(named))
}

fn messages(said: &Said) -> Vec<Value> {
    let (block, delta, stop) = match said {
        Said::Call(call) => (
            json!({"type": "tool_use", "id": "toolu_1", "name": call.name, "input": {}}),
            json!({"type": "input_json_delta", "partial_json": call.arguments.to_string()}),
            "tool_use",
        ),
        Said::Text(text) => (
            json!({"type": "text", "text": ""}),
            json!({"type": "text_delta", "text": text}),
            "end_turn",
        ),
    };
    vec![
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
            "model": "claude-haiku-4-5", "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 100, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
        json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null},
            "usage": {"output_tokens": 20}}),
        json!({"type": "message_stop"}),
    ]
}

fn chat(request: &Received, said: &Said) -> Vec<Value> {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "c_1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5.5",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let (delta, finish) = match said {
        Said::Call(call) => {
            let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
            let call =
                json!({"index": 0, "id": "call_1", "type": "function", "function": function});
            (json!({"tool_calls": [call]}), "tool_calls")
        }
        Said::Text(text) => (json!({ "content": text }), "stop"),
    };
    let mut events = vec![
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(delta, Value::Null),
        chunk(json!({}), json!(finish)),
    ];
    if request.json()["stream_options"]["include_usage"] == true {
        let mut last = chunk(json!({}), Value::Null);
        last["choices"] = json!([]);
        last["usage"] = json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120});
        events.push(last);
    }
    events
}

fn responses(said: &Said) -> Vec<Value> {
    let (item, mut events) = match said {
        Said::Call(call) => {
            let arguments = call.arguments.to_string();
            let item = json!({"id": "i_1", "type": "function_call", "call_id": "call_1", "name": call.name,
                "arguments": arguments, "status": "completed"});
            let delta = json!({"type": "response.function_call_arguments.delta", "item_id": "i_1",
                "output_index": 0, "delta": arguments});
            let done = json!({"type": "response.function_call_arguments.done", "item_id": "i_1",
                "output_index": 0, "arguments": arguments});
            (item, vec![delta, done])
        }
        Said::Text(text) => {
            let item = json!({"id": "i_1", "type": "message", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": text, "annotations": []}]});
            let delta = json!({"type": "response.output_text.delta", "item_id": "i_1", "output_index": 0,
                "content_index": 0, "delta": text});
            (item, vec![delta])
        }
    };
    let response = |status: &str, output: Value| {
        json!({"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "gpt-5.5",
            "output": output, "usage": {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 120}})
    };
    let mut all = vec![
        json!({"type": "response.created", "response": response("in_progress", json!([]))}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": item}),
    ];
    all.append(&mut events);
    all.push(json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
    all.push(
        json!({"type": "response.completed", "response": response("completed", json!([item]))}),
    );
    for (number, event) in all.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    all
}
