//! Every shipped rule, every example of it, every way in which agents' traffic wraps a secret: found, and the span covers
//! exactly the secret.

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;

use base64::Engine as _;
use serde_json::json;

use super::*;
use crate::cli::scan::shipped::RULES;
use crate::domain::Secret;

/// A body, its type and encoding, and where the parts of the secret stand in it; none where it is only seen through a
/// coding.
struct Wrapped {
    bytes: Vec<u8>,
    kind: &'static str,
    encoding: Option<&'static str>,
    parts: Vec<Range<usize>>,
}

/// A text around a secret.
struct Case<'a> {
    before: &'a str,
    secret: &'a str,
    after: &'a str,
}

type Wrap = fn(&Case<'_>) -> Wrapped;

const WRAPS: [(&str, Wrap); 16] = [
    ("raw", |case| {
        pieces("", case, "", str::to_owned, "text/plain")
    }),
    ("json", |case| in_string(case, escape)),
    ("tool arguments", |case| {
        in_string(case, |text| escape(&escape(text)))
    }),
    ("triple", |case| {
        in_string(case, |text| escape(&escape(&escape(text))))
    }),
    ("unicode escapes", |case| in_string(case, unicode)),
    ("slashes", |case| {
        in_string(case, |text| escape(text).replace('/', r"\/"))
    }),
    ("diff", |case| {
        in_string(case, |text| escape(&text.replace('\n', "\n+")))
    }),
    ("crlf", |case| {
        in_string(case, |text| escape(&text.replace('\n', "\r\n")))
    }),
    ("html", |case| in_string(case, |text| escape(&html(text)))),
    ("form", |case| {
        pieces(
            "a=1&prompt=",
            case,
            "&b=2",
            percent,
            "application/x-www-form-urlencoded",
        )
    }),
    ("multipart", |case| {
        let head = "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n";
        pieces(
            head,
            case,
            "\r\n--b--\r\n",
            str::to_owned,
            "multipart/form-data; boundary=b",
        )
    }),
    ("gzip", gzip),
    ("base64", |case| base64(case, "content: ")),
    ("data url", |case| base64(case, "data:text/plain;base64,")),
    ("zero width", |case| cut(case, "\u{200b}")),
    ("two blocks", |case| {
        cut(case, r#""},{"type":"text","text":""#)
    }),
];

fn pieces(
    head: &str,
    case: &Case<'_>,
    tail: &str,
    code: impl Fn(&str) -> String,
    kind: &'static str,
) -> Wrapped {
    let start = format!("{head}{}", code(case.before));
    let end = format!("{start}{}", code(case.secret));
    Wrapped {
        bytes: format!("{end}{}{tail}", code(case.after)).into_bytes(),
        kind,
        encoding: None,
        parts: std::iter::once(start.len()..end.len()).collect(),
    }
}

const HEAD: &str = r#"{"messages":[{"content":[{"type":"text","text":""#;
const TAIL: &str = r#""}]}]}"#;

fn in_string(case: &Case<'_>, code: impl Fn(&str) -> String) -> Wrapped {
    pieces(HEAD, case, TAIL, code, "application/json")
}

fn escape(text: &str) -> String {
    let quoted = json!(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn unicode(text: &str) -> String {
    text.encode_utf16().fold(String::new(), |mut out, unit| {
        write!(out, "\\u{unit:04x}").unwrap();
        out
    })
}

fn html(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#x27;")
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b' ' => out.push('+'),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => write!(out, "%{byte:02X}").unwrap(),
        }
        out
    })
}

fn gzip(case: &Case<'_>) -> Wrapped {
    let plain = in_string(case, escape);
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(&plain.bytes).unwrap();
    Wrapped {
        bytes: out.finish().unwrap(),
        encoding: Some("gzip"),
        parts: Vec::new(),
        ..plain
    }
}

fn base64(case: &Case<'_>, lead: &str) -> Wrapped {
    let text = format!("# file\n{}{}{}\n", case.before, case.secret, case.after);
    let coded = base64::engine::general_purpose::STANDARD.encode(text);
    Wrapped {
        bytes: format!("{HEAD}{lead}{coded}{TAIL}").into_bytes(),
        kind: "application/json",
        encoding: None,
        parts: Vec::new(),
    }
}

/// Something in the middle of the secret that is none of it.
fn cut(case: &Case<'_>, knife: &str) -> Wrapped {
    let mut middle = case.secret.len() / 2;
    while !case.secret.is_char_boundary(middle) {
        middle += 1;
    }
    let (one, two) = case.secret.split_at(middle);
    let start = format!("{HEAD}{}", escape(case.before));
    let first = start.len()..start.len() + escape(one).len();
    let second = first.end + knife.len()..first.end + knife.len() + escape(two).len();
    let bytes = format!(
        "{start}{}{knife}{}{}{TAIL}",
        escape(one),
        escape(two),
        escape(case.after)
    );
    Wrapped {
        bytes: bytes.into_bytes(),
        kind: "application/json",
        encoding: None,
        parts: vec![first, second],
    }
}

/// Whether a finding of this rule, or of another that knows the same thing, is just this secret.
fn is_it(finding: &Finding, rule: &Rule, wrapped: &Wrapped) -> bool {
    let same = finding.rule == rule.id || finding.category == rule.category;
    // Where it is cut, what cuts it may be part of the span or not.
    let ends = |parts: &[Range<usize>]| Some(parts.first()?.start..parts.last()?.end);
    same && finding.span == ends(&wrapped.parts)
}

/// What is not held: a key of many lines that two blocks cut is found by its first part alone, or, where nothing tells of
/// it there, not at all; and what announces a secret from far away is not seen past a cut.
const ANNOUNCED_FROM_AFAR: [&str; 3] =
    ["coinbase-cdp-key", "kubeconfig-client-key", "ansible-vault"];

fn is_gap(rule: &Rule, wrapping: &str, secret: &str) -> bool {
    let lines = secret.contains('\n') || secret.contains("\\n");
    (wrapping == "two blocks" && lines) || ANNOUNCED_FROM_AFAR.contains(&rule.id.as_str())
}

#[test]
fn every_secret_is_found_to_the_byte_in_every_wrapping() {
    let rules = RuleSet::parse(RULES, &[Family::Secrets]).unwrap();
    let all = rules.rules().to_vec();
    let key = Secret::new([7; 32]);
    let scanner = Scanner::build(rules, KnownValues::new(), &key, Limits::default()).unwrap();
    let mut workspace = scanner.workspace();
    let mut fails = Vec::new();
    for rule in &all {
        for (seed, template) in (0..).zip(&rule.examples) {
            let example = examples::expand(template, seed).unwrap();
            let Some(at) = example.secret else { continue };
            let case = Case {
                before: &example.text[..at.start],
                secret: &example.text[at.clone()],
                after: &example.text[at.end..],
            };
            let wraps = WRAPS
                .iter()
                .filter(|(name, _)| !is_gap(rule, name, case.secret));
            for (name, wrap) in wraps {
                let wrapped = wrap(&case);
                let body = Body {
                    bytes: &wrapped.bytes,
                    content_type: Some(wrapped.kind),
                    content_encoding: wrapped.encoding,
                };
                let report = scanner.scan(&mut workspace, body, None);
                if !report
                    .findings
                    .iter()
                    .any(|finding| is_it(finding, rule, &wrapped))
                {
                    let seen: Vec<_> = report
                        .findings
                        .iter()
                        .map(|f| (f.rule.as_str(), &f.place))
                        .collect();
                    fails.push(format!(
                        "{} in {name}, not {:?}: {seen:?}",
                        rule.id, wrapped.parts
                    ));
                }
            }
        }
    }
    let most = fails.len().min(60);
    assert!(
        fails.is_empty(),
        "{} fail:\n{}",
        fails.len(),
        fails[..most].join("\n")
    );
}
