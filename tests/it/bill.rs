//! What the gateway charges is what the provider bills: to the nano-dollar, for every endpoint and form of answer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};

use crate::gateway::{Gateway, Home, Wish, World, message};
use crate::provider::{Provider, Received, Script, Step, json as answer, stream};

/// Requests of the mixed run; the whole ten thousand take half a minute on two idle cores.
const REQUESTS: u64 = 10_000;
const AT_ONCE: usize = 48;

/// Prices with odd digits, so that rounding shows.
const PRICES: &str = r#"
revision = "odd"
[[model]]
provider = "anthropic"
id = "claude-odd"
fees = { web_search = "10.000000001" }
price = { input = "3.000000007", output = "15.123456789", cache_read = "0.300000001", cache_write_5m = "3.75", cache_write_1h = "6.000000011" }
over = [{ tokens = 200_000, input = "6.000000013", output = "22.5", cache_read = "0.6", cache_write_5m = "7.5", cache_write_1h = "12" }]
[[model]]
provider = "anthropic"
id = "claude-other"
price = { input = "1", output = "5" }
[[model]]
provider = "openai"
id = "gpt-odd"
price = { input = "1.250000003", output = "10.000000009", cache_read = "0.125000001" }
flex = { input = "0.625", output = "5.000000001", cache_read = "0.0625" }
"#;

/// A small generator: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn upto(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % (most + 1)
    }
}

/// What the provider charges, worked out its own way: tokens at nano-dollars per million, rounded up once.
fn bill(parts: &[(u64, u64)], searches: u64) -> u64 {
    let tokens: u128 = parts
        .iter()
        .map(|(tokens, rate)| u128::from(*tokens) * u128::from(*rate))
        .sum();
    let searches = u128::from(searches) * 10_000_000_001 * 1_000;
    u64::try_from((tokens + searches).div_ceil(1_000_000)).expect("an amount")
}

fn anthropic(dice: &mut Dice, streams: bool) -> (Script, u64) {
    let [input, read, short, long, output] =
        [90_000, 90_000, 20_000, 20_000, 9_000].map(|most| dice.upto(most));
    let searches = dice.upto(3);
    let usage = json!({"input_tokens": input, "cache_read_input_tokens": read, "output_tokens": output,
        "cache_creation_input_tokens": short + long, "server_tool_use": {"web_search_requests": searches},
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}});
    let rates = if input + read + short + long > 200_000 {
        [
            6_000_000_013,
            600_000_000,
            7_500_000_000,
            12_000_000_000,
            22_500_000_000,
        ]
    } else {
        [
            3_000_000_007,
            300_000_001,
            3_750_000_000,
            6_000_000_011,
            15_123_456_789,
        ]
    };
    let tokens = [input, read, short, long, output];
    let parts: Vec<_> = tokens.into_iter().zip(rates).collect();
    let due = bill(&parts, searches);
    if !streams {
        return (
            answer(
                200,
                &json!({"type": "message", "model": "claude-odd", "content": [{"type": "text", "text": "x"}], "usage": usage}),
            ),
            due,
        );
    }
    // Some tell everything at the end, some the input at the start.
    let start = if dice.upto(1) == 0 {
        usage.clone()
    } else {
        json!({"input_tokens": 0, "output_tokens": 0})
    };
    let events = [
        json!({"type": "message_start", "message": {"model": "claude-odd", "usage": start}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word"}}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "edit", "input": {}}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"usage\":{\"input_tokens\":9}}"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}),
        json!({"type": "message_stop"}),
    ];
    (stream(&named(&events), Duration::ZERO), due)
}

fn named(events: &[Value]) -> Vec<String> {
    let text = |event: &Value| {
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap_or("message")
        )
    };
    events.iter().map(text).collect()
}

