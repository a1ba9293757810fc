//! Turn after turn of a conversation: what is left out because it was clean before is never missed.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::decode::chunks::cut;
use super::tests::{RULES, scanner};
use super::*;
use crate::domain::Name;

const KEY: &str = "acme_0123456789abcdef";

struct Talk {
    scanner: Scanner,
    workspace: Workspace,
    seen: Seen,
}

impl Talk {
    fn new() -> Self {
        Self::of(RULES)
    }

    fn of(rules: &str) -> Self {
        let scanner = scanner(rules);
        Self {
            workspace: scanner.workspace(),
            scanner,
            seen: Seen::new(),
        }
    }

    /// Scans a turn; its report is that of a whole scan, but for the bytes that were decoded for it.
    fn turn(&mut self, body: &Value, team: &str) -> Report {
        let text = body.to_string();
        let body = Body {
            bytes: text.as_bytes(),
            content_type: Some("application/json"),
            content_encoding: None,
        };
        let (team, all) = (Name::new(team), |_: &_| true);
        let workspace = &mut self.workspace;
        let turn = self
            .scanner
            .scan_turn(workspace, body, Some(&team), &all, &self.seen);
        let whole = self.scanner.scan_for(workspace, body, Some(&team), &all);
        assert_eq!(turn.findings, whole.findings, "{text}");
        assert_eq!(turn.undecodable, whole.undecodable, "{text}");
        assert!(turn.decoded_bytes <= whole.decoded_bytes);
        turn
    }
}

fn prose(bytes: usize) -> String {
    "It is so, and then not. ".repeat(bytes / 24)
}

fn said(texts: &[String]) -> Value {
    let said = texts
        .iter()
        .map(|text| json!({"role": "user", "content": text}));
    json!({"model": "m", "system": prose(3000), "messages": said.collect::<Vec<_>>()})
}

#[test]
fn only_what_is_new_is_scanned() {
    let mut talk = Talk::new();
    let mut texts = vec![prose(40_000), prose(40_000)];
    let first = talk.turn(&said(&texts), "one");
    assert!(first.decoded_bytes > 80_000, "{first:?}");
    texts.push(prose(5_000));
    texts.push(prose(5_000));
    let second = talk.turn(&said(&texts), "one");
    // What is new, and the message before it.
    let news = 50_000..55_000;
    assert!(news.contains(&second.decoded_bytes), "{second:?}");
    texts.push(prose(2_000));
    let third = talk.turn(&said(&texts), "one");
    assert!(third.decoded_bytes < 20_000, "{third:?}");
    let other = talk.turn(&said(&texts), "two");
    assert!(other.decoded_bytes > 80_000, "{other:?}");
}

#[test]
fn a_turn_that_is_clean_allocates_nothing_once_the_buffers_are_there() {
    let mut talk = Talk::new();
    let text = said(&[prose(20_000), prose(6_000), prose(2_000)]).to_string();
    let mut once = || {
        let body = Body {
            bytes: text.as_bytes(),
            content_type: Some("application/json"),
            content_encoding: None,
        };
        let Talk {
            scanner,
            workspace,
            seen,
        } = &mut talk;
        scanner.scan_turn(workspace, body, None, &|_| false, seen)
    };
    let (first, second) = (once(), once());
    assert!(second.decoded_bytes < first.decoded_bytes, "{second:?}");
    let warm = allocation_counter::measure(|| assert!(once().is_clean()));
    assert_eq!(warm.count_total, 0, "{warm:?}");
}

#[test]
fn a_secret_in_a_later_turn_is_found_with_its_place() {
    let mut talk = Talk::new();
    let mut texts = vec![prose(20_000), prose(5_000)];
    assert!(talk.turn(&said(&texts), "one").is_clean());
    texts.push(format!("{} {KEY}", prose(5_000)));
    let report = talk.turn(&said(&texts), "one");
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].path, "$.messages[2].content");
    // It is found again as long as it is there, and what was said before it too.
    texts.push(prose(2_000));
    assert_eq!(talk.turn(&said(&texts), "one").findings.len(), 1);
    // A name of a thing said long ago is one everywhere once it is told.
    texts[1].push_str(&KEY[5..]);
    assert_eq!(talk.turn(&said(&texts), "one").findings.len(), 2);
}

