//! `[budget]`: how cautious quotes are, and what holds when a store or a price is missing.

use super::settings::{Budget, OnStoreLoss, Opaque, QuoteMode, UnknownModel};
use crate::budget::read_on_store_loss;
use crate::document::Table;
use crate::domain::Usd;

const QUOTES: [(&str, QuoteMode); 2] = [
    ("strict", QuoteMode::Strict),
    ("typical", QuoteMode::Typical),
];
const OPAQUE: [(&str, Opaque); 2] = [("window", Opaque::Window), ("refuse", Opaque::Refuse)];

pub(super) fn budget(t: &mut Table<'_>) -> Budget {
    Budget {
        quote: t.or("quote", QuoteMode::Strict, |v| v.choice(&QUOTES)),
        on_store_loss: t.or("on_store_loss", OnStoreLoss::default(), |v| {
            read_on_store_loss(&v)
        }),
        unknown_model: t.section("unknown_model", unknown_model),
        opaque: t.or("opaque", Opaque::Window, |v| v.choice(&OPAQUE)),
    }
}

/// Dear enough for almost any model that is sold, unless told otherwise; never free.
fn unknown_model(t: &mut Table<'_>) -> UnknownModel {
    let dollars = |whole: u64| Usd::from_nanos(whole * 1_000_000_000);
    let unknown = UnknownModel {
        input: t.or("input", dollars(5), |v| v.amount()),
        output: t.or("output", dollars(25), |v| v.amount()),
    };
    if unknown.input == Usd::ZERO || unknown.output == Usd::ZERO {
        t.fault("an unknown model must cost something: `input` and `output` must be more than 0");
    }
    unknown
}
