//! `tollgate rules`: proves rule files before an installation uses them, and says what they found since.

mod cost;
mod report;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use self::cost::Scale;
use super::EXIT_CONFIG;
use super::audit::FilterArgs;
use super::scan::read_rules;
use super::setup::ConfigArg;
use super::store::StoreArg;
use crate::domain::Secret;
use crate::scan::examples::{self, Example};
use crate::scan::{Body, Family, Finding, KnownValues, Limits, Rule, RuleFile, RuleSet, Scanner};

/// Fillings of each example that are tried.
const SEEDS: u64 = 8;
/// Bytes of the text in which rules are weighed.
const TEXT: usize = 256 << 10;
/// Percent that one rule may add to a scan: of the family that is always on, and of those that the operator asks for.
const DEAR: u64 = 100;
const DEAR_BY_CHOICE: u64 = 500;

/// Check detection rules
#[derive(Debug, Args)]
pub struct RulesArgs {
    #[command(subcommand)]
    command: RulesCommand,
}

#[derive(Debug, Subcommand)]
enum RulesCommand {
    /// Prove that rule files can be used: they read, the matcher takes them, their examples hold, and they are fast
    Check {
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Print what each rule costs
        #[arg(long)]
        costs: bool,
    },
    /// What each category found and would have blocked, by team: `tollgate rules report --since 7d`
    Report {
        /// Print JSON, one category of one team a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        filter: Box<FilterArgs>,
        #[command(flatten)]
        store: StoreArg,
        #[command(flatten)]
        config: ConfigArg,
    },
}

