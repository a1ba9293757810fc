use super::*;
use crate::domain::{CacheWrites, ServiceTier};
use proptest::prelude::*;
use serde_json::{Value, json};

fn ask_of(endpoint: Endpoint, body: &Value) -> Ask {
    read_ask(endpoint, body.to_string().as_bytes()).unwrap()
}

fn messages(body: &Value) -> Ask {
    ask_of(Endpoint::Messages, body)
}

fn error(body: &[u8]) -> String {
    read_ask(Endpoint::Messages, body).unwrap_err().to_string()
}

#[test]
fn a_plain_request_is_read() {
    let body = br#"{"model":"claude-sonnet-5","max_tokens":1024,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let ask = read_ask(Endpoint::Messages, body).unwrap();
    assert_eq!(ask.model.as_deref(), Some("claude-sonnet-5"));
    assert!(ask.stream && ask.usage_requested && !ask.demand.background);
    let expected = Demand {
        input_bytes: body.len() as u64 + 64,
        output_tokens: Some(1024),
        answers: 1,
        has_output: true,
        cache_writes: CacheWrites::None,
        server_calls: Some(0),
        web_searches: Some(0),
        tool_calls: Some(0),
        code_sessions: Some(0),
        session_units: 1,
        images: Some(0),
        ..Demand::default()
    };
    assert_eq!(ask.demand, expected);
}

