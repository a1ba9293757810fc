use proptest::prelude::*;

use super::*;

/// Words that texts are made of: placeholders, what nearly is one, and what needs escapes.
const WORDS: [&str; 12] = [
    KEY,
    PEM,
    "T",
    "TG_",
    "TG_api_key_ABC",
    "_",
    "é",
    "😀",
    "\"q\"",
    "\\",
    "\n",
    "TG_api_key_ABCDEFGHIJKLMNOQ",
];

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(0..WORDS.len(), 0..8)
        .prop_map(|words| words.into_iter().map(|word| WORDS[word]).collect())
}

fn cuts() -> impl Strategy<Value = Vec<u16>> {
    proptest::collection::vec(any::<u16>(), 0..24)
}

/// Cuts a text at characters.
fn pieces<'a>(text: &'a str, cuts: &[u16]) -> Vec<&'a str> {
    let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    places.push(text.len());
    let mut at: Vec<usize> = cuts
        .iter()
        .map(|cut| places[usize::from(*cut) % places.len()])
        .collect();
    at.extend([0, text.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

/// One literal's inside, with some characters written as `\uXXXX`.
fn with_escapes(event: &str, every: usize) -> String {
    let mut out = String::new();
    let mut inside = false;
    for (number, part) in event.split_inclusive("TG").enumerate() {
        inside |= number > 0;
        if inside && number % every == 0 {
            out.push_str(&part.replacen("TG", "\\u0054G", 1));
        } else {
            out.push_str(part);
        }
    }
    out
}

/// The three kinds of streams with one text, one file edit and one command.
fn streams(text: &str, cut: &[u16]) -> [(Endpoint, String); 3] {
    let arguments = json!({"content": text, "n": [1, {"x": text}]}).to_string();
    let mut messages = vec![
        json!({"type": "message_start", "message": {"content": []}}),
        start(0, &json!({"type": "text", "text": ""})),
    ];
    let mut chats = vec![chat(
        0,
        &json!({"role": "assistant", "content": null}),
        &Value::Null,
    )];
    let mut responses = vec![
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "content": []}}),
    ];
    for piece in pieces(text, cut) {
        messages.push(text_delta(0, piece));
        chats.push(chat(0, &json!({"content": piece}), &Value::Null));
        responses.push(json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": piece}));
    }
    messages.push(stop(0));
    responses.push(json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": text}));
    for (number, name) in [(1u64, "Write"), (2, "Bash")] {
        messages.push(start(
            number,
            &json!({"type": "tool_use", "id": "x", "name": name, "input": {}}),
        ));
        chats.push(chat(0, &json!({"tool_calls": [{"index": number - 1, "id": "x", "function": {"name": name, "arguments": ""}}]}), &Value::Null));
        responses.push(json!({"type": "response.output_item.added", "output_index": number, "item": {"type": "function_call", "name": name, "arguments": ""}}));
        for piece in pieces(&arguments, cut) {
            messages.push(json_delta(number, piece));
            chats.push(chat(0, &call_delta(number - 1, piece), &Value::Null));
            responses.push(json!({"type": "response.function_call_arguments.delta", "output_index": number, "delta": piece}));
        }
        messages.push(stop(number));
        responses.push(json!({"type": "response.output_item.done", "output_index": number, "item": {"type": "function_call", "name": name, "arguments": arguments}}));
    }
    messages.push(json!({"type": "message_stop"}));
    chats.push(chat(0, &json!({}), &json!("stop")));
    responses.push(json!({"type": "response.completed", "response": {"output": []}}));
    [
        (Endpoint::Messages, sse(&messages)),
        (Endpoint::ChatCompletions, sse(&chats) + "data: [DONE]\n\n"),
        (Endpoint::Responses, sse(&responses)),
    ]
}

/// Checks one stream, sent in these reads, against its texts restored as a whole.
fn check(endpoint: Endpoint, sent: &str, cuts: &[usize]) -> Result<(), TestCaseError> {
    let (out, counts) = stream(endpoint, sent.as_bytes(), cuts);
    prop_assert_eq!(counts.malformed, 0);
    prop_assert!(counts.withheld.is_empty());
    if counts.restored.is_empty() {
        prop_assert_eq!(&out, sent.as_bytes(), "untouched");
    }
    let (before, after) = (collected(sent.as_bytes()), collected(&out));
    prop_assert_eq!(before.len(), after.len());
    for (key, text) in before {
        let expected = match serde_json::from_str::<Value>(&text) {
            Ok(arguments) if arguments.is_object() => in_json(&arguments),
            _ => json!(restored(&text)),
        };
        let got = match serde_json::from_str::<Value>(&after[&key]) {
            Ok(arguments) if arguments.is_object() => arguments,
            _ => json!(after[&key]),
        };
        prop_assert_eq!(got, expected, "{}", key);
    }
    let kinds = |stream: &[u8]| -> Vec<Value> {
        events(stream)
            .iter()
            .map(|one| one["type"].clone())
            .collect()
    };
    prop_assert_eq!(
        kinds(sent.as_bytes()),
        kinds(&out),
        "the same events in the same order"
    );
    Ok(())
}

fn in_json(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(restored(text)),
        Value::Array(all) => all.iter().map(in_json).collect(),
        Value::Object(all) => all
            .iter()
            .map(|(key, value)| (key.clone(), in_json(value)))
            .collect(),
        other => other.clone(),
    }
}

