//! Rules that catch slips in a price table: a price per token where one per million belongs, a tier that falls.

use std::collections::HashSet;

use crate::domain::Usd;

use super::file::Faults;
use super::price::{Ladder, Price, Rates};
use super::table::Model;

/// Dollars per million beyond which a price is a slip, not a price; and the smallest that is not a price per token.
const DEAREST: Usd = Usd::from_nanos(20_000_000_000_000);
const CHEAPEST: Usd = Usd::from_nanos(100_000);

/// Tells what cannot be right about one model's price.
pub(super) fn price(id: &str, price: &Price, at: usize, faults: &mut Faults<'_>) {
    let mut say = |message: &str| faults.add(at, format!("`{id}`: {message}"));
    let base = &price.standard.base;
    if [base.input, base.output, base.cache_write_1h]
        .iter()
        .any(|rate| *rate > DEAREST)
    {
        say("costs more than $20,000 for a million tokens; prices are per million");
    }
    if [base.input, base.output]
        .iter()
        .any(|rate| *rate > Usd::ZERO && *rate < CHEAPEST)
    {
        say("looks like a price per token; prices are per million");
    }
    if price.context == 0 {
        say("`context` must not be 0");
    }
    let tiers = [&price.batch, &price.flex, &price.priority, &price.fast];
    let named = ["batch", "flex", "priority", "fast"];
    ladder("", &price.standard, &mut say);
    for (tier, name) in tiers.into_iter().zip(named) {
        let Some(own) = tier else {
            continue;
        };
        ladder(name, own, &mut say);
        let cheap = matches!(name, "batch" | "flex");
        let (low, high) = if cheap {
            (&own.base, base)
        } else {
            (base, &own.base)
        };
        if low.input > high.input || low.output > high.output {
            say(&format!(
                "`{name}` costs {} than the standard",
                if cheap { "more" } else { "less" }
            ));
        }
    }
}

fn ladder(tier: &str, ladder: &Ladder, say: &mut impl FnMut(&str)) {
    let mut below = &ladder.base;
    rates(tier, below, say);
    for (tokens, step) in &ladder.over {
        rates(tier, step, say);
        if step.input < below.input
            || step.output < below.output
            || step.cache_read < below.cache_read
        {
            say(&format!(
                "{tier} over {tokens} tokens costs less than below"
            ));
        }
        below = step;
    }
}

fn rates(tier: &str, rates: &Rates, say: &mut impl FnMut(&str)) {
    if rates.cache_read > rates.input {
        say(&format!("{tier} a cache read costs more than fresh input"));
    }
    if rates.cache_write_1h < rates.cache_write_5m {
        say(&format!(
            "{tier} a cache write of an hour costs less than one of five minutes"
        ));
    }
}

/// Tells ids and aliases that are there twice from the same day.
pub(super) fn unique(models: &[(Model, usize)], faults: &mut Faults<'_>) {
    let mut seen = HashSet::new();
    for (model, at) in models {
        for id in std::iter::once(&model.id).chain(&model.aliases) {
            if !seen.insert((&model.provider, id, model.from)) {
                faults.add(
                    *at,
                    format!("`{id}` of `{}` is there twice", model.provider),
                );
            }
        }
    }
}