#[test]
fn a_model_is_a_short_visible_string_told_once() {
    let too_long = format!(r#"{{"model":"{}"}}"#, "m".repeat(201));
    let huge = format!(r#"{{"model":"{}"}}"#, "m".repeat(10_000));
    for body in [
        r#"{"model":null}"#,
        r#"{"model":5}"#,
        r#"{"model":["a"]}"#,
        r#"{"model":{"a":1}}"#,
        r#"{"model":""}"#,
        r#"{"model":"a b"}"#,
        r#"{"model":"a\n"}"#,
        r#"{"model":"é"}"#,
        r#"{"model":"\u0000"}"#,
        &too_long,
        &huge,
    ] {
        assert!(error(body.as_bytes()).contains("`model`"), "{body:.60}");
    }
    let longest = format!(r#"{{"model":"{}"}}"#, "m".repeat(200));
    assert!(read_ask(Endpoint::Messages, longest.as_bytes()).is_ok());
    assert_eq!(
        messages(&json!({"model": "a", "x": {"model": "b"}}))
            .model
            .as_deref(),
        Some("a")
    );
    assert_eq!(messages(&json!({"x": {"model": "b"}})).model, None);
}

#[test]
fn what_parsers_could_read_differently_is_refused() {
    for (body, said) in [
        (
            r#"{"model":"a","model":"b"}"#,
            "a field of the API is told twice (line 1, column 14)",
        ),
        (
            "{\"model\":\"a\",\n \"mod\\u0065l\":\"b\"}",
            "a field of the API is told twice (line 2, column 2)",
        ),
        (r#"{"model":"a","max_tokens":1,"max_tokens":2}"#, "twice"),
        (r#"{"model":"a","messages":[],"messages":[]}"#, "twice"),
        (r#"{"model":"a","Model":"b"}"#, "lower case"),
        (r#"{"MODEL":"a"}"#, "lower case"),
    ] {
        assert!(
            error(body.as_bytes()).contains(said),
            "{body}: {}",
            error(body.as_bytes())
        );
    }
}

#[test]
fn what_is_no_json_object_is_refused_with_its_place() {
    for (body, said) in [
        (
            &b""[..],
            "the JSON of the body is cut off (line 1, column 1)",
        ),
        (
            b"{\"model\":\"a\",\n  oops}",
            "the body is not valid JSON (line 2, column 3)",
        ),
        (b"{\"model\":\"a\"", "cut off (line 1, column 13)"),
        (b"[]", "must be a JSON object (line 1, column 1)"),
        (b"\"model\"", "must be a JSON object"),
        (
            b"{\"model\":\"a\"} {}",
            "not valid JSON (line 1, column 15)",
        ),
        (b"{\"model\":\"\xff\"}", "not UTF-8 (line 1, column 11)"),
        (b"{\"model\":\"\n\"}", "not valid JSON (line 1, column 11)"),
        (b"{\"model\":NaN}", "not valid JSON"),
    ] {
        assert!(error(body).contains(said), "{}", error(body));
    }
    let deep = format!("{{\"a\":{}", "[".repeat(200));
    assert!(error(deep.as_bytes()).contains("too deeply"));
}

#[test]
fn bounds_of_output_are_never_read_too_low() {
    let bound = |endpoint, body: &Value| ask_of(endpoint, body).demand.output_tokens;
    let chat = Endpoint::ChatCompletions;
    for (body, expected) in [
        (json!({"model": "m"}), None),
        (json!({"model": "m", "max_tokens": null}), None),
        (json!({"model": "m", "max_tokens": 5}), Some(5)),
        (
            json!({"model": "m", "max_tokens": 5, "max_completion_tokens": 9}),
            Some(9),
        ),
        (
            json!({"model": "m", "max_completion_tokens": 9, "max_tokens": 5}),
            Some(9),
        ),
        (json!({"model": "m", "max_tokens": 5.5}), None),
        (json!({"model": "m", "max_tokens": "5"}), None),
        (json!({"model": "m", "max_tokens": -5}), None),
        (json!({"model": "m", "x": {"max_tokens": 5}}), None),
        (json!({"model": "m", "max_output_tokens": 5}), None),
    ] {
        assert_eq!(bound(chat, &body), expected, "{body}");
    }
    for other in ["16000.0", "1e4", "\"16000\"", "[16000]", "{}", "true", "-1"] {
        for (first, second) in [(other, "1"), ("1", other)] {
            let body =
                format!(r#"{{"model":"m","max_tokens":{first},"max_completion_tokens":{second}}}"#);
            let ask = read_ask(chat, body.as_bytes()).unwrap();
            assert_eq!(ask.demand.output_tokens, None, "{body}");
        }
    }
    let absurd = br#"{"model":"m","max_tokens":99999999999999999999999}"#;
    assert_eq!(read_ask(chat, absurd).unwrap().demand.output_tokens, None);
    assert_eq!(
        bound(
            Endpoint::Responses,
            &json!({"model": "m", "max_output_tokens": 7})
        ),
        Some(7)
    );
}

#[test]
fn answers_multiply() {
    let answers = |body: &Value| ask_of(Endpoint::Completions, body).demand.answers;
    assert_eq!(answers(&json!({"model": "m", "n": 3})), 3);
    assert_eq!(answers(&json!({"model": "m", "n": 3, "best_of": 5})), 5);
    assert_eq!(
        answers(&json!({"model": "m", "n": null, "prompt": ["a", "b"]})),
        2
    );
    assert_eq!(
        answers(&json!({"model": "m", "n": 2, "prompt": [[1, 2], [3]]})),
        4
    );
    assert_eq!(answers(&json!({"model": "m", "prompt": [1, 2, 3]})), 1);
    for wrong in [
        json!(-1),
        json!("3"),
        json!(1.5),
        json!([1]),
        json!(true),
        json!(5_000_000_000_u64),
    ] {
        let body = json!({"model": "m", "n": wrong}).to_string();
        assert!(error(body.as_bytes()).contains("`n`"), "{body}");
    }
}

#[test]
fn usage_is_requested_or_it_must_be() {
    let requested = |body: &Value| ask_of(Endpoint::ChatCompletions, body).usage_requested;
    assert!(requested(&json!({"model": "m"})));
    assert!(!requested(&json!({"model": "m", "stream": true})));
    assert!(!requested(
        &json!({"model": "m", "stream": true, "stream_options": {}})
    ));
    assert!(!requested(
        &json!({"model": "m", "stream": true, "stream_options": {"include_usage": false}})
    ));
    assert!(requested(
        &json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}})
    ));
}

#[test]
fn tiers_regions_and_cache_writes_are_told_or_left_open() {
    let demand = |body: &str| {
        read_ask(Endpoint::Messages, body.as_bytes())
            .unwrap()
            .demand
    };
    let tier = |text: &str| demand(&format!(r#"{{"model":"m",{text}}}"#)).tier;
    assert_eq!(tier(r#""service_tier":"auto""#), None);
    assert_eq!(
        tier(r#""service_tier":"default""#),
        Some(ServiceTier::Standard)
    );
    assert_eq!(tier(r#""service_tier":"flex""#), Some(ServiceTier::Flex));
    assert_eq!(
        tier(r#""service_tier":"ultrafast""#),
        Some(ServiceTier::Fast)
    );
    assert_eq!(
        tier(r#""speed":"fast","service_tier":"auto""#),
        Some(ServiceTier::Fast)
    );
    let regional = |text: &str| demand(&format!(r#"{{"model":"m"{text}}}"#)).regional;
    assert_eq!(regional(""), None);
    assert_eq!(regional(r#","inference_geo":"us""#), Some(true));
    assert_eq!(regional(r#","inference_geo":"global""#), Some(false));
    let writes = |cache: &str| {
        demand(&format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"text","text":"x"{cache}}}]}}]}}"#
        ))
        .cache_writes
    };
    assert_eq!(writes(""), CacheWrites::None);
    assert_eq!(
        writes(r#","cache_control":{"type":"ephemeral"}"#),
        CacheWrites::FiveMinutes
    );
    assert_eq!(
        writes(r#","cache_control":{"ttl":"5m"}"#),
        CacheWrites::FiveMinutes
    );
    assert_eq!(
        writes(r#","cache_control":{"ttl":"1h"}"#),
        CacheWrites::Hour
    );
    let root = demand(r#"{"model":"m","cache_control":{"type":"ephemeral","ttl":"1h"}}"#);
    assert_eq!(root.cache_writes, CacheWrites::Hour);
    let openai = ask_of(
        Endpoint::Responses,
        &json!({"model": "m", "prompt_cache_retention": "24h"}),
    );
    assert_eq!(openai.demand.cache_writes, CacheWrites::Hour);
}

#[test]
fn images_count_by_tokens_and_not_by_their_bytes() {
    let data = "A".repeat(100_000);
    let anthropic = messages(
        &json!({"model": "m", "messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
            {"type": "tool_result", "content": [
                {"type": "image", "source": {"media_type": "image/png", "data": data, "type": "base64"}}]},
            {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}},
        ]}]}),
    );
    assert!(
        anthropic.demand.input_bytes < 1000,
        "{:?}",
        anthropic.demand
    );
    assert_eq!(anthropic.demand.media_tokens, 15_000);
    assert!(!anthropic.demand.opaque);
    let url = format!("data:image/png;base64,{data}");
    let chat = ask_of(
        Endpoint::ChatCompletions,
        &json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": url}}]}]}),
    );
    assert!(chat.demand.input_bytes < 1000);
    assert_eq!(chat.demand.media_tokens, 12_000);
    let responses = ask_of(
        Endpoint::Responses,
        &json!({"model": "m", "input": [
            {"role": "user", "content": [{"type": "input_image", "image_url": url}]},
            {"type": "function_call_output", "output": [{"type": "input_image", "image_url": url}]},
            {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": url}},
            {"type": "image_generation_call", "result": data},
        ]}),
    );
    assert!(
        responses.demand.input_bytes < 1000,
        "{:?}",
        responses.demand
    );
    assert_eq!(responses.demand.media_tokens, 48_000);
    assert!(!responses.demand.opaque);
}

#[test]
fn text_cannot_pass_as_an_image() {
    let text = "A".repeat(100_000);
    let source = json!({"type": "base64", "media_type": "image/png", "data": text});
    for body in [
        json!({"model": "m", "messages": [{"role": "user", "content": [
            {"type": "tool_use", "input": {"type": "image", "source": source}}]}]}),
        json!({"model": "m", "tools": [{"name": "x", "input_schema": {"type": "image", "source": source}}]}),
        json!({"model": "m", "metadata": {"type": "image", "source": source}}),
        json!({"model": "m", "messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "text", "media_type": "image/png", "data": text}}]}]}),
        json!({"model": "m", "messages": [{"role": "user", "content": [
            {"type": "text", "source": source, "text": "x"}]}]}),
    ] {
        assert!(
            messages(&body).demand.input_bytes > 100_000,
            "{:.80}",
            body.to_string()
        );
    }
    let twice = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"image","type":"text","source":{source}}}]}}]}}"#
    );
    let ask = read_ask(Endpoint::Messages, twice.as_bytes()).unwrap();
    assert!(ask.demand.input_bytes > 100_000 && ask.demand.opaque);
}

#[test]
fn what_the_request_does_not_show_is_opaque() {
    for body in [
        json!({"model": "m", "previous_response_id": "resp_1"}),
        json!({"model": "m", "conversation": {"id": "conv_1"}}),
        json!({"model": "m", "conversation": "conv_1"}),
        json!({"model": "m", "prompt": {"id": "pmpt_1"}}),
        json!({"model": "m", "input": [{"type": "item_reference", "id": "x"}]}),
        json!({"model": "m", "input": [{"id": "x"}]}),
        json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}),
        json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_file", "file_data": "JVBE"}]}]}),
        json!({"model": "m", "input": [{"role": "user", "content": [{"type": "video_of_tomorrow", "url": "https://a"}]}]}),
    ] {
        assert!(ask_of(Endpoint::Responses, &body).demand.opaque, "{body}");
    }
    for document in [
        json!({"type": "base64", "media_type": "application/pdf", "data": "JVBE"}),
        json!({"type": "url", "url": "https://a/b.pdf"}),
        json!({"type": "file", "file_id": "file_1"}),
    ] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "document", "source": document}]}]});
        assert!(messages(&body).demand.opaque, "{body}");
    }
    let body = json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hello"}}]}]});
    assert!(!messages(&body).demand.opaque);
    let ordinary = json!({"model": "m", "previous_response_id": null, "input": [
        {"role": "user", "content": "x"}, {"type": "reasoning", "encrypted_content": "abc", "summary": []},
        {"type": "function_call", "arguments": "{}", "call_id": "c", "name": "n"}]});
    assert!(!ask_of(Endpoint::Responses, &ordinary).demand.opaque);
}

