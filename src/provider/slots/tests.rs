use serde_json::{Value as Json, json};

use super::*;
use crate::domain::json::Tape;

/// What an event tells: its texts as (text, of, group, member, part, is JSON), and how many texts it ends.
type Told = (Vec<(String, Of, u64, u64, Part, bool)>, Vec<End>);

fn told(endpoint: Endpoint, event: &Json) -> Told {
    let text = event.to_string();
    let mut tape = Tape::default();
    let mut found = Located::default();
    locate_event(
        endpoint,
        tape.read(text.as_bytes()).unwrap().root(),
        &mut found,
    );
    let slots = found.slots.iter().map(|slot| {
        let Key { of, group, member } = slot.key;
        (
            text[slot.literal.clone()].to_owned(),
            of,
            group,
            member,
            slot.part,
            slot.json,
        )
    });
    (slots.collect(), found.ends)
}

#[test]
fn thinking_and_signatures_are_never_handed_out() {
    for event in [
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "x"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "x"}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "x", "signature": "x"}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "redacted_thinking", "data": "x"}}),
    ] {
        assert_eq!(told(Endpoint::Messages, &event).0, [], "{event}");
    }
    for event in [
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "x"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": {"type": "reasoning", "encrypted_content": "x"}}),
    ] {
        assert_eq!(told(Endpoint::Responses, &event).0, [], "{event}");
    }
}

#[test]
fn every_tool_of_the_responses_api_is_read_in_pieces_and_whole() {
    let delta = |kind: &str| json!({"type": format!("response.{kind}.delta"), "output_index": 3, "command_index": 2, "delta": "x"});
    for (kind, whole, member, is_json) in [
        ("function_call_arguments", "arguments", 2, true),
        ("mcp_call_arguments", "arguments", 2, true),
        ("custom_tool_call_input", "input", 2, false),
        ("apply_patch_call_operation_diff", "diff", 2, false),
        ("shell_call_command", "command", 2, false),
    ] {
        let (slots, ends) = told(Endpoint::Responses, &delta(kind));
        assert_eq!(
            slots,
            [("x".to_owned(), Of::Call, 3, member, Part::Delta, is_json)]
        );
        assert!(ends.is_empty());
        let done = json!({"type": format!("response.{kind}.done"), "output_index": 3, "command_index": 2, whole: "x"});
        let (slots, ends) = told(Endpoint::Responses, &done);
        assert_eq!(
            slots,
            [("x".to_owned(), Of::Call, 3, member, Part::Repeat, is_json)]
        );
        assert_eq!(ends.len(), 1, "{kind}");
    }
}

#[test]
fn a_choice_is_apart_from_the_others_and_a_call_from_its_neighbours() {
    let event = json!({"choices": [
        {"index": 0, "delta": {"content": "a"}},
        {"index": 1, "delta": {"tool_calls": [
            {"index": 0, "function": {"arguments": "b"}}, {"index": 1, "custom": {"input": "c"}}]}, "finish_reason": "stop"}]});
    let (slots, ends) = told(Endpoint::ChatCompletions, &event);
    let named = |text: &str, of, group, member, json| {
        (text.to_owned(), of, group, member, Part::Delta, json)
    };
    assert_eq!(
        slots,
        [
            named("a", Of::Text, 0, 0, false),
            named("b", Of::Call, 1, 0, true),
            named("c", Of::Call, 1, 1, false),
        ]
    );
    assert_eq!(ends, [End::Group(1)]);
}
