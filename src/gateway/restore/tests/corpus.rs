//! The whole way of a body: secrets planted at any nesting, taken out by scan and rewriting, said again by an answer in any
//! pieces, and put back. Over bodies that are made here, and over those of a folder where `TOLLGATE_CORPUS` names one:
//! requests as `*.json`, texts as the `text` of each line of `*.jsonl`; then with all shipped rules besides, so that what
//! those bodies hold themselves goes the same way. A corpus of thousands wants an optimised build:
//! `TOLLGATE_CORPUS=DIR CARGO_PROFILE_DEV_OPT_LEVEL=2 cargo test --lib corpus -- --nocapture`.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::bodies::{APIS, folder, made, written};
use super::plant::{Dice, Plant, SECRETS, inner, nested};
use super::{StreamRestorer, echo};
use crate::domain::{Category, Name, Secret};
use crate::provider::Endpoint;
use crate::scan::redact::{Placeholders, Rewritten, rewrite};
use crate::scan::restore::{Collected, Restorations};
use crate::scan::{Body, Family, KnownValues, Limits, RuleFile, RuleSet, Scanner};

/// Up to this an answer is cut at every byte.
const SHORT: usize = 4000;
/// Up to this it is also sent byte by byte.
const ONE_BY_ONE: usize = 20_000;

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

/// The rules of what is planted, and where `shipped` all those of `conf/rules`.
fn scanner(shipped: bool) -> Scanner {
    let mut files = vec![("corpus.toml".to_owned(), RULES.to_owned())];
    if shipped {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/rules");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            files.push((path.display().to_string(), text));
        }
    }
    let files: Vec<RuleFile<'_>> = files
        .iter()
        .map(|(name, text)| RuleFile { name, text })
        .collect();
    let rules = RuleSet::parse(&files, &Family::ALL).unwrap();
    let limits = Limits {
        findings: 1_000_000,
        ..Limits::default()
    };
    Scanner::build(rules, KnownValues::new(), &Secret::new([3; 32]), limits).unwrap()
}

fn redact(scanner: &Scanner, body: &[u8]) -> Rewritten {
    let asked = Body {
        bytes: body,
        content_type: Some("application/json"),
        content_encoding: None,
    };
    let report = scanner.scan_for(&mut scanner.workspace(), asked, None, &|_| true);
    assert_eq!(report.undecodable, None);
    rewrite(body, &report, &placeholders(), usize::MAX, |_| true).unwrap()
}

fn placeholders() -> Placeholders {
    Placeholders::new(&Secret::new([5; 32]), &Name::new("acme"))
}

/// What one placeholder stands for.
struct Known {
    placeholder: String,
    value: String,
    category: Category,
}

fn all_known(restorations: &Restorations) -> Vec<Known> {
    let all = (0..restorations.len()).map(|entry| {
        let (value, category) = (
            restorations.value(entry).expose(),
            restorations.category(entry),
        );
        Known {
            placeholder: placeholders().of(category, value),
            value: value.clone(),
            category: category.clone(),
        }
    });
    all.collect()
}

/// The way back for one answer: those of its placeholders, and a few more that it does not say.
fn way_back(known: &[Known], text: &str) -> Vec<Known> {
    let mut others = 8;
    let chosen = known.iter().filter(|one| {
        let said = text.contains(&one.placeholder);
        others -= u32::from(!said && others > 0);
        said || others > 0
    });
    let copied = chosen.map(|one| Known {
        placeholder: one.placeholder.clone(),
        value: one.value.clone(),
        category: one.category.clone(),
    });
    copied.collect()
}

/// One way back is used up by one answer.
fn again(known: &[Known]) -> Restorations {
    let mut collected = Collected::default();
    for one in known {
        assert!(collected.add(&one.placeholder, &one.value, &one.category));
    }
    collected.finish()
}

/// What a text becomes, said in the simplest way.
fn restored(known: &[Known], text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("TG_") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let one = known.iter().find(|one| rest.starts_with(&one.placeholder));
        let (value, length) = one.map_or(("TG_", 3), |one| (&one.value, one.placeholder.len()));
        out.push_str(value);
        rest = &rest[length..];
    }
    out + rest
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

/// Plants, takes out, says again and puts back; the seed decides every cut. Gives the number of texts that changed.
fn check(scanner: &Scanner, endpoint: Endpoint, body: &Value, seed: u64) -> usize {
    let mut dice = Dice::new(seed);
    let mut planted = body.clone();
    let count = Plant::new(&mut dice).into(&mut planted);
    let sent = written(&planted, &mut dice);
    let out = redact(scanner, &sent);
    let redacted: Value = serde_json::from_slice(&out.body).unwrap();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    texts(&planted, &mut before);
    texts(&redacted, &mut after);
    assert_eq!(before.len(), after.len());
    for text in &after {
        nothing_left(text);
    }
    let said: Vec<(String, String)> = before
        .into_iter()
        .zip(after)
        .filter(|(before, after)| before != after)
        .collect();
    assert!(count == 0 || !said.is_empty());
    let known = all_known(&out.restorations);
    for (number, (before, after)) in said.iter().enumerate() {
        assert!(restored(&known, after) == *before, "{before}\n{after}");
        if number < 4 {
            let (before, after) = window(before, after);
            let known = way_back(&known, &after);
            assert_eq!(restored(&known, &after), before);
            for api in APIS {
                // The body's own API hears every cut of its first text, where that is short.
                let every = number == 0 && api == endpoint;
                answer(
                    api,
                    &known,
                    &after,
                    if every { SHORT } else { 0 },
                    &mut dice,
                );
            }
        }
    }
    untouched(endpoint, &way_back(&known, ""), &mut dice);
    said.len()
}