#[test]
fn tools_of_the_provider_are_bounded_or_not() {
    let demand = messages(&json!({"model": "m", "tools": [
        {"name": "Read", "input_schema": {"type": "object"}},
        {"type": "custom", "name": "Edit"},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
        {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 2},
    ]}))
    .demand;
    assert_eq!(
        (demand.web_searches, demand.server_calls),
        (Some(8), Some(10))
    );
    assert_eq!(demand.code_sessions, Some(0));
    assert!(
        demand.input_bytes > 7_000,
        "the provider's own words for its tools"
    );
    let responses = |body: &Value| ask_of(Endpoint::Responses, body).demand;
    let codex = responses(
        &json!({"model": "m", "tools": [{"type": "function", "name": "shell"}, {"type": "web_search"}]}),
    );
    assert_eq!(
        (codex.web_searches, codex.server_calls, codex.images),
        (None, None, Some(0))
    );
    let bounded = responses(&json!({"model": "m", "max_tool_calls": 3, "tools": [
        {"type": "web_search"}, {"type": "code_interpreter"}, {"type": "image_generation"}, {"type": "file_search"}]}));
    assert_eq!(
        (
            bounded.web_searches,
            bounded.code_sessions,
            bounded.images,
            bounded.tool_calls,
            bounded.server_calls
        ),
        (Some(3), Some(3), Some(3), Some(3), Some(3))
    );
    let servers =
        messages(&json!({"model": "m", "mcp_servers": [{"type": "url", "url": "https://a"}]}));
    assert_eq!(servers.demand.server_calls, None);
    let compacting = messages(
        &json!({"model": "m", "context_management": {"edits": [{"type": "compact_20260112"}]}}),
    );
    assert_eq!(compacting.demand.server_calls, Some(1));
    let chat = ask_of(
        Endpoint::ChatCompletions,
        &json!({"model": "gpt-5-search-api"}),
    );
    assert_eq!(chat.demand.web_searches, Some(1));
}

