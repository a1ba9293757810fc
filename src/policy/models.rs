//! Which models a team may use, and other names for them.

use std::collections::BTreeMap;

use super::Glob;

/// The models that a team may use: exact names and globs; all where the list is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelList(Option<Vec<Glob>>);

impl ModelList {
    /// Every model.
    #[must_use]
    pub const fn all() -> Self {
        Self(None)
    }

    /// These only; none at all for an empty list.
    #[must_use]
    pub fn only<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Self {
        Self(Some(patterns.into_iter().map(Glob::new).collect()))
    }

    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        self.0
            .as_ref()
            .is_none_or(|list| list.iter().any(|glob| glob.matches(model)))
    }

    /// The patterns, as they were written; `None` for all models.
    pub fn patterns(&self) -> Option<impl Iterator<Item = &str>> {
        self.0.as_ref().map(|list| list.iter().map(Glob::as_str))
    }
}

/// Other names for models: `sonnet` → a model id. One step: what an alias names is no alias itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases(BTreeMap<String, String>);

impl Aliases {
    #[must_use]
    pub const fn new(aliases: BTreeMap<String, String>) -> Self {
        Self(aliases)
    }

    /// The model that a client means. The allow-list is asked about this one, never about the alias.
    #[must_use]
    pub fn resolve<'m>(&'m self, asked: &'m str) -> &'m str {
        self.0.get(asked).map_or(asked, String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(alias, model)| (alias.as_str(), model.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_allows_what_it_names_and_no_list_allows_all() {
        let list = ModelList::only(["claude-*", "gpt-5"]);
        assert!(list.allows("claude-opus-4") && list.allows("gpt-5"));
        assert!(!list.allows("gpt-5-mini") && !list.allows("") && !list.allows("Claude-opus"));
        assert!(ModelList::all().allows("anything"));
        assert!(!ModelList::only([]).allows("anything"));
    }

    #[test]
    fn an_alias_resolves_once() {
        let aliases = Aliases::new(
            [
                ("a".to_owned(), "b".to_owned()),
                ("b".to_owned(), "c".to_owned()),
            ]
            .into(),
        );
        assert_eq!(aliases.resolve("a"), "b");
        assert_eq!(aliases.resolve("x"), "x");
    }
}