fn openai(path: &str, dice: &mut Dice, streams: bool) -> (Script, u64) {
    let [fresh, cached, output] = [60_000, 60_000, 9_000].map(|most| dice.upto(most));
    let flex = dice.upto(1) == 1;
    let tier = if flex { "flex" } else { "default" };
    let rates = if flex {
        [625_000_000, 62_500_000, 5_000_000_001]
    } else {
        [1_250_000_003, 125_000_001, 10_000_000_009]
    };
    let embeds = path.ends_with("/embeddings");
    let output = if embeds { 0 } else { output };
    let due = bill(
        &[(fresh, rates[0]), (cached, rates[1]), (output, rates[2])],
        0,
    );
    let (total, all) = (fresh + cached, fresh + cached + output);
    let chat = json!({"prompt_tokens": total, "completion_tokens": output, "total_tokens": all,
        "prompt_tokens_details": {"cached_tokens": cached}, "completion_tokens_details": {"reasoning_tokens": output / 2}});
    let script = match (path.ends_with("/responses"), streams) {
        (true, _) => {
            let response = json!({"model": "gpt-odd", "service_tier": tier, "output": [], "usage": {"input_tokens": total, "output_tokens": output,
                "total_tokens": all, "input_tokens_details": {"cached_tokens": cached}}});
            if streams {
                stream(&named(&[json!({"type": "response.created", "response": {"usage": null}}),
                    json!({"type": "response.completed", "response": response})]), Duration::ZERO)
            } else {
                answer(200, &response)
            }
        }
        (false, true) => stream(
            &[
                json!({"choices": [{"delta": {"content": "x"}}], "usage": null}).to_string(),
                json!({"choices": [{"delta": {}, "finish_reason": "stop"}], "service_tier": tier, "usage": null}).to_string(),
                json!({"choices": [], "service_tier": tier, "usage": chat}).to_string(),
                "[DONE]".to_owned(),
            ]
            .map(|data| format!("data: {data}\r\n\r\n")),
            Duration::ZERO,
        ),
        (false, false) => answer(200, &json!({"model": "gpt-odd", "service_tier": tier, "choices": [], "usage": chat})),
    };
    (script, due)
}

/// What the provider is owed, and what it has seen.
#[derive(Default)]
struct Till {
    total: u64,
    /// Requests that were turned away once.
    turned_away: HashSet<u64>,
}

/// What goes wrong with one request in five.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    None,
    /// An error that is final, by its status or by what the provider says.
    Refused(u16),
    /// An error first, an answer to the second attempt.
    Again(u16),
    /// The connection breaks after the usage was told.
    Cut,
}

fn mishap(seed: u64) -> Mishap {
    match seed % 40 {
        3 => Mishap::Refused(400),
        13 => Mishap::Refused(500),
        7 => Mishap::Again(500),
        23 => Mishap::Again(429),
        9 | 19 | 29 | 39 => Mishap::Cut,
        _ => Mishap::None,
    }
}

fn error(status: u16, header: &str) -> Script {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{header}\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    vec![Step::Send(head.into_bytes())]
}

/// Answers as the seed in the request says, and keeps the bill.
fn script(request: &Received, till: &Mutex<Till>) -> Script {
    let body = request.json();
    let seed = body["metadata"]["seed"].as_u64().expect("a seed");
    let mut till = till.lock().expect("not poisoned");
    match mishap(seed) {
        Mishap::Refused(status) => return error(status, "x-should-retry: false"),
        Mishap::Again(status) if till.turned_away.insert(seed) => {
            return error(status, "retry-after-ms: 1");
        }
        _ => {}
    }
    if request.path.ends_with("/count_tokens") {
        return answer(200, &json!({"input_tokens": 1_000_000}));
    }
    let mut dice = Dice(seed);
    dice.upto(1);
    let streams = body["stream"] == json!(true);
    let (mut script, due) = if request.path.ends_with("/messages") {
        anthropic(&mut dice, streams)
    } else {
        openai(&request.path, &mut dice, streams)
    };
    if streams && mishap(seed) == Mishap::Cut {
        // Without the last chunk, which ends the body.
        script.pop();
        script.push(Step::Close);
    }
    till.total += due;
    script
}

/// The path and body of one request of the mix.
fn request(seed: u64) -> (&'static str, Value) {
    let paths = [
        "/v1/messages",
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/embeddings",
        "/v1/completions",
        "/v1/messages/count_tokens",
        "/v1/messages",
    ];
    let path = paths[usize::try_from(seed % 7).expect("small")];
    let ours = path.starts_with("/v1/messages");
    let mut body = message("hi");
    body["model"] = json!(if ours { "claude-odd" } else { "gpt-odd" });
    body["metadata"] = json!({"seed": seed});
    if !seed.is_multiple_of(3) && !path.ends_with("/embeddings") && !path.ends_with("/count_tokens")
    {
        body["stream"] = json!(true);
    }
    if seed.is_multiple_of(4) {
        body["tools"] = if ours {
            json!([{"name": "edit", "input_schema": {"type": "object"}}])
        } else {
            json!([{"type": "function", "function": {"name": "edit"}}])
        };
    }
    (path, body)
}

