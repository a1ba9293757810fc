//! Streams pass event by event, and what they cost is read while they pass.

use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::json;

use crate::gateway::{Wish, World, message};
use crate::provider::{Step, anthropic_events, chunk, respond, stream, stream_end, stream_head};
use crate::raw::Raw;

fn streaming() -> serde_json::Value {
    let mut body = message("hi");
    body["stream"] = json!(true);
    body
}

#[tokio::test]
async fn each_event_is_passed_on_before_the_next_one_is_sent() {
    let world = World::usual().await;
    let pause = Duration::from_millis(300);
    world
        .provider
        .answers(move |_| stream(&anthropic_events(&["a", "b", "c"], 100, 20), pause));
    let events = anthropic_events(&["a", "b", "c"], 100, 20);
    let began = Instant::now();
    let answer = world
        .post("/v1/messages")
        .json(&streaming())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.bytes_stream();
    let mut seen = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let piece = body.next().await.expect("an event").expect("bytes");
        seen.extend_from_slice(&piece);
        assert_eq!(String::from_utf8_lossy(&piece), *event, "event {index}");
        let late = began
            .elapsed()
            .saturating_sub(pause * u32::try_from(index).expect("few"));
        assert!(
            late < pause,
            "event {index} came {late:?} late: it waited for the next one"
        );
    }
    assert!(body.next().await.is_none());
    assert_eq!(seen, events.concat().as_bytes());
    let rows = world.rows(1).await;
    assert_eq!(
        (rows[0]["input"].as_u64(), rows[0]["output"].as_u64()),
        (Some(100), Some(20))
    );
    assert_eq!(rows[0]["provenance"], "exact");
    assert_eq!(rows[0]["cost_usd"], "0.0003");
    assert_eq!(rows[0]["stream"], true);
    assert!(
        rows[0]["first_byte_us"]
            .as_u64()
            .is_some_and(|us| us < 300_000),
        "{}",
        rows[0]
    );
}

#[tokio::test]
async fn events_cut_anywhere_arrive_as_they_were() {
    let world = World::usual().await;
    let whole = anthropic_events(&["grüße", " ☃"], 100, 20)
        .concat()
        .replace('\n', "\r\n")
        .into_bytes();
    let pieces = whole.clone();
    world.provider.answers(move |_| {
        let mut script = vec![stream_head()];
        script.extend(pieces.chunks(7).map(chunk));
        script.push(stream_end());
        script
    });
    let answer = world
        .post("/v1/messages")
        .json(&streaming())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.bytes().await.expect("bytes"), whole);
    assert_eq!(world.rows(1).await[0]["cost_usd"], "0.0003");
}

#[tokio::test]
async fn responses_and_chat_streams_are_metered() {
    let world = World::usual().await;
    world.provider.answers(|request| {
        let events = if request.path.ends_with("/responses") {
            vec![
                "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n".to_owned(),
                "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"model\":\"gpt-5.5\",\"usage\":{\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":50},\"output_tokens\":20,\"total_tokens\":120}}}\n\n".to_owned(),
            ]
        } else {
            vec![
                "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\n".to_owned(),
                "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":20,\"total_tokens\":120}}\n\n".to_owned(),
                "data: [DONE]\n\n".to_owned(),
            ]
        };
        stream(&events, Duration::ZERO)
    });
    let respond =
        json!({"model": "gpt-5.5", "max_output_tokens": 50, "stream": true, "input": "hi"});
    world
        .post("/v1/responses")
        .json(&respond)
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text");
    let chat = json!({"model": "gpt-5.5", "max_completion_tokens": 50, "stream": true,
        "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": "hi"}]});
    let text = world
        .post("/v1/chat/completions")
        .json(&chat)
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text");
    assert!(
        text.contains("\"usage\":{"),
        "a client that asked for its usage gets it"
    );
    let rows = world.rows(2).await;
    // 50 fresh at $1, 50 cached at $0.10, 20 out at $10, by the million.
    assert_eq!(rows[0]["cost_usd"], "0.000255");
    assert_eq!(rows[0]["cache_read"], 50);
    assert_eq!(rows[1]["cost_usd"], "0.0003");
}

