//! The numbers that a provider told, and the one vector they make: parts that do not overlap.
//!
//! A number that was not told stays untold: absent is not nothing. Of one told twice the last counts.

use crate::domain::{CacheWrites, Demand, ServiceTier, Usage};

/// A count beyond this is no count: no request has that many tokens.
const ABSURD: u64 = 1_000_000_000_000;

/// Numbers of one `usage` object, as told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) total: Option<u64>,
    pub(super) cached: Option<u64>,
    pub(super) cache_write: Option<u64>,
    pub(super) cache_write_5m: Option<u64>,
    pub(super) cache_write_1h: Option<u64>,
    pub(super) audio_input: Option<u64>,
    pub(super) image_input: Option<u64>,
    pub(super) reasoning: Option<u64>,
    pub(super) audio_output: Option<u64>,
    pub(super) image_output: Option<u64>,
    pub(super) searches: Option<u64>,
    pub(super) other_calls: Option<u64>,
}

/// A whole number as written, or `None` for anything that cannot be a count.
pub(super) fn count(number: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(number).ok()?;
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    whole.parse().ok().filter(|count| *count <= ABSURD)
}

impl Counts {
    /// Adds the numbers of one more reading of the conversation.
    pub(super) fn add(&mut self, more: &Self) {
        let pairs = self.each().into_iter().zip(more.values());
        for (sum, more) in pairs {
            *sum = match (*sum, more) {
                (Some(a), Some(b)) => Some(a.saturating_add(b)),
                (a, b) => a.or(b),
            };
        }
    }

    /// The numbers of tokens told by `rounds` instead of our own, which have those of other models among them.
    pub(super) fn replace_tokens(&mut self, rounds: &Self) {
        let own = *self;
        *self = Self {
            input: rounds.input.or(own.input.map(|_| 0)),
            output: rounds.output.or(own.output.map(|_| 0)),
            searches: own.searches,
            other_calls: own.other_calls,
            ..*rounds
        };
    }

    /// Of each number the larger one.
    pub(super) fn at_least(&mut self, other: &Self) {
        for (mine, theirs) in self.each().into_iter().zip(other.values()) {
            *mine = (*mine).max(theirs);
        }
    }

    fn each(&mut self) -> [&mut Option<u64>; 14] {
        [
            &mut self.input,
            &mut self.output,
            &mut self.total,
            &mut self.cached,
            &mut self.cache_write,
            &mut self.cache_write_5m,
            &mut self.cache_write_1h,
            &mut self.audio_input,
            &mut self.image_input,
            &mut self.reasoning,
            &mut self.audio_output,
            &mut self.image_output,
            &mut self.searches,
            &mut self.other_calls,
        ]
    }

    fn values(mut self) -> [Option<u64>; 14] {
        self.each().map(|count| *count)
    }

    /// Anthropic: `input_tokens` has neither what was read from the cache nor what was written to it.
    pub(super) fn anthropic(&self) -> Usage {
        let told = |count: Option<u64>| count.unwrap_or(0);
        let hour = told(self.cache_write_1h);
        let split = told(self.cache_write_5m).saturating_add(hour);
        let output = told(self.output);
        Usage {
            input: told(self.input),
            cache_read: told(self.cached),
            // What is written without saying for how long was written for five minutes.
            cache_write_5m: told(self.cache_write).max(split) - hour,
            cache_write_1h: hour,
            output,
            reasoning: told(self.reasoning).min(output),
            ..Usage::default()
        }
    }

    /// `OpenAI` and its kin: `prompt_tokens` has everything, and the details are parts of it.
    pub(super) fn openai(&self, writes: CacheWrites) -> Usage {
        let mut usage = Usage::default();
        let cached = self.cached.unwrap_or(0);
        // Some count what was cached apart; then it cannot be a part.
        let mut input = self.input.unwrap_or(0);
        if cached > input {
            input = input.saturating_add(cached);
        }
        let unseen = self.unseen(input);
        usage.cache_read = take(&mut input, self.cached);
        let written = take(&mut input, self.cache_write.max(self.split_writes()));
        let long = match (self.cache_write_1h, writes) {
            (Some(long), _) => long.min(written),
            (None, CacheWrites::Hour) => written,
            (None, _) => 0,
        };
        usage.cache_write_1h = long;
        usage.cache_write_5m = written - long;
        usage.audio_input = take(&mut input, self.audio_input);
        usage.image_input = take(&mut input, self.image_input);
        usage.input = input;
        let mut output = self.output.unwrap_or(0).saturating_add(unseen);
        usage.audio_output = take(&mut output, self.audio_output);
        usage.image_output = take(&mut output, self.image_output);
        usage.output = output;
        usage.reasoning = self.reasoning.unwrap_or(0).min(output);
        usage
    }

    /// What was written to the cache, where only its parts are told.
    fn split_writes(&self) -> Option<u64> {
        match (self.cache_write_5m, self.cache_write_1h) {
            (Some(short), Some(long)) => Some(short.saturating_add(long)),
            (short, long) => short.or(long),
        }
    }

    /// Tokens that the total has and neither the whole input nor output: reasoning, with those who count it apart.
    fn unseen(&self, input: u64) -> u64 {
        let (Some(_), Some(output), Some(total)) = (self.input, self.output, self.total) else {
            return 0;
        };
        total.saturating_sub(input.saturating_add(output))
    }
}

/// Takes a part out of a whole.
fn take(whole: &mut u64, part: Option<u64>) -> u64 {
    let part = part.unwrap_or(0).min(*whole);
    *whole -= part;
    part
}

/// The tier that an answer names; `None` where the word says nothing.
pub(super) fn tier(word: &[u8]) -> Option<ServiceTier> {
    match word {
        // `OpenAI` prices `fast` as `priority`; Anthropic's speed is told in a field of its own.
        b"standard" | b"default" | b"on_demand" => Some(ServiceTier::Standard),
        b"batch" => Some(ServiceTier::Batch),
        b"flex" => Some(ServiceTier::Flex),
        b"priority" | b"fast" => Some(ServiceTier::Priority),
        b"ultrafast" => Some(ServiceTier::Fast),
        _ => None,
    }
}

/// The tier to charge: what the answer says, else what was asked for where that is dearer than the standard.
pub(super) fn tier_served(told: Option<ServiceTier>, demand: &Demand) -> ServiceTier {
    told.or(demand.tier.filter(|tier| *tier >= ServiceTier::Priority))
        .unwrap_or_default()
}
