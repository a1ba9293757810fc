//! Whole scans, with rules of their own.

use super::*;
use crate::cli::scan::shipped::RULES as RULES_SHIPPED;
use crate::domain::Secret;

pub(super) const RULES: &str = r#"
[[rule]]
id = "acme-key"
category = "acme_key"
description = "Acme key"
pattern = '\bacme_(?P<secret>[a-z0-9]{12,40})\b'

[[rule]]
id = "heron-key"
category = "heron_key"
family = "context"
description = "Heron key"
pattern = '\b[a-f0-9]{32}\b'
keywords = ["heron"]
entropy = 2.5
"#;

pub(super) fn scanner(rules: &str) -> Scanner {
    let file = RuleFile {
        name: "test.toml",
        text: rules,
    };
    let rules = RuleSet::parse(&[file], &Family::ALL).unwrap();
    Scanner::build(
        rules,
        KnownValues::new(),
        &Secret::new([7; 32]),
        Limits::default(),
    )
    .unwrap()
}

pub(super) fn scan(scanner: &Scanner, body: &str) -> Report {
    let json = body.starts_with(['{', '[']);
    let body = Body {
        bytes: body.as_bytes(),
        content_type: Some(if json {
            "application/json"
        } else {
            "text/plain"
        }),
        content_encoding: None,
    };
    scanner.scan(&mut scanner.workspace(), body, None)
}

/// `path=bytes of the span` of each finding.
fn seen(body: &str) -> Vec<String> {
    let report = scan(&scanner(RULES), body);
    assert_eq!(report.undecodable, None);
    let show = |f: &Finding| format!("{}={}", f.path, &body[f.span.clone().unwrap()]);
    report.findings.iter().map(show).collect()
}

#[test]
fn a_secret_after_an_escaped_newline_is_seen_and_its_span_is_exact() {
    let body = r#"{"messages":[{"content":"no"},{"content":[{"text":"creds:\nacme_0123456789abcdef\tx"}]}]}"#;
    assert_eq!(
        seen(body),
        ["$.messages[1].content[0].text=0123456789abcdef"]
    );
}

