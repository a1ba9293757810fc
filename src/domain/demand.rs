//! The most that one request can make a provider bill: what a worst-case quote is computed from.

use super::usage::ServiceTier;

/// Upper bounds read from a request body, before anything is forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Bytes of the text that is billed as input, and what the provider adds to it unseen (the prompts of its own tools); a
    /// token is at least one byte, so also a bound in tokens.
    pub input_bytes: u64,
    /// Tokens of images and files in the request, by the provider's own rules, at their highest.
    pub media_tokens: u64,
    /// The caller's bound of output tokens for one answer; `None` where it set none.
    pub output_tokens: Option<u64>,
    /// Answers asked for (`n`, `best_of`), at least 1.
    pub answers: u32,
    /// Input that the request does not show (`previous_response_id`, file ids, URLs): bounded by the context window only.
    pub opaque: bool,
    /// Whether the provider goes on when its caller is gone (`background`): an answer that is left is billed whole.
    pub background: bool,
    /// Whether the endpoint can produce output at all (embeddings cannot).
    pub has_output: bool,
    /// The tier that the request names; `None` where it leaves that to the provider's account.
    pub tier: Option<ServiceTier>,
    /// Whether the request keeps itself to one region; `None` where it leaves that to the provider's account.
    pub regional: Option<bool>,
    /// The dearest cache write that the request allows.
    pub cache_writes: CacheWrites,
    /// Whether audio may come out, at its own price.
    pub audio_output: bool,
    /// The most times that the provider may call a tool by itself and read the conversation again with the result, all kinds
    /// together; `None` where unbounded.
    pub server_calls: Option<u32>,
    /// The most calls of the provider's web search that it allows; `None` where unbounded.
    pub web_searches: Option<u32>,
    /// The most calls of file search and other tools billed by the call; `None` where unbounded.
    pub tool_calls: Option<u32>,
    /// The most sessions of the provider's code interpreter; `None` where unbounded.
    pub code_sessions: Option<u32>,
    /// How many sessions one of them is priced as, for its memory; 0 reads as 1.
    pub session_units: u32,
    /// The most images that a tool of the provider may make; `None` where unbounded.
    pub images: Option<u32>,
}

/// How long the input may be written to the provider's cache for: longer is dearer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheWrites {
    None,
    FiveMinutes,
    /// One hour or longer, or not told by the request.
    #[default]
    Hour,
}
