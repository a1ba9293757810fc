//! The other places of what was found: a value that a name nearby gave away once may stand bare elsewhere in the same body,
//! and to take it out in one place only would be to send it. Looks through every decoded text, so at every nesting.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};

use super::confirm::{Confirmed, Kind};
use super::finding::Undecodable;
use super::text::Text;

/// From this length on a value is looked for anywhere; a shorter one only as a whole word, and only where it is no word
/// of letters alone.
const LONG: usize = 8;
/// Shorter values stand in any text by chance.
const SHORTEST: usize = 6;

/// Adds the other places of the values whose kind `wanted` takes. Of several kinds of one value, the one that `wanted`
/// gives the least rank names it.
pub fn sweep<R: Ord>(
    texts: &mut [Text],
    wanted: impl Fn(Kind, &[u8]) -> Option<R>,
) -> Result<(), Undecodable> {
    let mut values: BTreeMap<&[u8], (R, Kind)> = BTreeMap::new();
    for text in texts.iter() {
        for one in &text.confirmed {
            let value = text.bytes.get(one.secret.clone());
            let Some(value) = value.filter(|value| is_telling(value)) else {
                continue;
            };
            let Some(rank) = wanted(one.kind, value) else {
                continue;
            };
            match values.get_mut(value) {
                Some(known) if known.0 <= rank => {}
                Some(known) => *known = (rank, one.kind),
                None => drop(values.insert(value, (rank, one.kind))),
            }
        }
    }
    if values.is_empty() {
        return Ok(());
    }
    let finder = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(values.keys())
        .map_err(|_| Undecodable::Engine)?;
    let kinds: Vec<Kind> = values.into_values().map(|(_, kind)| kind).collect();
    for text in texts {
        let Text {
            bytes, confirmed, ..
        } = text;
        for found in finder.find_iter(bytes.as_slice()) {
            let secret = found.range();
            let Some(kind) = kinds.get(found.pattern().as_usize()) else {
                continue;
            };
            if stands_apart(bytes, &secret) {
                confirmed.push(Confirmed {
                    kind: *kind,
                    secret,
                    echo: true,
                });
            }
        }
    }
    Ok(())
}

fn is_telling(value: &[u8]) -> bool {
    value.len() >= LONG || (value.len() >= SHORTEST && !value.iter().all(u8::is_ascii_alphabetic))
}

/// Short values and bare numbers count as whole words only.
fn stands_apart(text: &[u8], at: &std::ops::Range<usize>) -> bool {
    let value = &text[at.clone()];
    if value.len() >= LONG && !value.iter().all(u8::is_ascii_digit) {
        return true;
    }
    let in_word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let before = at.start.checked_sub(1).and_then(|before| text.get(before));
    !in_word(before) && !in_word(text.get(at.end))
}

#[cfg(test)]
mod tests {
    use super::super::redact::{MOST, Placeholders, rewrite};
    use super::super::tests::{RULES, scanner};
    use super::super::{Body, KnownValues, Layer, Limits, Place, Report, RuleSet, Scanner};
    use crate::domain::{Name, Secret};

    const VALUE: &str = "0f9d2c4b6a8e1735d0c2b4a6981f3e57";

    fn scan(scanner: &Scanner, body: &str, everywhere: bool) -> Report {
        let body = Body {
            bytes: body.as_bytes(),
            content_type: Some("application/json"),
            content_encoding: None,
        };
        scanner.scan_for(&mut scanner.workspace(), body, None, &|_| everywhere)
    }

    /// A body that tells once what `VALUE` is, and holds it again as `text` says.
    fn body(text: &str) -> String {
        let file = format!("heron: {VALUE}\n");
        // A name gives away what stands near it; this is too far off.
        let between = "so it is. ".repeat(200);
        let messages = [file, between, text.to_owned()];
        let messages = messages.map(|text| serde_json::json!({ "content": text }));
        serde_json::json!({ "messages": messages }).to_string()
    }

    fn redacted(body: &str, report: &Report) -> (String, usize) {
        let placeholders = Placeholders::new(&Secret::new([7; 32]), &Name::new("acme"));
        let out = rewrite(body.as_bytes(), report, &placeholders, MOST, |_| true).unwrap();
        (String::from_utf8(out.body).unwrap(), out.sealed.len())
    }

