//! Everything that one model costs, and the cost of a usage.

use std::collections::HashMap;

use crate::domain::{SearchTool, ServiceTier, Usage, Usd};

/// Dollars for a million tokens of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    pub input: Usd,
    pub output: Usd,
    pub cache_read: Usd,
    pub cache_write_5m: Usd,
    pub cache_write_1h: Usd,
    /// Of output that is reasoning, where that is priced apart; else the same as `output`.
    pub reasoning: Usd,
    pub audio_input: Usd,
    pub audio_output: Usd,
    pub image_input: Usd,
    pub image_output: Usd,
}

impl Rates {
    /// Rates that tell input and output apart and nothing else.
    pub(super) const fn plain(input: Usd, output: Usd) -> Self {
        Self {
            input,
            output,
            cache_read: input,
            cache_write_5m: input,
            cache_write_1h: input,
            reasoning: output,
            audio_input: input,
            audio_output: output,
            image_input: input,
            image_output: output,
        }
    }

    /// Of each rate the one that `pick` takes.
    pub(super) fn each(&self, other: &Self, pick: impl Fn(Usd, Usd) -> Usd) -> Self {
        Self {
            input: pick(self.input, other.input),
            output: pick(self.output, other.output),
            cache_read: pick(self.cache_read, other.cache_read),
            cache_write_5m: pick(self.cache_write_5m, other.cache_write_5m),
            cache_write_1h: pick(self.cache_write_1h, other.cache_write_1h),
            reasoning: pick(self.reasoning, other.reasoning),
            audio_input: pick(self.audio_input, other.audio_input),
            audio_output: pick(self.audio_output, other.audio_output),
            image_input: pick(self.image_input, other.image_input),
            image_output: pick(self.image_output, other.image_output),
        }
    }
}

/// Rates that depend on the length of the input: all tokens of a request are priced by the highest step that it passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    pub base: Rates,
    /// Rates of requests with more input tokens than this, shortest first.
    pub over: Vec<(u64, Rates)>,
}

impl Ladder {
    /// The rates for a request with so many input tokens.
    #[must_use]
    pub fn at(&self, input: u64) -> &Rates {
        self.over
            .iter()
            .rev()
            .find(|(tokens, _)| input > *tokens)
            .map_or(&self.base, |(_, rates)| rates)
    }
}

/// What is charged besides tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fees {
    /// For a thousand web searches.
    pub web_search: Usd,
    /// The same by `OpenAI`'s earlier tool, `web_search_preview`.
    pub web_search_preview: Usd,
    /// For a thousand calls of file search and other tools.
    pub tool_call: Usd,
    /// For one session of the code interpreter.
    pub code_session: Usd,
    /// For one image that a tool makes.
    pub image: Usd,
}

impl Fees {
    /// These, with the price of a web search that holds: the dearer one where the earlier tool may have been called.
    pub(super) fn of_search(&self, tool: SearchTool) -> Self {
        let web_search = match tool {
            SearchTool::Current => self.web_search,
            SearchTool::Preview => self.web_search.max(self.web_search_preview),
        };
        Self {
            web_search,
            ..*self
        }
    }
}

/// What a request leaves open and the provider's account or experience settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The tier of requests that name none.
    pub tier: ServiceTier,
    /// Whether the account keeps requests in one region: not all providers say so in their answers.
    pub regional: bool,
    /// How often a provider calls its own tools in one request that sets no bound.
    pub tool_calls: u32,
    /// Tokens that one result of such a tool adds to the conversation.
    pub tool_result: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            tier: ServiceTier::Standard,
            regional: false,
            tool_calls: 10,
            tool_result: 20_000,
        }
    }
}

/// What all models of one provider share, unless they tell otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    pub(super) terms: Terms,
    pub(super) fees: Fees,
}

/// What a table tells of no model by itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    /// Of providers that it does not name.
    pub(super) terms: Terms,
    pub(super) providers: HashMap<String, Shared>,
}

impl Common {
    /// What the models of this provider share.
    pub(super) fn of(&self, provider: &str) -> Shared {
        let own = self.providers.get(provider).copied();
        own.unwrap_or(Shared {
            terms: self.terms,
            fees: Fees::default(),
        })
    }
}

