//! The words of answers that matter: field names, kinds of events, kinds of items.

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
    TotalTokens,
    Type,
    Usage,
    XGroq,
}

impl Field {
    /// The field of that name, whichever dialect it belongs to: their words do not contradict each other.
    pub(super) fn find(name: &[u8]) -> Self {
        match name {
            b"action" => Self::Action,
            b"arguments" => Self::Arguments,
            b"audio_tokens" => Self::AudioTokens,
            b"cache_creation" => Self::CacheCreation,
            b"cache_creation_input_tokens" => Self::CacheCreationTokens,
            b"cache_read_input_tokens" => Self::CacheReadTokens,
            b"cache_write_tokens" => Self::CacheWriteTokens,
            b"cached_tokens" | b"prompt_cache_hit_tokens" => Self::CachedTokens,
            b"choices" => Self::Choices,
            b"container_id" => Self::ContainerId,
            b"content" | b"reasoning_content" | b"refusal" => Self::Content,
            b"content_block" => Self::ContentBlock,
            b"data" => Self::Data,
            b"delta" => Self::Delta,
            b"encrypted_content" => Self::EncryptedContent,
            b"error" => Self::Error,
            b"finish_reason" => Self::FinishReason,
            b"function" | b"custom" => Self::Function,
            b"inference_geo" => Self::Geo,
            b"ephemeral_1h_input_tokens" => Self::HourTokens,
            b"image_tokens" => Self::ImageTokens,
            b"prompt_tokens_details" | b"input_tokens_details" => Self::InputDetails,
            b"prompt_tokens" | b"input_tokens" => Self::InputTokens,
            b"item" => Self::Item,
            b"iterations" => Self::Iterations,
            b"message" => Self::Message,
            b"ephemeral_5m_input_tokens" => Self::MinutesTokens,
            b"model" => Self::Model,
            b"name" => Self::Name,
            b"code_interpreter_calls" | b"document_search_calls" | b"collections_search_calls" => {
                Self::OtherCalls
            }
            b"output" => Self::Output,
            b"completion_tokens_details" | b"output_tokens_details" => Self::OutputDetails,
            b"completion_tokens" | b"output_tokens" => Self::OutputTokens,
            b"partial_json" | b"input" => Self::PartialJson,
            b"reasoning" => Self::Reasoning,
            b"reasoning_tokens" | b"thinking_tokens" => Self::ReasoningTokens,
            b"response" => Self::Response,
            b"web_search_requests" | b"web_search_calls" | b"x_search_calls" => Self::Searches,
            b"server_tool_use" | b"server_side_tool_usage_details" => Self::ServerTools,
            b"service_tier" => Self::ServiceTier,
            b"signature" => Self::Signature,
            b"speed" => Self::Speed,
            b"text" => Self::Text,
            b"thinking" => Self::Thinking,
            b"tool_calls" => Self::ToolCalls,
            b"total_tokens" => Self::TotalTokens,
            b"type" => Self::Type,
            b"usage" => Self::Usage,
            b"x_groq" => Self::XGroq,
            _ => Self::Other,
        }
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
