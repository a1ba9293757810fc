use std::ops::Range;

use proptest::prelude::*;

use super::super::finding::{Fingerprint, RuleId};
use super::super::restore::{Nesting, Settled, Thread, splice};
use super::*;
use crate::domain::json;
use crate::domain::{Name, Secret};

fn placeholders() -> Placeholders {
    Placeholders::new(&Secret::new([3; 32]), &Name::new("acme"))
}

fn finding(category: &str, range: Range<usize>) -> Finding {
    parts(category, &[range])
}

fn parts(category: &str, ranges: &[Range<usize>]) -> Finding {
    Finding {
        echo: false,
        rule: RuleId::new("a-rule"),
        category: Category::new(category),
        path: "$".into(),
        span: None,
        near: None,
        fingerprint: Fingerprint::parse(&"0".repeat(32)).unwrap(),
        place: Place::Spans {
            ranges: ranges.to_vec(),
            layers: vec![],
        },
    }
}

fn report(findings: Vec<Finding>) -> Report {
    Report {
        findings,
        ..Report::default()
    }
}

/// Redacts every place where `needle` stands in the body.
fn redact(body: &str, needle: &str) -> (String, Rewritten) {
    let findings = body
        .match_indices(needle)
        .map(|(at, _)| finding("token", at..at + needle.len()))
        .collect();
    let out = rewrite(
        body.as_bytes(),
        &report(findings),
        &placeholders(),
        MOST,
        |_| true,
    )
    .unwrap();
    (String::from_utf8(out.body.clone()).unwrap(), out)
}

fn values(rewritten: &Rewritten) -> Vec<String> {
    let known = &rewritten.restorations;
    (0..known.len())
        .map(|entry| known.value(entry).expose().clone())
        .collect()
}

#[test]
fn only_the_secret_changes() {
    let body = r#" { "b" : 1.0e2, "model":"x", "text":"a\u0041 s3cret\n", "a":[ "s3cret" ] , "s3cret" : null}"#;
    let (out, rewritten) = redact(body, "s3cret");
    let placeholder = placeholders().of(&Category::new("token"), "s3cret");
    assert_eq!(out, body.replace("s3cret", &placeholder));
    assert_eq!(rewritten.counts[&Category::new("token")], 3);
    assert_eq!(values(&rewritten), ["s3cret"]);
    let (out, rewritten) = redact(body, "nowhere");
    assert_eq!(out, body);
    assert!(rewritten.restorations.is_empty() && rewritten.sealed.is_empty());
}

#[test]
fn what_the_provider_presents_or_fetches_with_stays_and_is_told() {
    for body in [
        r#"{"mcp_servers":[{"name":"x","authorization_token":"s3cret"}]}"#,
        r#"{"mcp_servers":[{"url":"https://x/s3cret"}]}"#,
        r#"{"tools":[{"type":"mcp"},{"type":"mcp","authorization":"s3cret"}]}"#,
        r#"{"tools":[{"type":"mcp","headers":{"a":"b","X-Key":"Bearer s3cret"}}]}"#,
        r#"{"tools":[{"type":"mcp","server_url":"https://x/?t=s3cret"}]}"#,
        r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"https://x/s3cret"}}]}]}"#,
        r#"{"messages":[{"content":[{"type":"image","source":{"type":"url","url":"https://x/s3cret"}}]}]}"#,
        r#"{"messages":[{"content":[{"type":"tool_result","content":[{"source":{"url":"s3cret"}}]}]}]}"#,
        r#"{"input":[{"content":[{"type":"input_image","image_url":"https://x/s3cret"}]}]}"#,
        r#"{"input":[{"content":[{"type":"input_file","file_url":"https://x/s3cret"}]}]}"#,
        r#"{"input":[{"type":"computer_call_output","output":{"image_url":"https://x/s3cret"}}]}"#,
    ] {
        let (out, rewritten) = redact(body, "s3cret");
        assert_eq!((out.as_str(), &rewritten.sealed[..]), (body, &[0][..]));
    }
    for body in [
        r#"{"messages":[{"content":[{"type":"tool_use","input":{"image_url":"s3cret"}}]}]}"#,
        r#"{"messages":[{"content":[{"type":"tool_use","input":{"source":{"url":"s3cret"}}}]}]}"#,
        r#"{"messages":[{"content":[{"type":"web_search_result","url":"s3cret"}]}]}"#,
        r#"{"messages":[{"content":"headers: s3cret","url":"s3cret"}]}"#,
        r#"{"tools":[{"name":"x","description":"s3cret","input_schema":{"url":"s3cret"}}]}"#,
        r#"{"tools":[{"parameters":{"properties":{"headers":{"default":"s3cret"}}}}]}"#,
        r#"{"metadata":{"tools":[{"authorization":"s3cret"}]}}"#,
    ] {
        let (out, rewritten) = redact(body, "s3cret");
        assert!(
            !out.contains("s3cret") && rewritten.sealed.is_empty(),
            "{out}"
        );
    }
}

