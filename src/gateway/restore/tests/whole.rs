use super::*;

#[test]
fn a_message_is_restored_in_text_and_input_and_not_in_thinking() {
    let answer = |key: &str, pem: &str| {
        json!({"type": "message", "content": [
            {"type": "thinking", "thinking": KEY, "signature": KEY},
            {"type": "text", "text": format!("{pem} {key}"), "citations": [{"cited_text": key}]},
            {"type": "tool_use", "name": "Edit", "input": {"edits": [{"old": pem, key: 1}], "url": "https://x.example"}},
            {"type": "tool_use", "name": "Bash", "input": {"command": format!("curl {KEY}"), "note": KEY}},
            {"type": "redacted_thinking", "data": KEY},
        ]})
    };
    let (out, counts) = body(Endpoint::Messages, &answer(KEY, PEM));
    assert_eq!(out, answer(KEY_VALUE, PEM_VALUE));
    assert_eq!(counts.restored[&Category::new("api_key")], 3);
    assert_eq!(counts.restored[&Category::new("private_key")], 2);
    assert_eq!(counts.withheld[&Category::new("api_key")], 2);
}

#[test]
fn a_chat_completion_is_restored_in_every_choice_and_call() {
    let arguments = |pem: &str| {
        json!({"cmd": ["cat", pem]})
            .to_string()
            .replace('\u{2028}', "\\u2028")
    };
    let answer = |key: &str, pem: &str| {
        json!({"choices": [
            {"index": 0, "message": {"role": "assistant", "content": key, "refusal": pem, "reasoning_content": KEY}},
            {"index": 1, "text": key, "message": {"content": [{"type": "text", "text": key}], "tool_calls": [
                {"id": KEY, "function": {"name": "run", "arguments": arguments(pem)}},
                {"custom": {"name": "apply_patch", "input": format!("curl {pem}")}},
                {"function": {"name": "fetch", "arguments": arguments(PEM)}},
            ], "function_call": {"name": "x", "arguments": arguments(pem)}}},
        ]})
    };
    let (out, counts) = body(Endpoint::ChatCompletions, &answer(KEY, PEM));
    assert_eq!(out, answer(KEY_VALUE, PEM_VALUE));
    assert_eq!(counts.withheld[&Category::new("private_key")], 1);
}

#[test]
fn a_response_is_restored_in_all_its_items() {
    let arguments = |pem: &str| {
        json!({"cmd": ["cat", pem]})
            .to_string()
            .replace('\u{2028}', "\\u2028")
    };
    let answer = |key: &str, pem: &str| {
        json!({"object": "response", "instructions": key, "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": KEY}], "encrypted_content": KEY},
            {"type": "message", "content": [{"type": "output_text", "text": pem}, {"type": "refusal", "refusal": key}]},
            {"type": "function_call", "name": "shell", "arguments": arguments(pem)},
            {"type": "custom_tool_call", "name": "apply_patch", "input": pem},
            {"type": "local_shell_call", "action": {"type": "exec", "command": ["echo", key]}},
            {"type": "local_shell_call", "action": {"type": "exec", "command": ["curl", KEY]}},
            {"type": "apply_patch_call", "operation": {"type": "update_file", "diff": format!("+curl {pem}")}},
            {"type": "code_interpreter_call", "code": key},
        ]})
    };
    let (out, counts) = body(Endpoint::Responses, &answer(KEY, PEM));
    assert_eq!(out, answer(KEY_VALUE, PEM_VALUE));
    assert_eq!(counts.withheld[&Category::new("api_key")], 1);
}

#[test]
fn what_is_no_json_passes_and_is_counted() {
    for (sent, malformed) in [
        (format!("{{\"content\":[{KEY}"), 1),
        (KEY.to_owned(), 1),
        (String::new(), 0),
        (format!("{{\"error\":\"{KEY}\"}}"), 0),
    ] {
        let mut restorer = StreamRestorer::new(Endpoint::Messages, false, known());
        let mut out = Vec::new();
        restorer.push(sent.as_bytes(), &mut out);
        assert!(out.is_empty());
        restorer.finish(&mut out);
        assert_eq!(out, sent.as_bytes());
        assert_eq!(restorer.counts().malformed, malformed);
    }
}
