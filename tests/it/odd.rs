//! Bad input, from clients and from providers: a clear outcome each, a row each, and the budget settled once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::gateway::{USUAL_TEAM, Wish, World, message};
use crate::provider::{
    Provider, Script, Step, anthropic_events, chunk, json as answer, respond, stream, stream_head,
};
use crate::raw::Raw;

async fn world(settings: &str) -> World {
    let teams = format!(
        "{USUAL_TEAM}models = [\"claude-*\", \"gpt-*\", \"text-*\"]\n[[team.budget]]\nwindow = \"total\"\nlimit = \"100.00\"\n"
    );
    World::start(Wish {
        teams,
        settings: settings.to_owned(),
        ..Wish::default()
    })
    .await
}

fn nanos(amount: &Value) -> u64 {
    let text = amount.as_str().expect("an amount");
    let (whole, fraction) = text.split_once('.').expect("a decimal");
    format!("{whole}{fraction:0<9}").parse().expect("digits")
}

/// Every row is there, and the budget holds what they cost, and nothing else.
async fn settled(world: &World, count: usize) -> Vec<Value> {
    let rows = world.rows(count).await;
    let budgets = world.gateway.admin("/budgets").await;
    let budgets: Value = budgets.json().await.expect("JSON");
    let cost: u64 = rows.iter().map(|row| nanos(&row["cost_usd"])).sum();
    assert_eq!(nanos(&budgets[0]["spent"]), cost);
    assert_eq!(nanos(&budgets[0]["reserved"]), 0);
    rows
}

#[tokio::test]
async fn methods_that_no_api_has_are_refused_and_recorded() {
    let world = world("").await;
    let methods = [
        "GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "post",
    ];
    for method in methods {
        let mut raw = Raw::connect(&world.gateway.data).await;
        raw.send(format!(
            "{method} /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-length: 2\r\n\r\n{{}}",
            world.key
        ))
        .await;
        let (status, text) = raw.answer().await;
        assert_eq!(status, 404, "{method}: {text}");
        assert!(text.contains("not_found_error"), "{method}: {text}");
    }
    let rows = settled(&world, methods.len()).await;
    assert!(rows.iter().all(|row| row["code"] == "unknown_path"));
    assert_eq!(world.provider.connections(), 0);
}

/// Shorter than what begins HTTP/2, and said with pauses: load balancers ask like that.
#[tokio::test]
async fn the_shortest_requests_are_answered() {
    let world = world("").await;
    for head in [
        "GET / HTTP/1.0\r\n\r\n",
        "HEAD / HTTP/1.1\r\n\r\n",
        "OPTIONS / HTTP/1.0\r\n\r\n",
        "PRI / HTTP/1.0\r\n\r\n",
        "P",
        "no HTTP",
    ] {
        let mut raw = Raw::connect(&world.gateway.data).await;
        for byte in head.as_bytes() {
            raw.send([*byte]).await;
        }
        if !head.ends_with('\n') {
            raw.send("\r\n\r\n").await;
        }
        let line = raw.line().await;
        assert!(line.starts_with("HTTP/1."), "{head}: {line}");
    }
}

/// The end of an answer without a body is its head.
#[tokio::test]
async fn an_answer_without_a_body_is_whole() {
    let world = world("").await;
    let heads = [
        ("429 X", "content-length: 0\r\n"),
        ("404 X", "content-length: 0\r\n"),
        ("400 X", "content-length: 0\r\nconnection: close\r\n"),
        ("204 X", ""),
        ("200 X", "content-length: 0\r\n"),
    ];
    for (status, headers) in heads {
        let head = format!("HTTP/1.1 {status}\r\n{headers}\r\n");
        world
            .provider
            .answers(move |_| vec![Step::Send(head.clone().into_bytes())]);
        let answer = world.message("hi").send().await.expect("an answer");
        assert!(status.starts_with(answer.status().as_str()), "{status}");
        assert_eq!(answer.bytes().await.expect("a whole answer").len(), 0);
    }
    let rows = settled(&world, heads.len()).await;
    for (row, (status, _)) in rows.iter().zip(heads) {
        let told = (row["decision"].as_str(), row["code"].as_str());
        assert_eq!(told, (Some("allowed"), Some("")), "{status}: {row}");
    }
    assert_eq!(rows[0]["cost_usd"], "0.00");
    assert_ne!(rows[4]["cost_usd"], "0.00", "it told no usage");
}

