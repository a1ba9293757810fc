//! A detection rule, ready to use, and the set of them.

use std::collections::HashSet;
use std::fmt;

use regex::bytes::Regex;

use super::finding::{Fingerprint, RuleId};
use super::parse::{self, RuleFault, RuleFile};
use super::validate::Validator;
use crate::domain::Category;

/// Which rules an operator wants: `scan.families` in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Recognised by their own shape.
    #[default]
    Secrets,
    /// Opaque values that only a service's name nearby gives away.
    Context,
    /// `password = …`, of whatever service.
    Generic,
    /// Personal data.
    Personal,
}

impl Family {
    pub const ALL: [Self; 4] = [Self::Secrets, Self::Context, Self::Generic, Self::Personal];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Context => "context",
            Self::Generic => "generic",
            Self::Personal => "personal",
        }
    }

    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.as_str() == name)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One rule of a rule file.
#[derive(Clone, Debug)]
pub struct Rule {
    pub id: RuleId,
    pub category: Category,
    pub family: Family,
    pub description: String,
    /// Templates of texts that the rule must find.
    pub examples: Vec<String>,
    /// Templates of texts in which it must find nothing.
    pub counter_examples: Vec<String>,
    /// Where the rule stands, for faults found after parsing.
    pub(super) origin: RuleFault,
    pub(super) pattern: String,
    pub(super) regex: Regex,
    /// The capture group that is the secret; 0 is the whole match.
    pub(super) group: usize,
    /// What the matcher looks for in place of the pattern: simpler, and found wherever the pattern matches.
    pub(super) hint: Option<String>,
    /// Lower-case words of which one must stand before the match; empty: none needed.
    pub(super) keywords: Vec<String>,
    /// Bytes from the end of the keyword to the start of the match, at most.
    pub(super) distance: usize,
    /// Names of checks on the secret, all of which must accept it.
    pub validators: Vec<Validator>,
    /// Least Shannon entropy of the secret, in bits per byte.
    pub(super) entropy: Option<f64>,
    /// The longest match, where the pattern bounds it.
    pub(super) longest: Option<usize>,
    /// Whether every match holds a literal, so that the fast database can look for it.
    pub(super) anchored: bool,
}

impl Rule {
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// What the matcher looks for: the hint or the pattern; `None` where it looks for the keywords.
    #[must_use]
    pub fn sought(&self) -> Option<&str> {
        let pattern = self.keywords.is_empty().then_some(&self.pattern);
        self.hint.as_ref().or(pattern).map(String::as_str)
    }
}

/// The rules of the families that were asked for, all proven to be well formed.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    pub(super) rules: Vec<Rule>,
    pub(super) allowed: HashSet<Fingerprint>,
}

impl RuleSet {
    /// Reads rule files. Rules of other families are checked and left out; those that a file switches `off` too.
    ///
    /// # Errors
    /// Every fault of every file, in order.
    pub fn parse(files: &[RuleFile<'_>], families: &[Family]) -> Result<Self, Vec<RuleFault>> {
        let mut set = parse::files(files)?;
        set.rules.retain(|rule| families.contains(&rule.family));
        Ok(set)
    }

    /// The one rule of this name, without the allowed findings.
    #[must_use]
    pub fn only(&self, id: &RuleId) -> Self {
        let rules = self.rules.iter().filter(|rule| rule.id == *id);
        Self {
            rules: rules.cloned().collect(),
            allowed: HashSet::new(),
        }
    }

    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}
