//! Which models a team may use, and other names for them.

use std::collections::BTreeMap;

use super::{Glob, TeamPolicy};

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

/// The models that a request may be tried with, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<'m> {
    pub model: &'m str,
    /// Whether the body names another one, so that it must be rewritten.
    pub renamed: bool,
    /// Tried in this order when the model's provider fails before its first byte.
    pub fallbacks: Vec<&'m str>,
}

/// Why no model may be used. A disallowed one is refused, never quietly replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoModel<'m> {
    #[error("the request names no model, and the team has no default")]
    Unnamed,
    /// The model that the request means, its alias resolved.
    #[error("the team may not use the model")]
    NotAllowed(&'m str),
}

impl TeamPolicy {
    /// What a request for `asked` may use.
    ///
    /// # Errors
    /// When it names none and there is no default, or the team may not use what it means.
    pub fn choose<'m>(
        &'m self,
        aliases: &'m Aliases,
        asked: Option<&'m str>,
    ) -> Result<Choice<'m>, NoModel<'m>> {
        let named = asked
            .or(self.default_model.as_deref())
            .ok_or(NoModel::Unnamed)?;
        let model = aliases.resolve(named);
        if !self.models.allows(model) {
            return Err(NoModel::NotAllowed(model));
        }
        let others = self
            .fallback_models
            .iter()
            .map(|name| aliases.resolve(name));
        let fallbacks = others
            .filter(|other| *other != model && self.models.allows(other))
            .collect();
        Ok(Choice {
            model,
            renamed: asked != Some(model),
            fallbacks,
        })
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

    #[test]
    fn a_request_gets_what_it_means_or_a_no() {
        let aliases = Aliases::new([("sonnet".to_owned(), "claude-sonnet-4-5".to_owned())].into());
        let mut team = TeamPolicy {
            models: ModelList::only(["claude-*"]),
            ..TeamPolicy::default()
        };
        let choice = team.choose(&aliases, Some("sonnet")).unwrap();
        assert_eq!((choice.model, choice.renamed), ("claude-sonnet-4-5", true));
        assert!(
            !team
                .choose(&aliases, Some("claude-opus-4"))
                .unwrap()
                .renamed
        );
        assert_eq!(
            team.choose(&aliases, Some("gpt-5")),
            Err(NoModel::NotAllowed("gpt-5"))
        );
        assert_eq!(team.choose(&aliases, None), Err(NoModel::Unnamed));
        team.default_model = Some("sonnet".to_owned());
        team.fallback_models = ["sonnet", "gpt-5", "claude-haiku-4-5"]
            .map(str::to_owned)
            .to_vec();
        let choice = team.choose(&aliases, None).unwrap();
        assert_eq!((choice.model, choice.renamed), ("claude-sonnet-4-5", true));
        assert_eq!(
            choice.fallbacks,
            ["claude-haiku-4-5"],
            "neither itself nor what the team may not use"
        );
    }
}