/// Everything that one model costs at one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub standard: Ladder,
    pub batch: Option<Ladder>,
    pub flex: Option<Ladder>,
    pub priority: Option<Ladder>,
    pub fast: Option<Ladder>,
    /// Thousandths by which tokens cost when kept in one region: 1,100 is a tenth more.
    pub regional: u32,
    pub fees: Fees,
    /// The most input tokens of one reading.
    pub context: u64,
    /// The most output tokens of one answer.
    pub max_output: u64,
    pub terms: Terms,
}

/// Thousandths of a price that is not regional.
pub(super) const GLOBAL: u32 = 1_000;
/// Amounts are summed in this part of a nano-dollar: a millionth for tokens, of which a thousandth for regions.
const PART: u128 = 1_000_000_000;

impl Price {
    /// What it may share with the other models of its provider.
    pub(super) const fn shared(&self) -> Shared {
        Shared {
            terms: self.terms,
            fees: self.fees,
        }
    }

    /// The ladder of a tier; a tier without prices of its own costs the standard, and the fastest as much as the next.
    #[must_use]
    pub fn ladder(&self, tier: ServiceTier) -> &Ladder {
        let own = match tier {
            ServiceTier::Standard => None,
            ServiceTier::Batch => self.batch.as_ref(),
            ServiceTier::Flex => self.flex.as_ref(),
            ServiceTier::Priority => self.priority.as_ref(),
            ServiceTier::Fast => self.fast.as_ref().or(self.priority.as_ref()),
        };
        own.unwrap_or(&self.standard)
    }

    /// What a usage cost, rounded up once; `None` where that passes every amount.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<Usd> {
        let rates = self.ladder(usage.tier).at(usage.total_input());
        let reasoning = usage.reasoning.min(usage.output);
        let mut sum = Sum::default();
        for (tokens, rate) in [
            (usage.input, rates.input),
            (usage.cache_read, rates.cache_read),
            (usage.cache_write_5m, rates.cache_write_5m),
            (usage.cache_write_1h, rates.cache_write_1h),
            (usage.output - reasoning, rates.output),
            (reasoning, rates.reasoning),
            (usage.audio_input, rates.audio_input),
            (usage.audio_output, rates.audio_output),
            (usage.image_input, rates.image_input),
            (usage.image_output, rates.image_output),
        ] {
            sum.tokens(u128::from(tokens), rate)?;
        }
        if usage.regional || self.terms.regional {
            sum.uplift(self.regional)?;
        }
        sum.fees(
            &self.fees.of_search(usage.search),
            [
                usage.web_searches,
                usage.tool_calls,
                usage.code_sessions,
                usage.images,
            ],
        )?;
        sum.total()
    }
}

/// An exact sum, in [`PART`]s of a nano-dollar, so that rounding happens once.
#[derive(Debug, Default)]
pub(super) struct Sum(u128);

impl Sum {
    /// Tokens at a price per million.
    pub(super) fn tokens(&mut self, tokens: u128, rate: Usd) -> Option<()> {
        self.add(tokens, rate, 1_000)
    }

    /// The tokens so far cost this many thousandths.
    pub(super) fn uplift(&mut self, thousandths: u32) -> Option<()> {
        self.0 = (self.0 / u128::from(GLOBAL)).checked_mul(u128::from(thousandths))?;
        Some(())
    }

    /// Fees for web searches, tool calls, code sessions and images.
    pub(super) fn fees(&mut self, fees: &Fees, times: [u64; 4]) -> Option<()> {
        let [searches, calls, sessions, images] = times.map(u128::from);
        self.add(searches, fees.web_search, PART / 1_000)?;
        self.add(calls, fees.tool_call, PART / 1_000)?;
        self.add(sessions, fees.code_session, PART)?;
        self.add(images, fees.image, PART)
    }

    fn add(&mut self, count: u128, price: Usd, parts: u128) -> Option<()> {
        let amount = count
            .checked_mul(u128::from(price.nanos()))?
            .checked_mul(parts)?;
        self.0 = self.0.checked_add(amount)?;
        Some(())
    }

    /// Whole nano-dollars, rounded up.
    pub(super) fn total(&self) -> Option<Usd> {
        u64::try_from(self.0.div_ceil(PART))
            .ok()
            .map(Usd::from_nanos)
    }
}
