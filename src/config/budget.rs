//! `[budget]`: how cautious quotes are, and what holds when a store or a price is missing.

use super::file::amount;
use super::settings::{Budget, Grace, OnStoreLoss, Opaque, QuoteMode, UnknownModel};
use crate::document::{Table, Value};
use crate::domain::Usd;

const QUOTES: [(&str, QuoteMode); 2] = [
    ("strict", QuoteMode::Strict),
    ("typical", QuoteMode::Typical),
];
const OPAQUE: [(&str, Opaque); 2] = [("window", Opaque::Window), ("refuse", Opaque::Refuse)];

pub(super) fn budget(t: &mut Table<'_>) -> Budget {
    Budget {
        quote: t.or("quote", QuoteMode::Strict, |v| v.choice(&QUOTES)),
        on_store_loss: t.or(
            "on_store_loss",
            OnStoreLoss::Grace(Grace::Percent(2)),
            |v| store_loss(&v),
        ),
        unknown_model: t.section("unknown_model", unknown_model),
        opaque: t.or("opaque", Opaque::Window, |v| v.choice(&OPAQUE)),
    }
}

/// `"deny"`, `"allow"`, or `{ grace = "2%" }` and `{ grace = "10.00" }`.
fn store_loss(value: &Value<'_>) -> Option<OnStoreLoss> {
    if value.is_text() {
        return value.choice(&[("deny", OnStoreLoss::Deny), ("allow", OnStoreLoss::Allow)]);
    }
    value.table(|t| {
        t.need("grace")
            .and_then(|v| v.parsed(grace))
            .map(OnStoreLoss::Grace)
    })?
}

fn grace(text: &str) -> Result<Grace, String> {
    let wrong = || {
        format!(
            "\"{text}\" is neither a share such as \"2%\", up to 100%, nor dollars such as \"10.00\""
        )
    };
    match text.strip_suffix('%') {
        Some(percent) => percent
            .parse()
            .ok()
            .filter(|percent| *percent <= 100)
            .map(Grace::Percent)
            .ok_or_else(wrong),
        None => Usd::parse(text).map(Grace::Amount).map_err(|_| wrong()),
    }
}

/// Dear enough for almost any model that is sold, unless told otherwise; never free.
fn unknown_model(t: &mut Table<'_>) -> UnknownModel {
    let dollars = |whole: u64| Usd::from_nanos(whole * 1_000_000_000);
    let unknown = UnknownModel {
        input: t.or("input", dollars(5), |v| amount(&v)),
        output: t.or("output", dollars(25), |v| amount(&v)),
    };
    if unknown.input == Usd::ZERO || unknown.output == Usd::ZERO {
        t.fault("an unknown model must cost something: `input` and `output` must be more than 0");
    }
    unknown
}
