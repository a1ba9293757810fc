//! Redaction where requests and answers come in other ways: compressed, nested, interleaved, broken off.

use serde_json::{Value, json};

use crate::encoded::packed;
use crate::gateway::{Wish, World, message, planted};
use crate::provider::{Received, Script, Step, chunk, json as answer, stream_end, stream_head};

const TOKEN: &str = "TG_aws_access_key_";

fn redacting() -> Wish {
    Wish {
        actions: "aws_access_key = \"redact\"".to_owned(),
        ..Wish::default()
    }
}

/// The placeholders that reached the provider, in the order of the body.
fn placeholders(request: &Received) -> Vec<String> {
    let body = String::from_utf8_lossy(&request.body);
    body.match_indices(TOKEN)
        .map(|(at, _)| body[at..at + TOKEN.len() + 16].to_owned())
        .collect()
}

fn streamed(data: &[Value]) -> Script {
    let mut script = vec![stream_head()];
    for one in data {
        script.push(chunk(format!("data: {one}\n\n").as_bytes()));
    }
    script.push(chunk(b"data: [DONE]\n\n"));
    script.push(stream_end());
    script
}

fn pieces(text: &str, size: usize) -> Vec<String> {
    let all: Vec<char> = text.chars().collect();
    all.chunks(size).map(|one| one.iter().collect()).collect()
}

#[tokio::test]
async fn a_compressed_request_goes_out_redacted_and_as_identity() {
    let world = World::start(redacting()).await;
    world.provider.answers(|request| {
        let said = placeholders(request).concat();
        answer(
            200,
            &json!({"type": "message", "model": "claude-haiku-4-5", "usage": {"input_tokens": 1, "output_tokens": 1},
            "content": [{"type": "text", "text": said}]}),
        )
    });
    let secret = planted(41);
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        for content in [format!("key {secret}"), "no key".to_owned()] {
            let plain = message(&content).to_string();
            let sent = packed(encoding, plain.as_bytes());
            let reply = world
                .post("/v1/messages")
                .header("content-type", "application/json")
                .header("content-encoding", encoding)
                .body(sent.clone())
                .send()
                .await
                .expect("an answer");
            assert_eq!(reply.status(), 200, "{encoding}");
            let told: Value = reply.json().await.expect("JSON");
            let seen = world.provider.last();
            assert_eq!(
                seen.header("content-length"),
                Some(seen.body.len().to_string().as_str())
            );
            if content.contains(&secret) {
                assert_eq!(told["content"][0]["text"], secret, "{encoding}");
                assert_eq!(seen.header("content-encoding"), None, "{encoding}");
                let placeholder = &placeholders(&seen)[0];
                assert_eq!(seen.body, plain.replace(&secret, placeholder).as_bytes());
            } else if encoding == "br" {
                // What its blocks of metadata hold was not inspected.
                assert_eq!(seen.header("content-encoding"), None);
                assert_eq!(seen.body, plain.as_bytes());
            } else {
                assert_eq!(seen.header("content-encoding"), Some(encoding));
                assert_eq!(seen.body, sent, "as it came");
            }
        }
    }
}

