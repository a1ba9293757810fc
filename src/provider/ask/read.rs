//! The visitor that turns the tokens of a request into its ask.

use crate::domain::{CacheWrites, Demand, ServiceTier};

use super::super::json::{Kind, Seen, Text, Token};
use super::super::route::{Dialect, Endpoint};
use super::Ask;
use super::content::Part;
use super::field::{Field, Tag};
use super::tools::Tools;

/// Tokens that a provider puts around any request, unseen.
const FRAME: u64 = 64;
/// The longest name of a model.
const MODEL: usize = 200;

/// What an open container is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    Root,
    /// `messages` or `input`.
    Messages,
    /// One message, item, or part of one; all can hold parts.
    Part,
    Parts,
    Source,
    Tools,
    Tool,
    CacheControl,
    StreamOptions,
    /// `prompt`, where it is a list.
    Prompts,
    ContextManagement,
    McpServers,
    Modalities,
    #[default]
    Other,
}

/// An open container.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    place: Place,
    /// The member at hand, of an object.
    field: Field,
    part: Part,
    max_uses: Option<u32>,
    /// Has a role.
    role: bool,
}

/// Collects the ask while the body is walked.
#[derive(Debug)]
pub(super) struct Reader {
    endpoint: Endpoint,
    dialect: Dialect,
    frames: Vec<Frame>,
    told: u64,
    model: Option<String>,
    stream: bool,
    include_usage: bool,
    background: bool,
    n: u32,
    best_of: u32,
    prompts: u32,
    not_text: u64,
    tools: Tools,
    demand: Demand,
    fault: Option<(&'static str, u64)>,
}

impl Reader {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let dialect = match endpoint {
            Endpoint::Messages | Endpoint::CountTokens => Dialect::Anthropic,
            _ => Dialect::OpenAi,
        };
        let demand = Demand {
            // Anthropic writes to its cache where it is told to; others where they like.
            cache_writes: match dialect {
                Dialect::Anthropic => CacheWrites::None,
                Dialect::OpenAi => CacheWrites::FiveMinutes,
            },
            has_output: !matches!(endpoint, Endpoint::Embeddings | Endpoint::CountTokens),
            ..Demand::default()
        };
        Self {
            endpoint,
            dialect,
            frames: Vec::with_capacity(16),
            told: 0,
            model: None,
            stream: false,
            include_usage: false,
            background: false,
            n: 1,
            best_of: 1,
            prompts: 0,
            not_text: 0,
            tools: Tools::default(),
            demand,
            fault: None,
        }
    }

    /// The first thing that made the body unfit, and where.
    pub(super) const fn refused(&self) -> Option<(&'static str, u64)> {
        self.fault
    }