#[test]
fn every_model_that_may_answer_or_advise_is_told() {
    let ask = messages(&json!({"model": "m", "max_tokens": 100, "fallbacks": [
        {"model": "other", "max_tokens": 500, "speed": "fast"}, {"model": "third"}, "fourth"],
        "tools": [{"type": "advisor_20260301", "model": "wise", "max_uses": 3, "max_tokens": 50},
            {"type": "custom", "name": "x", "model": "not-a-model"}]}));
    let told: Vec<_> = ask
        .others
        .iter()
        .map(|other| {
            (
                other.name.as_deref().unwrap(),
                other.demand.output_tokens,
                other.demand.tier,
                other.demand.answers,
            )
        })
        .collect();
    let fast = Some(ServiceTier::Fast);
    assert_eq!(
        told,
        [
            ("other", Some(500), fast, 1),
            ("third", Some(100), None, 1),
            ("fourth", Some(100), None, 1),
            ("wise", Some(50), None, 3)
        ]
    );
    assert_eq!(ask.others[3].demand.server_calls, Some(2));
    assert_eq!(
        ask.demand.server_calls,
        Some(6),
        "three advices and three attempts that may be declined"
    );
    let chosen = messages(&json!({"model": "m", "fallbacks": "default"}));
    assert_eq!(chosen.others[0].name, None);
    assert!(
        messages(&json!({"model": "m", "fallbacks": null}))
            .others
            .is_empty()
    );
    assert!(error(br#"{"model":"m","fallbacks":[{"model":"a b"}]}"#).contains("`model`"));
    let many = json!({"model": "m", "fallbacks": vec!["x"; 17]}).to_string();
    assert!(error(many.as_bytes()).contains("too many models"));
}

#[test]
fn newer_fields_that_change_the_bill_are_read() {
    let demand = |body: &Value| ask_of(Endpoint::Responses, body).demand;
    let ttl = |ttl: &str| {
        demand(&json!({"model": "m", "prompt_cache_options": {"ttl": ttl}})).cache_writes
    };
    assert_eq!(
        (ttl("30m"), ttl("12h")),
        (CacheWrites::FiveMinutes, CacheWrites::Hour)
    );
    let memory = |container: &Value| {
        demand(
            &json!({"model": "m", "tools": [{"type": "code_interpreter", "container": container}]}),
        )
        .session_units
    };
    assert_eq!(memory(&json!({"type": "auto", "memory_limit": "16g"})), 16);
    assert_eq!(memory(&json!({"type": "auto", "memory_limit": "2t"})), 64);
    assert_eq!(memory(&json!("cntr_1")), 1);
    let fast = demand(&json!({"model": "m", "service_tier": "fast"}));
    assert_eq!(fast.tier, Some(ServiceTier::Priority));
    let search =
        demand(&json!({"model": "m", "tools": [{"type": "tool_search"}, {"type": "mcp"}]}));
    assert_eq!((search.tool_calls, search.server_calls), (Some(0), None));
    let thread = messages(
        &json!({"model": "m", "thread": {"type": "continue", "previous_message_id": "msg_1"}}),
    );
    assert!(thread.demand.opaque);
}

#[test]
fn a_background_request_is_told_apart() {
    let background = |body: &Value| ask_of(Endpoint::Responses, body).demand.background;
    assert!(background(&json!({"model": "m", "background": true})));
    assert!(background(&json!({"model": "m", "background": "yes"})));
    assert!(!background(&json!({"model": "m", "background": false})));
    assert!(!background(&json!({"model": "m"})));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for endpoint in Endpoint::ALL {
            let _ = read_ask(endpoint, &body);
        }
    }

    #[test]
    fn a_body_with_bytes_changed_or_cut_is_read_or_refused_and_its_name_stays_short(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut: prop::sample::Index,
    ) {
        let mut body = json!({"model": "m", "max_tokens": 5, "n": 2, "stream": true, "stream_options": {"include_usage": true},
            "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "aGk="}}]}],
            "tools": [{"type": "web_search", "max_uses": 3}], "fallbacks": ["a", {"model": "b"}]}).to_string().into_bytes();
        for (at, byte) in &changes {
            let at = at.index(body.len());
            body[at] = *byte;
        }
        if changes.len() % 2 == 1 {
            body.truncate(cut.index(body.len()));
        }
        for endpoint in Endpoint::ALL {
            if let Ok(ask) = read_ask(endpoint, &body) {
                prop_assert!(ask.model.is_none_or(|model| (1..=200).contains(&model.len())));
                prop_assert!(ask.demand.input_bytes < 100_000 && ask.others.len() <= 16);
            }
        }
    }

    #[test]
    fn the_bytes_of_text_bound_its_tokens(text in ".{0,200}") {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
        prop_assert!(messages(&body).demand.input_bytes >= text.len() as u64);
    }
}
