//! The most that one request can make a provider bill: what a worst-case quote is computed from.

use super::usage::ServiceTier;

/// Upper bounds read from a request body, before anything is forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Bytes of the text that is billed as input; a token is at least one byte, so also a bound in tokens.
    pub input_bytes: u64,
    /// Tokens of images and files in the request, by the provider's own rules, at their highest.
    pub media_tokens: u64,
    /// The caller's bound of output tokens for one answer; `None` where it set none.
    pub output_tokens: Option<u64>,
    /// Answers asked for (`n`, `best_of`), at least 1.
    pub answers: u32,
    /// Input that the request does not show (`previous_response_id`, file ids, URLs): bounded by the context window only.
    pub opaque: bool,
    /// Whether the endpoint can produce output at all (embeddings cannot).
    pub has_output: bool,
    /// The dearest tier that the request allows.
    pub tier: ServiceTier,
    /// The most calls of the provider's web search that it allows; `None` where unbounded.
    pub web_searches: Option<u32>,
    /// The most calls of other billed server tools; `None` where unbounded.
    pub tool_calls: Option<u32>,
}
