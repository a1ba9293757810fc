//! Anthropic Messages.

use serde_json::{Value, json};

use super::{json as answer, sse};
use crate::domain::{Demand, Provenance, ServiceTier, Usage};
use crate::provider::Endpoint::Messages;

fn start(usage: &Value) -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude-sonnet-5-20260101", "content": [], "usage": usage}})
}

fn text(text: &str) -> Value {
    json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
}

fn delta(usage: &Value) -> Value {
    json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage})
}

#[test]
fn an_answer_in_one_piece_tells_everything() {
    let metered = answer(
        Messages,
        &json!({"model": "claude-x", "content": [
            {"type": "text", "text": "{\"usage\":{\"input_tokens\":999999}}"},
            {"type": "tool_use", "name": "x", "input": {"usage": {"input_tokens": 999_999}}},
            {"type": "server_tool_use", "name": "bash_code_execution"},
        ], "usage": {
            "input_tokens": 3, "cache_creation_input_tokens": 12_304, "cache_read_input_tokens": 7, "output_tokens": 550,
            "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 12_000},
            "output_tokens_details": {"thinking_tokens": 100}, "server_tool_use": {"web_search_requests": 2},
            "service_tier": "priority", "inference_geo": "us"}}),
    );
    assert_eq!(metered.provenance, Provenance::Exact);
    assert_eq!(metered.model.as_deref(), Some("claude-x"));
    assert!(metered.complete && !metered.error_event && !metered.hidden_output);
    let expected = Usage {
        input: 3,
        cache_read: 7,
        cache_write_5m: 304,
        cache_write_1h: 12_000,
        output: 550,
        reasoning: 100,
        web_searches: 2,
        code_sessions: 1,
        tier: ServiceTier::Priority,
        regional: true,
        ..Usage::default()
    };
    assert_eq!(metered.usage, expected);
}

#[test]
fn fields_of_a_stream_are_merged_and_the_last_told_value_wins() {
    let metered = sse(
        Messages,
        &[
            start(
                &json!({"input_tokens": 25, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 5, "output_tokens": 1, "speed": "fast"}),
            ),
            json!({"type": "ping"}),
            text("Hé 🦀 \" {\"usage\":"),
            delta(&json!({"output_tokens": 7})),
            delta(&json!({"output_tokens": 15, "cache_read_input_tokens": 41})),
            json!({"type": "message_stop"}),
        ],
    );
    let expected = Usage {
        input: 25,
        cache_read: 41,
        cache_write_5m: 5,
        output: 15,
        tier: ServiceTier::Fast,
        ..Usage::default()
    };
    assert_eq!(
        (metered.usage, metered.provenance),
        (expected, Provenance::Exact)
    );
    assert_eq!(metered.model.as_deref(), Some("claude-sonnet-5-20260101"));
}

#[test]
fn usage_that_only_the_delta_tells_is_the_usage() {
    let metered = sse(
        Messages,
        &[
            start(&json!({"input_tokens": 0, "output_tokens": 0})),
            delta(
                &json!({"input_tokens": 4_522, "cache_creation_input_tokens": 4_511, "output_tokens": 5}),
            ),
        ],
    );
    assert_eq!(metered.usage.total_input(), 9_033);
    assert_eq!(
        metered.usage.total_input() + metered.usage.total_output(),
        9_038
    );
    assert_eq!(metered.provenance, Provenance::Exact);
}

#[test]
fn zeros_that_are_told_are_zeros() {
    let zeros = json!({"input_tokens": 0, "output_tokens": 0});
    let finished = sse(Messages, &[start(&zeros), delta(&zeros)]);
    assert_eq!(
        (finished.usage, finished.provenance),
        (Usage::default(), Provenance::Exact)
    );
    let cut = sse(Messages, &[start(&zeros)]);
    assert_eq!(cut.usage, Usage::default(), "nothing was delivered either");
}

#[test]
fn a_stream_that_is_cut_is_charged_for_the_text_delivered_and_not_for_a_placeholder() {
    let delivered = "word ".repeat(100);
    let metered = sse(
        Messages,
        &[
            start(&json!({"input_tokens": 25, "output_tokens": 1})),
            json!({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}),
            text(&delivered[..250]),
            text(&delivered[250..]),
        ],
    );
    assert_eq!(
        (metered.provenance, metered.complete),
        (Provenance::Partial, false)
    );
    assert_eq!(metered.usage.input, 25);
    assert!(
        (500..=600).contains(&metered.usage.output),
        "{:?}",
        metered.usage
    );
    assert!(!metered.hidden_output);
    // Zeros at the start of a stream that then delivers stand for "not yet".
    let zeros = json!({"input_tokens": 0, "output_tokens": 0});
    assert_eq!(
        sse(Messages, &[start(&zeros), text("x")]).usage.input,
        1_000
    );
}

