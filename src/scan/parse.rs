//! Rule files: TOML in, rules or every fault with its place out.

mod fields;
mod shape;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use regex::bytes::RegexBuilder;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::fields::{Fields, Notes};
use super::cost;
use super::finding::{Fingerprint, RuleId};
use super::rule::{Family, Rule, RuleSet};
use super::validate::Validator;
use crate::document::Fault;
use crate::domain::Category;

/// Bytes between a keyword and its match, where a rule does not say.
const DISTANCE: usize = 60;
/// The largest distance that a rule may ask for: what follows each keyword is searched.
const DISTANCE_LIMIT: usize = 500;
/// Bytes that a compiled pattern may take in the `regex` crate.
const REGEX_SIZE: usize = 16 << 20;
const RULE_KEYS: [&str; 13] = [
    "id",
    "category",
    "family",
    "description",
    "pattern",
    "hint",
    "keywords",
    "distance",
    "validator",
    "entropy",
    "examples",
    "counter_examples",
    "references",
];

/// A rule file that the caller has read.
#[derive(Clone, Copy, Debug)]
pub struct RuleFile<'a> {
    /// How faults call it: the path.
    pub name: &'a str,
    pub text: &'a str,
}

/// Something wrong in a rule file. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFault {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl From<RuleFault> for Fault {
    fn from(fault: RuleFault) -> Self {
        Self {
            file: fault.file,
            line: fault.line,
            column: fault.column,
            message: fault.message,
        }
    }
}

impl fmt::Display for RuleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
        } = self;
        write!(f, "{file}:{line}:{column}  {message}")
    }
}

impl std::error::Error for RuleFault {}

/// Reads all files; faults come in the order of the files and their lines.
pub(super) fn files(files: &[RuleFile<'_>]) -> Result<RuleSet, Vec<RuleFault>> {
    let mut set = RuleSet::default();
    let mut off = Vec::new();
    let mut faults = Vec::new();
    for file in files {
        let mut notes = Notes::new(file);
        read(&mut notes, &mut set, &mut off);
        faults.extend(notes.into_faults());
    }
    faults.extend(duplicates(&set.rules));
    for (id, fault) in off {
        let before = set.rules.len();
        set.rules.retain(|rule| rule.id.as_str() != id);
        if set.rules.len() == before {
            faults.push(fault);
        }
    }
    faults.extend(cost::too_dear(&set.rules));
    if faults.is_empty() {
        Ok(set)
    } else {
        Err(faults)
    }
}

fn duplicates(rules: &[Rule]) -> Vec<RuleFault> {
    let mut seen: HashMap<&str, &RuleFault> = HashMap::new();
    let mut faults = Vec::new();
    for rule in rules {
        if let Some(first) = seen.insert(rule.id.as_str(), &rule.origin) {
            let message = format!(
                "rule `{}` is already defined at {}:{}",
                rule.id, first.file, first.line
            );
            faults.push(RuleFault {
                message,
                ..rule.origin.clone()
            });
        }
    }
    faults
}

fn read(notes: &mut Notes<'_>, set: &mut RuleSet, off: &mut Vec<(String, RuleFault)>) {
    let (table, errors) = DeTable::parse_recoverable(notes.text());
    let broken = !errors.is_empty();
    for error in errors {
        notes.fault(error.span().unwrap_or(0..0), error.message());
    }
    if broken {
        return;
    }
    for (key, value) in table.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("rule", DeValue::Array(rules)) => {
                for rule in rules {
                    set.rules.extend(one(notes, rule));
                }
            }
            ("off", DeValue::Array(_)) => {
                for (id, span) in notes.strings(value) {
                    let missing = notes.fault_at(span, format!("there is no rule `{id}`"));
                    off.push((id, missing));
                }
            }
            ("allow", DeValue::Array(_)) => {
                for (text, span) in notes.strings(value) {
                    match Fingerprint::parse(&text) {
                        Some(fingerprint) => drop(set.allowed.insert(fingerprint)),
                        None => notes.fault(
                            span,
                            "is not a fingerprint: 32 hexadecimal digits, as a finding shows them",
                        ),
                    }
                }
            }
            ("rule", _) => notes.fault(value.span(), "write rules as [[rule]] tables"),
            ("off" | "allow", _) => notes.fault(value.span(), "must be a list of strings"),
            (other, _) => notes.fault(
                key.span(),
                &format!("unknown key `{other}`; expected one of: rule, off, allow"),
            ),
        }
    }
}

