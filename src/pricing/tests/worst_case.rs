//! A strict quote is never less than what a provider could bill: played out against a provider that bills as it likes.

use proptest::prelude::*;

use super::super::{Fees, Ladder, Price, QuoteMode, Rates, Terms};
use super::{price, usd};
use crate::domain::{CacheWrites, Demand, ServiceTier, Usage, Usd};

const TIERS: [ServiceTier; 5] = [
    ServiceTier::Standard,
    ServiceTier::Batch,
    ServiceTier::Flex,
    ServiceTier::Priority,
    ServiceTier::Fast,
];

fn rate() -> impl Strategy<Value = Usd> {
    (0u64..100_000_000_000).prop_map(Usd::from_nanos)
}

prop_compose! {
    fn rates()(r in proptest::array::uniform10(rate())) -> Rates {
        Rates {
            input: r[0], output: r[1], cache_read: r[2], cache_write_5m: r[3], cache_write_1h: r[4],
            reasoning: r[5], audio_input: r[6], audio_output: r[7], image_input: r[8], image_output: r[9],
        }
    }
}

prop_compose! {
    /// Even one whose steps fall: the quote must not rely on a sane table.
    fn ladder()(base in rates(), first in 0u64..3_000, more in 1u64..3_000, steps in proptest::collection::vec(rates(), 0..3)) -> Ladder {
        let over = steps.into_iter().zip(0u64..).map(|(rates, n)| (first + n * more, rates)).collect();
        Ladder { base, over }
    }
}

prop_compose! {
    fn any_price()(
        standard in ladder(),
        tiers in proptest::array::uniform4(proptest::option::of(ladder())),
        regional in 1_000u32..2_000,
        fees in proptest::array::uniform4(rate()),
        context in 1u64..5_000,
        max_output in 0u64..5_000,
        account in (0usize..5, any::<bool>(), 0u32..6, 0u64..2_000),
    ) -> Price {
        let [batch, flex, priority, fast] = tiers;
        Price {
            standard, batch, flex, priority, fast, regional,
            fees: Fees { web_search: fees[0], tool_call: fees[1], code_session: fees[2], image: fees[3] },
            context, max_output,
            terms: Terms { tier: TIERS[account.0], regional: account.1, tool_calls: account.2, tool_result: account.3 },
        }
    }
}

prop_compose! {
    fn any_demand()(
        input_bytes in 0u64..4_000,
        media_tokens in prop_oneof![Just(0), 0u64..2_000],
        output_tokens in proptest::option::of(0u64..5_000),
        answers in 0u32..4,
        flags in proptest::array::uniform3(any::<bool>()),
        tier in proptest::option::of(0usize..5),
        regional in proptest::option::of(any::<bool>()),
        cache in 0usize..3,
        units in 0u32..5,
        calls in proptest::array::uniform5(proptest::option::of(0u32..5)),
    ) -> Demand {
        Demand {
            input_bytes, media_tokens, output_tokens, answers,
            opaque: flags[0], background: false, has_output: flags[1], audio_output: flags[2],
            tier: tier.map(|t| TIERS[t]), regional,
            cache_writes: [CacheWrites::None, CacheWrites::FiveMinutes, CacheWrites::Hour][cache],
            server_calls: calls[0], web_searches: calls[1], tool_calls: calls[2], code_sessions: calls[3], images: calls[4], session_units: units,
        }
    }
}

/// A provider that bills at random, within what the request and its account allow.
struct Provider<'a> {
    price: &'a Price,
    demand: &'a Demand,
    dice: Vec<u64>,
}

