//! What happens to a request in which a category was found.

use std::collections::BTreeMap;

use crate::document::{Table, Value};
use crate::domain::Category;

/// From mildest to strictest; the strictest of a request's findings decides for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Forward, and record the category.
    Alert,
    /// Forward with the value replaced by a placeholder, restored in the answer.
    Redact,
    /// Refuse the request.
    Block,
}

impl Action {
    /// The words of the configuration.
    pub const WORDS: [(&'static str, Self); 3] = [
        ("alert", Self::Alert),
        ("redact", Self::Redact),
        ("block", Self::Block),
    ];

    /// The word in configuration, audit and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Redact => "redact",
            Self::Block => "block",
        }
    }
}

/// Actions of some categories; the others keep what applies elsewhere.
pub type CategoryActions = BTreeMap<Category, Action>;

/// Reads a table of `category = "action"`.
pub fn read_actions(table: &mut Table<'_>) -> CategoryActions {
    let read = |value: Value<'_>| Some((value.key_category()?, value.choice(&Action::WORDS)?));
    table.entries().into_iter().filter_map(read).collect()
}

/// The action of every category: some by name, the rest by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actions {
    default: Action,
    named: CategoryActions,
}

impl Actions {
    #[must_use]
    pub const fn new(default: Action, named: CategoryActions) -> Self {
        Self { default, named }
    }

    /// What happens to a finding of this category.
    #[must_use]
    pub fn action(&self, category: &Category) -> Action {
        self.named.get(category).copied().unwrap_or(self.default)
    }

    /// Whether findings of any category are redacted.
    #[must_use]
    pub fn redacts(&self) -> bool {
        self.default == Action::Redact || self.named.values().any(|one| *one == Action::Redact)
    }

    /// These actions with a team's own laid over them.
    #[must_use]
    pub fn with(&self, over: &CategoryActions) -> Self {
        let mut named = self.named.clone();
        named.extend(
            over.iter()
                .map(|(category, action)| (category.clone(), *action)),
        );
        Self {
            default: self.default,
            named,
        }
    }

    /// The categories with an action of their own: to check that rules know them.
    pub fn named(&self) -> impl Iterator<Item = (&Category, Action)> {
        self.named
            .iter()
            .map(|(category, action)| (category, *action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_teams_action_lies_over_the_general_one() {
        let key = Category::new("private_key");
        let token = Category::new("github_token");
        let general = Actions::new(Action::Alert, [(key.clone(), Action::Block)].into());
        let team = general.with(&[(token.clone(), Action::Redact)].into());
        assert_eq!(team.action(&key), Action::Block);
        assert_eq!(team.action(&token), Action::Redact);
        assert_eq!(general.action(&token), Action::Alert);
        assert!(team.redacts() && !general.redacts());
    }

    #[test]
    fn the_strictest_action_is_the_largest() {
        assert!(Action::Alert < Action::Redact && Action::Redact < Action::Block);
        assert!(
            Action::WORDS
                .iter()
                .all(|(word, action)| action.as_str() == *word)
        );
    }
}
