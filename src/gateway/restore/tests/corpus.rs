//! The whole way of a body: secrets planted at any nesting, taken out by scan and rewriting, said again by an answer in any
//! pieces, and put back. Over bodies that are made here, and over those of a folder where `TOLLGATE_CORPUS` names one:
//! requests as `*.json`, texts as the `text` of each line of `*.jsonl`.

use std::fmt::Write;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::plant::{Dice, Plant, SECRETS, inner, nested};
use super::{StreamRestorer, collected, sse};
use crate::domain::{Name, Secret};
use crate::provider::Endpoint;
use crate::scan::redact::{MOST, Placeholders, Rewritten, rewrite};
use crate::scan::restore::{Collected, Restorations};
use crate::scan::{Body, Family, KnownValues, Limits, RuleFile, RuleSet, Scanner};

/// Below this an answer is cut at every byte.
const SHORT: usize = 2000;

const RULES: &str = r#"
[[rule]]
id = "access-key"
category = "access_key"
description = "Found by its own form"
pattern = '\bAKIA[A-Z0-9]{16}'

[[rule]]
id = "block"
category = "key_block"
description = "Spans lines"
pattern = '-----BEGIN PLANTED-----[\s\S]{0,200}?-----END PLANTED-----'

[[rule]]
id = "hush"
category = "hush_key"
description = "Given away by the name before it, and bare elsewhere"
pattern = 'hush_key ?= ?(?P<secret>[a-z0-9]{12,60})'
"#;

fn scanner() -> Scanner {
    let file = RuleFile {
        name: "corpus.toml",
        text: RULES,
    };
    let rules = RuleSet::parse(&[file], &Family::ALL).unwrap();
    let key = Secret::new([3; 32]);
    Scanner::build(rules, KnownValues::new(), &key, Limits::default()).unwrap()
}

fn redact(scanner: &Scanner, body: &[u8]) -> Rewritten {
    let asked = Body {
        bytes: body,
        content_type: Some("application/json"),
        content_encoding: None,
    };
    let report = scanner.scan_for(&mut scanner.workspace(), asked, None, &|_| true);
    assert_eq!(report.undecodable, None);
    rewrite(body, &report, &placeholders(), MOST, |_| true).unwrap()
}

fn placeholders() -> Placeholders {
    Placeholders::new(&Secret::new([5; 32]), &Name::new("acme"))
}

/// The same way back once more: one is used up by one answer.
fn again(known: &Restorations) -> Restorations {
    let mut collected = Collected::default();
    for entry in 0..known.len() {
        let (value, category) = (known.value(entry).expose(), known.category(entry));
        assert!(collected.add(&placeholders().of(category, value), value, category));
    }
    collected.finish()
}

/// Every text of a body, those of JSON in `arguments` too.
fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|one| texts(one, into)),
        Value::Object(all) => {
            for (key, one) in all {
                match inner(key, one) {
                    Some(arguments) => texts(&arguments, into),
                    None => texts(one, into),
                }
            }
        }
        _ => {}
    }
}

/// Plants, takes out, says again and puts back; `pieces` decides every cut.
fn check(scanner: &Scanner, endpoint: Endpoint, body: &Value, seed: u64) -> usize {
    let mut dice = Dice::new(seed);
    let mut planted = body.clone();
    let count = Plant::new(&mut dice).into(&mut planted);
    let sent = written(&planted, &mut dice);
    let out = redact(scanner, &sent);
    assert_eq!(out.sealed, Vec::<usize>::new());
    let redacted: Value = serde_json::from_slice(&out.body).unwrap();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    texts(&planted, &mut before);
    texts(&redacted, &mut after);
    assert_eq!(before.len(), after.len());
    for text in &after {
        for secret in SECRETS {
            for depth in 0..3 {
                let quoted = nested(secret, depth);
                let escaped = quoted.trim_matches(|c| "{}\"\\k:".contains(c));
                assert!(!text.contains(escaped), "left: {text}");
            }
        }
    }
    let said: Vec<(String, String)> = before
        .into_iter()
        .zip(after)
        .filter(|(before, after)| before != after)
        .collect();
    assert!(count == 0 || !said.is_empty());
    let known = &out.restorations;
    for (number, (before, after)) in said.iter().take(4).enumerate() {
        // Each answer goes through some cuts, and one of them, where it is short, through all.
        let short = if number == 0 { SHORT } else { 0 };
        answer(endpoint, known, &window(before, after), short, &mut dice);
    }
    untouched(endpoint, known, &mut dice);
    said.len()
}