    #[test]
    fn what_is_told_once_is_found_bare_at_every_nesting_that_can_be_rewritten() {
        let scanner = scanner(RULES);
        let json = serde_json::json!({ "a": VALUE, "b": [VALUE] }).to_string();
        let twice = serde_json::json!({ "file": json }).to_string();
        let (head, tail) = VALUE.split_at(9);
        for (text, more) in [
            (format!("x{VALUE}y"), 1),
            (json, 2),
            (twice, 2),
            (format!("a%20{VALUE}"), 1),
            (format!("{head}\u{200b}{tail}"), 1),
        ] {
            let body = body(&text);
            assert_eq!(scan(&scanner, &body, false).findings.len(), 1, "{text}");
            let report = scan(&scanner, &body, true);
            assert_eq!(report.findings.len(), 1 + more, "{text}");
            assert_eq!(report.findings.iter().filter(|one| one.echo).count(), more);
            let (out, sealed) = redacted(&body, &report);
            assert!(!out.contains(VALUE) && !out.contains(tail), "{out}");
            assert_eq!(
                (sealed, out.matches("TG_heron_key_").count()),
                (0, 1 + more)
            );
        }
    }

    #[test]
    fn where_it_cannot_be_rewritten_it_is_said() {
        use base64::Engine as _;
        let scanner = scanner(RULES);
        let coded =
            base64::engine::general_purpose::STANDARD.encode(format!("the key is {VALUE}."));
        let report = scan(&scanner, &body(&coded), true);
        assert_eq!(report.findings[1].place, Place::Sealed(Layer::Base64));
        let signed = body("x").replace(
            r#""content":"x""#,
            &format!(r#""content":[{{"type":"thinking","thinking":"{VALUE}","signature":"s"}}]"#),
        );
        let report = scan(&scanner, &signed, true);
        let (out, sealed) = redacted(&signed, &report);
        assert_eq!((sealed, out.matches(VALUE).count()), (1, 1));
    }

    #[test]
    fn words_of_the_api_and_short_values_are_left_alone() {
        let rules = r#"
[[rule]]
id = "pass"
category = "password"
description = "Password"
pattern = 'pass=(?P<secret>[^ "\\]{3,40})'
"#;
        let scanner = scanner(rules);
        let body = |value: &str, text: &str| {
            serde_json::json!({"assistant": 1, "messages": [{"role": "assistant", "content": format!("pass={value} ")},
                {"role": "assistant", "content": text}]})
            .to_string()
        };
        for (value, text, changed) in [
            ("assistant", "my assistant!", "my TG!"),
            ("assistant", "assistant", "TG"),
            ("hunter2", "a hunter2, hunter22", "a TG, hunter22"),
            ("hunter", "hunter", "hunter"),
            ("20260101", "1202601011 20260101", "1202601011 TG"),
        ] {
            let body = body(value, text);
            let report = scan(&scanner, &body, true);
            let (out, sealed) = redacted(&body, &report);
            assert_eq!(sealed, 0);
            let out: serde_json::Value = serde_json::from_str(&out).unwrap();
            let said = out["messages"][1]["content"].as_str().unwrap();
            let placeholder = out["messages"][0]["content"].as_str().unwrap();
            let placeholder = placeholder.trim_start_matches("pass=").trim();
            assert_eq!(said, changed.replace("TG", placeholder), "{value} {text}");
            assert_eq!(out["messages"][1]["role"], "assistant");
            assert_eq!(out["assistant"], 1);
        }
    }

    #[test]
    fn a_body_with_more_findings_than_are_listed_is_not_taken_for_whole() {
        let file = super::super::RuleFile {
            name: "test.toml",
            text: RULES,
        };
        let rules = RuleSet::parse(&[file], &super::super::Family::ALL).unwrap();
        let limits = Limits {
            findings: 3,
            ..Limits::default()
        };
        let key = Secret::new([7; 32]);
        let scanner = Scanner::build(rules, KnownValues::new(), &key, limits).unwrap();
        let three = "acme_0123456789ab acme_0123456789ac acme_0123456789ad";
        assert_eq!(
            scan(&scanner, &format!("[\"{three}\"]"), false).undecodable,
            None
        );
        let report = scan(&scanner, &format!("[\"{three} acme_0123456789ae\"]"), false);
        assert_eq!(report.findings.len(), 3);
        assert_eq!(
            report.undecodable,
            Some(super::Undecodable::TooManyFindings)
        );
    }
}