    /// The ask of a body of that length, once it has been read.
    pub(super) fn ask(mut self, length: usize) -> Result<Ask, &'static str> {
        let Some(model) = self.model else {
            return Err("`model` is missing");
        };
        if self.endpoint == Endpoint::ChatCompletions && model.contains("-search") {
            self.tools.may_search(Some(1));
        }
        let mut demand = self.demand;
        demand.input_bytes = (length as u64).saturating_sub(self.not_text) + FRAME;
        demand.answers = self.n.max(self.best_of).saturating_mul(self.prompts.max(1));
        self.tools.settle(&mut demand);
        let chat = matches!(
            self.endpoint,
            Endpoint::ChatCompletions | Endpoint::Completions
        );
        Ok(Ask {
            model,
            stream: self.stream,
            demand,
            usage_requested: !(chat && self.stream) || self.include_usage,
            background: self.background,
        })
    }

    pub(super) fn see(&mut self, seen: Seen<'_>) {
        if self.fault.is_some() {
            return;
        }
        match seen.token {
            Token::Open(kind) => self.open(kind, seen.start),
            Token::Close(_) => self.close(),
            Token::Key(name) => self.key(&name, seen.start),
            _ => self.scalar(seen),
        }
    }

    fn refuse(&mut self, message: &'static str, at: u64) {
        self.fault.get_or_insert((message, at));
    }

    fn open(&mut self, kind: Kind, at: u64) {
        let parent = self.frames.last().map(|frame| (frame.place, frame.field));
        let place = match parent {
            None if kind == Kind::Object => Place::Root,
            None => return self.refuse("the body must be a JSON object", at),
            Some((place, field)) => inside(place, field, kind),
        };
        match parent {
            Some((Place::Root, field)) => self.root_container(field, kind, at),
            Some((_, Field::CacheControl)) => self.may_write(CacheWrites::FiveMinutes),
            Some((Place::McpServers, _)) => self.tools.may_read_again(None),
            // A spoken answer of an earlier turn is told by its id.
            Some((Place::Part, Field::Audio)) => self.demand.opaque = true,
            Some((Place::Prompts, _)) => self.prompts = self.prompts.saturating_add(1),
            _ => {}
        }
        self.frames.push(Frame {
            place,
            ..Frame::default()
        });
    }

    fn close(&mut self) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        match frame.place {
            Place::Source => {
                if let Some(parent) = self.frames.last_mut() {
                    parent.part.take_source(&frame.part);
                }
            }
            Place::Part => {
                let added = frame.part.added(self.dialect);
                self.not_text += added.not_text;
                self.demand.media_tokens += added.media_tokens;
                self.demand.opaque |= added.opaque || self.is_reference(&frame);
            }
            Place::Tool if frame.part.tags > 1 => self.tools.add(Tag::ServerTool, None),
            Place::Tool => self.tools.add(frame.part.tag, frame.max_uses),
            _ => {}
        }
    }

    /// An item of a Responses request with neither role nor type refers to an earlier one by its id.
    fn is_reference(&self, frame: &Frame) -> bool {
        self.endpoint == Endpoint::Responses
            && frame.part.tag == Tag::Absent
            && !frame.role
            && self
                .frames
                .last()
                .is_some_and(|parent| parent.place == Place::Messages)
    }

    fn key(&mut self, name: &Text<'_>, at: u64) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let decoded = name.decoded();
        frame.field = Field::find(&decoded);
        if frame.place == Place::Root && Field::is_miswritten(&decoded) {
            // A provider that ignores case would read another field than we do.
            return self.refuse("a field of the API is not in lower case", at);
        }
        frame.role |= frame.field == Field::Role;
        if frame.place == Place::Root && frame.field != Field::Other {
            let bit = frame.field.bit();
            if self.told & bit != 0 {
                return self.refuse("a field of the API is told twice", at);
            }
            self.told |= bit;
        }
    }

    fn scalar(&mut self, seen: Seen<'_>) {
        let Some(frame) = self.frames.last() else {
            return self.refuse("the body must be a JSON object", seen.start);
        };
        let (place, field) = (frame.place, frame.field);
        match place {
            Place::Root => self.root(field, seen),
            Place::StreamOptions if field == Field::IncludeUsage => {
                self.include_usage = seen.token == Token::Bool(true);
            }
            Place::Prompts => {
                if matches!(seen.token, Token::String(_)) {
                    self.prompts = self.prompts.saturating_add(1);
                }
            }
            _ => match seen.token {
                Token::String(text) => self.text(place, field, &text),
                Token::Number(number) if field == Field::MaxUses => {
                    if let Some(frame) = self.frames.last_mut() {
                        frame.max_uses = count(number).max(frame.max_uses);
                    }
                }
                _ => {}
            },
        }
    }

    /// A string below the top level.
    fn text(&mut self, place: Place, field: Field, text: &Text<'_>) {
        if place == Place::Other
            || field == Field::Other
                && place != Place::Modalities
                && place != Place::ContextManagement
        {
            return;
        }
        if place == Place::CacheControl && field == Field::Ttl {
            self.may_write(if &*text.decoded() == b"5m" {
                CacheWrites::FiveMinutes
            } else {
                CacheWrites::Hour
            });
        }
        if place == Place::ContextManagement && text.decoded().starts_with(b"compact") {
            self.tools.may_read_again(Some(1));
        }
        if place == Place::Modalities && &*text.decoded() == b"audio" {
            self.demand.audio_output = true;
        }
        let Some(part) = self.frames.last_mut().map(|frame| &mut frame.part) else {
            return;
        };
        match (place, field) {
            (Place::Part, Field::Type) => part.tagged(Tag::of_part(&text.decoded())),
            (Place::Source, Field::Type) => part.tagged(Tag::of_source(&text.decoded())),
            (Place::Tool, Field::Type) => part.tagged(Tag::of_tool(&text.decoded())),
            (Place::Part, Field::ImageUrl) | (Place::Part | Place::Source, Field::Url) => {
                part.url(text);
            }
            (Place::Source, Field::Data) | (Place::Part, Field::Result) => part.data(text),
            (Place::Source, Field::MediaType) => part.media_type(text),
            (Place::Part | Place::Source, Field::FileId | Field::FileUrl | Field::FileData) => {
                part.elsewhere = true;
            }
            _ => {}
        }
    }

    fn may_write(&mut self, writes: CacheWrites) {
        self.demand.cache_writes = self.demand.cache_writes.max(writes);
    }

    /// A field of the request itself that is a list or an object.
    fn root_container(&mut self, field: Field, kind: Kind, at: u64) {
        match field {
            Field::Model => self.refuse("`model` must be a string", at),
            Field::N | Field::BestOf => self.refuse("`n` and `best_of` must be whole numbers", at),
            Field::CacheControl => self.may_write(CacheWrites::FiveMinutes),
            Field::Container => {
                self.demand.opaque = true;
                self.tools.may_read_again(None);
            }
            Field::Conversation => self.demand.opaque = true,
            Field::Prompt if kind == Kind::Object => self.demand.opaque = true,
            Field::Audio => self.demand.audio_output = true,
            Field::WebSearchOptions => self.tools.may_search(Some(1)),
            Field::SearchParameters | Field::Plugins => self.tools.may_search(None),
            _ => {}
        }
    }

    /// A field of the request itself that is a single value.
    fn root(&mut self, field: Field, seen: Seen<'_>) {
        match (field, seen.token) {
            (Field::Model, Token::String(text)) => match model_name(&text) {
                Some(name) => self.model = Some(name),
                None => self.refuse(
                    "`model` must be 1 to 200 visible ASCII characters",
                    seen.start,
                ),
            },
            (Field::Model, _) => self.refuse("`model` must be a string", seen.start),
            (_, Token::Null) => {}
            (Field::Stream, token) => self.stream = token == Token::Bool(true),
            (Field::Background, token) => self.background = token != Token::Bool(false),
            (Field::N | Field::BestOf, token) => self.answers(field, token, seen.start),
            (_, Token::Number(number)) => self.root_number(field, number),
            (_, Token::String(text)) => self.root_text(field, &text),
            _ => {}
        }
    }

    fn answers(&mut self, field: Field, token: Token<'_>, at: u64) {
        let Token::Number(number) = token else {
            return self.refuse("`n` and `best_of` must be whole numbers", at);
        };
        match (field, count(number)) {
            (_, None) => self.refuse("`n` and `best_of` must be whole numbers", at),
            (Field::N, Some(n)) => self.n = n.max(1),
            (_, Some(n)) => self.best_of = n.max(1),
        }
    }

    fn root_number(&mut self, field: Field, number: &[u8]) {
        match field {
            Field::MaxTokens | Field::MaxCompletionTokens | Field::MaxOutputTokens => {
                // Anything but a whole number leaves the bound to the model; of two bounds the wider counts.
                let told = std::str::from_utf8(number)
                    .ok()
                    .and_then(|n| n.parse().ok());
                let before = self.demand.output_tokens;
                self.demand.output_tokens = told.map(|told: u64| told.max(before.unwrap_or(0)));
            }
            Field::MaxToolCalls => self.tools.bound = count(number),
            _ => {}
        }
    }

    fn root_text(&mut self, field: Field, text: &Text<'_>) {
        let word = text.decoded();
        match field {
            Field::PreviousResponseId | Field::Conversation => self.demand.opaque = true,
            Field::Container => {
                self.demand.opaque = true;
                self.tools.may_read_again(None);
            }
            Field::ServiceTier => self.demand.tier = self.demand.tier.max(tier(&word)),
            Field::Speed if &*word != b"standard" => self.demand.tier = Some(ServiceTier::Fast),
            Field::InferenceGeo => self.demand.regional = Some(&*word != b"global"),
            Field::PromptCacheRetention if !matches!(&*word, b"in_memory" | b"in-memory") => {
                self.may_write(CacheWrites::Hour);
            }
            _ => {}
        }
    }
}