/// Both texts without most of what they begin and end with alike, short enough to be said in an answer.
fn window(before: &str, after: &str) -> (String, String) {
    let alike = |(a, b): &(char, char)| a == b;
    let head = before.chars().zip(after.chars()).take_while(alike);
    let head: usize = head.map(|(a, _)| a.len_utf8()).sum();
    let (before, after) = (&before[head..], &after[head..]);
    let tail = before.chars().rev().zip(after.chars().rev());
    let tail: Vec<usize> = tail.take_while(alike).map(|(a, _)| a.len_utf8()).collect();
    let tail: usize = tail.iter().take(tail.len().saturating_sub(200)).sum();
    let cut = |text: &str| format!("so: {}", &text[..text.len() - tail]);
    (cut(before), cut(after))
}

/// The answer says a text and writes it into a file: in pieces, and at once.
fn answer(
    endpoint: Endpoint,
    known: &Restorations,
    (before, after): &(String, String),
    short: usize,
    dice: &mut Dice,
) {
    let stream = streamed(endpoint, after, dice);
    let whole = run(endpoint, known, true, stream.as_bytes(), &[]);
    for (key, text) in collected(&whole) {
        if key.starts_with("text") || key.starts_with("content") || key.contains("output_text") {
            assert_eq!(&text, before, "{key}");
        } else if !key.starts_with("name") {
            let arguments: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(arguments["content"], *before, "{key}");
        }
    }
    for cuts in cuts(stream.len(), short, dice) {
        assert!(
            run(endpoint, known, true, stream.as_bytes(), &cuts) == whole,
            "{cuts:?}"
        );
    }
    let body = at_once(endpoint, after).to_string();
    let restored = run(endpoint, known, false, body.as_bytes(), &[]);
    let mut all = Vec::new();
    texts(&serde_json::from_slice(&restored).unwrap(), &mut all);
    assert_eq!(all.iter().filter(|text| *text == before).count(), 2);
    for cuts in cuts(body.len(), short / 2, dice) {
        assert!(run(endpoint, known, false, body.as_bytes(), &cuts) == restored);
    }
}

/// What holds none of the request's placeholders comes out as it is.
fn untouched(endpoint: Endpoint, known: &Restorations, dice: &mut Dice) {
    let stream = streamed(endpoint, "TG_ and TG_access_key_ABCDEFGHIJKLMNOP T", dice);
    for cuts in cuts(stream.len(), 0, dice) {
        let out = run(endpoint, known, true, stream.as_bytes(), &cuts);
        assert!(out == stream.as_bytes(), "{cuts:?}");
    }
}

fn run(
    endpoint: Endpoint,
    known: &Restorations,
    sse: bool,
    bytes: &[u8],
    cuts: &[usize],
) -> Vec<u8> {
    let mut restorer = StreamRestorer::new(endpoint, sse, again(known));
    let mut out = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        restorer.push(&bytes[from..cut], &mut out);
        from = cut;
    }
    restorer.finish(&mut out);
    assert_eq!((restorer.held(), restorer.counts().malformed), (0, 0));
    out
}

/// Every single cut and all of them at once where the answer is short, and some at random.
fn cuts(length: usize, short: usize, dice: &mut Dice) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = Vec::new();
    if length <= short {
        all.extend((0..=length).map(|at| vec![at]));
        all.push((0..length).collect());
    }
    for _ in 0..4 {
        let mut some: Vec<usize> = (0..dice.below(30))
            .map(|_| dice.below(length + 1))
            .collect();
        some.sort_unstable();
        all.push(some);
    }
    all
}

fn streamed(endpoint: Endpoint, text: &str, dice: &mut Dice) -> String {
    let arguments = json!({ "content": text }).to_string();
    let say = dice.pieces(text);
    let call = dice.pieces(&arguments);
    let text_delta = |text: &String| super::text_delta(0, text);
    let json_delta = |text: &String| super::json_delta(1, text);
    let mut all = Vec::new();
    match endpoint {
        Endpoint::Messages => {
            all.push(super::start(0, &json!({"type": "text", "text": ""})));
            all.extend(say.iter().map(text_delta));
            all.push(super::stop(0));
            all.push(super::start(
                1,
                &json!({"type": "tool_use", "name": "Write", "input": {}}),
            ));
            all.extend(call.iter().map(json_delta));
            all.push(super::stop(1));
        }
        Endpoint::ChatCompletions => {
            let one = |delta: Value| super::chat(0, &delta, &Value::Null);
            all.extend(say.iter().map(|text| one(json!({ "content": text }))));
            all.push(one(json!({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "write", "arguments": ""}}]})));
            all.extend(call.iter().map(|text| one(super::call_delta(0, text))));
            all.push(super::chat(0, &json!({}), &json!("tool_calls")));
        }
        _ => {
            let item = json!({"type": "function_call", "name": "write", "arguments": ""});
            all.extend(say.iter().map(|text| json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text})));
            all.push(json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": text}));
            all.push(
                json!({"type": "response.output_item.added", "output_index": 1, "item": item}),
            );
            all.extend(call.iter().map(|text| json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": text})));
            all.push(json!({"type": "response.completed", "response": {"output": []}}));
        }
    }
    sse(&all)
}