async fn world(prices: &str, wish: Wish) -> World {
    let provider = Provider::start().await;
    let home = Home::new(&provider, &wish);
    home.write("prices.toml", prices);
    home.apply();
    let key = home.create_key("payments");
    let gateway: Gateway = home.serve();
    World {
        provider,
        home,
        gateway,
        key,
        client: reqwest::Client::new(),
    }
}

/// Nano-dollars of a column such as `0.0003`.
fn nanos(row: &Value, column: &str) -> u64 {
    let text = row[column].as_str().expect("an amount");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<9}").parse().expect("digits")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_mixed_requests_cost_what_the_provider_bills() {
    let world = world(PRICES, Wish::default()).await;
    let till = Arc::new(Mutex::new(Till::default()));
    let kept = till.clone();
    world
        .provider
        .answers(move |request| script(request, &kept));
    let answers = futures::stream::iter(0..REQUESTS).map(|seed| {
        let (path, body) = request(seed);
        let call = world.post(path).json(&body).send();
        async move {
            let answer = call.await.expect("an answer");
            let expected = match mishap(seed) {
                Mishap::Refused(status) => status,
                _ => 200,
            };
            assert_eq!(answer.status(), expected, "request {seed}");
            let whole = answer.bytes().await;
            assert!(
                whole.is_ok() || mishap(seed) == Mishap::Cut,
                "request {seed}"
            );
            usize::from(whole.is_err())
        }
    });
    let cuts: Vec<usize> = answers.buffer_unordered(AT_ONCE).collect().await;
    assert_eq!(cuts.len() as u64, REQUESTS);
    assert!(cuts.iter().sum::<usize>() > 300, "streams were cut");
    let rows = world.rows(cuts.len()).await;
    let again = rows.iter().filter(|row| row["attempts"] == 2).count();
    assert_eq!(again as u64, REQUESTS / 20, "a second attempt each");
    let estimated = rows
        .iter()
        .filter(|row| row["provenance"] != "exact")
        .count();
    assert_eq!(estimated, 0, "every answer told its usage");
    let charged: u64 = rows.iter().map(|row| nanos(row, "cost_usd")).sum();
    let due = till.lock().expect("not poisoned").total;
    assert_eq!(charged, due, "nano-dollars");
    assert!(due > 1_000_000_000_000, "a thousand dollars at least");
}

#[tokio::test]
async fn a_model_that_may_answer_instead_must_be_allowed_and_is_charged_its_own_price() {
    let list = Wish {
        teams: "[[team]]\nname = \"payments\"\nmodels = [\"claude-odd\", \"claude-oth*\"]\n"
            .to_owned(),
        ..Wish::default()
    };
    let world = world(PRICES, list).await;
    let asking = |fallbacks: Value| {
        let mut body = message("hi");
        body["model"] = json!("claude-odd");
        body["fallbacks"] = fallbacks;
        world.post("/v1/messages").json(&body).send()
    };
    for hidden in [
        json!([{"model": "claude-forbidden"}]),
        json!("default"),
        json!(["gpt-odd"]),
    ] {
        let refused = asking(hidden.clone()).await.expect("an answer");
        assert_eq!(refused.status(), 403, "{hidden}");
    }
    assert_eq!(world.provider.connections(), 0, "nothing left");
    // The name of a model that nobody has heard of may be anything, and nothing has scanned it yet.
    let unheard = json!({"model": "claude-oth-unheard", "max_tokens": 1, "fallbacks": ["gpt-odd"]});
    let refused = world.post("/v1/messages").json(&unheard).send().await;
    assert_eq!(refused.expect("an answer").status(), 403);
    let rows = world.rows(4).await;
    assert_eq!(rows[0]["model"], "claude-odd");
    assert!(!rows[3].to_string().contains("unheard"), "{}", rows[3]);
    world.provider.answers(|_| {
        answer(200, &json!({"type": "message", "model": "claude-other", "content": [], "usage": {"input_tokens": 1_000_000, "output_tokens": 200_000,
            "iterations": [{"type": "message", "model": "claude-odd", "input_tokens": 100_000, "output_tokens": 0},
                {"type": "fallback_message", "model": "claude-other", "input_tokens": 1_000_000, "output_tokens": 200_000}]}}))
    });
    let served = asking(json!([{"model": "claude-other"}]))
        .await
        .expect("an answer");
    assert_eq!(served.status(), 200);
    let rows = world.rows(5).await;
    assert_eq!(rows[4]["cost_usd"], "2.300000001", "{}", rows[4]);
    assert_eq!(rows[4]["input"], 1_100_000);
}