#[test]
fn reasoning_that_is_cut_off_is_not_known() {
    let begin = json!({"type": "content_block_start", "content_block": {"type": "thinking", "thinking": "", "signature": ""}});
    let usage = json!({"input_tokens": 25, "output_tokens": 1});
    let thinking = json!({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "short"}});
    let seal = json!({"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "S".repeat(300)}});
    let cut = sse(Messages, &[start(&usage), begin.clone(), thinking.clone()]);
    assert!(cut.hidden_output);
    let sealed = sse(Messages, &[start(&usage), begin, thinking, seal]);
    assert!(
        !sealed.hidden_output && sealed.usage.output >= 300,
        "the seal is as long as what it seals"
    );
}

#[test]
fn readings_told_one_by_one_are_summed() {
    let metered = answer(
        Messages,
        &json!({"content": [], "usage": {"input_tokens": 10, "output_tokens": 20, "iterations": [
            {"type": "compaction", "input_tokens": 100_000, "output_tokens": 3_000, "cache_creation": {"ephemeral_1h_input_tokens": 9}},
            {"type": "message", "input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 5},
        ]}}),
    );
    let expected = Usage {
        input: 100_010,
        output: 3_020,
        cache_read: 5,
        cache_write_1h: 9,
        ..Usage::default()
    };
    assert_eq!(metered.usage, expected);
}

#[test]
fn what_other_models_used_is_told_apart() {
    let metered = answer(
        Messages,
        &json!({"model": "fallback-model", "content": [], "usage": {"input_tokens": 60, "output_tokens": 25,
            "server_tool_use": {"web_search_requests": 1}, "service_tier": "priority", "iterations": [
            {"type": "message", "model": "first-model", "input_tokens": 10, "output_tokens": 1},
            {"type": "advisor_message", "model": "first-model", "input_tokens": 7, "output_tokens": 8},
            {"type": "message", "model": "fallback-model", "input_tokens": 20, "output_tokens": 4, "cache_read_input_tokens": 3},
            {"type": "fallback_message", "model": "fallback-model", "input_tokens": 40, "output_tokens": 21},
        ]}}),
    );
    let tier = ServiceTier::Priority;
    let expected = Usage {
        input: 10,
        output: 1,
        web_searches: 1,
        tier,
        ..Usage::default()
    };
    assert_eq!(
        (metered.usage, metered.provenance),
        (expected, Provenance::Exact)
    );
    let other = |input, output, cache_read| Usage {
        input,
        cache_read,
        output,
        tier,
        ..Usage::default()
    };
    let others = [
        ("first-model".to_owned(), other(7, 8, 0)),
        ("fallback-model".to_owned(), other(60, 25, 3)),
    ];
    assert_eq!(metered.others, others);
    // Readings of one model alone, even named, are no other model's.
    let single = answer(
        Messages,
        &json!({"usage": {"input_tokens": 30, "output_tokens": 9, "iterations": [
            {"type": "message", "model": "m", "input_tokens": 10, "output_tokens": 4},
            {"type": "message", "model": "m", "input_tokens": 20, "output_tokens": 5}]}}),
    );
    assert_eq!(
        (single.usage.input, single.usage.output, single.others.len()),
        (30, 9, 0)
    );
}

#[test]
fn an_error_after_the_200_is_told_apart() {
    let error =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let first = sse(Messages, std::slice::from_ref(&error));
    assert!(first.error_event && !first.complete);
    assert_eq!(
        first.usage,
        Usage::default(),
        "as an error instead of an answer: nothing is billed"
    );
    let later = sse(
        Messages,
        &[
            start(&json!({"input_tokens": 25, "output_tokens": 1})),
            text("half"),
            error,
        ],
    );
    assert!(later.error_event);
    assert_eq!(
        (later.usage.input, later.provenance),
        (25, Provenance::Partial)
    );
    assert!(later.usage.output >= 4);
    let thinking = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}});
    let reasoning = sse(
        Messages,
        &[
            start(&json!({"input_tokens": 25, "output_tokens": 1})),
            thinking,
            json!({"type": "error", "error": {"type": "overloaded_error"}}),
        ],
    );
    assert!(
        !reasoning.hidden_output,
        "what failed was seen as far as it was billed"
    );
    assert_eq!(reasoning.usage.input, 25);
}

#[test]
fn what_was_served_at_the_usual_speed_is_not_fast_whatever_was_asked() {
    let demand = Demand {
        tier: Some(ServiceTier::Fast),
        ..super::plain()
    };
    for (usage, tier) in [
        (
            json!({"input_tokens": 1, "output_tokens": 1, "speed": "standard"}),
            ServiceTier::Standard,
        ),
        (
            json!({"input_tokens": 1, "output_tokens": 1, "speed": "fast"}),
            ServiceTier::Fast,
        ),
        (
            json!({"input_tokens": 1, "output_tokens": 1}),
            ServiceTier::Fast,
        ),
    ] {
        let body = json!({"model": "m", "content": [], "usage": usage}).to_string();
        let parts = [body.as_bytes()];
        let metered = super::meter(Messages, super::MeterInput::Json, demand, &parts);
        assert_eq!(metered.usage.tier, tier, "{usage}");
    }
}