/// What the gateway says to a client is the gateway's to say; and the provider need not know the way through the network.
#[tokio::test]
async fn headers_that_are_nobody_elses_business_are_taken_out() {
    let world = world("").await;
    world.provider.answers(|_| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: x-hop, content-length\r\nx-hop: 1\r\nx-kept: 1\r\ntollgate-redacted: 77\r\nset-cookie: a=b\r\nset-cookie: c=d\r\nalt-svc: h3\r\nstrict-transport-security: max-age=1\r\ntrailer: x\r\n\r\n{}";
        vec![Step::Send(head.as_bytes().to_vec())]
    });
    let request = world.message("hi").header("x-kept", "1");
    let private = [
        "x-forwarded-for",
        "x-forwarded-server",
        "x-real-ip",
        "true-client-ip",
        "forwarded",
        "via",
        "x-original-url",
        "x-http-method-override",
        "tollgate-anything",
    ];
    let request = private
        .iter()
        .fold(request, |request, name| request.header(*name, "10.0.0.7"));
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.headers()["x-kept"], "1");
    for name in [
        "x-hop",
        "tollgate-redacted",
        "set-cookie",
        "alt-svc",
        "strict-transport-security",
        "trailer",
    ] {
        assert!(!answer.headers().contains_key(name), "{name}");
    }
    assert_eq!(answer.text().await.expect("text"), "{}");
    let received = world.provider.last();
    assert_eq!(received.header("x-kept"), Some("1"));
    for name in private {
        assert_eq!(received.header(name), None);
    }
}

#[tokio::test]
async fn the_content_type_does_not_decide_what_is_read() {
    let world = world("").await;
    let body = message("hi").to_string();
    let secret = message(&crate::gateway::planted(7)).to_string();
    // As a form it would be cut in two.
    let named = message(&format!("hush_key = {}", "0f9d".repeat(6))).to_string();
    let secrets = [secret, named];
    let types = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "image/png",
        "multipart/form-data; boundary=x",
        "",
        "nonsense",
    ];
    for kind in types {
        let send = async |body: &str| {
            let url = world.gateway.url("/v1/messages");
            let request = world.client.post(url).header("x-api-key", &world.key);
            let request = request.header("content-type", kind).body(body.to_owned());
            request.send().await.expect("an answer").status().as_u16()
        };
        let before = world.provider.received().len();
        let status = send(&body).await;
        assert!(matches!(status, 200 | 400), "{kind}: {status}");
        let received = world.provider.received();
        assert_eq!(received.len() > before, status == 200, "{kind}");
        for secret in &secrets {
            send(secret).await;
        }
        let types = world.provider.last().headers.into_iter();
        let types = types.filter(|(name, _)| name == "content-type");
        let types: Vec<String> = types.map(|(_, value)| value).collect();
        assert_eq!(types, ["application/json"], "what it was read as");
    }
    let rows = settled(&world, 3 * types.len()).await;
    for row in rows.chunks(3).flat_map(|three| &three[1..]) {
        let found = row["findings"]
            .as_array()
            .is_some_and(|found| !found.is_empty());
        assert!(found, "{row}");
    }
}

#[tokio::test]
async fn a_model_that_is_none_is_refused_and_nothing_is_held() {
    let world = world("").await;
    let long = format!("{{\"model\":\"{}\"}}", "m".repeat(10_000));
    let bodies = [
        r#"{"model":5}"#,
        r#"{"model":null}"#,
        r#"{"model":{"a":1}}"#,
        r#"{"model":true}"#,
        r#"{"messages":[]}"#,
        r#"{"model":"a","model":"claude-haiku-4-5"}"#,
        "{}",
        "[]",
        "",
        "null",
        "\u{feff}{}",
        r#"{"model":"claude"#,
        &long,
    ];
    for path in [
        "/v1/messages",
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/embeddings",
        "/v1/completions",
        "/v1/messages/count_tokens",
    ] {
        for body in bodies {
            let sent = world.post(path).body(body.to_owned()).send().await;
            let answer = sent.expect("an answer");
            assert_eq!(answer.status(), 400, "{path} {body:.60}");
            let text = answer.text().await.expect("text");
            assert!(
                text.len() < 600 && !text.contains("mmmmmmmm"),
                "{text:.600}"
            );
        }
    }
    let rows = settled(&world, 6 * bodies.len()).await;
    assert!(rows.iter().all(|row| row["code"] == "invalid_body"));
    assert!(
        rows.iter()
            .all(|row| row["cost_usd"] == "0.00" && row["reserved_usd"] == "0.00")
    );
    assert_eq!(world.provider.connections(), 0);
}