#[tokio::test]
async fn a_secret_deep_in_a_calls_arguments_goes_and_comes_at_its_depth() {
    let world = World::start(redacting()).await;
    let secret = planted(42);
    // A file of JSON whose text is JSON, written by a call whose arguments are JSON in a text: four levels.
    let inner = json!({"key": secret, "note": "a \"quote\"\n\\ \u{1f600}"}).to_string();
    let file = json!({ "config": inner }).to_string();
    let arguments = json!({"path": "a.json", "content": file}).to_string();
    world.provider.answers(|request| {
        let body = request.json();
        let said = body["messages"][1]["tool_calls"][0]["function"]["arguments"].clone();
        let said = said.as_str().expect("arguments").to_owned();
        let open = json!({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "write", "arguments": ""}}]});
        let delta = |delta: Value, finish: Value| json!({"id": "c", "object": "chat.completion.chunk", "model": "gpt-5.5",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        let mut all = vec![delta(open, Value::Null)];
        all.extend(pieces(&said, 3).into_iter().map(|text| {
            delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}), Value::Null)
        }));
        all.push(delta(json!({}), json!("tool_calls")));
        streamed(&all)
    });
    let ask = json!({"model": "gpt-5.5", "max_tokens": 9, "stream": true, "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "t", "type": "function", "function": {"name": "write", "arguments": arguments}}]},
        {"role": "tool", "tool_call_id": "t", "content": "ok"}]});
    let reply = world.post("/v1/chat/completions").json(&ask).send().await;
    let text = reply.expect("an answer").text().await.expect("text");
    let seen = world.provider.last();
    assert!(!String::from_utf8_lossy(&seen.body).contains(&secret));
    assert_eq!(placeholders(&seen).len(), 1);
    assert_eq!(calls(&text, 0)[0], arguments, "to the byte");
}

/// The arguments of the calls of one choice, put together.
fn calls(stream: &str, choice: u64) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for data in stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
    {
        let Ok(event) = serde_json::from_str::<Value>(data) else {
            continue;
        };
        let choices = event["choices"].as_array().into_iter().flatten();
        for one in choices.filter(|one| one["index"] == choice) {
            for call in one["delta"]["tool_calls"].as_array().into_iter().flatten() {
                let index = usize::try_from(call["index"].as_u64().expect("an index"));
                let index = index.expect("a small one");
                all.resize_with(all.len().max(index + 1), String::new);
                all[index] += call["function"]["arguments"].as_str().unwrap_or("");
            }
        }
    }
    all
}

#[tokio::test]
async fn choices_and_calls_that_interleave_do_not_mix() {
    let world = World::start(redacting()).await;
    let secrets = [planted(43), planted(44)];
    world.provider.answers(|request| {
        let known = placeholders(request);
        let delta = |choice: u64, delta: Value, finish: Value| json!({"id": "c", "object": "chat.completion.chunk", "model": "gpt-5.5",
            "choices": [{"index": choice, "delta": delta, "finish_reason": finish}]});
        let mut lanes = Vec::new();
        for choice in [0, 1] {
            for call in [0, 1] {
                let open = json!({"tool_calls": [{"index": call, "id": "c", "type": "function", "function": {"name": "edit", "arguments": ""}}]});
                let said = json!({ "a": format!("{choice}{call} {}", known[usize::from(choice == call)]) }).to_string();
                let mut lane = vec![delta(choice, open, Value::Null)];
                lane.extend(pieces(&said, 4).into_iter().map(|text| {
                    let call = json!({"tool_calls": [{"index": call, "function": {"arguments": text}}]});
                    delta(choice, call, Value::Null)
                }));
                lanes.push(lane.into_iter());
            }
        }
        let mut all = Vec::new();
        // One event of each in turn.
        loop {
            let turn: Vec<Value> = lanes.iter_mut().filter_map(Iterator::next).collect();
            if turn.is_empty() {
                break;
            }
            all.extend(turn);
        }
        all.extend([0, 1].map(|choice| delta(choice, json!({}), json!("tool_calls"))));
        streamed(&all)
    });
    let said = secrets.join(" and ");
    let ask = json!({"model": "gpt-5.5", "max_tokens": 9, "stream": true, "n": 2, "messages": [{"role": "user", "content": said}]});
    let reply = world.post("/v1/chat/completions").json(&ask).send().await;
    let text = reply.expect("an answer").text().await.expect("text");
    for choice in [0, 1] {
        for (call, heard) in calls(&text, choice).iter().enumerate() {
            let secret = &secrets[usize::from(choice == call as u64)];
            let expected = json!({ "a": format!("{choice}{call} {secret}") });
            assert_eq!(
                serde_json::from_str::<Value>(heard).expect("JSON"),
                expected
            );
        }
    }
    assert!(!text.contains(TOKEN), "{text}");
}

