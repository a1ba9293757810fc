//! Answers that are wrong, absurd, cut or enormous.

use std::fmt::Write;

use serde_json::json;

use super::{json as answer, meter, plain, sse, stream};
use crate::domain::{Provenance, Usage};
use crate::provider::Endpoint::{self, ChatCompletions, Messages, Responses};
use crate::provider::{Meter, MeterInput};
use proptest::prelude::*;

#[test]
fn counts_of_the_wrong_type_or_size_are_not_told() {
    for wrong in [
        json!("12"),
        json!(-3),
        json!(1.5),
        json!(1e300),
        json!(null),
        json!([5]),
        json!({"a": 1}),
        json!(true),
        json!(99_999_999_999_999_u64),
    ] {
        let metered = answer(
            Messages,
            &json!({"content": [], "usage": {"input_tokens": wrong, "output_tokens": 5}}),
        );
        assert_eq!(metered.provenance, Provenance::Partial, "{wrong}");
        assert_eq!(
            metered.usage.input, 1_000,
            "{wrong}: the bound of the request"
        );
        let kept = sse(
            Messages,
            &[
                json!({"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 1}}}),
                json!({"type": "message_delta", "usage": {"input_tokens": wrong, "output_tokens": 5}}),
            ],
        );
        assert_eq!(
            (kept.usage.input, kept.provenance),
            (7, Provenance::Exact),
            "{wrong}"
        );
    }
    let whole = answer(
        Messages,
        &json!({"usage": {"input_tokens": 12.0, "output_tokens": 5}}),
    );
    assert_eq!(whole.usage.input, 12);
}

#[test]
fn events_that_are_no_json_are_passed_over() {
    let good = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
    let text = format!(
        "{good}data: {{\"type\":\"message_delta\",\"usage\":{{\"output_tokens\":5\n\ndata: nonsense\n\n: comment\n\ndata:\n\nevent: x\n\n\
         data: {{\"type\":\"message_delta\",\n\
         data: \"usage\":{{\"output_tokens\":6}}}}\n\n"
    );
    let metered = stream(Messages, &text);
    assert_eq!(
        (
            metered.usage.input,
            metered.usage.output,
            metered.provenance
        ),
        (7, 6, Provenance::Exact)
    );
}

#[test]
fn an_enormous_last_event_is_read_and_not_held() {
    let image = "A".repeat(3_000_000);
    let body = json!({"type": "response.completed", "response": {
        "output": [{"type": "image_generation_call", "result": image}], "usage": {"input_tokens": 5, "output_tokens": 6}}});
    let text = format!("event: response.completed\ndata: {body}\n\n");
    for size in [1_000, 16_384, 70_000, text.len()] {
        let mut meter = Meter::new(Responses, MeterInput::Sse, plain());
        for part in text.as_bytes().chunks(size) {
            meter.push(part);
        }
        let metered = meter.finish();
        assert_eq!(
            (
                metered.usage.input,
                metered.usage.output,
                metered.usage.images
            ),
            (5, 6, 1)
        );
        assert_eq!(metered.provenance, Provenance::Exact);
    }
}

#[test]
fn an_answer_cut_before_its_usage_is_estimated_from_its_bytes() {
    let body = json!({"model": "m", "content": [{"type": "text", "text": "x".repeat(500)}], "usage": {"input_tokens": 5, "output_tokens": 6}}).to_string();
    let (head, _) = body.split_at(400);
    let cut = meter(Messages, MeterInput::Json, plain(), &[head.as_bytes()]);
    assert_eq!((cut.usage.input, cut.usage.output), (1_000, 400));
    assert!(cut.hidden_output && !cut.complete);
    let last = body.len() - 1;
    let told = meter(
        Messages,
        MeterInput::Json,
        plain(),
        &[&body.as_bytes()[..last]],
    );
    assert_eq!(
        (told.usage.output, told.provenance),
        (6, Provenance::Exact),
        "the usage was whole"
    );
}

#[test]
fn an_error_for_an_answer_costs_nothing() {
    for endpoint in [Messages, ChatCompletions, Responses] {
        let metered = answer(endpoint, &json!({"error": {"message": "overloaded"}}));
        assert!(metered.error_event);
        assert_eq!(metered.usage, Usage::default());
        assert!(!metered.hidden_output);
    }
    assert!(answer(ChatCompletions, &json!({"error": "no"})).error_event);
    assert!(
        !answer(
            Responses,
            &json!({"error": null, "usage": {"input_tokens": 1, "output_tokens": 1}})
        )
        .error_event
    );
}

proptest! {
    #[test]
    fn any_bytes_in_any_form_are_survived(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..8)) {
        for endpoint in Endpoint::ALL {
            for input in [MeterInput::Json, MeterInput::Sse] {
                let mut meter = Meter::new(endpoint, input, plain());
                for part in &parts {
 meter.push(part);
}
                let _ = meter.finish();
            }
        }
    }

    #[test]
    fn a_stream_cut_anywhere_is_never_charged_less_than_what_was_told_and_delivered(
        words in proptest::collection::vec("[a-z é🦀\"]{0,30}", 1..12), cut in 0usize..3_000,
    ) {
        let mut text = format!("data: {}\n\n", json!({"type": "message_start", "message": {"usage": {"input_tokens": 31, "output_tokens": 1}}}));
        let mut ends = vec![(text.len(), 0)];
        let mut delivered = 0;
        for word in &words {
            write!(text, "data: {}\n\n", json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": word}})).unwrap();
            delivered += word.len() as u64;
            ends.push((text.len(), delivered));
        }
        let cut = cut.min(text.len());
        let metered = meter(Messages, MeterInput::Sse, plain(), &[&text.as_bytes()[..cut]]);
        let due = ends.iter().rev().find(|(end, _)| *end <= cut).map(|(_, bytes)| *bytes);
        prop_assert!(metered.usage.output >= due.unwrap_or(0));
        prop_assert!(due.is_none() || metered.usage.input == 31);
    }
}
