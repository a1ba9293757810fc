//! What changes between two editions of the prices.

use std::collections::BTreeMap;
use std::fmt;

use crate::domain::Usd;

use super::price::{Ladder, Price, Rates};
use super::table::{Model, PriceTable};

/// A model whose prices differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub provider: String,
    pub model: String,
    pub kind: ChangeKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Removed,
    Changed(Vec<Difference>),
}

/// One figure of a model that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Such as `input` or `priority over 272000 output`.
    pub what: String,
    /// Absent where that edition has no such step or tier.
    pub old: Option<Figure>,
    pub new: Option<Figure>,
}

/// A figure of a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Amount(Usd),
    Number(u64),
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount(amount) => write!(f, "${amount}"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl Difference {
    /// Whether an amount is more than `factor` times the other, or came to or from nothing: more likely a slip than a price.
    #[must_use]
    pub fn is_leap(&self, factor: u64) -> bool {
        let (Some(Figure::Amount(old)), Some(Figure::Amount(new))) = (self.old, self.new) else {
            return false;
        };
        let [low, high] = [old.min(new), old.max(new)].map(|amount| u128::from(amount.nanos()));
        high > low * u128::from(factor)
    }
}

impl PriceTable {
    /// What a change from this table to another one changes, by provider and model.
    #[must_use]
    pub fn diff(&self, new: &Self) -> Vec<Change> {
        let by_name = |table: &'_ Self| -> BTreeMap<_, Model> {
            let entry = |model: &Model| {
                let name = (model.provider.clone(), model.id.clone(), model.from);
                (name, model.clone())
            };
            table.models.iter().map(entry).collect()
        };
        let (old, new) = (by_name(self), by_name(new));
        let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
        names.sort();
        names.dedup();
        names
            .into_iter()
            .filter_map(|name| {
                let kind = match (old.get(name), new.get(name)) {
                    (None, _) => ChangeKind::Added,
                    (_, None) => ChangeKind::Removed,
                    (Some(old), Some(new)) => {
                        ChangeKind::Changed(differences(&old.price, &new.price)?)
                    }
                };
                Some(Change {
                    provider: name.0.clone(),
                    model: name.1.clone(),
                    kind,
                })
            })
            .collect()
    }
}

/// The figures that differ; `None` when none does.
fn differences(old: &Price, new: &Price) -> Option<Vec<Difference>> {
    let (old, new) = (figures(old), figures(new));
    let mut names: Vec<_> = old.iter().chain(&new).map(|(what, _)| what).collect();
    let mut seen = std::collections::HashSet::new();
    names.retain(|what| seen.insert(*what));
    let of = |list: &[(String, Figure)], what: &String| {
        let found = list.iter().find(|(name, _)| name == what);
        found.map(|(_, figure)| *figure)
    };
    let differ: Vec<_> = names
        .into_iter()
        .map(|what| Difference {
            what: what.clone(),
            old: of(&old, what),
            new: of(&new, what),
        })
        .filter(|figure| figure.old != figure.new)
        .collect();
    (!differ.is_empty()).then_some(differ)
}

/// Every figure of a price by name, in reading order.
fn figures(price: &Price) -> Vec<(String, Figure)> {
    let mut list = Vec::new();
    ladder("", &price.standard, &mut list);
    let tiers = [
        ("batch ", &price.batch),
        ("flex ", &price.flex),
        ("priority ", &price.priority),
        ("fast ", &price.fast),
    ];
    for (name, tier) in tiers {
        if let Some(own) = tier {
            ladder(name, own, &mut list);
        }
    }
    for (what, amount) in [
        ("web_search", price.fees.web_search),
        ("web_search_preview", price.fees.web_search_preview),
        ("tool_call", price.fees.tool_call),
        ("code_session", price.fees.code_session),
        ("image", price.fees.image),
    ] {
        list.push((format!("fee {what}"), Figure::Amount(amount)));
    }
    for (what, number) in [
        ("regional (thousandths)", u64::from(price.regional)),
        ("context", price.context),
        ("max_output", price.max_output),
    ] {
        list.push((what.to_owned(), Figure::Number(number)));
    }
    list
}

fn ladder(prefix: &str, ladder: &Ladder, list: &mut Vec<(String, Figure)>) {
    rates(prefix, &ladder.base, list);
    for (tokens, step) in &ladder.over {
        rates(&format!("{prefix}over {tokens} "), step, list);
    }
}

fn rates(prefix: &str, rates: &Rates, list: &mut Vec<(String, Figure)>) {
    for (what, rate) in [
        ("input", rates.input),
        ("output", rates.output),
        ("cache_read", rates.cache_read),
        ("cache_write_5m", rates.cache_write_5m),
        ("cache_write_1h", rates.cache_write_1h),
        ("reasoning", rates.reasoning),
        ("audio_input", rates.audio_input),
        ("audio_output", rates.audio_output),
        ("image_input", rates.image_input),
        ("image_output", rates.image_output),
    ] {
        list.push((format!("{prefix}{what}"), Figure::Amount(rate)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(models: &str) -> PriceTable {
        PriceTable::parse("p", &format!("revision = \"r\"\n{models}")).unwrap()
    }

    fn model(id: &str, rest: &str) -> String {
        format!("[[model]]\nprovider = \"p\"\nid = \"{id}\"\n{rest}\n")
    }

    #[test]
    fn models_come_go_and_change() {
        let same = model("same", "price = { input = \"1\", output = \"2\" }");
        let old = table(
            &[
                &same,
                &model("old", "price = { input = \"1\", output = \"2\" }"),
                &model("m", "price = { input = \"1\", output = \"2\" }"),
            ]
            .map(String::as_str)
            .concat(),
        );
        let new = table(&[&same, &model("new", "price = { input = \"1\", output = \"2\" }"), &model("m", "context = 5\nprice = { input = \"1\", output = \"20.5\", cache_read = \"0.1\" }\nover = [{ tokens = 9, input = \"3\" }]")].map(String::as_str).concat());
        let told: Vec<String> = old
            .diff(&new)
            .into_iter()
            .map(|change| match change.kind {
                ChangeKind::Changed(list) => {
                    let first: Vec<_> = list.iter().take(2).map(|d| d.what.clone()).collect();
                    let leaps: Vec<_> = list
                        .iter()
                        .filter(|d| d.is_leap(10))
                        .map(|d| &d.what)
                        .collect();
                    format!("{} {first:?} {leaps:?}", change.model)
                }
                kind => format!("{} {kind:?}", change.model),
            })
            .collect();
        assert_eq!(
            told,
            [
                "m [\"output\", \"cache_read\"] [\"output\", \"reasoning\", \"audio_output\", \"image_output\"]",
                "new Added",
                "old Removed"
            ]
        );
        assert!(old.diff(&old).is_empty());
    }

    #[test]
    fn from_nothing_is_a_leap() {
        let difference = |old, new| Difference {
            what: String::new(),
            old: Some(Figure::Amount(Usd::from_nanos(old))),
            new: Some(Figure::Amount(Usd::from_nanos(new))),
        };
        assert!(difference(0, 1).is_leap(10) && difference(1, 0).is_leap(10));
        assert!(difference(1, 11).is_leap(10) && !difference(1, 10).is_leap(10));
    }
}
