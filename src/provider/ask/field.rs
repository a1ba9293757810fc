//! The words of the APIs that matter for the cost: field names and values of `type`.

use super::super::json::words::Words;

/// A field name; `Other` for all that do not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Field {
    #[default]
    Other,
    Audio,
    Background,
    BestOf,
    CacheControl,
    Caching,
    Compaction,
    Container,
    Content,
    ContextManagement,
    Conversation,
    Data,
    Fallbacks,
    FileData,
    FileId,
    FileUrl,
    ImageUrl,
    IncludeUsage,
    InferenceGeo,
    Input,
    InputAudio,
    MaxCompletionTokens,
    MaxOutputTokens,
    MaxTokens,
    MaxToolCalls,
    MaxUses,
    McpServers,
    MediaType,
    MemoryLimit,
    Messages,
    Modalities,
    Model,
    Models,
    N,
    Output,
    Plugins,
    PreviousResponseId,
    Prompt,
    PromptCacheOptions,
    PromptCacheRetention,
    Result,
    Role,
    SearchParameters,
    ServiceTier,
    Source,
    Speed,
    Stream,
    StreamOptions,
    System,
    Thread,
    Tools,
    Ttl,
    Type,
    Url,
    WebSearchOptions,
}

/// Every field with its name.
const FIELDS: &Words<Field> = &Words::new(&[
    ("n", Field::N),
    ("ttl", Field::Ttl),
    ("url", Field::Url),
    ("data", Field::Data),
    ("role", Field::Role),
    ("type", Field::Type),
    ("audio", Field::Audio),
    ("input", Field::Input),
    ("model", Field::Model),
    ("speed", Field::Speed),
    ("tools", Field::Tools),
    ("models", Field::Models),
    ("output", Field::Output),
    ("prompt", Field::Prompt),
    ("result", Field::Result),
    ("source", Field::Source),
    ("stream", Field::Stream),
    ("system", Field::System),
    ("thread", Field::Thread),
    ("best_of", Field::BestOf),
    ("caching", Field::Caching),
    ("content", Field::Content),
    ("file_id", Field::FileId),
    ("plugins", Field::Plugins),
    ("file_url", Field::FileUrl),
    ("max_uses", Field::MaxUses),
    ("messages", Field::Messages),
    ("container", Field::Container),
    ("fallbacks", Field::Fallbacks),
    ("file_data", Field::FileData),
    ("image_url", Field::ImageUrl),
    ("background", Field::Background),
    ("compaction", Field::Compaction),
    ("max_tokens", Field::MaxTokens),
    ("media_type", Field::MediaType),
    ("modalities", Field::Modalities),
    ("input_audio", Field::InputAudio),
    ("mcp_servers", Field::McpServers),
    ("conversation", Field::Conversation),
    ("memory_limit", Field::MemoryLimit),
    ("service_tier", Field::ServiceTier),
    ("cache_control", Field::CacheControl),
    ("include_usage", Field::IncludeUsage),
    ("inference_geo", Field::InferenceGeo),
    ("max_tool_calls", Field::MaxToolCalls),
    ("stream_options", Field::StreamOptions),
    ("max_output_tokens", Field::MaxOutputTokens),
    ("search_parameters", Field::SearchParameters),
    ("context_management", Field::ContextManagement),
    ("web_search_options", Field::WebSearchOptions),
    ("previous_response_id", Field::PreviousResponseId),
    ("prompt_cache_options", Field::PromptCacheOptions),
    ("max_completion_tokens", Field::MaxCompletionTokens),
    ("prompt_cache_retention", Field::PromptCacheRetention),
]);

impl Field {
    /// The field of that name.
    pub(super) fn find(name: &[u8]) -> Self {
        FIELDS.find(name).unwrap_or_default()
    }

    /// Whether that would be a field if it were written in lower case.
    pub(super) fn is_miswritten(name: &[u8]) -> bool {
        name.iter().any(u8::is_ascii_uppercase) && FIELDS.has_in_any_case(name)
    }

    /// One bit for each field.
    pub(super) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// A value of `type`, as far as it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tag {
    #[default]
    Absent,
    /// A part that is what it shows: text, a tool's call or result.
    Plain,
    /// A kind of part that is not known here.
    Unknown,
    Image,
    Document,
    Audio,
    /// A reference to something that the provider keeps.
    Reference,
    /// An image that a tool made in an earlier turn.
    MadeImage,
    // Kinds of sources.
    Base64,
    Text,
    // Tools.
    ClientTool,
    /// A client's tool that the provider describes to the model in its own words.
    KnownClientTool,
    WebSearch,
    /// `OpenAI`'s earlier one, at another price.
    WebSearchPreview,
    FileSearch,
    CodeInterpreter,
    ImageGeneration,
    /// A tool of the provider that costs nothing by the call, only what it adds to the conversation.
    FreeServerTool,
    /// Another model that is asked for advice.
    Advisor,
    /// Anything else that the provider runs.
    ServerTool,
}

impl Tag {
    /// Of a message, an item or a part of one.
    pub(super) fn of_part(name: &[u8]) -> Self {
        match name {
            b"image" | b"image_url" | b"input_image" | b"computer_screenshot" => Self::Image,
            b"document" | b"file" | b"input_file" | b"container_upload" => Self::Document,
            b"input_audio" => Self::Audio,
            b"item_reference" => Self::Reference,
            b"image_generation_call" => Self::MadeImage,
            b"text" | b"input_text" | b"output_text" | b"summary_text" | b"reasoning_text"
            | b"refusal" | b"thinking" | b"redacted_thinking" | b"reasoning" | b"message"
            | b"search_result" | b"compaction" => Self::Plain,
            _ if ends(
                name,
                &[b"_call", b"_use", b"_result", b"_output", b"_reference"],
            ) =>
            {
                Self::Plain
            }
            _ => Self::Unknown,
        }
    }

    /// Of a part's source.
    pub(super) fn of_source(name: &[u8]) -> Self {
        match name {
            b"base64" => Self::Base64,
            b"text" => Self::Text,
            _ => Self::Unknown,
        }
    }

    /// Of a tool.
    pub(super) fn of_tool(name: &[u8]) -> Self {
        let starts = |prefixes: &[&[u8]]| prefixes.iter().any(|p| name.starts_with(p));
        match name {
            b"function" | b"custom" | b"namespace" | b"local_shell" => Self::ClientTool,
            b"file_search" => Self::FileSearch,
            b"code_interpreter" => Self::CodeInterpreter,
            b"image_generation" => Self::ImageGeneration,
            b"computer" | b"apply_patch" => Self::KnownClientTool,
            _ if starts(&[b"bash_", b"text_editor_", b"computer_", b"memory_"]) => {
                Self::KnownClientTool
            }
            b"mcp" | b"mcp_toolset" | b"programmatic_tool_calling" => Self::FreeServerTool,
            _ if starts(&[b"web_fetch", b"tool_search"]) => Self::FreeServerTool,
            _ if starts(&[b"advisor_"]) => Self::Advisor,
            _ if starts(&[b"web_search_preview"]) => Self::WebSearchPreview,
            _ if starts(&[b"web_search"]) => Self::WebSearch,
            _ if starts(&[b"code_execution"]) => Self::CodeInterpreter,
            _ => Self::ServerTool,
        }
    }
}

fn ends(name: &[u8], suffixes: &[&[u8]]) -> bool {
    suffixes.iter().any(|suffix| name.ends_with(suffix))
}
