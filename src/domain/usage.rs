//! What a provider counted for one request: one canonical vector whose parts do not overlap.

/// Billed units of one request. All parts are disjoint: their sum is the provider's total, whatever the dialect calls "input".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input tokens read fresh: neither from a cache nor written to one.
    pub input: u64,
    /// Input tokens served from the provider's prompt cache.
    pub cache_read: u64,
    /// Input tokens written to the cache for five minutes (also every write whose lifetime is not told).
    pub cache_write_5m: u64,
    /// Input tokens written to the cache for one hour or longer.
    pub cache_write_1h: u64,
    /// Output tokens of text, reasoning included.
    pub output: u64,
    /// Of `output`, the tokens spent on reasoning: for the audit, never priced a second time.
    pub reasoning: u64,
    /// Audio tokens in the input, not served from a cache.
    pub audio_input: u64,
    /// Audio tokens in the output.
    pub audio_output: u64,
    /// Image tokens in the input, not served from a cache, where the provider counts them apart.
    pub image_input: u64,
    /// Image tokens in the output.
    pub image_output: u64,
    /// Calls of the provider's web search.
    pub web_searches: u64,
    /// The dearest tool that they may be billed as: the answer does not tell, so the request does.
    pub search: SearchTool,
    /// Calls of the provider's file search, and of other tools billed by the call.
    pub tool_calls: u64,
    /// Sessions of the provider's code interpreter.
    pub code_sessions: u64,
    /// Images that a tool of the provider made, billed by the piece.
    pub images: u64,
    /// The tier that the provider says it served.
    pub tier: ServiceTier,
    /// Whether the provider says that it kept the request in one region, for which some charge more.
    pub regional: bool,
}

impl Usage {
    /// All input tokens, from whatever source: what long-context tiers compare with their threshold.
    #[must_use]
    pub fn total_input(&self) -> u64 {
        [
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.audio_input,
            self.image_input,
        ]
        .iter()
        .fold(self.input, |sum, part| sum.saturating_add(*part))
    }

    /// Input tokens of this turn that no cache had or took.
    #[must_use]
    pub fn fresh_input(&self) -> u64 {
        self.input
            .saturating_add(self.audio_input)
            .saturating_add(self.image_input)
    }

    /// Both together, in the tier and region of this one: for the audit of a request that several models answered.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let sum = |of: fn(&Self) -> u64| of(self).saturating_add(of(other));
        Self {
            input: sum(|u| u.input),
            cache_read: sum(|u| u.cache_read),
            cache_write_5m: sum(|u| u.cache_write_5m),
            cache_write_1h: sum(|u| u.cache_write_1h),
            output: sum(|u| u.output),
            reasoning: sum(|u| u.reasoning),
            audio_input: sum(|u| u.audio_input),
            audio_output: sum(|u| u.audio_output),
            image_input: sum(|u| u.image_input),
            image_output: sum(|u| u.image_output),
            web_searches: sum(|u| u.web_searches),
            search: self.search.max(other.search),
            tool_calls: sum(|u| u.tool_calls),
            code_sessions: sum(|u| u.code_sessions),
            images: sum(|u| u.images),
            tier: self.tier,
            regional: self.regional,
        }
    }

    /// All output tokens.
    #[must_use]
    pub fn total_output(&self) -> u64 {
        self.output
            .saturating_add(self.audio_output)
            .saturating_add(self.image_output)
    }
}

/// The tools by which a provider searches the web, where their prices differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SearchTool {
    #[default]
    Current,
    /// `OpenAI`'s earlier one, `web_search_preview`.
    Preview,
}

/// The provider's processing tier, where it changes the price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceTier {
    #[default]
    Standard,
    Batch,
    Flex,
    Priority,
    /// Anthropic's `speed: fast`.
    Fast,
}

impl ServiceTier {
    /// The word in the audit and in the price table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Fast => "fast",
        }
    }
}

/// How sure a usage is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provenance {
    /// The provider's final count.
    Exact,
    /// The provider's count of a part (such as the input), the rest an upper estimate of what was streamed.
    Partial,
    /// Nothing from the provider: an upper estimate, or the reservation.
    #[default]
    Estimated,
}

impl Provenance {
    /// The word in the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Partial => "partial",
            Self::Estimated => "estimated",
        }
    }
}
