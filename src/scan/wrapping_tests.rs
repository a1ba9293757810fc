//! Every shipped rule, every example of it, every way in which agents' traffic wraps a secret: found, and the span covers
//! exactly the secret.

mod body;
mod cuts;
mod wraps;

use std::ops::Range;

use self::body::{Case, Wrapped, escape};
use self::wraps::Wrap;
use super::examples::dice::Dice;
use super::*;
use crate::cli::scan::shipped::RULES;
use crate::domain::Secret;

/// Whether a finding of this rule, or of another that knows the same thing, is just this secret.
fn is_it(finding: &Finding, rule: &Rule, wrapped: &Wrapped, prints: &[Fingerprint]) -> bool {
    let same = finding.rule == rule.id || finding.category == rule.category;
    let whole = match &finding.place {
        Place::Spans { ranges, .. } => is_covered(ranges, &wrapped.parts),
        Place::Sealed(_) => prints.contains(&finding.fingerprint),
    };
    // Where it is cut, what cuts it may be part of the span or not.
    let first = wrapped.lines && is_in_the_first(finding, wrapped);
    same && (first || whole && is_spanned(finding, wrapped))
}

fn is_spanned(finding: &Finding, wrapped: &Wrapped) -> bool {
    let ends = wrapped.parts.first().zip(wrapped.parts.last());
    match (&finding.span, ends) {
        (Some(span), Some((first, last))) => {
            let near =
                |to: usize, from: usize| to.checked_sub(from).is_some_and(|by| by <= wrapped.about);
            near(first.start, span.start) && near(span.end, last.end)
        }
        (span, _) => span.is_none(),
    }
}

/// Whether the first line has a whole secret by itself: then nothing tells that it goes on.
fn is_in_the_first(finding: &Finding, wrapped: &Wrapped) -> bool {
    if finding.span.is_none() {
        return true;
    }
    let spans = finding.span.as_ref().zip(wrapped.parts.first());
    spans.is_some_and(|(span, first)| span.start == first.start && span.end <= first.end)
}

fn is_covered(ranges: &[Range<usize>], parts: &[Range<usize>]) -> bool {
    let holds = |range: &Range<usize>, part: &Range<usize>| {
        range.start <= part.start && part.end <= range.end
    };
    let mut parts = parts.iter();
    parts.all(|part| ranges.iter().any(|range| holds(range, part)))
}

/// What is not held, and why.
fn is_gap(rule: &Rule, wrapping: &str, wrapped: &Wrapped) -> bool {
    let is_of = |wraps: &[Wrap]| wraps.iter().any(|(name, _)| *name == wrapping);
    match rule.id.as_str() {
        // Digits without a name are one where nothing but marks stands beside them.
        _ if rule.validators.iter().any(|one| one.name() == "alone") => {
            wrapped.lines || BESIDE.iter().any(|beside| wrapping.contains(beside))
        }
        // Keys of several lines: their rules know no marks before a line, and their heads stand lines before the cut.
        "ansible-vault" => is_of(wraps::LINES) || is_of(cuts::CUT),
        "putty-private-key" if is_of(wraps::LINES) => MARKED.contains(&wrapping),
        "putty-private-key" => is_of(cuts::CUT),
        // Percent signs are read to the next blank: a key in a form is whole there but for the end of its last line.
        "pem-private-key" => wrapping == "line breaks at one width",
        // "kty" announces the key from afar, and may do so from another line.
        "jwk-private-key" => wrapped.lines,
        // Twelve words are one phrase; with the word before them they are none. Between words are spaces.
        "crypto-seed-phrase" => is_of(wraps::SEALED) || is_of(cuts::CUT),
        // In `%20123` nothing tells the coded space from digits.
        "medical-record" | "ngrok-authtoken" => wrapping.starts_with("percent signs"),
        _ => false,
    }
}

/// Wrappings whose marks are none of a key's own letters.
const MARKED: [&str; 5] = [
    "lines taken out",
    "quoted lines",
    "line numbers and arrows",
    "line numbers and colons",
    "line numbers and bars",
];

/// Wrappings that put other letters beside the text.
const BESIDE: [&str; 10] = [
    "base64",
    "tool arguments",
    "line numbers",
    "lines taken out",
    "quoted lines",
    "indented",
    "diff with its head",
    "multipart",
    "json with spaces",
    "percent signs",
];

/// Wrappings that leave the secret in one piece.
const WHOLE: &[&[Wrap]] = &[wraps::CODED, wraps::LINES, wraps::SEALED];

/// Every example of a family's rules in each of these wrappings.
fn all_are_found(family: Family, wraps: &[&[Wrap]]) {
    let rules = RuleSet::parse(RULES, &[family]).unwrap();
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
            let prints = [case.secret.to_owned(), escape(case.secret)]
                .map(|secret| Fingerprint::of(&key, secret.as_bytes()));
            for (number, (name, wrap)) in (0..).zip(wraps.iter().copied().flatten()) {
                let mut dice = Dice::new(seed << 32 | number << 16 | case.secret.len() as u64);
                let wrapped = wrap(&case, &mut dice);
                let Some(wrapped) = wrapped.filter(|wrapped| !is_gap(rule, name, wrapped)) else {
                    continue;
                };
                let body = Body {
                    bytes: &wrapped.bytes,
                    content_type: wrapped.kind,
                    content_encoding: wrapped.encoding,
                };
                let found = scanner.scan(&mut workspace, body, None).findings;
                if !found.iter().any(|one| is_it(one, rule, &wrapped, &prints)) {
                    fails.push(fail(rule, name, &wrapped, &found));
                }
            }
        }
    }
    let most = fails.len().min(60);
    let some = fails[..most].join("\n");
    assert!(fails.is_empty(), "{} fail:\n{some}", fails.len());
}

fn fail(rule: &Rule, wrapping: &str, wrapped: &Wrapped, found: &[Finding]) -> String {
    let seen: Vec<_> = found.iter().map(|f| (f.rule.as_str(), &f.place)).collect();
    let id = &rule.id;
    format!("{id} in {wrapping}, not {:?}: {seen:?}", wrapped.parts)
}

#[test]
fn every_secret_is_found_to_the_byte_in_every_wrapping() {
    all_are_found(Family::Secrets, WHOLE);
}

#[test]
fn every_secret_is_found_to_the_byte_wherever_it_is_cut() {
    all_are_found(Family::Secrets, &[cuts::CUT]);
}

#[test]
fn every_announced_secret_is_found_to_the_byte_in_every_wrapping() {
    all_are_found(Family::Context, WHOLE);
}

#[test]
fn every_announced_secret_is_found_to_the_byte_wherever_it_is_cut() {
    all_are_found(Family::Context, &[cuts::CUT]);
}

#[test]
fn all_personal_data_are_found_to_the_byte_in_every_wrapping_and_wherever_they_are_cut() {
    all_are_found(
        Family::Personal,
        &[wraps::CODED, wraps::LINES, wraps::SEALED, cuts::CUT],
    );
}