#[test]
fn a_token_that_a_line_break_cuts_is_told_from_the_lines_beside_it() {
    for (before, after) in [
        ("", "\\nNAME=orders12"),
        ("", "\\nname: orders12\\nother: orders13"),
        ("Deploy token1\\n", ""),
        (
            "on 2026-01-02\\n",
            "\\nNAME=orders12\\nOTHER=orders13\\nTHIRD=orders14",
        ),
    ] {
        let body = format!(r#"["{before}a=acme_01234567\n89abcdef{after}"]"#);
        assert_eq!(seen(&body), [r"$[0]=01234567\n89abcdef"], "{body}");
    }
}

#[test]
fn lines_that_could_each_be_part_of_a_token_do_not_use_up_what_a_body_may_decode_to() {
    let lines = "0123456789abcdef0123456789abcdef01234567\\n".repeat(4) + "--\\n";
    let body = format!(r#"["{}"]"#, lines.repeat(5_000));
    assert_eq!(scan(&scanner(RULES), &body).undecodable, None);
}

#[test]
fn escapes_inside_a_secret_belong_to_its_span() {
    let body = r#"["x","acme_01234\u0035\u00366789abcdef"]"#;
    assert_eq!(seen(body), [r"$[1]=01234\u0035\u00366789abcdef"]);
}

#[test]
fn a_keyword_in_a_key_announces_the_value() {
    let body = r#"{"heron_key":"0123456789abcdef0123456789abcdef"}"#;
    assert_eq!(seen(body), ["$.heron_key=0123456789abcdef0123456789abcdef"]);
    assert_eq!(seen(&body.replace("heron", "egret")), Vec::<String>::new());
    assert_eq!(
        seen(&body.replace(|c: char| c.is_ascii_digit(), "a")).len(),
        0
    );
}

#[test]
fn a_hint_finds_the_pattern_and_the_keyword_is_still_asked_for() {
    let rules = r#"
[[rule]]
id = "heron-id"
category = "heron_id"
description = "Heron id"
pattern = '\b[0-9]{1,9}\|[a-z0-9]{12}\b'
hint = '\|[a-z0-9]{12}'
keywords = ["heron"]
distance = 20
"#;
    let scanner = scanner(rules);
    let count = |text: &str| scan(&scanner, text).findings.len();
    assert_eq!(count("HERON id: 4711|abcdef123456, 0815|abcdef123457"), 1);
    assert_eq!(count(r#"{"heron":"4711|abcdef123456"}"#), 1);
    assert_eq!(count("egret: 4711|abcdef123456"), 0);
    assert_eq!(count("heron, heron: x|abcdef123456"), 0);
    let file = RuleFile {
        name: "r.toml",
        text: &rules.replace(r"'\|[a", "'[a"),
    };
    let faults = RuleSet::parse(&[file], &Family::ALL).unwrap_err();
    let said = faults.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        said,
        ["r.toml:7:8  the hint has no fixed text that every match holds"]
    );
}

/// A key block may be as long as it likes: it is followed to its end, and the matcher tells of it once.
#[test]
fn a_match_that_goes_on_is_followed_to_its_end() {
    let rules = r#"
[[rule]]
id = "osprey-block"
category = "osprey_block"
description = "Osprey block"
pattern = 'osprey:[a-z0-9 ]{20,}'
"#;
    let hinted = format!("{rules}hint = 'osprey:[a-z0-9 ]{{20}}'\n");
    for rules in [rules, &hinted] {
        for length in [20usize, 16 << 10, (16 << 10) + 1, 50_000, 200_000] {
            let block = format!("osprey:{}", "a1 ".repeat(length.div_ceil(3)));
            let body = serde_json::json!({ "a": format!("x {block}; {block}."), "b": "a1 a1" });
            let body = body.to_string();
            let findings = scan(&scanner(rules), &body).findings;
            let spans: Vec<&str> = findings
                .iter()
                .map(|one| &body[one.span.clone().unwrap()])
                .collect();
            assert_eq!(spans, [block.as_str(), &block], "{length}");
        }
    }
}

#[test]
fn plain_text_is_scanned_as_it_is() {
    assert_eq!(
        seen("x=acme_0123456789ab, acme_ba9876543210"),
        ["$=0123456789ab", "$=ba9876543210"]
    );
}

#[test]
fn a_path_never_shows_a_secret() {
    let body = r#"{"acme_0123456789abcdef":{"x":"acme_0123456789abcdee"}}"#;
    assert_eq!(
        seen(body),
        ["$[*]=0123456789abcdef", "$[*].x=0123456789abcdee"]
    );
}

#[test]
fn what_is_not_json_is_said_and_scanned_raw() {
    let report = scan(&scanner(RULES), r#"{"a": acme_0123456789abcdef}"#);
    assert_eq!(report.undecodable, Some(Undecodable::BadJson { at: 6 }));
    assert_eq!(report.findings[0].span, Some(11..27));
}

#[test]
fn an_allowed_fingerprint_is_no_finding() {
    let body = r#"["acme_0123456789abcdef"]"#;
    let print = scan(&scanner(RULES), body).findings[0].fingerprint;
    let rules = format!("allow = [\"{print}\"]\n{RULES}");
    assert_eq!(scan(&scanner(&rules), body).findings, []);
}

#[test]
fn a_workspace_serves_any_scanner() {
    let (one, two) = (scanner(RULES), scanner(&RULES.replace("acme_", "apex_")));
    let mut workspace = one.workspace();
    let body = Body {
        bytes: b"apex_0123456789abcdef",
        content_type: None,
        content_encoding: None,
    };
    assert_eq!(one.scan(&mut workspace, body, None).findings.len(), 0);
    assert_eq!(two.scan(&mut workspace, body, None).findings.len(), 1);
    assert_eq!(one.scan(&mut workspace, body, None).findings.len(), 0);
}

/// What is found in `text` as a string of a JSON body.
fn inside(text: &str) -> Vec<String> {
    seen(&serde_json::to_string(&serde_json::json!({ "text": text })).unwrap())
}

#[test]
fn a_string_in_a_string_is_read_and_its_span_is_exact() {
    let arguments = serde_json::json!({ "content": "a\nacme_0123456789abcdef\nb" }).to_string();
    assert_eq!(inside(&arguments), ["$.text=0123456789abcdef"]);
    let twice = serde_json::json!({ "config": arguments }).to_string();
    assert_eq!(inside(&twice), ["$.text=0123456789abcdef"]);
    assert_eq!(
        inside(r"x\nacme_01234567\u00389abcdef"),
        [r"$.text=01234567\\u00389abcdef"]
    );
}

#[test]
fn base64_is_undone_and_has_no_span() {
    let body = r#"["text IyBmaWxlCnggPSBhY21lXzAxMjM0NTY3ODlhYmNkZWYK."]"#;
    let report = scan(&scanner(RULES), body);
    let finding = &report.findings[0];
    assert_eq!(finding.span, None);
    assert_eq!(finding.place, Place::Sealed(Layer::Base64));
    assert_eq!(
        &body[finding.near.clone().unwrap()],
        "XzAxMjM0NTY3ODlhYmNkZWYK"
    );
}

#[test]
fn percent_entities_and_forms_are_undone() {
    assert_eq!(
        inside("a=acme%5F0123456789abcdef"),
        ["$.text=0123456789abcdef"]
    );
    assert_eq!(
        inside("a=acme&#95;01234567&#x38;9abcdef"),
        ["$.text=01234567&#x38;9abcdef"]
    );
    let bytes = b"x=1&prompt=a+b%0Aacme_01234567%389abcdef&y=2";
    let body = Body {
        bytes,
        content_type: Some("application/x-www-form-urlencoded"),
        content_encoding: None,
    };
    let scanner = scanner(RULES);
    let report = scanner.scan(&mut scanner.workspace(), body, None);
    assert_eq!(report.findings[0].path, "$.prompt");
    assert_eq!(
        &bytes[report.findings[0].span.clone().unwrap()],
        b"01234567%389abcdef"
    );
}

#[test]
fn a_secret_cut_by_what_does_not_belong_to_it_is_found_in_parts() {
    for text in [
        "key acme_01234567\n89abcdef end",
        "key acme_01234567\u{200b}89abcdef end",
        "+key acme_01234567\n+89abcdef end",
        "   1→key acme_01234567\n   2→89abcdef end",
        "key acme_01234567\\\n    89abcdef end",
    ] {
        let body = serde_json::json!({ "text": text }).to_string();
        let report = scan(&scanner(RULES), &body);
        assert_eq!(report.findings.len(), 1, "{text}");
        let Place::Spans { ranges, layers } = &report.findings[0].place else {
            panic!("{text}")
        };
        let parts: Vec<&str> = ranges.iter().map(|range| &body[range.clone()]).collect();
        assert_eq!(parts, ["01234567", "89abcdef"], "{text}");
        assert_eq!(layers, &[Layer::Json, Layer::Folded]);
    }
}

#[test]
fn a_secret_cut_by_text_blocks_is_found() {
    let body = r#"{"content":[{"type":"text","text":"a acme_0123"},{"type":"text","text":"4567"},{"text":"89abcdef b"}]}"#;
    let span = r#"$.content[0].text=0123"},{"type":"text","text":"4567"},{"text":"89abcdef"#;
    assert_eq!(seen(body), [span]);
    assert_eq!(seen(r#"["acme_0123456","789abcdef"]"#).len(), 1);
}

#[test]
fn a_backslash_is_of_a_password_but_at_its_end() {
    let families = [Family::Secrets, Family::Context];
    let rules = RuleSet::parse(RULES_SHIPPED, &families).unwrap();
    let key = Secret::new([7; 32]);
    let scanner = Scanner::build(rules, KnownValues::new(), &key, Limits::default()).unwrap();
    let made = |seed| examples::expand("{alnum:9}", seed).unwrap().text;
    let password = format!(r"{}\!{}", made(1), made(2));
    for before in [
        "jdbc:postgresql://db.heron.io/app?password=",
        "Server=tcp:db.heron.io;Password=",
        "sshpass -p ",
    ] {
        for after in ["", r"\", "\\\n"] {
            let body = format!("run {before}{password}{after} ");
            let spans = scan(&scanner, &body).findings.into_iter();
            let found: Vec<_> = spans
                .filter_map(|finding| body.get(finding.span?))
                .collect();
            assert_eq!(found, [password.as_str()], "{after:?} after it");
        }
    }
}

#[test]
fn a_key_of_lines_that_text_blocks_cut_is_found_whole() {
    let rules = RuleSet::parse(RULES_SHIPPED, &[Family::Secrets]).unwrap();
    let key = Secret::new([7; 32]);
    let scanner = Scanner::build(rules, KnownValues::new(), &key, Limits::default()).unwrap();
    for (seed, lines) in [(1, 3), (2, 14), (3, 60)] {
        let template = "{b64:64}\n".repeat(lines - 1);
        let template = format!(
            "-----BEGIN EC PRIVATE KEY-----\n{template}{{b64:40}}==\n-----END EC PRIVATE KEY-----"
        );
        let pem = examples::expand(&template, seed).unwrap().text;
        let breaks = pem
            .match_indices(['\n', ' '])
            .flat_map(|(at, _)| [at, at + 1]);
        let cuts = (1..pem.len()).step_by(pem.len() / 40).chain(breaks);
        for (at, newline) in cuts.flat_map(|at| [(at, "\\n"), (at, "\\r\\n")]) {
            let (one, two) = pem.split_at(at);
            let [one, two] = [one, two].map(|text| text.replace('\n', newline));
            let body = format!(
                r#"{{"content":[{{"type":"text","text":"Key: {one}"}},{{"type":"text","text":"{two}\n, see?"}}]}}"#
            );
            let report = scan(&scanner, &body);
            assert_eq!(report.findings.len(), 1, "{lines} {at} {body}");
            let span = report.findings[0].span.clone().unwrap();
            let place = body.find(&one).unwrap()..body.find("\\n, see").unwrap();
            // A line break that ends the first block is none of a part.
            assert_eq!((report.findings.len(), span), (1, place), "{lines} {at}");
        }
    }
}

#[test]
fn json_that_is_not_utf_8_is_said_and_scanned() {
    let scanner = scanner(RULES);
    let body = Body {
        bytes: b"[\"\xC3( acme_0123456789abcdef\"]",
        content_type: Some("application/json"),
        content_encoding: None,
    };
    let report = scanner.scan(&mut scanner.workspace(), body, None);
    assert_eq!(report.undecodable, Some(Undecodable::BadText));
    assert_eq!(report.findings.len(), 1);
}

/// What an agent sends: source code with escapes, paths, hashes and the words that announce keys.
fn clean_body() -> Vec<u8> {
    let line = |number: usize| {
        format!(
            "    let token_{number} = client.get(\"https://api.host.org/v1/key/{number}\")?; // {number:040x}\n"
        )
    };
    let source: String = (0..2000).map(line).collect();
    let block = serde_json::json!({ "type": "tool_result", "content": source });
    let body = serde_json::json!({ "messages": [{ "role": "user", "content": [block] }] });
    body.to_string().into_bytes()
}

#[test]
fn a_clean_body_allocates_nothing_once_the_buffers_are_there_and_at_most_three_times_its_size_before()
 {
    let rules = RuleSet::parse(RULES_SHIPPED, &[Family::Secrets]).unwrap();
    let key = Secret::new([7; 32]);
    let scanner = Scanner::build(rules, KnownValues::new(), &key, Limits::default()).unwrap();
    let mut workspace = scanner.workspace();
    let bytes = clean_body();
    let mut once = || {
        let body = Body {
            bytes: &bytes,
            content_type: Some("application/json"),
            content_encoding: None,
        };
        let report = scanner.scan(&mut workspace, body, None);
        assert_eq!((report.findings.len(), report.undecodable), (0, None));
    };
    let cold = allocation_counter::measure(&mut once);
    assert!(cold.bytes_max <= 3 * bytes.len() as u64, "{cold:?}");
    let warm = allocation_counter::measure(&mut once);
    assert_eq!(warm.count_total, 0, "{warm:?}");
}
