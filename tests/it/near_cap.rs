//! What budgets do beside refusing: lower a request's bound so that an answer still fits, and end a stream whose
//! reservation is used up.

use std::time::Duration;

use serde_json::{Value, json};

use crate::gateway::{USUAL_TEAM, Wish, World, message};
use crate::provider::{
    Received, Script, Step, anthropic_events, chunk, stream, stream_head, usual,
};

/// A team with one budget of this limit and these terms.
fn budget(limit: &str, terms: &str) -> Wish {
    Wish {
        teams: format!(
            "{USUAL_TEAM}[[team.budget]]\nwindow = \"month\"\nlimit = \"{limit}\"\n{terms}\n"
        ),
        ..Wish::default()
    }
}

const DIALECTS: [(&str, &str, &str); 3] = [
    ("/v1/messages", "claude-haiku-4-5", "max_tokens"),
    ("/v1/chat/completions", "gpt-5.5", "max_completion_tokens"),
    ("/v1/responses", "gpt-5.5", "max_output_tokens"),
];

/// A request whose full answer would cost four cents.
fn asks_for(model: &str, bound: &str) -> String {
    let text = "[{\"role\":\"user\", \"content\":\"hi\"}]";
    format!("{{ \"model\":\"{model}\", \"{bound}\" : 4096 ,\"messages\":{text},\"input\":{text} }}")
}

#[tokio::test]
async fn near_a_cap_that_clamps_the_bound_is_lowered_so_that_an_answer_fits() {
    for (path, model, bound) in DIALECTS {
        let world = World::start(budget("0.02", "clamp = true")).await;
        let body = asks_for(model, bound);
        let answer = world.post(path).body(body.clone()).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        let told = answer.headers()["tollgate-clamped"].to_str();
        let most: u64 = told.expect("ASCII").parse().expect("a number");
        assert!((1900..2000).contains(&most), "{path}: {most}");
        let sent = String::from_utf8(world.provider.last().body).expect("UTF-8");
        assert_eq!(sent, body.replace("4096", &most.to_string()), "{path}");
        let rows = world.rows(1).await;
        let reserved: f64 = rows[0]["reserved_usd"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("an amount");
        assert!((0.0199..=0.02).contains(&reserved), "{path}: {reserved}");
        world.metrics_with("tollgate_clamped_total 1").await;
    }
}

#[tokio::test]
async fn a_clamped_answer_is_not_kept_for_whoever_may_have_it_whole() {
    let world = World::start(Wish {
        settings: "[cache]\nteams = [\"payments\"]\n".to_owned(),
        ..budget("0.02", "clamp = true")
    })
    .await;
    let body = asks_for("claude-haiku-4-5", "max_tokens");
    let send = async || {
        let answer = world.post("/v1/messages").body(body.clone()).send().await;
        answer.expect("an answer").status()
    };
    assert_eq!(send().await, 200);
    world.rows(1).await;
    world
        .home
        .run(&["budget", "grant", "team/payments/month", "1.00"]);
    world.metrics_with("kind=\"limit\"} 1020000000").await;
    assert_eq!(send().await, 200);
    assert_eq!(world.provider.received().len(), 2);
    assert_eq!(world.provider.last().body, body.as_bytes());
}

#[tokio::test]
async fn a_request_without_a_bound_is_given_one() {
    let world = World::start(budget("0.02", "clamp = true")).await;
    let body = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]});
    let answer = world.post("/v1/chat/completions").json(&body).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
    let mut sent = world.provider.last().json();
    let most = sent
        .as_object_mut()
        .and_then(|sent| sent.remove("max_completion_tokens"));
    assert!(
        most.and_then(|most| most.as_u64())
            .is_some_and(|most| most > 1900)
    );
    assert_eq!(sent, body, "and nothing else changed");
}