#[tokio::test]
async fn a_placeholder_that_the_caller_sent_itself_stays_beside_those_of_its_request() {
    let world = World::start(redacting()).await;
    world.message(&planted(45)).send().await.expect("an answer");
    let others = placeholders(&world.provider.last()).remove(0);
    world.provider.answers(|request| {
        let said = request.json()["messages"][0]["content"].clone();
        answer(
            200,
            &json!({"type": "message", "model": "claude-haiku-4-5", "usage": {"input_tokens": 1, "output_tokens": 1},
            "content": [{"type": "text", "text": said}]}),
        )
    });
    let content = format!("{others} {} {others}", planted(46));
    let reply = world.message(&content).send().await.expect("an answer");
    let told: Value = reply.json().await.expect("JSON");
    assert_eq!(told["content"][0]["text"], content);
    let seen = placeholders(&world.provider.last());
    assert!(seen[0] == others && seen[1] != others && seen[2] == others);
}

#[tokio::test]
async fn a_stream_that_ends_in_the_middle_of_a_placeholder_gives_what_it_held() {
    let world = World::start(redacting()).await;
    for broken in [false, true] {
        let (told, sent) = std::sync::mpsc::channel();
        let told = std::sync::Mutex::new(told);
        world.provider.answers(move |request| {
            let head = placeholders(request)[0][..25].to_owned();
            let event = |text: &str| {
                let delta = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
                format!("event: content_block_delta\ndata: {delta}\n\n")
            };
            let all = [event("one "), event(&head)];
            told.lock().expect("not poisoned").send(all.concat()).expect("heard");
            let mut script = vec![stream_head()];
            script.extend(all.iter().map(|one| chunk(one.as_bytes())));
            script.push(if broken { Step::Close } else { stream_end() });
            script
        });
        let mut ask = message(&planted(47));
        ask["stream"] = json!(true);
        let mut reply = world
            .post("/v1/messages")
            .json(&ask)
            .send()
            .await
            .expect("an answer");
        let mut heard = Vec::new();
        let ended = loop {
            match reply.chunk().await {
                Ok(Some(bytes)) => heard.extend_from_slice(&bytes),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        assert_eq!(ended, !broken, "an answer that broke off stays broken");
        let sent = sent.recv().expect("an answer was sent");
        assert_eq!(String::from_utf8_lossy(&heard), sent);
    }
}

#[tokio::test]
async fn a_credential_that_the_provider_has_to_use_is_refused_by_its_place_or_left() {
    let secret = planted(47);
    let mut anthropic = message("hi");
    anthropic["mcp_servers"] = json!([{"type": "url", "url": "https://mcp.example", "name": "x", "authorization_token": secret}]);
    let openai = json!({"model": "gpt-5.5", "max_output_tokens": 50, "input": "hi", "tools": [
        {"type": "mcp", "server_label": "x", "server_url": "https://mcp.example", "headers": {"Authorization": format!("Bearer {secret}")}}]});
    let requests = [
        (
            "/v1/messages",
            anthropic,
            "$.mcp_servers[0].authorization_token",
        ),
        ("/v1/responses", openai, "$.tools[0].headers.Authorization"),
    ];
    for leave in [false, true] {
        let mut wish = redacting();
        if leave {
            wish.scan = "on_unredactable = \"alert\"".to_owned();
        }
        let world = World::start(wish).await;
        for (path, body, place) in &requests {
            let reply = world.post(path).json(body).send().await.expect("an answer");
            let (status, text) = (reply.status(), reply.text().await.expect("text"));
            if leave {
                assert_eq!(status, 200, "{text}");
                assert_eq!(world.provider.last().json(), *body);
            } else {
                assert_eq!(status, 400, "{text}");
                assert!(text.contains(place), "{text}");
            }
        }
        let rows = world.rows(2).await;
        let told = json!({"category": "aws_access_key", "count": 1, "action": if leave { "unredacted" } else { "block" }});
        for row in rows {
            let findings = row["findings"].as_array().expect("a list");
            assert!(findings.contains(&told), "{row}");
        }
    }
}