/// Exit status 78 for files that cannot be used, 1 for rules that fail their examples or are too slow.
///
/// # Errors
/// When a file cannot be read or the result not written.
pub fn run(args: &RulesArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match &args.command {
        RulesCommand::Check { files, costs } => check(files, *costs, out),
        RulesCommand::Report {
            json,
            filter,
            store,
            config,
        } => {
            let mut store = store.open(&config.settings()?)?;
            report::Report::of(store.source(), &filter.filter())?.write(*json, out)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Proves rule files.
fn check(files: &[PathBuf], costs: bool, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let texts = read_rules(files)?;
    let files: Vec<RuleFile<'_>> = texts
        .iter()
        .map(|(name, text)| RuleFile { name, text })
        .collect();
    let rules = match RuleSet::parse(&files, &Family::ALL) {
        Ok(rules) => rules,
        Err(faults) => {
            for fault in faults {
                writeln!(out, "{fault}")?;
            }
            return Ok(ExitCode::from(EXIT_CONFIG));
        }
    };
    let key = Secret::new([0; 32]);
    if let Err(faults) = Scanner::build(rules.clone(), KnownValues::new(), &key, Limits::default())
    {
        writeln!(out, "{faults}")?;
        return Ok(ExitCode::from(EXIT_CONFIG));
    }
    let mut wrong = 0;
    let scale = Scale::new(TEXT)?;
    for rule in rules.rules() {
        let only = rules.only(&rule.id);
        let scanner = Scanner::build(only, KnownValues::new(), &key, Limits::default());
        let scanner = scanner.with_context(|| format!("rule {}", rule.id))?;
        for complaint in complaints(rule, &scanner) {
            writeln!(out, "{}  {complaint}", rule.id)?;
            wrong += 1;
        }
        let (cost, dear) = weighed(rule, &scanner, &scale);
        if cost > dear {
            writeln!(
                out,
                "{}  is slow: it adds {cost} % to a scan, and {dear} % is the most",
                rule.id
            )?;
            wrong += 1;
        } else if costs {
            writeln!(out, "{}  adds {cost} % to a scan", rule.id)?;
        }
    }
    writeln!(out, "{} rules, {wrong} complaints", rules.rules().len())?;
    Ok(ExitCode::from(u8::from(wrong > 0)))
}

/// What percent a rule adds to a scan, and what it may.
fn weighed(rule: &Rule, alone: &Scanner, scale: &Scale) -> (u64, u64) {
    let dear = if rule.family == Family::Secrets {
        DEAR
    } else {
        DEAR_BY_CHOICE
    };
    (scale.weigh(alone, dear), dear)
}

/// What of a rule's examples does not hold, when it is alone.
fn complaints(rule: &Rule, scanner: &Scanner) -> Vec<String> {
    let mut complaints = Vec::new();
    if rule.examples.is_empty() {
        complaints.push("has no example".to_owned());
    }
    let mut workspace = scanner.workspace();
    let mut findings = |example: &Example| -> Vec<Finding> {
        let body = Body {
            bytes: example.text.as_bytes(),
            content_type: Some("text/plain"),
            content_encoding: None,
        };
        scanner.scan(&mut workspace, body, None).findings
    };
    let templates = rule.examples.iter().map(|template| (template, true));
    let counter = rule
        .counter_examples
        .iter()
        .map(|template| (template, false));
    for (template, wanted) in templates.chain(counter) {
        for seed in 0..SEEDS {
            let example = match examples::expand(template, seed) {
                Ok(example) => example,
                Err(error) => {
                    complaints.push(format!("example {template:?}: {error}"));
                    break;
                }
            };
            let found = findings(&example);
            let exact = found
                .iter()
                .any(|finding| example.secret.is_none() || finding.span == example.secret);
            let complaint = match (wanted, found.is_empty(), exact) {
                (true, true, _) => "does not find",
                (true, false, false) => "finds something else than the marked secret in",
                (false, false, _) => "finds something in the counter-example",
                _ => continue,
            };
            complaints.push(format!("{complaint} {template:?} (filling {seed})"));
            break;
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::scan::shipped;

    fn check(rules: &str) -> (String, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), rules).unwrap();
        let files = [file.path().to_owned()];
        let mut out = Vec::new();
        let code = super::check(&files, false, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        (
            out.replace(file.path().to_str().unwrap(), "FILE"),
            format!("{code:?}"),
        )
    }

    const RULE: &str = r#"
[[rule]]
id = "acme-key"
category = "acme_key"
description = "Acme key"
pattern = '\bacme_[a-z0-9]{16}\b'
"#;

    #[test]
    fn a_good_rule_passes_and_a_bad_one_is_told_why() {
        let good = format!("{RULE}examples = [\"x=«acme_{{lower:16}}»\"]\n");
        assert_eq!(check(&good).0, "1 rules, 0 complaints\n");
        let bad = format!(
            "{RULE}examples = [\"acme_{{lower:17}}\"]\ncounter_examples = [\"acme_{{lower:16}}\"]\n"
        );
        let (out, code) = check(&bad);
        assert!(
            out.contains("acme-key  does not find \"acme_{lower:17}\""),
            "{out}"
        );
        assert!(
            out.contains("finds something in the counter-example"),
            "{out}"
        );
        assert!(code.contains("(1)"));
        let (out, code) = check("[[rule]]\nid = 'x'\n");
        assert!(
            out.starts_with("FILE:1:1  `category` is missing") && code.contains("(78)"),
            "{out}"
        );
    }

    #[test]
    fn the_shipped_rules_are_fast_enough_also_on_a_busy_machine() {
        // As much as a build for tests scans soon enough.
        let scale = Scale::new(2 << 10).unwrap();
        let rules = RuleSet::parse(shipped::RULES, &Family::ALL).unwrap();
        let slow = |rule: &&Rule| {
            let only = rules.only(&rule.id);
            let (known, key) = (KnownValues::new(), Secret::new([0; 32]));
            let alone = Scanner::build(only, known, &key, Limits::default()).unwrap();
            let (cost, dear) = weighed(rule, &alone, &scale);
            cost > dear
        };
        let slow: Vec<_> = rules
            .rules()
            .iter()
            .filter(slow)
            .map(|rule| &rule.id)
            .collect();
        assert!(slow.is_empty(), "{slow:?}");
    }
}