#[tokio::test]
async fn a_chat_stream_that_does_not_ask_for_usage_is_metered_and_does_not_see_it() {
    let world = World::usual().await;
    let visible = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";
    world.provider.answers(move |request| {
        assert_eq!(request.json()["stream_options"]["include_usage"], true);
        let events = [
            visible.to_owned(),
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":20,\"total_tokens\":120}}\n\n".to_owned(),
            "data: [DONE]\n\n".to_owned(),
        ];
        stream(&events, Duration::ZERO)
    });
    let chat = json!({"model": "gpt-5.5", "max_completion_tokens": 50, "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let text = world
        .post("/v1/chat/completions")
        .json(&chat)
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text");
    assert_eq!(text, format!("{visible}data: [DONE]\n\n"));
    assert_eq!(world.rows(1).await[0]["cost_usd"], "0.0003");
}

#[tokio::test]
async fn a_client_that_leaves_mid_stream_is_charged_and_the_provider_let_go() {
    let world = World::usual().await;
    world.provider.answers(|_| {
        let events = anthropic_events(&["one two three four"], 100, 20);
        let mut script = vec![stream_head()];
        script.extend(events[..3].iter().map(|event| chunk(event.as_bytes())));
        script.push(Step::Wait(Duration::from_mins(1)));
        script
    });
    let answer = world
        .post("/v1/messages")
        .json(&streaming())
        .send()
        .await
        .expect("an answer");
    let mut body = answer.bytes_stream();
    let mut seen = 0;
    while seen < 300 {
        seen += body.next().await.expect("events").expect("bytes").len();
    }
    drop(body);
    let rows = world.rows(1).await;
    assert_eq!(rows[0]["decision"], "failed");
    assert_eq!(rows[0]["code"], "client_gone");
    assert_ne!(rows[0]["provenance"], "exact");
    let charged: f64 = rows[0]["cost_usd"]
        .as_str()
        .expect("an amount")
        .parse()
        .expect("a number");
    assert!(charged > 0.0001, "100 input tokens at least: {charged}");
    let metrics = world
        .gateway
        .admin("/metrics")
        .await
        .text()
        .await
        .expect("text");
    assert!(metrics.contains("tollgate_in_flight 0"));
}

/// A gateway whose provider keeps the whole reservation of a client that leaves.
async fn keeping_the_reservation() -> World {
    World::start(Wish {
        provider: "on_disconnect = \"charge_reservation\"".to_owned(),
        ..Wish::default()
    })
    .await
}

/// The provider goes on with it, and its answer can still be used.
#[tokio::test]
async fn a_stream_in_the_background_that_is_left_is_charged_its_reservation() {
    let world = World::usual().await;
    world.provider.answers(|_| {
        let event = |kind: &str, rest: &str| {
            chunk(format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{rest}}}\n\n").as_bytes())
        };
        vec![
            stream_head(),
            event(
                "response.created",
                r#""response":{"id":"resp_1","status":"queued"}"#,
            ),
            event("response.output_text.delta", r#""delta":"one two""#),
            Step::Wait(Duration::from_mins(1)),
        ]
    });
    let body = json!({"model": "gpt-5.5", "input": "hi", "stream": true, "background": true, "max_output_tokens": 100});
    let answer = world.post("/v1/responses").json(&body).send().await;
    let mut events = answer.expect("an answer").bytes_stream();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("one two") {
        seen.extend(events.next().await.expect("events").expect("bytes"));
    }
    drop(events);
    let rows = world.rows(1).await;
    assert_eq!(rows[0]["code"], "client_gone");
    assert_ne!(rows[0]["cost_usd"], "0.00");
    assert_eq!(rows[0]["cost_usd"], rows[0]["reserved_usd"]);
}

#[tokio::test]
async fn a_client_that_leaves_can_be_charged_its_reservation() {
    let world = keeping_the_reservation().await;
    world.provider.answers(|_| {
        let events = anthropic_events(&["one two three four"], 100, 20);
        let mut script = vec![stream_head()];
        script.extend(events[..3].iter().map(|event| chunk(event.as_bytes())));
        script.push(Step::Wait(Duration::from_mins(1)));
        script
    });
    let answer = world.post("/v1/messages").json(&streaming()).send().await;
    let mut body = answer.expect("an answer").bytes_stream();
    let mut seen = 0;
    while seen < 300 {
        seen += body.next().await.expect("events").expect("bytes").len();
    }
    drop(body);
    let rows = world.rows(1).await;
    assert_eq!(rows[0]["code"], "client_gone");
    assert_eq!(rows[0]["cost_usd"], rows[0]["reserved_usd"]);
}

#[tokio::test]
async fn a_client_that_leaves_after_the_final_count_is_charged_what_was_counted() {
    let world = keeping_the_reservation().await;
    world.provider.answers(|_| {
        let events = anthropic_events(&["hi"], 100, 20);
        let mut script = vec![stream_head()];
        script.extend(events.iter().map(|event| chunk(event.as_bytes())));
        // All is said, and the body does not end.
        script.push(Step::Wait(Duration::from_mins(1)));
        script
    });
    let answer = world.post("/v1/messages").json(&streaming()).send().await;
    let mut body = answer.expect("an answer").bytes_stream();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\"message_stop\"}\n\n") {
        seen.extend(body.next().await.expect("events").expect("bytes"));
    }
    drop(body);
    let rows = world.rows(1).await;
    assert_eq!(rows[0]["code"], "client_gone");
    assert_eq!(rows[0]["cost_usd"], "0.0003");
}

#[tokio::test]
async fn an_answer_that_lies_about_its_length_is_cut_and_charged_by_estimate() {
    let world = World::usual().await;
    world.provider.answers(|_| {
        vec![
            Step::Send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"usage\":".to_vec()),
            Step::Close,
        ]
    });
    let answer = world.message("hi").send().await.expect("a head");
    assert!(
        answer.bytes().await.is_err(),
        "the client can tell that it is cut"
    );
    let rows = world.rows(1).await;
    assert_eq!(rows[0]["decision"], "failed");
    assert_ne!(rows[0]["cost_usd"], "0.00");
    world.provider.answers(crate::provider::usual);
    assert_eq!(world.status("hi").await, 200);
}