/// One `[[rule]]`; all its faults are noted.
fn one(notes: &mut Notes<'_>, value: &Spanned<DeValue<'_>>) -> Option<Rule> {
    let DeValue::Table(table) = value.get_ref() else {
        notes.fault(value.span(), "write rules as [[rule]] tables");
        return None;
    };
    let faults_before = notes.count();
    let mut fields = Fields::new(notes, table, value.span());
    fields.only(&RULE_KEYS);
    let id = fields.text("id");
    let category = fields.text("category");
    let family = fields.optional_text("family");
    let description = fields.text("description").map(|(text, _)| text);
    let pattern = fields.text("pattern");
    let hint = fields.optional_text("hint");
    let keywords = fields.list("keywords");
    let distance = fields.size("distance", DISTANCE_LIMIT).unwrap_or(DISTANCE);
    let validators = fields.list("validator");
    let entropy = fields.number("entropy", 0.0..=8.0);
    let examples = fields.list("examples");
    let counter_examples = fields.list("counter_examples");

    check_names(notes, id.as_ref(), category.as_ref());
    let family = family_of(notes, family);
    let keywords = lower_keywords(notes, keywords);
    let validators = known_validators(notes, validators);
    let compiled = pattern.and_then(|(pattern, span)| compile(notes, pattern, span));
    let hint_anchored = hint
        .as_ref()
        .is_some_and(|(hint, span)| is_hint(notes, hint, span));
    if notes.count() > faults_before {
        return None;
    }
    let (compiled, family, (id, id_span)) = (compiled?, family?, id?);
    let anchored = compiled.anchored || hint_anchored;
    if keywords.is_empty() && !anchored && matches!(family, Family::Secrets | Family::Context) {
        notes.fault(
            compiled.span,
            "the pattern has no fixed text of three characters that every match holds, so it would slow down every scan; add one, or give the rule keywords",
        );
        return None;
    }
    Some(Rule {
        origin: notes.fault_at(id_span, String::new()),
        id: RuleId::new(&id),
        category: Category::new(&category?.0),
        family,
        description: description?,
        examples: examples.into_iter().map(|(text, _)| text).collect(),
        counter_examples: counter_examples.into_iter().map(|(text, _)| text).collect(),
        pattern: compiled.pattern,
        regex: compiled.regex,
        group: compiled.group,
        hint: hint.map(|(hint, _)| hint),
        keywords,
        distance,
        validators,
        entropy,
        longest: compiled.longest,
        anchored,
    })
}

/// The family named, `secrets` where none is; `None` for a name that is none.
fn family_of(notes: &mut Notes<'_>, named: Option<(String, Range<usize>)>) -> Option<Family> {
    let Some((name, span)) = named else {
        return Some(Family::Secrets);
    };
    let family = Family::by_name(&name);
    if family.is_none() {
        notes.fault(
            span,
            "is not a family; expected one of: secrets, context, generic, personal",
        );
    }
    family
}

fn check_names(
    notes: &mut Notes<'_>,
    id: Option<&(String, Range<usize>)>,
    category: Option<&(String, Range<usize>)>,
) {
    if let Some((id, span)) = id {
        let kebab = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=64).contains(&id.len()) || !id.bytes().all(kebab) {
            notes.fault(
                span.clone(),
                "an id is 1 to 64 lower-case letters, digits and `-`",
            );
        }
    }
    if let Some((category, span)) = category
        && !Category::is_valid(category)
    {
        notes.fault(
            span.clone(),
            "a category is 1 to 40 lower-case letters, digits and `_`",
        );
    }
}

fn known_validators(notes: &mut Notes<'_>, names: Vec<(String, Range<usize>)>) -> Vec<Validator> {
    let mut known = Vec::new();
    for (name, span) in names {
        match Validator::by_name(&name) {
            Some(validator) => known.push(validator),
            None => notes.fault(span, &format!("there is no validator `{name}`")),
        }
    }
    known
}

fn lower_keywords(notes: &mut Notes<'_>, keywords: Vec<(String, Range<usize>)>) -> Vec<String> {
    keywords
        .into_iter()
        .map(|(word, span)| {
            if !(3..=64).contains(&word.len()) || !word.is_ascii() {
                notes.fault(span, "a keyword is 3 to 64 ASCII characters");
            }
            word.to_ascii_lowercase()
        })
        .collect()
}

