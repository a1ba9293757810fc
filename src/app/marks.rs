//! What an operator's files were, as digests: the audit can then say what a reload changed, and repeats nothing of it.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::config::{Settings, Source};

/// Hexadecimal digits of a digest that are kept: enough to tell two versions of a file apart.
const DIGITS: usize = 12;

/// In place of a digest.
const UNREADABLE: &str = "unreadable";

/// One digest for each kind of file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    configuration: String,
    pub rules: String,
    prices: String,
}

fn mark(texts: impl IntoIterator<Item = (String, String)>) -> String {
    let mut hasher = Sha256::new();
    for (name, text) in texts {
        // Lengths keep a text from running into the next.
        hasher.update(name.len().to_le_bytes());
        hasher.update(name);
        hasher.update(text.len().to_le_bytes());
        hasher.update(text);
    }
    let mut digits = format!("{:x}", hasher.finalize());
    digits.truncate(DIGITS);
    digits
}

fn of_file(path: &Path) -> String {
    Source::read(path).map_or_else(
        |_| UNREADABLE.to_owned(),
        |source| mark([(String::new(), source.text)]),
    )
}

fn of_rules(settings: &Settings) -> String {
    let Ok(sources) = settings.rule_sources() else {
        return UNREADABLE.to_owned();
    };
    let rules = sources.into_iter().map(|source| (source.name, source.text));
    let families = format!("{:?}", settings.scan.families);
    mark(rules.chain([("families".to_owned(), families)]))
}

impl Marks {
    /// The marks of the files as they are now.
    pub fn of(configuration: &Path, settings: &Settings) -> Self {
        Self {
            configuration: of_file(configuration),
            rules: of_rules(settings),
            prices: of_file(&settings.prices.file),
        }
    }

    /// What is another than before, as `what: before -> after`.
    pub fn changes(&self, new: &Self) -> Vec<String> {
        let pairs = [
            ("configuration", &self.configuration, &new.configuration),
            ("rules", &self.rules, &new.rules),
            ("prices", &self.prices, &new.prices),
        ];
        let changed = pairs.into_iter().filter(|(_, old, new)| old != new);
        changed
            .map(|(what, old, new)| format!("{what}: {old} -> {new}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_texts_and_their_borders_apart() {
        let of = |texts: &[(&str, &str)]| {
            mark(
                texts
                    .iter()
                    .map(|(name, text)| ((*name).to_owned(), (*text).to_owned())),
            )
        };
        assert_eq!(of(&[("a", "b")]).len(), DIGITS);
        assert_eq!(of(&[("a", "b")]), of(&[("a", "b")]));
        assert_ne!(of(&[("a", "b")]), of(&[("ab", "")]));
        assert_ne!(of(&[("a", "b"), ("c", "d")]), of(&[("a", "bcd")]));
    }

    #[test]
    fn only_what_changed_is_named() {
        let before = Marks {
            rules: "1".to_owned(),
            ..Marks::default()
        };
        let after = Marks {
            rules: "2".to_owned(),
            ..Marks::default()
        };
        assert_eq!(before.changes(&after), ["rules: 1 -> 2"]);
        assert!(after.changes(&after).is_empty());
    }
}