impl Provider<'_> {
    fn upto(&mut self, most: u64) -> u64 {
        let roll = self.dice.pop().unwrap_or(0);
        // A third of the time the very most, for that is where bounds break.
        if roll.is_multiple_of(3) {
            most
        } else {
            roll % (most + 1)
        }
    }

    fn times(&mut self, bound: Option<u32>) -> u64 {
        self.upto(u64::from(bound.unwrap_or(self.price.terms.tool_calls)))
    }

    fn bill(&mut self) -> Usage {
        let mut usage = Usage::default();
        self.read(&mut usage);
        self.write(&mut usage);
        usage.web_searches = self.times(self.demand.web_searches);
        usage.tool_calls = self.times(self.demand.tool_calls);
        usage.code_sessions =
            self.times(self.demand.code_sessions) * u64::from(self.demand.session_units.max(1));
        usage.images = self.times(self.demand.images);
        let account = self.demand.tier.unwrap_or(self.price.terms.tier);
        let tiers = [
            account,
            ServiceTier::Standard,
            ServiceTier::Flex,
            ServiceTier::Batch,
        ];
        usage.tier = tiers[usize::try_from(self.upto(3)).unwrap()];
        usage.regional = self.demand.regional.unwrap_or(self.price.terms.regional);
        usage
    }

    /// Reads the conversation, calls tools, reads it again.
    fn read(&mut self, usage: &mut Usage) {
        let mut conversation = if self.demand.opaque {
            self.upto(self.price.context)
        } else {
            let shown = self.demand.input_bytes + self.demand.media_tokens;
            self.upto(shown.min(self.price.context))
        };
        for _ in 0..=self.times(self.demand.server_calls) {
            self.split(conversation, usage);
            let result = self.upto(self.price.terms.tool_result);
            conversation = (conversation + result).min(self.price.context);
        }
    }

    /// Bills the tokens of one reading as kinds that the request allows.
    fn split(&mut self, mut tokens: u64, usage: &mut Usage) {
        let media = self.demand.opaque || self.demand.media_tokens > 0;
        let writes = self.demand.cache_writes;
        for (part, possible) in [
            (&mut usage.cache_read, true),
            (
                &mut usage.cache_write_5m,
                writes >= CacheWrites::FiveMinutes,
            ),
            (&mut usage.cache_write_1h, writes == CacheWrites::Hour),
            (&mut usage.audio_input, media),
            (&mut usage.image_input, media),
        ] {
            if possible {
                let share = self.upto(tokens);
                *part += share;
                tokens -= share;
            }
        }
        usage.input += tokens;
    }

    fn write(&mut self, usage: &mut Usage) {
        if !self.demand.has_output {
            return;
        }
        let bound = self.demand.output_tokens.unwrap_or(self.price.max_output);
        let mut tokens = self.upto(bound * u64::from(self.demand.answers.max(1)));
        usage.image_output = self.upto(tokens);
        tokens -= usage.image_output;
        if self.demand.audio_output {
            usage.audio_output = self.upto(tokens);
            tokens -= usage.audio_output;
        }
        usage.output = tokens;
        usage.reasoning = self.upto(tokens);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_strict_quote_is_never_less_than_what_could_be_billed(
        price in any_price(),
        demand in any_demand(),
        dice in proptest::collection::vec(any::<u64>(), 64),
    ) {
        let quote = price.quote(&demand, QuoteMode::Strict).unwrap();
        let usage = Provider { price: &price, demand: &demand, dice }.bill();
        let cost = price.cost(&usage).unwrap();
        prop_assert!(cost <= quote, "{cost} > {quote}: {usage:?}");
    }

    #[test]
    fn the_readings_are_summed_as_if_one_by_one(price in any_price(), demand in any_demand()) {
        // Priced at one nano-dollar a token, the quote is the number of tokens.
        let flat = Rates { input: Usd::from_nanos(1_000_000), output: Usd::ZERO, ..price.standard.base };
        let one = Rates {
            cache_read: flat.input, cache_write_5m: flat.input, cache_write_1h: flat.input, audio_input: flat.input,
            image_input: flat.input, reasoning: Usd::ZERO, audio_output: Usd::ZERO, image_output: Usd::ZERO, ..flat
        };
        let price = Price {
            standard: Ladder { base: one, over: vec![] }, batch: None, flex: None, priority: None, fast: None,
            fees: Fees::default(), regional: 1_000, ..price
        };
        let shown = demand.input_bytes + demand.media_tokens;
        let mut reading = if demand.opaque { price.context } else { shown.min(price.context) };
        let mut sum = 0;
        for _ in 0..=demand.server_calls.unwrap_or(price.terms.tool_calls) {
            sum += reading;
            reading = (reading + price.terms.tool_result).min(price.context);
        }
        prop_assert_eq!(price.quote(&demand, QuoteMode::Strict), Some(Usd::from_nanos(sum)));
    }
}

