//! The answers of Anthropic's Messages API.

use super::{End, Key, Located, Of, Part, index};
use crate::domain::json::Value;

pub fn event(event: Value<'_>, found: &mut Located) {
    let Some(kind) = event.get("type") else {
        return;
    };
    let block = index(event, "index");
    if kind.says("content_block_delta") {
        if let Some(delta) = event.get("delta") {
            self::delta(delta, block, found);
        }
    } else if kind.says("content_block_start") {
        found.opens.push(block);
        found.groups.push(block);
        if let Some(start) = event.get("content_block") {
            opening(start, block, found);
        }
    } else if kind.says("content_block_stop") {
        found.groups.push(block);
        found.ends.push(End::Group(block));
    } else if kind.says("message_delta") || kind.says("message_stop") || kind.says("error") {
        found.ends.push(End::All);
    } else if kind.says("message_start")
        && let Some(message) = event.get("message")
    {
        body(message, found);
    }
}

fn delta(delta: Value<'_>, block: u64, found: &mut Located) {
    found.groups.push(block);
    let Some(kind) = delta.get("type") else {
        return;
    };
    if kind.says("text_delta") {
        found.text(delta.get("text"), Of::Text, block, 0, Part::Delta);
    } else if kind.says("input_json_delta") {
        found.call_delta(delta.get("partial_json"), call(block), true);
    } else if kind.says("citations_delta")
        && let Some(citation) = delta.get("citation")
    {
        found.text(citation.get("cited_text"), Of::Text, block, 1, Part::Whole);
    }
}

fn opening(start: Value<'_>, block: u64, found: &mut Located) {
    if start.get("input").is_some() {
        found.opening(start.get("name"), call(block));
        found.call(
            start.get("name"),
            start.get("input"),
            call(block),
            Part::Whole,
            false,
        );
    } else if is(start, "text") {
        found.text(start.get("text"), Of::Text, block, 0, Part::Delta);
    }
}

pub fn body(body: Value<'_>, found: &mut Located) {
    let blocks = body.get("content").into_iter().flat_map(Value::elements);
    for (block, number) in blocks.zip(0..) {
        if is(block, "text") {
            found.text(block.get("text"), Of::Text, number, 0, Part::Whole);
            for citation in block.get("citations").into_iter().flat_map(Value::elements) {
                found.text(citation.get("cited_text"), Of::Text, number, 1, Part::Whole);
            }
        } else {
            found.call(
                block.get("name"),
                block.get("input"),
                call(number),
                Part::Whole,
                false,
            );
        }
    }
}

fn is(block: Value<'_>, kind: &str) -> bool {
    block.get("type").is_some_and(|one| one.says(kind))
}

const fn call(block: u64) -> Key {
    Key {
        of: Of::Call,
        group: block,
        member: 0,
    }
}