#[tokio::test]
async fn headers_that_come_twice_have_one_meaning() {
    let world = world("").await;
    let body = message("hi").to_string();
    let send = async |headers: &str| {
        let mut raw = Raw::connect(&world.gateway.data).await;
        let length = body.len();
        raw.send(format!("POST /v1/messages HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n{body}")).await;
        raw.answer().await.0
    };
    let key = format!("x-api-key: {}\r\n", world.key);
    assert_eq!(send(&format!("{key}{key}")).await, 200);
    assert_eq!(
        send(&format!("{key}anthropic-beta: a\r\nanthropic-beta: b\r\n")).await,
        200
    );
    let betas: Vec<String> = world
        .provider
        .last()
        .headers
        .into_iter()
        .filter(|(name, _)| name == "anthropic-beta")
        .map(|(_, value)| value)
        .collect();
    assert_eq!(betas, ["a", "b"], "in their order");
    assert_eq!(
        send(&format!(
            "{key}content-type: image/png\r\ncontent-type: application/json\r\n"
        ))
        .await,
        200
    );
    assert_eq!(
        send(&format!(
            "{key}content-encoding: identity\r\ncontent-encoding: gzip\r\n"
        ))
        .await,
        400
    );
    let rows = settled(&world, 4).await;
    assert_eq!(rows[3]["cost_usd"], "0.00");
    // What cannot be framed never becomes a request: no row, and nothing is sent on.
    let before = world.provider.received().len();
    assert_eq!(send(&format!("{key}content-length: 3\r\n")).await, 400);
    assert_eq!(world.provider.received().len(), before);
}

