//! Costs that are known: from other gateways' issues, and worked out by hand.

use super::{price, usd};
use crate::domain::{ServiceTier, Usage, Usd};

fn cost(provider: &str, model: &str, usage: Usage) -> Usd {
    price(provider, model).cost(&usage).unwrap()
}

#[test]
fn cache_writes_are_not_charged_as_fresh_input_too() {
    let usage = Usage {
        input: 3,
        cache_write_5m: 12_304,
        output: 550,
        ..Usage::default()
    };
    assert_eq!(cost("anthropic", "claude-sonnet-4", usage), usd("0.054399"));
}

#[test]
fn a_stream_that_wrote_the_cache_costs_what_the_issue_says() {
    let usage = Usage {
        input: 6,
        cache_write_5m: 159_217,
        output: 2_745,
        ..Usage::default()
    };
    assert_eq!(
        cost("anthropic", "claude-opus-4-7", usage),
        usd("1.06376125")
    );
}

#[test]
fn cached_input_costs_the_cached_price() {
    // 51,232 fresh, 1,188,096 cached, 12,909 out; without the long-context step, which that issue does not have.
    let usage = Usage {
        input: 51_232,
        cache_read: 1_188_096,
        output: 12_909,
        ..Usage::default()
    };
    let mut flat = price("openai", "gpt-5");
    flat.standard.over.clear();
    assert_eq!(flat.cost(&usage), Some(usd("0.341642")));
}

#[test]
fn an_explicit_nothing_costs_nothing() {
    assert_eq!(cost("openai", "gpt-5", Usage::default()), Usd::ZERO);
}

#[test]
fn the_long_context_price_is_for_the_whole_request_and_strictly_above() {
    let usage = |input, cache_read| Usage {
        input,
        cache_read,
        output: 1_000_000,
        ..Usage::default()
    };
    assert_eq!(cost("openai", "gpt-5", usage(272_000, 0)), usd("10.34"));
    assert_eq!(
        cost("openai", "gpt-5", usage(272_000, 1)),
        usd("15.68000025")
    );
}

#[test]
fn tiers_have_their_own_prices_or_the_standard() {
    let usage = |tier| Usage {
        input: 1_000_000,
        output: 1_000_000,
        tier,
        ..Usage::default()
    };
    let flat = |tier| {
        let mut price = price("openai", "gpt-5");
        price.standard.over.clear();
        price.cost(&usage(tier)).unwrap()
    };
    assert_eq!(flat(ServiceTier::Standard), usd("11.25"));
    assert_eq!(flat(ServiceTier::Flex), usd("5.625"));
    assert_eq!(flat(ServiceTier::Batch), usd("11.25"));
    assert_eq!(
        flat(ServiceTier::Priority),
        usd("35"),
        "over 272,000 tokens"
    );
    let fast = cost("anthropic", "claude-sonnet-4", usage(ServiceTier::Fast));
    assert_eq!(fast, usd("36"));
}

#[test]
fn a_region_costs_more_for_tokens_and_not_for_searches() {
    let usage = Usage {
        input: 1_000_000,
        web_searches: 3,
        code_sessions: 1,
        regional: true,
        ..Usage::default()
    };
    assert_eq!(cost("anthropic", "claude-sonnet-4", usage), usd("3.38"));
}

#[test]
fn a_fraction_of_a_nano_dollar_is_rounded_up_once() {
    // One token at 0.02 per million is 20 nano-dollars; a cached one at 0.125 per million 125.
    let one = Usage {
        input: 1,
        ..Usage::default()
    };
    assert_eq!(cost("openai", "embedding", one).nanos(), 20);
    let mut fine = price("openai", "embedding");
    fine.standard.base.input = Usd::from_nanos(1);
    fine.standard.base.output = Usd::from_nanos(1);
    let both = Usage {
        input: 1,
        output: 1,
        ..Usage::default()
    };
    assert_eq!(
        fine.cost(&both),
        Some(Usd::from_nanos(1)),
        "not one for each part"
    );
}

#[test]
fn absurd_counts_have_no_cost_rather_than_a_wrong_one() {
    let usage = Usage {
        input: u64::MAX,
        output: u64::MAX,
        cache_read: u64::MAX,
        ..Usage::default()
    };
    assert_eq!(price("anthropic", "claude-sonnet-4").cost(&usage), None);
    let reasoning_beyond_output = Usage {
        output: 10,
        reasoning: 99,
        ..Usage::default()
    };
    assert_eq!(
        cost("openai", "gpt-5", reasoning_beyond_output),
        usd("0.0001")
    );
}