#[test]
fn a_value_is_what_the_model_reads() {
    // A text: its own escapes are undone once, and a file's JSON inside it stays as the file has it.
    let (_, one) = redact(
        r#"{"text":"key: -----BEGIN-----\nAB\n-----END-----\n"}"#,
        r"-----BEGIN-----\nAB\n-----END-----",
    );
    assert_eq!(values(&one), ["-----BEGIN-----\nAB\n-----END-----"]);
    let (_, one) = redact(r#"{"text":"{\"key\":\"BEGIN\\nAB\"}"}"#, r"BEGIN\\nAB");
    assert_eq!(values(&one), [r"BEGIN\nAB"]);
    // The arguments of a call: what the tool gets.
    for body in [
        r#"{"messages":[{"tool_calls":[{"function":{"name":"w","arguments":"{\"key\":\"BEGIN\\nA\\\"B\"}"}}]}]}"#,
        r#"{"input":[{"type":"function_call","name":"w","arguments":"{\"key\":\"BEGIN\\nA\\\"B\"}"}]}"#,
    ] {
        let (out, one) = redact(body, r#"BEGIN\\nA\\\"B"#);
        assert_eq!(values(&one), ["BEGIN\nA\"B"]);
        assert!(out.contains(r#"{\"key\":\"TG_token_"#), "{out}");
    }
    let (_, one) = redact(
        r#"{"input":{"arguments":"{\"key\":\"BEGIN\\nAB\"}"}}"#,
        r"BEGIN\\nAB",
    );
    assert_eq!(
        values(&one),
        [r"BEGIN\nAB"],
        "a tool of that name, not the arguments of a call"
    );
}

#[test]
fn a_cut_never_parts_an_escape() {
    let body = r#"{"text":"x\nabc\u00e9y"}"#;
    let at = body.find(r"nabc").unwrap();
    let out = rewrite(
        body.as_bytes(),
        &report(vec![finding("token", at..at + 7)]),
        &placeholders(),
        MOST,
        |_| true,
    )
    .unwrap();
    assert_eq!(values(&out), ["\nabcé"]);
    assert!(serde_json::from_slice::<serde_json::Value>(&out.body).is_ok());
}

#[test]
fn overlapping_findings_become_one_and_parts_of_one_in_two_literals_two() {
    let body = r#"{"a":"0123456789","b":"abcdef"}"#;
    let findings = vec![
        finding("x", 6..10),
        finding("y", 8..12),
        finding("a", 6..10),
        parts("z", &[14..16, 23..25]),
    ];
    let out = rewrite(
        body.as_bytes(),
        &report(findings),
        &placeholders(),
        MOST,
        |_| true,
    )
    .unwrap();
    let mut all = values(&out);
    all.sort();
    assert_eq!(all, ["012345", "89", "ab"]);
    assert_eq!(
        out.counts.keys().map(Category::as_str).collect::<Vec<_>>(),
        ["a", "z"]
    );
}

#[test]
fn what_cannot_be_rewritten_in_place_is_named() {
    let body = r#"{"n":4111111111111111,"c":[{"type":"thinking","thinking":"s3cret","signature":"s3cret"},{"type":"text","text":"x-anthropic-billing-header: s3cret"}],"t":"\ud83d"}"#;
    let (out, rewritten) = redact(body, "s3cret");
    assert_eq!(out, body);
    assert_eq!(rewritten.sealed, [0, 1, 2]);
    let at = |text: &str| body.find(text).unwrap()..body.find(text).unwrap() + text.len();
    let mut sealed = parts("x", &[]);
    sealed.place = Place::Sealed(crate::scan::Layer::Base64);
    let findings = vec![
        finding("x", at("4111111111111111")),
        sealed,
        finding("x", at("thinking\",\"thinking")),
        finding("x", at(r"\ud83d")),
    ];
    let out = rewrite(
        body.as_bytes(),
        &report(findings.clone()),
        &placeholders(),
        MOST,
        |_| true,
    )
    .unwrap();
    assert_eq!(out.body, body.as_bytes());
    assert_eq!(out.sealed, [0, 1, 2, 3]);
    let out = rewrite(b"not json", &report(findings), &placeholders(), MOST, |f| {
        f.span.is_none()
    })
    .unwrap();
    assert_eq!(
        (out.body.as_slice(), out.sealed.len()),
        (&b"not json"[..], 4)
    );
}

#[test]
fn a_placeholder_that_the_client_sent_stays_and_stands_for_nothing() {
    let body = r#"{"text":"password = TG_token_ABCDEFGHIJKLMNOP"}"#;
    for needle in [
        "TG_token_ABCDEFGHIJKLMNOP",
        "ABCDEFGHIJKLMNOP",
        "token_ABCDEFGHI",
    ] {
        let (out, rewritten) = redact(body, needle);
        assert_eq!(out, body);
        assert!(rewritten.restorations.is_empty() && rewritten.sealed.is_empty());
        let at = body.find(needle).unwrap();
        assert!(finds_a_placeholder(
            body.as_bytes(),
            &finding("x", at..at + needle.len())
        ));
    }
}

#[test]
fn too_many_placeholders_are_refused_and_ten_thousand_are_not() {
    use std::fmt::Write;
    let mut body = String::from(r#"{"text":""#);
    let mut findings = Vec::new();
    for number in 0..10_000 {
        let start = body.len() + 2;
        write!(body, "\\ns3cret{number:05}").unwrap();
        findings.push(finding("token", start..body.len()));
    }
    body.push_str("\"}");
    let report = report(findings);
    let run = |most| rewrite(body.as_bytes(), &report, &placeholders(), most, |_| true);
    assert_eq!(run(9_999).err(), Some(TooMany { most: 9_999 }));
    let out = run(10_000).unwrap();
    assert_eq!(out.restorations.len(), 10_000);
    assert!(!String::from_utf8(out.body).unwrap().contains("s3cret"));
}

proptest! {
    /// Any text, at any nesting, comes back as it was where its placeholder is put into the same place of an answer.
    #[test]
    fn what_went_out_comes_back(secret in ".{1,30}", before in ".{0,8}", after in "[^\\x00]{0,8}", call in any::<bool>()) {
        let text = format!("{before}\u{1}{secret}\u{2}{after}");
        let quote = |text: &str| serde_json::to_string(text).unwrap();
        let body = if call {
            format!(r#"{{"function":{{"name":"w","arguments":{}}}}}"#, quote(&format!(r#"{{"a":{}}}"#, quote(&text))))
        } else {
            format!(r#"{{"text":{}}}"#, quote(&text))
        };
        let (from, to) = if call { (r"\\u0001", r"\\u0002") } else { (r"\u0001", r"\u0002") };
        let start = body.find(from).unwrap() + from.len();
        let end = body.rfind(to).unwrap().max(start);
        let out = rewrite(body.as_bytes(), &report(vec![finding("token", start..end)]), &placeholders(), MOST, |_| true).unwrap();
        prop_assert!(out.sealed.is_empty());
        prop_assert_eq!(&out.body[..start], &body.as_bytes()[..start]);
        let tail = body.len() - end;
        prop_assert_eq!(&out.body[out.body.len() - tail..], &body.as_bytes()[end..]);
        // An answer with the same literal.
        let mut tape = Tape::default();
        let document = tape.read(&out.body).unwrap();
        let root = document.root();
        let literal = root.get("text").or_else(|| root.get("function")?.get("arguments")).unwrap();
        let (mut thread, mut settled) = (Thread::text(), Settled::default());
        thread.feed(&out.restorations, &json::decode(literal.raw()), &mut settled);
        let nesting = if call { Nesting::Json } else { Nesting::Text };
        let mut back = Vec::new();
        splice(literal.raw(), &settled.edits, nesting, &out.restorations, &mut back, |_| {});
        let back = json::decode_exact(&back).unwrap();
        let back = if call {
            serde_json::from_str::<serde_json::Value>(&back).unwrap()["a"].as_str().unwrap().to_owned()
        } else {
            back
        };
        prop_assert_eq!(back, text);
    }
}