fn plain(input_bytes: u64, output_tokens: Option<u64>) -> Demand {
    Demand {
        input_bytes,
        output_tokens,
        answers: 1,
        has_output: true,
        cache_writes: CacheWrites::None,
        server_calls: Some(0),
        web_searches: Some(0),
        tool_calls: Some(0),
        code_sessions: Some(0),
        images: Some(0),
        ..Demand::default()
    }
}

#[test]
fn a_quote_takes_the_dearest_rate_that_could_apply() {
    let sonnet = price("anthropic", "claude-sonnet-4");
    let strict = |demand: &Demand| sonnet.quote(demand, QuoteMode::Strict).unwrap();
    let base = plain(100_000, Some(1_000));
    assert_eq!(strict(&base), usd("0.315"));
    let with = |change: fn(&mut Demand)| {
        let mut demand = base;
        change(&mut demand);
        strict(&demand)
    };
    assert_eq!(
        with(|d| d.cache_writes = CacheWrites::FiveMinutes),
        usd("0.39")
    );
    assert_eq!(with(|d| d.cache_writes = CacheWrites::Hour), usd("0.615"));
    assert_eq!(with(|d| d.tier = Some(ServiceTier::Fast)), usd("0.63"));
    assert_eq!(with(|d| d.regional = Some(true)), usd("0.3465"));
    assert_eq!(with(|d| d.answers = 3), usd("0.345"));
    assert_eq!(with(|d| d.output_tokens = None), usd("1.26"));
    assert_eq!(with(|d| d.opaque = true), usd("0.615"));
    assert_eq!(
        with(|d| d.input_bytes = u64::MAX),
        usd("0.615"),
        "no more than the context"
    );
    let gpt = price("openai", "gpt-5");
    assert_eq!(
        gpt.quote(&plain(272_000, Some(0)), QuoteMode::Strict),
        Some(usd("0.34"))
    );
    assert_eq!(
        gpt.quote(&plain(272_001, Some(0)), QuoteMode::Strict),
        Some(usd("0.6800025"))
    );
}

#[test]
fn a_quote_beyond_every_amount_is_none() {
    let sonnet = price("anthropic", "claude-sonnet-4");
    let demand = plain(1, Some(u64::MAX));
    assert_eq!(sonnet.quote(&demand, QuoteMode::Strict), None);
}

#[test]
fn a_typical_quote_is_lower_and_still_counts_what_is_asked_for() {
    let sonnet = price("anthropic", "claude-sonnet-4");
    let typical = |demand: &Demand| sonnet.quote(demand, QuoteMode::Typical).unwrap();
    assert_eq!(typical(&plain(30_000, Some(1_000))), usd("0.048003"));
    assert_eq!(typical(&plain(30_000, None)), usd("0.993003"));
    let mut opaque = plain(30_000, Some(0));
    opaque.opaque = true;
    assert_eq!(typical(&opaque), usd("0.60"));
}

#[test]
fn embeddings_have_no_output() {
    let embedding = price("openai", "embedding");
    let mut demand = plain(1_000_000, None);
    demand.has_output = false;
    assert_eq!(
        embedding.quote(&demand, QuoteMode::Strict),
        Some(usd("0.02"))
    );
}