fn at_once(endpoint: Endpoint, text: &str) -> Value {
    let arguments = json!({ "content": text });
    match endpoint {
        Endpoint::Messages => json!({"type": "message", "content": [{"type": "text", "text": text},
            {"type": "tool_use", "name": "Write", "input": arguments}]}),
        Endpoint::ChatCompletions => {
            json!({"choices": [{"index": 0, "message": {"content": text, "tool_calls": [
            {"function": {"name": "write", "arguments": arguments.to_string()}}]}}]})
        }
        _ => {
            json!({"object": "response", "output": [{"type": "message", "content": [{"type": "output_text", "text": text}]},
            {"type": "function_call", "name": "write", "arguments": arguments.to_string()}]})
        }
    }
}

/// The bytes of a body as some client writes it.
fn written(body: &Value, dice: &mut Dice) -> Vec<u8> {
    let text = match dice.below(3) {
        0 => serde_json::to_string_pretty(body).unwrap(),
        _ => body.to_string(),
    };
    if dice.below(2) == 0 {
        return text.into_bytes();
    }
    // As Python writes it: nothing but ASCII.
    let mut ascii = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                write!(ascii, "\\u{unit:04x}").unwrap();
            }
        }
    }
    ascii.into_bytes()
}

/// A conversation with a file, a command and its outcome, in the shape of an API.
fn made(endpoint: Endpoint, dice: &mut Dice) -> Value {
    let (file, said, came) = (dice.text(), dice.text(), dice.text());
    let arguments = json!({"path": "a.env", "content": file, "edits": [{"old": said}]});
    let mut body = Map::new();
    body.insert("model".to_owned(), json!("m"));
    let (name, turns) = match endpoint {
        Endpoint::Messages => (
            "messages",
            json!([
            {"role": "user", "content": said},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "t", "name": "Write", "input": arguments}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": came}]}]}]),
        ),
        Endpoint::ChatCompletions => (
            "messages",
            json!([
            {"role": "user", "content": said},
            {"role": "assistant", "tool_calls": [{"id": "t", "type": "function", "function": {"name": "write", "arguments": arguments.to_string()}}]},
            {"role": "tool", "tool_call_id": "t", "content": came}]),
        ),
        _ => (
            "input",
            json!([
            {"role": "user", "content": [{"type": "input_text", "text": said}]},
            {"type": "function_call", "call_id": "t", "name": "write", "arguments": arguments.to_string()},
            {"type": "function_call_output", "call_id": "t", "output": came}]),
        ),
    };
    body.insert(name.to_owned(), turns);
    Value::Object(body)
}

const APIS: [Endpoint; 3] = [
    Endpoint::Messages,
    Endpoint::ChatCompletions,
    Endpoint::Responses,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn what_is_planted_anywhere_leaves_nowhere_and_comes_back_over_any_cut(seed in any::<u64>()) {
        let scanner = scanner();
        for endpoint in APIS {
            let mut dice = Dice::new(seed);
            let body = made(endpoint, &mut dice);
            check(&scanner, endpoint, &body, seed);
        }
    }
}

/// The bodies of the folder that `TOLLGATE_CORPUS` names.
fn corpus(folder: PathBuf, bodies: &mut Vec<(Endpoint, Value)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy().into_owned();
        if path.is_dir() {
            corpus(path, bodies);
        } else if path.extension().is_some_and(|ext| ext == "json") {
            let api = ["anthropic", "chat", "responses"]
                .iter()
                .position(|api| name.contains(api));
            let body = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            bodies.push((APIS[api.unwrap_or(0)], body));
        } else if path.extension().is_some_and(|ext| ext == "jsonl") {
            let text = std::fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                let case: Value = serde_json::from_str(line).unwrap();
                let text = case["text"].as_str().unwrap_or_default();
                let body = json!({"messages": [{"role": "user", "content": text}]});
                bodies.push((APIS[number % 3], body));
            }
        }
    }
}

#[test]
fn the_bodies_of_a_corpus_behave_as_the_made_ones() {
    let mut bodies: Vec<(Endpoint, Value)> = APIS
        .into_iter()
        .map(|api| (api, made(api, &mut Dice::new(1))))
        .collect();
    if let Some(folder) = std::env::var_os("TOLLGATE_CORPUS") {
        corpus(folder.into(), &mut bodies);
    }
    let scanner = scanner();
    let mut changed = 0;
    for (number, (endpoint, body)) in bodies.iter().enumerate() {
        changed += check(&scanner, *endpoint, body, number as u64);
    }
    assert!(changed > 0);
    eprintln!("{} bodies, {changed} texts with secrets", bodies.len());
}