/// Answers to a plain request, with whether their cost is the provider's own word.
fn lies() -> Vec<(Script, bool)> {
    let usage = |usage: Value| {
        answer(
            200,
            &json!({"type": "message", "content": [{"type": "text", "text": "x"}], "usage": usage}),
        )
    };
    let raw = |usage: &str| {
        respond(
            200,
            "application/json",
            &format!(r#"{{"type":"message","usage":{usage}}}"#),
        )
    };
    vec![
        (
            usage(json!({"input_tokens": 100, "output_tokens": 20})),
            true,
        ),
        (
            usage(json!({"input_tokens": "100", "output_tokens": "20"})),
            false,
        ),
        (
            usage(json!({"input_tokens": -100, "output_tokens": -20})),
            false,
        ),
        (
            usage(json!({"input_tokens": 1.5, "output_tokens": true})),
            false,
        ),
        (
            usage(json!({"input_tokens": [100], "output_tokens": {"a": 20}})),
            false,
        ),
        (usage(json!(null)), false),
        (usage(json!([])), false),
        (usage(json!("none")), false),
        (
            raw(r#"{"input_tokens":1e300,"output_tokens":1e300}"#),
            false,
        ),
        (
            raw(r#"{"input_tokens":99999999999999999999999,"output_tokens":18446744073709551616}"#),
            false,
        ),
        (
            respond(200, "application/json", "{\"usage\":{\"input_tokens\":100"),
            false,
        ),
        (respond(200, "application/json", ""), false),
        (
            respond(200, "text/html", "<html>welcome to the hotel</html>"),
            false,
        ),
        (respond(204, "application/json", ""), false),
    ]
}

#[tokio::test]
async fn an_answer_whose_usage_is_nonsense_is_charged_by_a_bound_and_never_past_its_hold() {
    let world = world("").await;
    let lies = lies();
    let count = lies.len();
    let exact: Vec<bool> = lies.iter().map(|(_, exact)| *exact).collect();
    for (script, _) in lies {
        world.provider.answers(move |_| script.clone());
        let status = world.status("hi").await;
        assert!((200..300).contains(&status), "{status}");
    }
    for (row, exact) in settled(&world, count).await.iter().zip(exact) {
        assert_eq!(row["provenance"] == "exact", exact, "{row}");
        assert!(nanos(&row["cost_usd"]) > 0, "never free: {row}");
        assert!(
            nanos(&row["cost_usd"]) <= nanos(&row["reserved_usd"]),
            "{row}"
        );
    }
}

fn event(data: &Value) -> String {
    format!(
        "event: {}\ndata: {data}\n\n",
        data["type"].as_str().expect("a type")
    )
}

/// Streams and answers that break, each with the least and the most that it may cost.
fn breaking() -> [(Script, u64, u64); 9] {
    let events = anthropic_events(&["grüße ☃"], 100, 20);
    let overloaded = event(
        &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    );
    let cut = |count: usize| stream(&events[..count], Duration::ZERO);
    let closed = |count: usize| {
        let mut script = vec![stream_head()];
        script.extend(events[..count].iter().map(|event| chunk(event.as_bytes())));
        script.push(Step::Close);
        script
    };
    let bytes = {
        let mut script = vec![stream_head()];
        script.extend(events.concat().as_bytes().chunks(1).map(chunk));
        script.push(crate::provider::stream_end());
        script
    };
    let with_error = |count: usize| {
        let all: Vec<String> = events[..count]
            .iter()
            .chain([&overloaded])
            .cloned()
            .collect();
        stream(&all, Duration::ZERO)
    };
    // Each with the least and the most that it may cost, in nano-dollars: 100 in are 100,000, 20 out 200,000.
    [
        (bytes, 300_000, 300_000),
        (cut(events.len() - 1), 300_000, 300_000),
        (cut(3), 100_000, 2_000_000),
        (cut(0), 1, 2_000_000),
        (closed(3), 100_000, 2_000_000),
        (closed(1), 100_000, 2_000_000),
        (with_error(0), 0, 0),
        (with_error(3), 100_000, 2_000_000),
        (
            answer(
                200,
                &json!({"type": "error", "error": {"type": "api_error", "message": "no"}}),
            ),
            0,
            0,
        ),
    ]
}

#[tokio::test]
async fn streams_that_end_early_or_in_an_error_are_settled_once() {
    let world = world("").await;
    let cases = breaking();
    let count = cases.len();
    let bounds: Vec<(u64, u64)> = cases
        .iter()
        .map(|(_, least, most)| (*least, *most))
        .collect();
    let mut body = message("hi");
    body["stream"] = json!(true);
    for (script, _, _) in cases {
        world.provider.answers(move |_| script.clone());
        let answer = world
            .post("/v1/messages")
            .json(&body)
            .send()
            .await
            .expect("a head");
        assert_eq!(answer.status(), 200);
        let _whole_or_cut = answer.bytes().await;
    }
    for (index, (row, (least, most))) in settled(&world, count).await.iter().zip(bounds).enumerate()
    {
        let cost = nanos(&row["cost_usd"]);
        assert!((least..=most).contains(&cost), "{index}: {cost} {row}");
    }
}

#[tokio::test]
async fn a_stream_that_never_ends_is_ended_by_the_read_timeout_and_charged_once() {
    let slow = Provider::start().await;
    slow.answers(|_| {
        let mut script = vec![stream_head()];
        let events = anthropic_events(&["a"], 100, 20);
        script.extend(events[..3].iter().map(|event| chunk(event.as_bytes())));
        script.push(Step::Wait(Duration::from_mins(1)));
        script
    });
    let world = world(&format!(
        "[provider.slow]\ndialect = \"anthropic\"\ncredential = \"env:PROVIDER_KEY\"\nprices = \"anthropic\"\n\
         addresses = [\"{}\"]\nread_timeout = \"500ms\"\n",
        slow.url()
    ))
    .await;
    let mut body = message("hi");
    body["stream"] = json!(true);
    let sent = world.post("/slow/v1/messages").json(&body).send().await;
    let answer = sent.expect("a head");
    assert_eq!(answer.status(), 200);
    assert!(
        answer.bytes().await.is_err(),
        "the client can tell that it is cut"
    );
    let rows = settled(&world, 1).await;
    let told = (&rows[0]["decision"], &rows[0]["code"]);
    assert_eq!(told, (&json!("failed"), &json!("upstream_timeout")));
    assert!(nanos(&rows[0]["cost_usd"]) >= 100_000, "{}", rows[0]);
    assert_eq!(slow.received().len(), 1);
}