#[tokio::test]
async fn an_answer_without_usage_is_never_free() {
    let world = World::usual().await;
    world.provider.answers(|_| {
        respond(
            200,
            "application/json",
            "{\"content\": \"twenty bytes of text\"}",
        )
    });
    assert_eq!(world.status("hi").await, 200);
    let rows = world.rows(1).await;
    assert_ne!(rows[0]["cost_usd"], "0.00");
    assert_ne!(rows[0]["provenance"], "exact");
}

/// A request of which the provider never had the whole body cost nothing; one that it had, its reservation.
#[tokio::test]
async fn a_client_that_leaves_before_its_request_does_is_charged_nothing() {
    let world = World::usual().await;
    world
        .provider
        .answers(|_| vec![Step::Wait(Duration::from_mins(1))]);
    let body = message("hi").to_string();
    for _ in 0..6 {
        let mut client = Raw::connect(&world.gateway.data).await;
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-length: {}\r\n\r\n",
            world.key,
            body.len()
        );
        client.send(head + &body).await;
        drop(client);
    }
    let rows = world.rows(6).await;
    let free = rows.iter().filter(|row| row["cost_usd"] == "0.00").count();
    assert_eq!(free, 6 - world.provider.received().len(), "{rows:#?}");
    assert!(rows.iter().all(|row| row["code"] == "client_gone"));
}

#[tokio::test]
async fn an_error_in_a_stream_is_seen_in_the_audit_and_costs_what_was_told() {
    let world = World::usual().await;
    world.provider.answers(|_| {
        let mut events = anthropic_events(&["one"], 100, 20);
        events.truncate(2);
        let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
        events.push(format!("event: error\ndata: {error}\n\n"));
        stream(&events, Duration::ZERO)
    });
    let answer = world.post("/v1/messages").json(&streaming()).send().await;
    let text = answer.expect("an answer").text().await.expect("text");
    assert!(text.contains("overloaded_error"));
    let rows = world.rows(1).await;
    assert_eq!(
        (&rows[0]["decision"], &rows[0]["code"], &rows[0]["status"]),
        (&json!("failed"), &json!("upstream_error"), &json!(200))
    );
    let charged: f64 = rows[0]["cost_usd"]
        .as_str()
        .expect("an amount")
        .parse()
        .expect("a number");
    assert!((0.0001..0.0006).contains(&charged), "{charged}");
}

#[tokio::test]
async fn a_provider_that_refuses_to_be_asked_for_usage_is_not() {
    let world = World::start(Wish {
        provider: "ask_usage = false".to_owned(),
        ..Wish::default()
    })
    .await;
    let chat = json!({"model": "gpt-5.5", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let answer = world.post("/v1/chat/completions").json(&chat).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
    assert_eq!(world.provider.last().json(), chat);
}

/// What the provider said last before it broke off reaches the client, though the gateway waited for its end.
#[tokio::test]
async fn half_an_event_is_passed_on_when_the_provider_breaks_off() {
    let world = World::usual().await;
    let whole = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let half = "data: {\"choices\":[{\"index\":0,\"delta\":{\"con";
    world.provider.answers(move |_| {
        let parts = [whole, half].map(|part| chunk(part.as_bytes()));
        [vec![stream_head()], parts.to_vec(), vec![Step::Close]].concat()
    });
    let chat = json!({"model": "gpt-5.5", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let answer = world.post("/v1/chat/completions").json(&chat).send().await;
    let mut body = answer.expect("an answer").bytes_stream();
    let mut seen = Vec::new();
    while let Some(Ok(bytes)) = body.next().await {
        seen.extend(bytes);
    }
    assert_eq!(String::from_utf8_lossy(&seen), format!("{whole}{half}"));
}