#[test]
fn once_a_secret_was_found_the_whole_is_scanned_at_once() {
    let mut talk = Talk::new();
    let gaps = |talk: &Talk, body: &Value| {
        let (mut chunks, mut tags, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
        let (body, team) = (body.to_string(), Name::new("one"));
        cut(body.as_bytes(), &mut chunks);
        talk.seen
            .tags(Some(&team), body.as_bytes(), &chunks, &mut tags);
        talk.seen.gaps(&chunks, &tags, &mut gaps);
        gaps.len()
    };
    let mut texts = vec![prose(20_000), prose(6_000), prose(6_000)];
    assert!(talk.turn(&said(&texts), "one").is_clean());
    texts.push(format!("{} {KEY} {}", prose(4_000), prose(4_000)));
    texts.push(prose(6_000));
    assert_eq!(gaps(&talk, &said(&texts)), 1);
    assert_eq!(talk.turn(&said(&texts), "one").findings.len(), 1);
    texts.push(prose(6_000));
    assert_eq!(gaps(&talk, &said(&texts)), 0);
    texts.remove(3);
    assert_eq!(gaps(&talk, &said(&texts)), 1);
}

#[test]
fn a_secret_that_a_new_message_completes_is_found() {
    let mut talk = Talk::new();
    let (head, tail) = KEY.split_at(9);
    let mut texts = vec![
        prose(20_000),
        format!("{}{head}", prose(6_000)),
        prose(6_000),
    ];
    assert!(talk.turn(&said(&texts), "one").is_clean());
    let rest = format!("{tail} {}", prose(6_000));
    let other = [prose(20_000), rest.clone(), prose(6_000)];
    assert!(talk.turn(&said(&other), "one").is_clean());
    // Each message was clean before; one after the other they are not.
    texts.insert(2, rest);
    assert_eq!(talk.turn(&said(&texts), "one").findings.len(), 1);
}

#[test]
fn a_secret_is_found_whatever_the_whole_body_has_at_its_place() {
    let mut talk = Talk::new();
    let empty = json!({"content": vec![""; 4000], "x": prose(6000)});
    let second = json!({"content": prose(6000)});
    let turn = json!({"messages": [empty, second]});
    assert!(talk.turn(&turn, "one").is_clean());
    for lead in 0..5 {
        let third = json!({"content": format!("{}{KEY} {}", " ".repeat(lead), prose(6000))});
        let turn = json!({"messages": [empty, second, third]});
        assert_eq!(talk.turn(&turn, "one").findings.len(), 1);
    }
}

#[test]
fn outer_values_are_read_as_one_as_far_as_is_scanned_again() {
    let mut talk = Talk::new();
    let item = |text: &str| json!({"text": text, "more": {"x": prose(6000)}});
    let (a, b, c) = (item("acme_01"), item("2345678"), item("9abcdef"));
    assert!(talk.turn(&json!({"input": [a, b]}), "one").is_clean());
    // The whole scan that this is compared with does not look further either.
    talk.turn(&json!({"input": [a, b, c]}), "one");
    let (a, b) = (item("acme_01"), item("23456789abcdef"));
    talk.turn(&json!({"input": [a]}), "one");
    assert_eq!(
        talk.turn(&json!({"input": [a, b]}), "one").findings.len(),
        1
    );
}

#[test]
fn which_strings_of_an_item_are_read_as_one_depends_on_two_items_alone() {
    let mut talk = Talk::new();
    let (head, tail) = KEY.split_at(9);
    let more = json!({"x": prose(6000)});
    let first = json!({"e": "-", "a": "-", "b": "-", "c": "-", "more": more});
    let item = |e: &str| json!({"a": "-", "b": "-", "c": "-", "d": "-", "e": e, "more": more});
    let (second, third) = (item(head), item(tail));
    assert!(
        talk.turn(&json!({"input": [first, second]}), "one")
            .is_clean()
    );
    let turn = talk.turn(&json!({"input": [first, second, third]}), "one");
    assert_eq!(turn.findings.len(), 1);
}

const PEM: &str = r#"
[[rule]]
id = "pem"
category = "private_key"
description = "Private key"
pattern = '-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[A-Za-z0-9+/=\s]{80,}(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?'
validator = "key_block"
"#;

#[test]
fn a_key_of_lines_that_old_and_new_text_cut_is_found_whole() {
    let template =
        "-----BEGIN EC PRIVATE KEY-----\n{b64:64}\n{b64:64}\n-----END EC PRIVATE KEY-----";
    let pem = examples::expand(template, 5).unwrap().text;
    for at in [12, 40, 70, 100, 155, 175] {
        let (head, tail) = pem.split_at(at);
        let mut talk = Talk::of(PEM);
        let mut texts = vec![
            prose(20_000),
            format!("{}{head}", prose(6_000)),
            prose(6_000),
        ];
        if !talk.turn(&said(&texts), "one").is_clean() {
            // So much of the key is a finding by itself.
            assert!(at > 100, "{at}");
        }
        texts.insert(2, format!("{tail}\n{}", prose(6_000)));
        let report = talk.turn(&said(&texts), "one");
        let body = said(&texts).to_string();
        let spans = report.findings.iter().filter_map(|one| one.span.clone());
        let spans: Vec<&str> = spans.map(|span| &body[span]).collect();
        assert_eq!(spans.len(), 1, "{at}");
        assert!(
            spans[0].starts_with("-----BEGIN") && spans[0].ends_with("KEY-----"),
            "{at}"
        );
        let blocks = [head, tail].map(|text| json!({"type": "text", "text": text}));
        let mut turn = said(&texts[..2]);
        turn["messages"][1] = json!({"role": "user", "content": prose(6_000)});
        assert!(talk.turn(&turn, "one").is_clean());
        let list = turn["messages"].as_array_mut().unwrap();
        list.push(json!({"role": "user", "content": blocks}));
        let report = talk.turn(&turn, "one");
        assert_eq!(report.findings.len(), 1, "{at}");
        assert_eq!(report.findings[0].path, "$.messages[2].content[0].text");
    }
}

#[test]
fn a_word_at_the_end_of_an_old_message_announces_a_secret_in_a_new_one() {
    let mut talk = Talk::new();
    let mut texts = vec![
        prose(20_000),
        format!("{} heron", prose(6_000)),
        prose(6_000),
    ];
    assert!(talk.turn(&said(&texts), "one").is_clean());
    texts.insert(
        2,
        format!("0123456789abcdef0123456789abcdef {}", prose(6_000)),
    );
    assert_eq!(talk.turn(&said(&texts), "one").findings.len(), 1);
}

#[test]
fn a_body_that_breaks_off_is_never_taken_for_one_that_does_not() {
    let mut talk = Talk::new();
    let whole = said(&[prose(20_000), prose(3_000)]).to_string();
    assert!(
        talk.turn(&serde_json::from_str(&whole).unwrap(), "one")
            .is_clean()
    );
    for broken in [
        &whole[..whole.len() - 2],
        &whole[..whole.len() - 1500],
        &whole.replace("\"messages\":[", "\"messages\":{"),
        &format!("{whole}}}"),
    ] {
        let body = Body {
            bytes: broken.as_bytes(),
            content_type: Some("application/json"),
            content_encoding: None,
        };
        let team = Name::new("one");
        let Talk {
            scanner,
            workspace,
            seen,
        } = &mut talk;
        let turn = scanner.scan_turn(workspace, body, Some(&team), &|_| false, seen);
        let whole = scanner.scan_for(workspace, body, Some(&team), &|_| false);
        assert_eq!(turn, whole);
        assert!(turn.undecodable.is_some());
    }
}

/// Messages out of few pieces, so that turns repeat them in other orders: prose, a key, its halves.
fn message() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => (0usize..9000).prop_map(prose),
        1 => Just(KEY.to_owned()),
        2 => Just(KEY[..9].to_owned()),
        2 => Just(KEY[9..].to_owned()),
        1 => Just("\"\\\n{[,]}".to_owned()),
    ];
    proptest::collection::vec(piece, 1..3).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_turn_reports_what_a_whole_scan_does(
        messages in proptest::collection::vec(message(), 4..12),
        turns in proptest::collection::vec(proptest::collection::vec(0usize..12, 3..12), 2..6),
    ) {
        let mut talk = Talk::new();
        for turn in turns {
            let texts: Vec<String> = turn.iter().filter_map(|at| messages.get(*at).cloned()).collect();
            talk.turn(&said(&texts), "one");
        }
    }
}