#[tokio::test]
async fn what_does_not_clamp_or_leaves_no_room_for_an_answer_refuses() {
    let body = asks_for("claude-haiku-4-5", "max_tokens");
    let thinks = json!({"model": "claude-haiku-4-5", "max_tokens": 4096, "messages": [],
        "thinking": {"type": "enabled", "budget_tokens": 2048}})
    .to_string();
    for (limit, terms, body) in [
        ("0.02", "", &body),
        // Less than 256 tokens.
        ("0.0025", "clamp = true", &body),
        // The thinking alone would need more.
        ("0.02", "clamp = true", &thinks),
        // A second budget that does not clamp.
        (
            "0.02",
            "clamp = true\n[[team.budget]]\nwindow = \"day\"\nlimit = \"0.03\"",
            &body,
        ),
    ] {
        let world = World::start(budget(limit, terms)).await;
        let answer = world.post("/v1/messages").body(body.clone()).send().await;
        assert_eq!(answer.expect("an answer").status(), 402, "{limit} {terms}");
        assert!(world.provider.received().is_empty());
    }
    let roomy = World::start(budget("1.00", "clamp = true")).await;
    let answer = roomy.post("/v1/messages").body(body.clone()).send().await;
    let answer = answer.expect("an answer");
    assert!(!answer.headers().contains_key("tollgate-clamped"));
    assert_eq!(roomy.provider.last().body, body.as_bytes());
}

/// How many pieces the provider would stream if nobody stopped it.
const ENDLESS: usize = 1000;

