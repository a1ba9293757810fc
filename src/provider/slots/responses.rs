//! The answers of the Responses API of `OpenAI`. Its streams tell every text at least twice: in deltas, and whole in the events
//! that close the text, the item and the response.

use super::{End, Key, Located, Of, Part, index};
use crate::domain::json::Value;

/// Event types of growing texts, without `.delta` and `.done`: what they are, where the whole stands, whether it is JSON.
const GROWING: [(&str, Of, &str, bool); 8] = [
    ("response.output_text", Of::Text, "text", false),
    ("response.refusal", Of::Refusal, "refusal", false),
    (
        "response.function_call_arguments",
        Of::Call,
        "arguments",
        true,
    ),
    ("response.mcp_call_arguments", Of::Call, "arguments", true),
    ("response.custom_tool_call_input", Of::Call, "input", false),
    (
        "response.apply_patch_call_operation_diff",
        Of::Call,
        "diff",
        false,
    ),
    ("response.shell_call_command", Of::Call, "command", false),
    (
        "response.code_interpreter_call_code",
        Of::Code,
        "code",
        false,
    ),
];

pub fn event(event: Value<'_>, found: &mut Located) {
    let Some(kind) = event
        .get("type")
        .and_then(|kind| std::str::from_utf8(kind.raw()).ok())
    else {
        return;
    };
    let item = index(event, "output_index");
    match kind {
        "response.output_item.added" => {
            found.opens.push(item);
            found.groups.push(item);
            if let Some(item_value) = event.get("item") {
                // The provider's own tools are named by their type.
                let name = item_value.get("name").or_else(|| item_value.get("type"));
                found.opening(name, call(item));
                self::item(item_value, item, Part::Whole, found);
            }
        }
        "response.output_item.done" => {
            found.groups.push(item);
            found.ends.push(End::Group(item));
            if let Some(item_value) = event.get("item") {
                self::item(item_value, item, Part::Repeat, found);
            }
        }
        "response.content_part.added" | "response.content_part.done" => {
            found.groups.push(item);
            let part = if kind.ends_with("done") {
                Part::Repeat
            } else {
                Part::Whole
            };
            if let Some(value) = event.get("part") {
                content(value, item, index(event, "content_index"), part, found);
            }
        }
        "response.created" | "response.in_progress" | "response.queued" => {
            whole(event, Part::Repeat, found);
        }
        "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
            found.ends.push(End::All);
            whole(event, Part::Repeat, found);
        }
        "error" => found.ends.push(End::All),
        _ => growing(event, kind, item, found),
    }
}

fn growing(event: Value<'_>, kind: &str, item: u64, found: &mut Located) {
    let Some((stem, stage)) = kind.rsplit_once('.') else {
        return;
    };
    let Some((_, of, text, json)) = GROWING.into_iter().find(|(name, ..)| *name == stem) else {
        return;
    };
    let member = match of {
        // One item may run several commands.
        Of::Call => index(event, "command_index"),
        Of::Code => 0,
        _ => index(event, "content_index"),
    };
    let key = Key {
        of,
        group: item,
        member,
    };
    found.groups.push(item);
    match (stage, of) {
        ("delta", Of::Call) => found.call_delta(event.get("delta"), key, json),
        ("delta", _) => found.text(event.get("delta"), of, item, member, Part::Delta),
        ("done", _) => {
            found.ends.push(End::Key(key));
            if of == Of::Call {
                found.call(event.get("name"), event.get(text), key, Part::Repeat, json);
            } else {
                found.text(event.get(text), of, item, member, Part::Repeat);
            }
        }
        _ => {}
    }
}

fn whole(event: Value<'_>, part: Part, found: &mut Located) {
    if let Some(response) = event.get("response") {
        self::response(response, part, found);
    }
}

/// A response object: its items, and the instructions that it says back to the client.
pub fn response(response: Value<'_>, part: Part, found: &mut Located) {
    found.text(
        response.get("instructions"),
        Of::Text,
        u64::MAX,
        0,
        Part::Repeat,
    );
    let items = response.get("output").into_iter().flat_map(Value::elements);
    for (value, number) in items.zip(0..) {
        item(value, number, part, found);
    }
}

fn item(item: Value<'_>, number: u64, part: Part, found: &mut Located) {
    let Some(kind) = item
        .get("type")
        .and_then(|kind| std::str::from_utf8(kind.raw()).ok())
    else {
        return;
    };
    let name = item.get("name").or_else(|| item.get("type"));
    let key = call(number);
    match kind {
        "message" => {
            let parts = item.get("content").into_iter().flat_map(Value::elements);
            for (value, member) in parts.zip(0..) {
                content(value, number, member, part, found);
            }
        }
        "function_call" | "mcp_call" => found.call(name, item.get("arguments"), key, part, true),
        "custom_tool_call" => found.call(name, item.get("input"), key, part, false),
        "local_shell_call" | "shell_call" | "computer_call" => {
            found.call(name, item.get("action"), key, part, false);
        }
        "apply_patch_call" => {
            found.call(
                name,
                item.get("operation").and_then(|one| one.get("diff")),
                key,
                part,
                false,
            );
        }
        "code_interpreter_call" => found.text(item.get("code"), Of::Code, number, 0, part),
        _ => {}
    }
}

fn content(value: Value<'_>, item: u64, member: u64, part: Part, found: &mut Located) {
    found.text(
        value
            .get("text")
            .filter(|_| is(value, "output_text") || is(value, "text")),
        Of::Text,
        item,
        member,
        part,
    );
    found.text(value.get("refusal"), Of::Refusal, item, member, part);
}

fn is(value: Value<'_>, kind: &str) -> bool {
    value.get("type").is_some_and(|one| one.says(kind))
}

const fn call(item: u64) -> Key {
    Key {
        of: Of::Call,
        group: item,
        member: 0,
    }
}
