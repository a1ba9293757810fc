//! The shipped rules against their own examples: each must be found, to the byte; each counter-example left alone.

use std::fs;

use super::*;
use crate::domain::Secret;

/// Fillings of each template: those of `rules check`.
const SEEDS: u64 = 8;

fn shipped(family: Family) -> RuleSet {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/rules");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let texts: Vec<(String, String)> = files
        .map(|path| {
            (
                path.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    let files: Vec<RuleFile<'_>> = texts
        .iter()
        .map(|(name, text)| RuleFile { name, text })
        .collect();
    RuleSet::parse(&files, &[family]).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn fails(family: Family) -> Vec<String> {
    let rules = shipped(family);
    let all: Vec<Rule> = rules.rules().to_vec();
    let key = Secret::new([7; 32]);
    let scanner = Scanner::build(rules, KnownValues::new(), &key, Limits::default()).unwrap();
    let mut workspace = scanner.workspace();
    let mut scan = |text: &str| {
        let body = Body {
            bytes: text.as_bytes(),
            content_type: Some("text/plain"),
            content_encoding: None,
        };
        scanner.scan(&mut workspace, body, None).findings
    };
    let mut fails = Vec::new();
    for rule in &all {
        assert!(!rule.examples.is_empty(), "{} has no example", rule.id);
        for seed in 0..SEEDS {
            for template in &rule.examples {
                let example = examples::expand(template, seed).unwrap();
                // Two rules may know the same token; one of them is told.
                let told = scan(&example.text).into_iter().any(|finding| {
                    (finding.rule == rule.id || finding.category == rule.category)
                        && (example.secret.is_none() || finding.span == example.secret)
                });
                if !told {
                    fails.push(format!("{} does not find {:?}", rule.id, example.text));
                }
            }
            for template in &rule.counter_examples {
                let text = examples::expand(template, seed).unwrap().text;
                if scan(&text)
                    .into_iter()
                    .any(|finding| finding.rule == rule.id)
                {
                    fails.push(format!("{} finds {text:?}", rule.id));
                }
            }
        }
    }
    fails
}

#[test]
fn every_secrets_rule_finds_its_examples_and_nothing_in_its_counter_examples() {
    assert_eq!(fails(Family::Secrets), Vec::<String>::new());
}

#[test]
fn every_context_rule_finds_its_examples_and_nothing_in_its_counter_examples() {
    assert_eq!(fails(Family::Context), Vec::<String>::new());
}

#[test]
fn every_generic_rule_finds_its_examples_and_nothing_in_its_counter_examples() {
    assert_eq!(fails(Family::Generic), Vec::<String>::new());
}

#[test]
fn every_personal_rule_finds_its_examples_and_nothing_in_its_counter_examples() {
    assert_eq!(fails(Family::Personal), Vec::<String>::new());
}
