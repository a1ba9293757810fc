//! `OpenAI` chat, completions, embeddings and Responses, and those who speak like it.

use serde_json::{Value, json};

use super::{json as answer, meter, plain, sse};
use crate::domain::{CacheWrites, Demand, Provenance, ServiceTier, Usage};
use crate::provider::Endpoint::{ChatCompletions, Completions, Embeddings, Responses};
use crate::provider::MeterInput;

fn chunk(content: &str) -> Value {
    json!({"object": "chat.completion.chunk", "model": "gpt-5", "choices": [{"index": 0, "delta": {"content": content}}], "usage": null})
}

fn last() -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": null})
}

fn usage_chunk() -> Value {
    json!({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 64}}})
}

#[test]
fn cached_tokens_are_a_part_of_the_prompt() {
    let metered = answer(
        ChatCompletions,
        &json!({"model": "gpt-5-2025-08-07", "service_tier": "flex", "choices": [{"message": {"content": "hi"}}], "usage": {
            "prompt_tokens": 1_239_328, "completion_tokens": 12_909, "total_tokens": 1_252_237,
            "prompt_tokens_details": {"cached_tokens": 1_188_096, "audio_tokens": 100, "cache_write_tokens": 32},
            "completion_tokens_details": {"reasoning_tokens": 900, "audio_tokens": 9, "rejected_prediction_tokens": 5}}}),
    );
    let expected = Usage {
        input: 51_100,
        cache_read: 1_188_096,
        cache_write_5m: 32,
        audio_input: 100,
        output: 12_900,
        audio_output: 9,
        reasoning: 900,
        tier: ServiceTier::Flex,
        ..Usage::default()
    };
    assert_eq!(metered.usage, expected);
    assert_eq!(metered.provenance, Provenance::Exact);
}

#[test]
fn a_chat_stream_tells_its_usage_in_its_last_chunk() {
    let azure = json!({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]});
    let metered = sse(
        ChatCompletions,
        &[
            azure,
            chunk("he"),
            chunk("llo"),
            last(),
            usage_chunk(),
            json!("[DONE]"),
        ],
    );
    let expected = Usage {
        input: 36,
        cache_read: 64,
        output: 20,
        ..Usage::default()
    };
    assert_eq!(
        (metered.usage, metered.provenance, metered.complete),
        (expected, Provenance::Exact, true)
    );
    assert_eq!(metered.model.as_deref(), Some("gpt-5"));
}

#[test]
fn a_chat_stream_without_usage_is_estimated_from_above() {
    let call = json!({"choices": [{"delta": {"tool_calls": [{"function": {"name": "run", "arguments": "{\"a\":"}}]}}]});
    let metered = sse(
        ChatCompletions,
        &[chunk("hello"), call, last(), json!("[DONE]")],
    );
    assert_eq!(
        (metered.provenance, metered.complete),
        (Provenance::Estimated, false)
    );
    assert_eq!(metered.usage.input, 1_000);
    assert!(metered.usage.output >= 5 + 3 + 5);
    assert!(
        metered.hidden_output,
        "chat never shows how much it reasoned"
    );
}

#[test]
fn usage_in_every_chunk_counts_once() {
    let with = |n: u64| json!({"choices": [{"delta": {"content": "a"}}], "usage": {"prompt_tokens": 5, "completion_tokens": n}});
    let metered = sse(
        ChatCompletions,
        &[with(1), with(2), with(3), last(), json!("[DONE]")],
    );
    assert_eq!((metered.usage.input, metered.usage.output), (5, 3));
    assert_eq!(metered.provenance, Provenance::Exact);
}

#[test]
fn reasoning_that_the_total_alone_tells_is_output() {
    let metered = answer(
        ChatCompletions,
        &json!({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115,
            "completion_tokens_details": {"reasoning_tokens": 100}}}),
    );
    assert_eq!((metered.usage.output, metered.usage.reasoning), (105, 100));
}

#[test]
fn other_names_for_the_same_are_known() {
    let deepseek = answer(
        ChatCompletions,
        &json!({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 2}}),
    );
    assert_eq!((deepseek.usage.input, deepseek.usage.cache_read), (2, 8));
    let groq = sse(
        ChatCompletions,
        &[
            chunk("a"),
            json!({"choices": [{"delta": {}, "finish_reason": "stop"}], "x_groq": {"usage": {"prompt_tokens": 7, "completion_tokens": 1}}}),
        ],
    );
    assert_eq!((groq.usage.input, groq.provenance), (7, Provenance::Exact));
    let xai = answer(
        Responses,
        &json!({"usage": {"input_tokens": 7, "output_tokens": 1, "server_side_tool_usage_details": {"web_search_calls": 3, "code_interpreter_calls": 2}}}),
    );
    assert_eq!((xai.usage.web_searches, xai.usage.tool_calls), (3, 2));
}