/// None of what was planted is in a text, however deep.
fn nothing_left(text: &str) {
    for secret in SECRETS {
        for depth in 0..3 {
            let quoted = nested(secret, depth);
            let escaped = quoted.trim_matches(|c| "{}\"\\k:".contains(c));
            assert!(!text.contains(escaped), "left: {text}");
        }
    }
}

/// Both texts without most of what they begin and end with alike. They begin with a word: what begins as JSON does gets JSON's
/// escapes, and cut out of its text it may be none.
fn window(before: &str, after: &str) -> (String, String) {
    let alike = |(a, b): &(char, char)| a == b;
    let length = |parts: &[usize]| parts.iter().sum::<usize>();
    let head = before.chars().zip(after.chars()).take_while(alike);
    let head: Vec<usize> = head.map(|(a, _)| a.len_utf8()).collect();
    // A secret may begin as its placeholder does, so the cut is made a little before.
    let head = length(&head[..head.len().saturating_sub(60)]);
    let (before, after) = (&before[head..], &after[head..]);
    let tail = before.chars().rev().zip(after.chars().rev());
    let tail: Vec<usize> = tail.take_while(alike).map(|(a, _)| a.len_utf8()).collect();
    let tail = length(&tail[..tail.len().saturating_sub(60)]);
    let cut = |text: &str| format!("so {}", &text[..text.len() - tail]);
    (cut(before), cut(after))
}

/// The answer says a text and writes it into a file: in pieces, and at once. `short`: up to which length every single cut
/// is tried.
fn answer(endpoint: Endpoint, known: &[Known], text: &str, short: usize, dice: &mut Dice) {
    let prose = json!(restored(known, text));
    let mut call = echo::arguments(text);
    let plain = |value: &mut Value| *value = json!(restored(known, value.as_str().unwrap()));
    plain(&mut call["content"]);
    plain(&mut call["edits"][0]["old"]);
    plain(&mut call["new"]);
    for sse in [true, false] {
        let said = if sse {
            echo::streamed(endpoint, text, dice)
        } else {
            echo::at_once(endpoint, text).to_string()
        };
        let whole = run(endpoint, known, sse, said.as_bytes(), &[]);
        let heard = echo::heard(&whole, sse);
        assert_eq!(heard.len(), echo::heard(said.as_bytes(), sse).len());
        for one in &heard {
            assert!(*one == prose || *one == call, "{one}\n{prose}\n{call}");
        }
        assert!(heard.contains(&prose) && heard.contains(&call));
        let short = if sse { short } else { short / 3 };
        for cuts in cuts(said.len(), short, dice) {
            let out = run(endpoint, known, sse, said.as_bytes(), &cuts);
            assert!(out == whole, "{cuts:?}");
        }
    }
}

/// What holds none of the request's placeholders comes out as it is.
fn untouched(endpoint: Endpoint, known: &[Known], dice: &mut Dice) {
    let stream = echo::streamed(endpoint, "TG_ and TG_access_key_ABCDEFGHIJKLMNOP T", dice);
    for cuts in cuts(stream.len(), 0, dice) {
        let out = run(endpoint, known, true, stream.as_bytes(), &cuts);
        assert!(out == stream.as_bytes(), "{cuts:?}");
    }
}

fn run(endpoint: Endpoint, known: &[Known], sse: bool, bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
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

/// All cuts at once, some at random, and every single one where the answer is short.
fn cuts(length: usize, short: usize, dice: &mut Dice) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = Vec::new();
    if length <= short {
        all.extend((0..=length).map(|at| vec![at]));
    }
    if length <= ONE_BY_ONE {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn what_is_planted_anywhere_leaves_nowhere_and_comes_back_over_any_cut(seed in any::<u64>()) {
        let scanner = scanner(false);
        for endpoint in APIS {
            let mut dice = Dice::new(seed);
            let body = made(endpoint, &mut dice);
            check(&scanner, endpoint, &body, seed);
        }
    }
}

#[test]
fn the_bodies_of_a_corpus_behave_as_the_made_ones() {
    let mut bodies: Vec<(Endpoint, Value)> = APIS
        .into_iter()
        .map(|api| (api, made(api, &mut Dice::new(1))))
        .collect();
    let corpus = std::env::var_os("TOLLGATE_CORPUS");
    let scanner = scanner(corpus.is_some());
    if let Some(corpus) = corpus {
        folder(corpus.into(), &mut bodies);
    }
    let mut changed = 0;
    for (number, (endpoint, body)) in bodies.iter().enumerate() {
        changed += check(&scanner, *endpoint, body, number as u64);
        if number % 100 == 99 {
            eprintln!("{} bodies", number + 1);
        }
    }
    assert!(changed > 0);
    eprintln!("{} bodies, {changed} texts with secrets", bodies.len());
}
