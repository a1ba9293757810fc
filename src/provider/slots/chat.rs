//! The answers of the Chat Completions API of `OpenAI` and of the older Completions API.

use super::{End, Key, Located, Of, Part, index};
use crate::domain::json::{Kind, Value};

pub fn event(event: Value<'_>, found: &mut Located) {
    if event.get("error").is_some_and(|error| !error.is_null()) {
        found.ends.push(End::All);
    }
    for choice in event.get("choices").into_iter().flat_map(Value::elements) {
        let number = index(choice, "index");
        found.groups.push(number);
        found.text(choice.get("text"), Of::Text, number, 0, Part::Delta);
        if let Some(delta) = choice.get("delta") {
            self::delta(delta, number, found);
        }
        if choice
            .get("finish_reason")
            .is_some_and(|reason| !reason.is_null())
        {
            found.ends.push(End::Group(number));
        }
    }
}

fn delta(delta: Value<'_>, choice: u64, found: &mut Located) {
    if delta.get("role").is_some() {
        found.opens.push(choice);
    }
    found.text(delta.get("content"), Of::Text, choice, 0, Part::Delta);
    found.text(delta.get("refusal"), Of::Refusal, choice, 0, Part::Delta);
    for one in delta
        .get("tool_calls")
        .into_iter()
        .flat_map(Value::elements)
    {
        let key = Key {
            of: Of::Call,
            group: choice,
            member: index(one, "index"),
        };
        if one.get("id").is_some() {
            found.opens.push(choice);
            // What the choice says comes before its calls.
            found.ends.extend([Of::Text, Of::Refusal].map(|of| {
                End::Key(Key {
                    of,
                    group: choice,
                    member: 0,
                })
            }));
        }
        for (function, text, json) in parts(one) {
            found.opening(function.get("name"), key);
            found.call_delta(function.get(text), key, json);
        }
    }
    if let Some(function) = delta.get("function_call") {
        // The only call of its choice; its number is one that no list has.
        let key = Key {
            of: Of::Call,
            group: choice,
            member: u64::MAX,
        };
        found.opening(function.get("name"), key);
        found.call_delta(function.get("arguments"), key, true);
    }
}

/// What a call holds: the member, the name of its text, and whether that is JSON.
fn parts(call: Value<'_>) -> impl Iterator<Item = (Value<'_>, &'static str, bool)> {
    let function = call.get("function").map(|one| (one, "arguments", true));
    let custom = call.get("custom").map(|one| (one, "input", false));
    function.into_iter().chain(custom)
}

pub fn body(body: Value<'_>, found: &mut Located) {
    for choice in body.get("choices").into_iter().flat_map(Value::elements) {
        let number = index(choice, "index");
        found.text(choice.get("text"), Of::Text, number, 0, Part::Whole);
        let Some(message) = choice.get("message") else {
            continue;
        };
        found.text(message.get("refusal"), Of::Refusal, number, 0, Part::Whole);
        content(message.get("content"), number, found);
        for (call, member) in message
            .get("tool_calls")
            .into_iter()
            .flat_map(Value::elements)
            .zip(0..)
        {
            let key = Key {
                of: Of::Call,
                group: number,
                member,
            };
            for (function, text, json) in parts(call) {
                found.call(
                    function.get("name"),
                    function.get(text),
                    key,
                    Part::Whole,
                    json,
                );
            }
        }
        if let Some(function) = message.get("function_call") {
            let key = Key {
                of: Of::Call,
                group: number,
                member: u64::MAX,
            };
            found.call(
                function.get("name"),
                function.get("arguments"),
                key,
                Part::Whole,
                true,
            );
        }
    }
}

/// A text, or (of some compatible providers) a list of parts.
fn content(content: Option<Value<'_>>, choice: u64, found: &mut Located) {
    let Some(content) = content else {
        return;
    };
    if content.kind() == Kind::Array {
        for part in content.elements() {
            found.text(part.get("text"), Of::Text, choice, 0, Part::Whole);
        }
    } else {
        found.text(Some(content), Of::Text, choice, 0, Part::Whole);
    }
}