/// A provider that ignores its bound: text without end.
fn endless(request: &Received) -> Script {
    let text = "word ".repeat(80);
    let path = &request.path;
    let events = |first: &[String], delta: String| {
        let mut script = vec![stream_head()];
        script.extend(first.iter().map(|event| chunk(event.as_bytes())));
        for _ in 0..ENDLESS {
            script.push(chunk(delta.as_bytes()));
            script.push(Step::Wait(Duration::from_millis(20)));
        }
        script
    };
    let event = |data: Value| format!("data: {data}\n\n");
    if path.ends_with("/messages") {
        let usual = anthropic_events(&[&text], 100, 20);
        events(&usual[..2], usual[2].clone())
    } else if path.ends_with("/responses") {
        let created = json!({"type": "response.created", "sequence_number": 0,
            "response": {"id": "resp_1", "created_at": 7, "model": "gpt-5.5"}});
        let delta = json!({"type": "response.output_text.delta", "sequence_number": 1,
            "output_index": 0, "content_index": 0, "delta": text});
        events(&[event(created)], event(delta))
    } else {
        let delta = json!({"id": "c_1", "created": 7, "model": "gpt-5.5",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
        events(&[], event(delta))
    }
}

fn streaming(model: &str, bound: &str) -> Value {
    let text = json!([{"role": "user", "content": "hi"}]);
    json!({"model": model, bound: 100, "stream": true, "messages": text, "input": text})
}

/// The data of a whole event stream; `null` for what is no JSON.
fn data(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap_or(Value::Null))
        .collect()
}

fn assert_ended(path: &str, events: &[Value]) {
    match path {
        "/v1/messages" => {
            let [.., block, delta, stop] = events else {
                panic!("{events:?}")
            };
            assert_eq!(block, &json!({"type": "content_block_stop", "index": 0}));
            assert_eq!(delta["delta"]["stop_reason"], "max_tokens");
            assert!(delta["usage"]["output_tokens"].as_u64() > Some(100));
            assert_eq!(stop, &json!({"type": "message_stop"}));
        }
        "/v1/responses" => {
            let last = events.last().expect("an event");
            assert_eq!(last["type"], "response.incomplete");
            assert_eq!(last["response"]["id"], "resp_1");
            assert_eq!(last["response"]["status"], "incomplete");
        }
        _ => {
            let [.., last, Value::Null] = events else {
                panic!("{events:?}")
            };
            assert_eq!(last["choices"][0]["finish_reason"], "length");
            assert_eq!(last["id"], "c_1");
        }
    }
}

#[tokio::test]
async fn a_stream_whose_reservation_is_used_up_ends_as_its_provider_would_end_it() {
    let second = reqwest::Client::builder().http2_prior_knowledge().build();
    let clients = [reqwest::Client::new(), second.expect("a client")];
    for (path, model, bound) in DIALECTS {
        for client in &clients {
            let world = World::start(budget("1.00", "cut = true")).await;
            world.provider.answers(endless);
            let request = client.post(world.gateway.url(path));
            let request = request.header("x-api-key", &world.key);
            let answer = request.json(&streaming(model, bound)).send().await;
            let text = answer.expect("an answer").text().await;
            let text = text.expect("a body that ends, and does not break off");
            let events = data(&text);
            assert!((3..ENDLESS / 2).contains(&events.len()), "{}", events.len());
            assert_ended(path, &events);
            let rows = world.rows(1).await;
            assert_eq!(rows[0]["code"], "budget_cut", "{path}");
            assert_eq!(rows[0]["decision"], "allowed");
            assert_eq!(rows[0]["cost_usd"], rows[0]["reserved_usd"]);
            world.metrics_with("tollgate_cut_total 1").await;
            // The gateway goes on, for this client too.
            world.provider.answers(usual);
            let again = client.post(world.gateway.url("/v1/messages"));
            let again = again.header("x-api-key", &world.key).json(&message("hi"));
            assert_eq!(again.send().await.expect("an answer").status(), 200);
        }
    }
}

#[tokio::test]
async fn a_stream_that_costs_more_than_was_guessed_is_cut_and_charged_what_was_told() {
    let world = World::start(Wish {
        settings: "[budget]\nquote = \"typical\"\n".to_owned(),
        ..budget("1.00", "cut = true")
    })
    .await;
    // The input alone costs ten cents, a hundred times what was held.
    world.provider.answers(|_| {
        let events = anthropic_events(&["one", "two", "three", "four"], 100_000, 20);
        stream(&events, Duration::from_millis(200))
    });
    let body = streaming("claude-haiku-4-5", "max_tokens");
    let answer = world.post("/v1/messages").json(&body).send().await;
    let text = answer.expect("an answer").text().await.expect("a body");
    let last = data(&text).pop().expect("an event");
    assert_eq!(last, json!({"type": "message_stop"}));
    assert!(!text.contains("four"), "{text}");
    let rows = world.rows(1).await;
    assert_eq!(rows[0]["code"], "budget_cut");
    let cost: f64 = rows[0]["cost_usd"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("an amount");
    assert!((0.1..0.11).contains(&cost), "{cost}");
}

#[tokio::test]
async fn a_stream_within_its_reservation_passes_byte_for_byte_where_budgets_cut() {
    let world = World::start(budget("1.00", "cut = true")).await;
    // As long as a hundred tokens of prose can be.
    let words = "extraordinarily ".repeat(25);
    let events = anthropic_events(&[&words, &words, &words], 100, 100);
    let sent = events.clone();
    world
        .provider
        .answers(move |_| stream(&sent, Duration::from_millis(5)));
    let body = streaming("claude-haiku-4-5", "max_tokens");
    let answer = world.post("/v1/messages").json(&body).send().await;
    let text = answer.expect("an answer").text().await.expect("a body");
    assert_eq!(text, events.concat());
    let rows = world.rows(1).await;
    assert_eq!(
        (rows[0]["code"].as_str(), rows[0]["provenance"].as_str()),
        (Some(""), Some("exact"))
    );
}

#[tokio::test]
async fn a_chat_that_has_told_its_usage_is_whole_and_not_cut() {
    let world = World::start(Wish {
        settings: "[budget]\nquote = \"typical\"\n".to_owned(),
        ..budget("1.00", "cut = true")
    })
    .await;
    // What it cost is told behind its end, far more than was held.
    let chunk = |rest: Value| {
        let mut chunk = json!({"id": "c_1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5.5"});
        chunk
            .as_object_mut()
            .expect("an object")
            .extend(rest.as_object().expect("an object").clone());
        format!("data: {chunk}\n\n")
    };
    let events = [
        chunk(
            json!({"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": null}], "usage": null}),
        ),
        chunk(
            json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": null}),
        ),
        chunk(
            json!({"choices": [], "usage": {"prompt_tokens": 100_000, "completion_tokens": 20, "total_tokens": 100_020,
            "prompt_tokens_details": {"cached_tokens": 0}}}),
        ),
        "data: [DONE]\n\n".to_owned(),
    ];
    let sent = events.to_vec();
    world
        .provider
        .answers(move |_| stream(&sent, Duration::from_millis(50)));
    for asks in [true, false] {
        let mut body = streaming("gpt-5.5", "max_completion_tokens");
        if asks {
            body["stream_options"] = json!({"include_usage": true});
        }
        let answer = world.post("/v1/chat/completions").json(&body).send().await;
        let text = answer.expect("an answer").text().await.expect("a body");
        if asks {
            assert_eq!(text, events.concat());
        } else {
            let direct = [&events[0], &events[1], &events[3]]
                .map(String::as_str)
                .concat();
            assert_eq!(
                text,
                direct.replace(",\"usage\":null", ""),
                "as if nobody had asked"
            );
        }
    }
    for row in world.rows(2).await {
        assert_eq!(
            (&row["code"], &row["provenance"]),
            (&json!(""), &json!("exact"))
        );
    }
}
