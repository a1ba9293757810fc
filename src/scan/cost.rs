//! What a rule costs, counted and not timed: the bytes that its regular expression would have to read again in ordinary
//! traffic. The same rule costs the same on every machine, so a file that was loaded yesterday is loaded today.
//!
//! The first pass over a body costs next to nothing for each rule that has fixed text (rules without any are refused
//! when they are parsed); what slows a scan down is a rule whose fixed text or keyword is everywhere, since each place has
//! to be confirmed.

use memchr::memmem;
use regex::bytes::RegexBuilder;

use super::parse::RuleFault;
use super::rule::{Family, Rule};

/// Bytes of ordinary traffic that are counted in.
const SAMPLE: usize = 16 << 10;
/// Bytes that are read around one place of a pattern without bound, at most: a text of a message is rarely longer.
const REACH: usize = 2048;
/// The same after a keyword.
const KEYWORD_REACH: usize = 512;
/// How many bytes one rule may read again for each that is scanned: of a family that is always on, and of one that the
/// operator asked for.
const MOST: f64 = 1.0;
const MOST_BY_CHOICE: f64 = 4.0;

/// The rules that cost more than they may, with their places.
pub(super) fn too_dear(rules: &[Rule]) -> Vec<RuleFault> {
    let sample = sample();
    let faults = rules.iter().filter_map(|rule| {
        let cost = of(rule, &sample);
        let most = if rule.family == Family::Secrets {
            MOST
        } else {
            MOST_BY_CHOICE
        };
        (cost > most).then(|| RuleFault {
            message: format!(
                "rule `{}` would slow down every scan: what it looks for is so common that {cost:.1} bytes would be read again for each one scanned, and {most:.1} is the most; look for longer fixed text or a rarer keyword",
                rule.id
            ),
            ..rule.origin.clone()
        })
    });
    faults.collect()
}

/// Bytes of the sample that the rule reads again, for each byte of it.
fn of(rule: &Rule, sample: &[u8]) -> f64 {
    let (places, reach) = if let Some(sought) = rule.sought() {
        let reach = rule.longest.unwrap_or(REACH).min(REACH);
        (matches(sought, sample), 2 * reach)
    } else {
        let reach = rule.longest.unwrap_or(KEYWORD_REACH).min(KEYWORD_REACH);
        let lower = sample.to_ascii_lowercase();
        let places = rule.keywords.iter();
        let places = places.map(|word| memmem::find_iter(&lower, word.as_bytes()).count());
        (places.sum(), rule.distance + reach)
    };
    let bytes = u32::try_from(places.saturating_mul(reach)).map_or(f64::INFINITY, f64::from);
    let all = u32::try_from(sample.len()).map_or(f64::INFINITY, f64::from);
    bytes / all
}

fn matches(pattern: &str, sample: &[u8]) -> usize {
    let built = RegexBuilder::new(pattern).unicode(false).build();
    // It was parsed before; what is too large for this bound is told by the scan's own.
    built.map_or(0, |regex| regex.find_iter(sample).count())
}

/// Text as agents send it: code, settings, logs, prose, ids. Always the same.
fn sample() -> Vec<u8> {
    const WORDS: [&str; 48] = [
        "the", "key", "value", "return", "token", "user", "name", "config", "let", "const", "self",
        "error", "result", "password", "secret", "import", "from", "data", "id", "type", "string",
        "test", "path", "file", "http", "url", "api", "client", "server", "request", "response",
        "and", "for", "with", "this", "that", "is", "not", "if", "else", "public", "static",
        "async", "await", "print", "index", "list", "map",
    ];
    let mut state: u64 = 1;
    let mut roll = || {
        // A multiplicative generator (Steele and Vigna): only its looks matter.
        state = state.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
        state >> 33
    };
    let mut text = String::with_capacity(SAMPLE + 256);
    while text.len() < SAMPLE {
        let mut word = || WORDS[usize::try_from(roll()).unwrap_or(0) % WORDS.len()];
        let (a, b, c, d) = (word(), word(), word(), word());
        let (number, id) = (roll() % 100_000, roll());
        let line = match roll() % 10 {
            0 => format!("    let {a}_{b} = self.{c}({d}, {number});\n"),
            1 => format!("  \"{a}\": \"{b}-{c}\", \"{d}\": {number},\n"),
            2 => format!("{a}.{b} = {c} # {d}\n"),
            3 => format!(
                "2026-01-17T10:{:02}:07Z INFO {a}: {b} {c} id={id:x}\n",
                number % 60
            ),
            4 => format!("The {a} {b} of this {c} is {d}, and so on.\n"),
            5 => format!("GET https://{a}.example.com/{b}/{number}?{c}={d}\n"),
            6 => format!("+    if ({a} != null && {b}.{c} > {number}) {{\n-    }} // {d}\n"),
            7 => format!("export {}_{}={c}/{d}\n", a.to_uppercase(), b.to_uppercase()),
            8 => format!(
                "  \"integrity\": \"sha512-{id:016x}{:016x}Aa+/==\",\n",
                id.rotate_left(29)
            ),
            _ => format!("<{a} class=\"{b} {c}\">{d}</{a}>\n"),
        };
        text.push_str(&line);
    }
    text.truncate(SAMPLE);
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::parse::RuleFile;
    use super::super::rule::RuleSet;
    use super::*;

    fn faults(pattern: &str, more: &str) -> Vec<String> {
        let text = format!(
            "[[rule]]\nid = \"x\"\ncategory = \"x\"\ndescription = \"x\"\npattern = '{pattern}'\n{more}\n"
        );
        let file = RuleFile {
            name: "own.toml",
            text: &text,
        };
        match RuleSet::parse(&[file], &Family::ALL) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_rule_whose_words_are_everywhere_is_refused_with_its_place() {
        for (pattern, more) in [
            (r"[a-z_]+ = [a-z_.]+", ""),
            (
                r"[a-z0-9]{20,40}",
                "keywords = [\"the\", \"key\"]\ndistance = 500",
            ),
            (r"\S+", "family = \"generic\""),
        ] {
            let told = faults(pattern, more);
            assert!(
                told.len() == 1
                    && told[0].starts_with("own.toml:2:6  rule `x` would slow down every scan"),
                "{pattern}: {told:?}"
            );
        }
        for (pattern, more) in [
            (r"\bacme_[a-z0-9]{16}\b", ""),
            (r"[a-z0-9]{20,40}", "keywords = [\"acme\"]\ndistance = 500"),
            (r"[a-f0-9]{32}", "family = \"generic\""),
        ] {
            assert_eq!(faults(pattern, more), Vec::<String>::new(), "{pattern}");
        }
    }

    #[test]
    fn the_sample_is_the_same_every_time() {
        assert_eq!(sample(), sample());
        assert_eq!(sample().len(), SAMPLE);
    }
}