#[test]
fn short_streams_cut_everywhere() {
    let text = format!("é{KEY}T");
    for cut in 0..=29u16 {
        for (endpoint, sent) in streams(&text, &[cut]) {
            check(endpoint, &sent, &[]).unwrap();
        }
    }
    let every: Vec<u16> = (0..400).collect();
    for (endpoint, sent) in streams(&text, &every) {
        let bytes: Vec<usize> = (0..sent.len()).collect();
        check(endpoint, &sent, &bytes).unwrap();
    }
    for (endpoint, sent) in streams(&format!("{PEM}\n"), &[7, 30]) {
        // Every byte of one dialect, every fourth of the others: how bytes come is no dialect's matter.
        let step = if endpoint == Endpoint::Messages { 1 } else { 4 };
        for read in (0..sent.len()).step_by(step) {
            check(endpoint, &sent, &[read]).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 256 }))]

    #[test]
    fn any_cut_gives_what_the_whole_gives(text in text(), cut in cuts(), reads in proptest::collection::vec(0usize..20_000, 0..30)) {
        let mut reads = reads;
        reads.sort_unstable();
        for (endpoint, sent) in streams(&text, &cut) {
            check(endpoint, &sent, &reads)?;
            check(endpoint, &with_escapes(&sent, 2), &reads)?;
        }
    }

    #[test]
    fn any_bytes_pass_and_nothing_panics(
        parts in proptest::collection::vec((any::<bool>(), 0usize..40, any::<u8>()), 0..30),
        reads in proptest::collection::vec(0usize..3_000, 0..10),
    ) {
        let [(_, one), (_, two), (_, three)] = streams("x TG", &[3, 5]);
        let all: Vec<&str> = [&one, &two, &three].into_iter().flat_map(|stream| stream.split_inclusive("\n\n")).collect();
        let mut sent = Vec::new();
        for (event, index, byte) in parts {
            if event {
                sent.extend_from_slice(all[index % all.len()].as_bytes());
            } else {
                sent.push(byte);
            }
        }
        for endpoint in Endpoint::ALL {
            let mut reads = reads.clone();
            reads.sort_unstable();
            let (out, _) = stream(endpoint, &sent, &reads);
            // Events may wait behind others, so only the bytes are the same, not always their order.
            let (mut a, mut b) = (out, sent.clone());
            a.sort_unstable();
            b.sort_unstable();
            prop_assert_eq!(a, b);
        }
    }
}
