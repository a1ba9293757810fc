//! The words of answers that matter: field names, kinds of events, kinds of items.

use super::super::json::words::Words;

/// A field name; `Other` for all that do not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Field {
    #[default]
    Other,
    Action,
    Arguments,
    AudioTokens,
    CacheCreation,
    CacheCreationTokens,
    CacheReadTokens,
    CacheWriteTokens,
    CachedTokens,
    Choices,
    ContainerId,
    Content,
    ContentBlock,
    Data,
    Delta,
    EncryptedContent,
    Error,
    FinishReason,
    Function,
    Geo,
    HourTokens,
    ImageTokens,
    InputDetails,
    InputTokens,
    Item,
    Iterations,
    Message,
    MinutesTokens,
    Model,
    Name,
    OtherCalls,
    Output,
    OutputDetails,
    OutputTokens,
    PartialJson,
    Reasoning,
    ReasoningTokens,
    Response,
    Searches,
    ServerTools,
    ServiceTier,
    Signature,
    Speed,
    Text,
    Thinking,
    ToolCalls,
    ToolUsage,
    TotalTokens,
    Type,
    Usage,
    WebSearch,
    XGroq,
}

/// Every field with its names, whichever dialect they belong to: their words do not contradict each other.
const FIELDS: &Words<Field> = &Words::new(&[
    ("data", Field::Data),
    ("item", Field::Item),
    ("name", Field::Name),
    ("text", Field::Text),
    ("type", Field::Type),
    ("delta", Field::Delta),
    ("error", Field::Error),
    ("input", Field::PartialJson),
    ("model", Field::Model),
    ("speed", Field::Speed),
    ("usage", Field::Usage),
    ("action", Field::Action),
    ("custom", Field::Function),
    ("output", Field::Output),
    ("x_groq", Field::XGroq),
    ("choices", Field::Choices),
    ("content", Field::Content),
    ("message", Field::Message),
    ("refusal", Field::Content),
    ("function", Field::Function),
    ("response", Field::Response),
    ("thinking", Field::Thinking),
    ("arguments", Field::Arguments),
    ("reasoning", Field::Reasoning),
    ("signature", Field::Signature),
    ("iterations", Field::Iterations),
    ("tool_calls", Field::ToolCalls),
    ("tool_usage", Field::ToolUsage),
    ("web_search", Field::WebSearch),
    ("audio_tokens", Field::AudioTokens),
    ("container_id", Field::ContainerId),
    ("image_tokens", Field::ImageTokens),
    ("input_tokens", Field::InputTokens),
    ("num_requests", Field::Searches),
    ("partial_json", Field::PartialJson),
    ("service_tier", Field::ServiceTier),
    ("total_tokens", Field::TotalTokens),
    ("cached_tokens", Field::CachedTokens),
    ("content_block", Field::ContentBlock),
    ("finish_reason", Field::FinishReason),
    ("function_call", Field::Function),
    ("inference_geo", Field::Geo),
    ("output_tokens", Field::OutputTokens),
    ("prompt_tokens", Field::InputTokens),
    ("cache_creation", Field::CacheCreation),
    ("ttl_12h_tokens", Field::HourTokens),
    ("ttl_30m_tokens", Field::MinutesTokens),
    ("x_search_calls", Field::Searches),
    ("server_tool_use", Field::ServerTools),
    ("thinking_tokens", Field::ReasoningTokens),
    ("reasoning_tokens", Field::ReasoningTokens),
    ("web_search_calls", Field::Searches),
    ("completion_tokens", Field::OutputTokens),
    ("encrypted_content", Field::EncryptedContent),
    ("reasoning_content", Field::Content),
    ("cache_write_tokens", Field::CacheWriteTokens),
    ("web_search_requests", Field::Searches),
    ("input_tokens_details", Field::InputDetails),
    ("document_search_calls", Field::OtherCalls),
    ("output_tokens_details", Field::OutputDetails),
    ("prompt_tokens_details", Field::InputDetails),
    ("code_interpreter_calls", Field::OtherCalls),
    ("cache_read_input_tokens", Field::CacheReadTokens),
    ("prompt_cache_hit_tokens", Field::CachedTokens),
    ("collections_search_calls", Field::OtherCalls),
    ("completion_tokens_details", Field::OutputDetails),
    ("ephemeral_1h_input_tokens", Field::HourTokens),
    ("ephemeral_5m_input_tokens", Field::MinutesTokens),
    ("cache_write_tokens_details", Field::CacheCreation),
    ("cache_creation_input_tokens", Field::CacheCreationTokens),
    ("server_side_tool_usage_details", Field::ServerTools),
]);

impl Field {
    /// The field of that name.
    pub(super) fn find(name: &[u8]) -> Self {
        FIELDS.find(name).unwrap_or_default()
    }
}

/// What an event says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Event {
    #[default]
    Other,
    MessageDelta,
    ItemAdded,
    ItemDone,
    /// The end of a Responses stream.
    Ended,
    /// The end of one that failed.
    Failed,
    Error,
}

impl Event {
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"message_delta" => Self::MessageDelta,
            b"response.output_item.added" => Self::ItemAdded,
            b"response.output_item.done" => Self::ItemDone,
            b"response.completed" | b"response.incomplete" | b"response.cancelled" => Self::Ended,
            b"response.failed" => Self::Failed,
            b"error" => Self::Error,
            _ => Self::Other,
        }
    }
}

/// What an item of an answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ItemKind {
    #[default]
    Other,
    /// Reasoning that may be shown in part only.
    Reasoning,
    ServerTool,
    WebSearch,
    FileSearch,
    CodeInterpreter,
    Image,
}

impl ItemKind {
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"thinking" | b"redacted_thinking" | b"reasoning" => Self::Reasoning,
            b"server_tool_use" => Self::ServerTool,
            b"web_search_call" => Self::WebSearch,
            b"file_search_call" => Self::FileSearch,
            b"code_interpreter_call" => Self::CodeInterpreter,
            b"image_generation_call" => Self::Image,
            _ => Self::Other,
        }
    }
}
