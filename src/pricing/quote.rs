//! The worst case of a request: what must be reserved before it is forwarded.

use crate::domain::{CacheWrites, Demand, ServiceTier, Usd};

use super::price::{Ladder, Price, Rates, Sum};

/// Where sessions of the code interpreter stand among the fees.
const SESSIONS: usize = 2;

/// How cautious a quote is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuoteMode {
    /// Never less than what the provider could bill.
    Strict,
    /// What it will likely bill at most: input bytes ÷ 3 plus a tenth, the provider's tools read the conversation once.
    Typical,
}

impl Price {
    /// The most that a request with this demand can cost; `None` where that passes every amount.
    ///
    /// Strict holds for what the table and the provider's account say: its context window and largest output, the tier and
    /// region of requests that name none, and, for requests that do not bound the provider's own tools, how often those
    /// are called and how much a result adds ([`super::Terms`]).
    #[must_use]
    pub fn quote(&self, demand: &Demand, mode: QuoteMode) -> Option<Usd> {
        let input = self.input(demand, mode);
        let output = match demand.output_tokens {
            _ if !demand.has_output => 0,
            told => u128::from(told.unwrap_or(self.max_output)) * u128::from(demand.answers.max(1)),
        };
        let dearest = self.dearest(demand, mode, input);
        let mut sum = Sum::default();
        sum.tokens(input, dearest.input)?;
        sum.tokens(output, dearest.output)?;
        if self.terms.regional || demand.regional == Some(true) {
            sum.uplift(self.regional)?;
        }
        let times = [
            demand.web_searches,
            demand.tool_calls,
            demand.code_sessions,
            demand.images,
        ];
        let mut times = times.map(|bound| u64::from(bound.unwrap_or(self.terms.tool_calls)));
        times[SESSIONS] = times[SESSIONS].checked_mul(u64::from(demand.session_units.max(1)))?;
        sum.fees(&self.fees.of_search(demand.search), times)?;
        sum.total()
    }

    /// Input tokens of all readings of the conversation together.
    fn input(&self, demand: &Demand, mode: QuoteMode) -> u128 {
        let text = match mode {
            QuoteMode::Strict => demand.input_bytes,
            QuoteMode::Typical => (demand.input_bytes / 3).saturating_mul(11).div_ceil(10) + 1,
        };
        let first = if demand.opaque {
            self.context
        } else {
            text.saturating_add(demand.media_tokens).min(self.context)
        };
        let calls = demand.server_calls.unwrap_or(self.terms.tool_calls);
        if mode == QuoteMode::Typical {
            let results = u64::from(calls).saturating_mul(self.terms.tool_result);
            return u128::from(first.saturating_add(results).min(self.context));
        }
        self.readings(first, calls)
    }

    /// The sum of `calls + 1` readings, each longer than the one before by a tool's result, none longer than the context.
    fn readings(&self, first: u64, calls: u32) -> u128 {
        let [first, context] = [first, self.context].map(u128::from);
        let step = u128::from(self.terms.tool_result);
        let readings = u128::from(calls) + 1;
        // Readings that still grow: those that begin below the context.
        let growing = match (context - first).checked_div(step) {
            Some(steps) => (steps + 1).min(readings),
            None => readings,
        };
        growing * first + step * (growing * (growing - 1) / 2) + (readings - growing) * context
    }

    /// The dearest rates that could apply: of all tiers that could be served and all steps that the input could pass.
    fn dearest(&self, demand: &Demand, mode: QuoteMode, input: u128) -> Dearest {
        let named = demand.tier.unwrap_or(self.terms.tier);
        let mut dearest = Dearest::default();
        let mut look = |ladder: &Ladder| {
            let steps = ladder
                .over
                .iter()
                .filter(|(over, _)| input > u128::from(*over));
            for rates in std::iter::once(&ladder.base).chain(steps.map(|(_, rates)| rates)) {
                dearest.consider(rates, demand);
            }
        };
        look(self.ladder(named));
        if mode == QuoteMode::Strict {
            // A cheaper tier may be served at the standard price, and any request may be served by a cheaper one.
            for tier in [ServiceTier::Standard, ServiceTier::Flex, ServiceTier::Batch] {
                look(self.ladder(tier));
            }
        }
        dearest
    }
}

#[derive(Debug, Default)]
struct Dearest {
    input: Usd,
    output: Usd,
}

impl Dearest {
    fn consider(&mut self, rates: &Rates, demand: &Demand) {
        let media = demand.opaque || demand.media_tokens > 0;
        for (rate, possible) in [
            (rates.input, true),
            (rates.cache_read, true),
            (
                rates.cache_write_5m,
                demand.cache_writes >= CacheWrites::FiveMinutes,
            ),
            (
                rates.cache_write_1h,
                demand.cache_writes == CacheWrites::Hour,
            ),
            (rates.image_input, media),
            (rates.audio_input, media),
        ] {
            if possible {
                self.input = self.input.max(rate);
            }
        }
        for rate in [rates.output, rates.reasoning, rates.image_output] {
            self.output = self.output.max(rate);
        }
        if demand.audio_output {
            self.output = self.output.max(rates.audio_output);
        }
    }
}
