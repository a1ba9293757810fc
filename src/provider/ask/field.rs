//! The words of the APIs that matter for the cost: field names and values of `type`.

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
    Container,
    Content,
    ContextManagement,
    Conversation,
    Data,
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
    Messages,
    Modalities,
    Model,
    N,
    Output,
    Plugins,
    PreviousResponseId,
    Prompt,
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
    Tools,
    Ttl,
    Type,
    Url,
    WebSearchOptions,
}

/// Every field with its name, in the order of names.
const FIELDS: [(&str, Field); 47] = [
    ("audio", Field::Audio),
    ("background", Field::Background),
    ("best_of", Field::BestOf),
    ("cache_control", Field::CacheControl),
    ("container", Field::Container),
    ("content", Field::Content),
    ("context_management", Field::ContextManagement),
    ("conversation", Field::Conversation),
    ("data", Field::Data),
    ("file_data", Field::FileData),
    ("file_id", Field::FileId),
    ("file_url", Field::FileUrl),
    ("image_url", Field::ImageUrl),
    ("include_usage", Field::IncludeUsage),
    ("inference_geo", Field::InferenceGeo),
    ("input", Field::Input),
    ("input_audio", Field::InputAudio),
    ("max_completion_tokens", Field::MaxCompletionTokens),
    ("max_output_tokens", Field::MaxOutputTokens),
    ("max_tokens", Field::MaxTokens),
    ("max_tool_calls", Field::MaxToolCalls),
    ("max_uses", Field::MaxUses),
    ("mcp_servers", Field::McpServers),
    ("media_type", Field::MediaType),
    ("messages", Field::Messages),
    ("modalities", Field::Modalities),
    ("model", Field::Model),
    ("n", Field::N),
    ("output", Field::Output),
    ("plugins", Field::Plugins),
    ("previous_response_id", Field::PreviousResponseId),
    ("prompt", Field::Prompt),
    ("prompt_cache_retention", Field::PromptCacheRetention),
    ("result", Field::Result),
    ("role", Field::Role),
    ("search_parameters", Field::SearchParameters),
    ("service_tier", Field::ServiceTier),
    ("source", Field::Source),
    ("speed", Field::Speed),
    ("stream", Field::Stream),
    ("stream_options", Field::StreamOptions),
    ("system", Field::System),
    ("tools", Field::Tools),
    ("ttl", Field::Ttl),
    ("type", Field::Type),
    ("url", Field::Url),
    ("web_search_options", Field::WebSearchOptions),
];

impl Field {
    /// The field of that name, in lower case or not.
    pub(super) fn find(name: &[u8]) -> Option<(&'static str, Self)> {
        let lower = |b: &u8| b.to_ascii_lowercase();
        FIELDS
            .binary_search_by(|(known, _)| known.bytes().cmp(name.iter().map(lower)))
            .ok()
            .map(|at| FIELDS[at])
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
    FileSearch,
    CodeInterpreter,
    ImageGeneration,
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
            _ if starts(&[b"web_search"]) => Self::WebSearch,
            _ if starts(&[b"code_execution"]) => Self::CodeInterpreter,
            _ => Self::ServerTool,
        }
    }
}

fn ends(name: &[u8], suffixes: &[&[u8]]) -> bool {
    suffixes.iter().any(|suffix| name.ends_with(suffix))
}