/// What a container is, from where it stands.
fn inside(parent: Place, field: Field, kind: Kind) -> Place {
    match (parent, field, kind) {
        (_, Field::CacheControl, Kind::Object) => Place::CacheControl,
        (Place::Root, Field::Messages | Field::Input, Kind::Array) => Place::Messages,
        (Place::Root, Field::System, Kind::Array)
        | (Place::Part, Field::Content | Field::Output, Kind::Array) => Place::Parts,
        (Place::Messages | Place::Parts, _, Kind::Object)
        | (Place::Part, Field::Output, Kind::Object) => Place::Part,
        (Place::Part, Field::Source | Field::ImageUrl | Field::InputAudio, Kind::Object) => {
            Place::Source
        }
        (Place::Root, Field::Tools, Kind::Array) => Place::Tools,
        (Place::Tools, _, Kind::Object) => Place::Tool,
        (Place::Root, Field::StreamOptions, Kind::Object) => Place::StreamOptions,
        (Place::Root, Field::Prompt, Kind::Array) => Place::Prompts,
        (Place::Root, Field::ContextManagement, _) | (Place::ContextManagement, _, _) => {
            Place::ContextManagement
        }
        (Place::Root, Field::McpServers, _) => Place::McpServers,
        (Place::Root, Field::Modalities, Kind::Array) => Place::Modalities,
        _ => Place::Other,
    }
}

/// The tier of that name; `None` where the account decides. A name we do not know may be the dearest.
fn tier(name: &[u8]) -> Option<ServiceTier> {
    match name {
        b"auto" => None,
        b"default" | b"standard" | b"standard_only" => Some(ServiceTier::Standard),
        b"flex" => Some(ServiceTier::Flex),
        b"batch" => Some(ServiceTier::Batch),
        b"priority" => Some(ServiceTier::Priority),
        _ => Some(ServiceTier::Fast),
    }
}

fn model_name(text: &Text<'_>) -> Option<String> {
    let name = text.decoded();
    let fits = text.is_whole()
        && (1..=MODEL).contains(&name.len())
        && name.iter().all(u8::is_ascii_graphic);
    fits.then(|| String::from_utf8_lossy(&name).into_owned())
}

/// A whole number that counts something.
fn count(number: &[u8]) -> Option<u32> {
    std::str::from_utf8(number).ok()?.parse().ok()
}