/// Whether the matcher can look for a hint. What it cannot do is noted.
fn is_hint(notes: &mut Notes<'_>, hint: &str, span: &Range<usize>) -> bool {
    match shape::of(hint) {
        Ok(shape) if shape.literal > 0 => true,
        Ok(_) => {
            notes.fault(
                span.clone(),
                "the hint has no fixed text that every match holds",
            );
            false
        }
        Err(message) => {
            notes.fault(span.clone(), &message);
            false
        }
    }
}

/// A pattern that both engines can use, as far as the `regex` crate can tell.
struct Compiled {
    pattern: String,
    regex: regex::bytes::Regex,
    group: usize,
    longest: Option<usize>,
    anchored: bool,
    span: Range<usize>,
}

fn compile(notes: &mut Notes<'_>, pattern: String, span: Range<usize>) -> Option<Compiled> {
    let shape = match shape::of(&pattern) {
        Ok(shape) => shape,
        Err(message) => {
            notes.fault(span, &message);
            return None;
        }
    };
    let built = RegexBuilder::new(&pattern)
        .unicode(false)
        .size_limit(REGEX_SIZE)
        .build();
    let regex = match built {
        Ok(regex) => regex,
        Err(error) => {
            notes.fault(span, &format!("the pattern does not compile: {error}"));
            return None;
        }
    };
    if shape.shortest == 0 {
        notes.fault(span, "the pattern matches the empty text");
        return None;
    }
    let group = regex
        .capture_names()
        .position(|name| name == Some("secret"))
        .unwrap_or(0);
    Some(Compiled {
        pattern,
        regex,
        group,
        longest: shape.longest,
        anchored: shape.literal >= 3,
        span,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[[rule]]
id = "acme-key"
category = "acme_key"
description = "Acme key"
pattern = '\bacme_[a-z0-9]{20}\b'
"#;

    fn faults(text: &str) -> Vec<String> {
        match RuleSet::parse(
            &[RuleFile {
                name: "r.toml",
                text,
            }],
            &Family::ALL,
        ) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_rule_reads() {
        let file = RuleFile {
            name: "r.toml",
            text: GOOD,
        };
        let set = RuleSet::parse(&[file], &[Family::Secrets]).unwrap();
        assert_eq!(set.rules()[0].id.as_str(), "acme-key");
        assert!(
            RuleSet::parse(&[file], &[Family::Personal])
                .unwrap()
                .rules()
                .is_empty()
        );
    }

    #[test]
    fn all_faults_are_told_at_once_with_their_places() {
        let text = r#"
[[rule]]
id = "Acme"
category = "acme key"
descriptio = "x"
pattern = '('
distance = -1
"#;
        insta::assert_snapshot!(faults(text).join("\n"), @r"
        r.toml:2:1  `description` is missing
        r.toml:3:6  an id is 1 to 64 lower-case letters, digits and `-`
        r.toml:4:12  a category is 1 to 40 lower-case letters, digits and `_`
        r.toml:5:1  unknown key `descriptio`; expected one of: id, category, family, description, pattern, hint, keywords, distance, validator, entropy, examples, counter_examples, references
        r.toml:6:11  the pattern does not compile: unclosed group
        r.toml:7:12  must be a whole number up to 500
        ");
    }

    #[test]
    fn a_pattern_that_would_slow_every_scan_is_refused() {
        let text = GOOD.replace("acme_[a-z0-9]{20}", "[a-f0-9]{32}");
        assert!(
            faults(&text)[0].contains("no fixed text of three characters"),
            "{text}"
        );
        assert_eq!(
            faults(&format!("{text}keywords = [\"acme\"]\n")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_id_is_used_once_and_switched_off_by_name() {
        let twice = format!("{GOOD}{GOOD}");
        assert_eq!(
            faults(&twice),
            ["r.toml:9:6  rule `acme-key` is already defined at r.toml:3"]
        );
        let off = format!("off = [\"acme-key\"]\n{GOOD}");
        let file = RuleFile {
            name: "r.toml",
            text: &off,
        };
        assert!(
            RuleSet::parse(&[file], &Family::ALL)
                .unwrap()
                .rules()
                .is_empty()
        );
        assert_eq!(
            faults("off = [\"acme\"]"),
            ["r.toml:1:8  there is no rule `acme`"]
        );
    }
}