#[test]
fn embeddings_and_completions_tell_theirs() {
    let embedded = answer(
        Embeddings,
        &json!({"data": [{"embedding": [0.1, -2e-3]}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}),
    );
    let mut demand = plain();
    demand.has_output = false;
    let body = json!({"usage": {"prompt_tokens": 8, "total_tokens": 8}}).to_string();
    let metered = meter(Embeddings, MeterInput::Json, demand, &[body.as_bytes()]);
    assert_eq!((metered.usage.input, metered.usage.output), (8, 0));
    assert_eq!(metered.provenance, Provenance::Exact);
    assert_eq!(embedded.usage.input, 8);
    let completed = sse(
        Completions,
        &[
            json!({"choices": [{"text": "abc", "finish_reason": null}]}),
            json!("[DONE]"),
        ],
    );
    assert_eq!(completed.usage.output, 3);
}

fn ended(kind: &str, usage: &Value, output: &Value) -> Value {
    json!({"type": kind, "response": {"model": "gpt-5.5", "service_tier": "priority", "output": output, "usage": usage, "error": null}})
}

#[test]
fn a_responses_stream_tells_its_usage_at_its_end_however_it_ends() {
    let usage = json!({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 60}, "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 20}, "total_tokens": 130});
    let output = json!([
        {"type": "reasoning"}, {"type": "message", "content": [{"type": "output_text", "text": "x"}]},
        {"type": "web_search_call", "action": {"type": "search"}}, {"type": "web_search_call", "action": {"type": "open_page"}},
        {"type": "file_search_call"}, {"type": "image_generation_call", "result": "AAAA"},
        {"type": "code_interpreter_call", "container_id": "c1"}, {"type": "code_interpreter_call", "container_id": "c1"},
        {"type": "code_interpreter_call", "container_id": "c2"}]);
    for kind in [
        "response.completed",
        "response.incomplete",
        "response.failed",
    ] {
        let metered = sse(
            Responses,
            &[
                json!({"type": "response.created", "response": {"model": "gpt-5.5", "service_tier": "auto", "usage": null, "output": []}}),
                json!({"type": "response.output_text.delta", "delta": "x"}),
                json!({"type": "response.output_item.done", "item": {"type": "web_search_call", "action": {"type": "search"}}}),
                ended(kind, &usage, &output),
            ],
        );
        let expected = Usage {
            input: 40,
            cache_read: 60,
            output: 30,
            reasoning: 20,
            web_searches: 1,
            tool_calls: 1,
            code_sessions: 2,
            images: 1,
            tier: ServiceTier::Priority,
            ..Usage::default()
        };
        assert_eq!(
            (metered.usage, metered.provenance),
            (expected, Provenance::Exact),
            "{kind}"
        );
        assert_eq!(metered.error_event, kind == "response.failed");
    }
}

#[test]
fn a_responses_stream_that_is_cut_knows_whether_reasoning_was_hidden() {
    let item = |kind: &str, item: Value| json!({"type": format!("response.output_item.{kind}"), "item": item});
    let text = json!({"type": "response.output_text.delta", "delta": "hello"});
    let added = item("added", json!({"type": "reasoning", "summary": []}));
    let sealed = item(
        "done",
        json!({"type": "reasoning", "encrypted_content": "E".repeat(200)}),
    );
    let unsealed = item(
        "done",
        json!({"type": "reasoning", "encrypted_content": null}),
    );
    let plain = sse(Responses, std::slice::from_ref(&text));
    assert!(!plain.hidden_output && plain.usage.output >= 5);
    assert_eq!(
        (plain.usage.input, plain.provenance),
        (1_000, Provenance::Estimated)
    );
    assert!(sse(Responses, std::slice::from_ref(&added)).hidden_output);
    assert!(sse(Responses, &[added.clone(), unsealed, text.clone()]).hidden_output);
    let known = sse(Responses, &[added, sealed, text]);
    assert!(!known.hidden_output && known.usage.output >= 205);
}

#[test]
fn an_answer_that_comes_later_is_not_known() {
    let metered = answer(
        Responses,
        &json!({"id": "resp_1", "status": "queued", "usage": null, "output": []}),
    );
    assert!(metered.hidden_output && !metered.complete);
    assert_eq!(metered.provenance, Provenance::Estimated);
}

#[test]
fn what_was_cached_and_counted_apart_is_charged_once() {
    for (total, output) in [(115, 5), (15, 5), (120, 10)] {
        let body = json!({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": total,
            "prompt_tokens_details": {"cached_tokens": 100}}});
        let usage = answer(ChatCompletions, &body).usage;
        let told = (usage.input, usage.cache_read, usage.output);
        assert_eq!(told, (10, 100, output), "{total}");
    }
}

#[test]
fn what_was_asked_for_counts_where_the_answer_does_not_say() {
    let body = json!({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cache_write_tokens": 4}}}).to_string();
    let demand = Demand {
        tier: Some(ServiceTier::Priority),
        cache_writes: CacheWrites::Hour,
        web_searches: Some(1),
        ..plain()
    };
    let usage = meter(
        ChatCompletions,
        MeterInput::Json,
        demand,
        &[body.as_bytes()],
    )
    .usage;
    assert_eq!(
        (usage.tier, usage.cache_write_1h, usage.web_searches),
        (ServiceTier::Priority, 4, 1)
    );
    let flex = Demand {
        tier: Some(ServiceTier::Flex),
        ..plain()
    };
    let usage = meter(ChatCompletions, MeterInput::Json, flex, &[body.as_bytes()]).usage;
    assert_eq!(
        usage.tier,
        ServiceTier::Standard,
        "a cheaper tier must be confirmed"
    );
}

#[test]
fn newer_details_are_read() {
    let writes = answer(
        Responses,
        &json!({"service_tier": "fast", "usage": {"input_tokens": 100, "output_tokens": 1, "input_tokens_details": {
            "cached_tokens": 10, "cache_write_tokens": 50, "cache_write_tokens_details": {"ttl_12h_tokens": 20, "ttl_30m_tokens": 30}}},
            "tool_usage": {"web_search": {"num_requests": 4}, "image_gen": {"input_tokens": 5}}}),
    );
    let usage = writes.usage;
    assert_eq!(
        (usage.input, usage.cache_write_1h, usage.cache_write_5m),
        (40, 20, 30)
    );
    assert_eq!((usage.web_searches, usage.tier), (4, ServiceTier::Priority));
    let body = json!({"usage": {"input_tokens": 1, "output_tokens": 1}, "output": [{"type": "code_interpreter_call", "container_id": "c"}]});
    let demand = Demand {
        session_units: 16,
        ..plain()
    };
    let metered = meter(
        Responses,
        MeterInput::Json,
        demand,
        &[body.to_string().as_bytes()],
    );
    assert_eq!(metered.usage.code_sessions, 16);
}

#[test]
fn an_error_before_any_text_costs_nothing_whatever_came_before_it() {
    let error = json!({"error": {"message": "overloaded"}});
    let role = json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]});
    let filtered = json!({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]});
    let failing = json!({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}], "error": {"code": 502}});
    for events in [
        vec![role, error.clone()],
        vec![filtered, error],
        vec![failing],
    ] {
        let metered = sse(ChatCompletions, &events);
        assert!(metered.error_event && !metered.hidden_output, "{events:?}");
        assert_eq!(metered.usage, Usage::default(), "{events:?}");
    }
    let added =
        json!({"type": "response.output_item.added", "item": {"type": "reasoning", "summary": []}});
    let failed = json!({"type": "response.failed", "response": {"error": {"code": "server_error"}, "usage": null}});
    let metered = sse(Responses, &[added, failed]);
    assert!(metered.error_event && !metered.hidden_output);
    assert_eq!(metered.usage, Usage::default());
}

#[test]
fn a_running_count_of_a_chat_is_final_only_with_or_after_its_reason_to_finish() {
    let part = |text: &str, output: u64| {
        json!({"choices": [{"index": 0, "delta": {"content": text}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": output}})
    };
    let finish = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let mut finish_told = finish.clone();
    finish_told["usage"] = json!({"prompt_tokens": 10, "completion_tokens": 3});
    let early = sse(ChatCompletions, &[part("one two three", 0), finish]);
    assert!(!early.complete && early.hidden_output);
    assert!(early.usage.output >= 13);
    let told = sse(ChatCompletions, &[part("one two three", 0), finish_told]);
    assert_eq!(
        (told.complete, told.usage.output, told.provenance),
        (true, 3, Provenance::Exact)
    );
}
