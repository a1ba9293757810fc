//! The visitor that turns the tokens of a request into its ask.

use crate::domain::{CacheWrites, Demand};

use super::super::json::{Kind, Seen, Text, Token};
use super::super::route::{Dialect, Endpoint};
use super::Ask;
use super::content::Part;
use super::field::{Field, Tag};
use super::others::{Entry, MOST};
use super::root::{Bound, count, model_name, tokens};
use super::tools::Tools;

/// What is wrong with a name that is none.
pub(super) const MODEL_FAULT: &str = "`model` must be 1 to 200 visible ASCII characters";

/// Tokens that a provider puts around any request, unseen.
const FRAME: u64 = 64;

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
    CacheOptions,
    /// What a code interpreter runs in.
    Container,
    /// A list of models that may answer instead, and an entry of it.
    Fallbacks,
    Fallback,
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
    pub(super) endpoint: Endpoint,
    pub(super) dialect: Dialect,
    frames: Vec<Frame>,
    told: u64,
    pub(super) model: Option<String>,
    pub(super) stream: bool,
    include_usage: bool,
    pub(super) n: u32,
    pub(super) best_of: u32,
    prompts: u32,
    pub(super) bound: Bound,
    not_text: u64,
    pub(super) tools: Tools,
    pub(super) demand: Demand,
    /// The entry of a tool or fallback at hand, and those that are models.
    entry: Entry,
    others: Vec<Entry>,
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
            n: 1,
            best_of: 1,
            prompts: 0,
            bound: Bound::default(),
            not_text: 0,
            tools: Tools::default(),
            demand,
            entry: Entry::default(),
            others: Vec::new(),
            fault: None,
        }
    }

    /// The first thing that made the body unfit, and where.
    pub(super) const fn refused(&self) -> Option<(&'static str, u64)> {
        self.fault
    }

    /// The ask of a body of that length, once it has been read.
    pub(super) fn ask(mut self, length: usize) -> Ask {
        let named = self.model.as_deref();
        if named.is_some_and(|model| searches(self.endpoint, model)) {
            self.tools.may_search(Some(1));
        }
        let mut demand = self.demand;
        demand.input_bytes = (length as u64).saturating_sub(self.not_text) + FRAME;
        demand.answers = self.n.max(self.best_of).saturating_mul(self.prompts.max(1));
        demand.output_tokens = self.bound.tokens();
        self.tools.settle(&mut demand);
        let chat = matches!(
            self.endpoint,
            Endpoint::ChatCompletions | Endpoint::Completions
        );
        Ask {
            model: self.model,
            stream: self.stream,
            demand,
            usage_requested: !(chat && self.stream) || self.include_usage,
            others: self
                .others
                .into_iter()
                .map(|entry| entry.model(&demand))
                .collect(),
        }
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

    pub(super) fn refuse(&mut self, message: &'static str, at: u64) {
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
            Some((_, Field::CacheControl | Field::Caching)) => {
                self.may_write(CacheWrites::FiveMinutes);
            }
            Some((Place::McpServers, _)) => self.tools.may_read_again(None),
            // A spoken answer of an earlier turn is told by its id.
            Some((Place::Part, Field::Audio)) => self.demand.opaque = true,
            Some((Place::Prompts, _)) => self.prompts = self.prompts.saturating_add(1),
            _ => {}
        }
        if matches!(place, Place::Tool | Place::Fallback) {
            self.entry = Entry::default();
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
            Place::Tool => self.close_tool(frame.part, frame.max_uses),
            Place::Fallback => {
                let entry = std::mem::take(&mut self.entry);
                self.add_model(entry);
            }
            _ => {}
        }
    }

    fn close_tool(&mut self, part: Part, max_uses: Option<u32>) {
        // A tool that tells its type twice may be the dearer one.
        let (tag, max_uses) = if part.tags > 1 {
            (Tag::ServerTool, None)
        } else {
            (part.tag, max_uses)
        };
        self.tools.add(tag, max_uses);
        if let Some(entry) = std::mem::take(&mut self.entry).advisor(tag, max_uses) {
            self.add_model(entry);
        }
    }

    /// Notes a model besides the first one.
    pub(super) fn add_model(&mut self, entry: Entry) {
        if self.others.len() == MOST {
            return self.refuse("the request names too many models", 0);
        }
        if !entry.advises {
            // An attempt that is declined is billed as well.
            self.tools.may_read_again(Some(1));
        }
        self.others.push(entry);
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
            Place::Tool | Place::Fallback => self.entry(field, seen),
            Place::Fallbacks => self.fallback(seen),
            _ => {
                if let Token::String(text) = seen.token {
                    self.text(place, field, &text);
                }
            }
        }
    }

    /// A member of a tool, or of an entry in the list of fallbacks.
    fn entry(&mut self, field: Field, seen: Seen<'_>) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        match (field, seen.token) {
            (Field::Type, Token::String(text)) => frame.part.tagged(Tag::of_tool(&text.decoded())),
            (Field::MaxUses, Token::Number(number)) => {
                frame.max_uses = count(number).max(frame.max_uses);
            }
            (Field::MaxTokens, Token::Number(number)) => self.entry.output_tokens = tokens(number),
            (Field::Speed, Token::String(text)) => {
                self.entry.fast = &*text.decoded() != b"standard";
            }
            (Field::Model, Token::String(text)) => match model_name(&text) {
                Some(name) => self.entry.model = Some(name),
                None => self.refuse(MODEL_FAULT, seen.start),
            },
            _ => {}
        }
    }

    /// A fallback told by its name alone.
    fn fallback(&mut self, seen: Seen<'_>) {
        let Token::String(text) = seen.token else {
            return;
        };
        match model_name(&text) {
            Some(name) => self.add_model(Entry {
                model: Some(name),
                ..Entry::default()
            }),
            None => self.refuse(MODEL_FAULT, seen.start),
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
        match (place, field) {
            (Place::CacheControl, Field::Ttl) => self.cache_for(text, b"5m"),
            (Place::CacheOptions, Field::Ttl) => self.cache_for(text, b"30m"),
            (Place::Container, Field::MemoryLimit) => self.tools.memory(&text.decoded()),
            _ => {}
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

    /// A lifetime in the cache: the short one, or a longer one.
    fn cache_for(&mut self, ttl: &Text<'_>, short: &[u8]) {
        self.may_write(if &*ttl.decoded() == short {
            CacheWrites::FiveMinutes
        } else {
            CacheWrites::Hour
        });
    }

    pub(super) fn may_write(&mut self, writes: CacheWrites) {
        self.demand.cache_writes = self.demand.cache_writes.max(writes);
    }
}

/// Whether a model searches the web by its name alone.
pub(super) fn searches(endpoint: Endpoint, model: &str) -> bool {
    endpoint == Endpoint::ChatCompletions && model.contains("-search")
}

/// What a container is, from where it stands.
fn inside(parent: Place, field: Field, kind: Kind) -> Place {
    match (parent, field, kind) {
        (_, Field::CacheControl | Field::Caching, Kind::Object) => Place::CacheControl,
        (Place::Root, Field::PromptCacheOptions, Kind::Object) => Place::CacheOptions,
        (Place::Root, Field::Fallbacks | Field::Models, Kind::Array) => Place::Fallbacks,
        (Place::Fallbacks, _, Kind::Object) => Place::Fallback,
        (Place::Tool, Field::Container, Kind::Object) => Place::Container,
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
