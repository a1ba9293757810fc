//! The visitor that picks usage, items and delivered text out of the JSON of an answer or of one event.

use super::super::json::{Kind, Seen, Text, Token};
use super::counts::{Counts, count, tier};
use super::field::{Event, Field, ItemKind};
use super::items::{Item, Tally};
use super::rounds::Rounds;
use crate::domain::ServiceTier;

/// Tokens around a block or call that are not in its text: brackets, the name of a tool.
const AROUND: u64 = 32;
/// The longest name of a model that is kept.
const MODEL: usize = 200;

/// What an open container is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// The answer, or one event.
    Root,
    /// `message` or `response` in an event: holds what the answer itself would.
    Envelope,
    XGroq,
    Usage,
    InputDetails,
    OutputDetails,
    CacheCreation,
    ServerTools,
    /// `tool_usage` beside the usage.
    ToolUsage,
    Iterations,
    Iteration,
    Items,
    Item,
    Action,
    Choices,
    /// A choice, its delta or message, a tool call in it: holds text.
    Text,
    Calls,
    /// `delta` of an Anthropic event.
    Delta,
    #[default]
    Other,
}

/// All that was read so far.
#[derive(Debug, Default)]
pub(super) struct Reading {
    places: Vec<(Place, Field)>,
    pub(super) counts: Counts,
    /// The readings of the conversation, where they are told one by one.
    rounds: Rounds,
    pub(super) tier: Option<ServiceTier>,
    /// Whether Anthropic says that it served the request fast.
    pub(super) fast: Option<bool>,
    pub(super) regional: bool,
    pub(super) model: Option<String>,
    /// Bytes of text delivered, and of sealed reasoning.
    pub(super) text: u64,
    pub(super) progress: Progress,
    pub(super) error: bool,
    /// Items as they came, and as the end of the answer lists them.
    came: Tally,
    listed: Tally,
    item: Item,
    now: Now,
}

/// How far the answer has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Some text was delivered.
    pub(super) started: bool,
    /// A choice gave its reason to finish.
    pub(super) finished: bool,
    /// A block of reasoning has begun and not been sealed: its tokens are not known.
    pub(super) unsealed: bool,
}

/// What the event at hand, or the one answer, holds.
#[derive(Clone, Copy, Debug, Default)]
struct Now {
    event: Event,
    item: bool,
    /// A whole `usage` object.
    usage: bool,
}

impl Reading {
    pub(super) fn see(&mut self, seen: Seen<'_>) {
        match seen.token {
            Token::Open(kind) => self.open(kind),
            Token::Close(_) => self.close(),
            Token::Key(name) => {
                if let Some((_, field)) = self.places.last_mut() {
                    *field = Field::find(&name.decoded());
                }
            }
            Token::Number(number) => self.number(number),
            Token::String(text) => self.string(&text),
            Token::Bool(_) | Token::Null => {}
        }
    }

    /// Begins a new event.
    pub(super) fn begin(&mut self) {
        self.places.clear();
        self.now = Now::default();
    }

    /// Ends an event: says whether it was the one that tells the final usage.
    pub(super) fn end(&mut self) -> bool {
        if self.now.item {
            self.end_item();
        }
        self.error |= matches!(self.now.event, Event::Error | Event::Failed);
        match self.now.event {
            Event::MessageDelta => self.now.usage && self.counts.output.is_some(),
            Event::Ended | Event::Failed => self.now.usage,
            // Chat: a running count may lag behind the text until the reason to finish is told.
            _ => self.now.usage && self.progress.finished,
        }
    }

    /// Calls of tools, counted once.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = self.came;
        tally.at_least(&self.listed);
        tally
    }

    /// The numbers told for the first model; those of its single readings where they are more.
    pub(super) fn told(&self) -> Counts {
        let mut counts = self.counts;
        if self.rounds.others().is_empty() {
            counts.at_least(self.rounds.own());
        } else {
            counts.replace_tokens(self.rounds.own());
        }
        counts
    }

    /// The numbers told for other models.
    pub(super) fn others(&self) -> &[(String, Counts)] {
        self.rounds.others()
    }

    /// Whether a whole `usage` object was read.
    pub(super) const fn has_usage(&self) -> bool {
        self.now.usage
    }

    /// Whether the provider told any number of tokens.
    pub(super) fn has_counts(&self) -> bool {
        self.counts.input.is_some() || self.counts.output.is_some()
    }

    /// An item told by an event of its own.
    fn end_item(&mut self) {
        let item = self.item;
        let done = self.now.event != Event::ItemAdded;
        if item.kind == ItemKind::Reasoning {
            self.progress.unsealed = !done || item.sealed == 0;
        }
        if done {
            self.came.add(&item);
            self.text = self.text.saturating_add(item.sealed);
        }
        self.text = self.text.saturating_add(AROUND);
    }

    fn open(&mut self, kind: Kind) {
        let place = match self.places.last() {
            None => Place::Root,
            Some((parent, field)) => inside(*parent, *field, kind),
        };
        match place {
            Place::Iterations => self.rounds = Rounds::default(),
            Place::Iteration => self.rounds.begin(),
            Place::Items => self.listed = Tally::default(),
            Place::Item => self.item = Item::default(),
            _ => {}
        }
        if let Some((Place::Root | Place::Envelope, Field::Error)) = self.places.last() {
            self.error = true;
        }
        self.places.push((place, Field::Other));
    }

    fn close(&mut self) {
        let Some((place, _)) = self.places.pop() else {
            return;
        };
        match (place, self.places.last()) {
            (Place::Iteration, _) => self.rounds.end(),
            (Place::Usage, _) => self.now.usage = true,
            (Place::Item, Some((Place::Items, _))) => {
                let item = self.item;
                self.listed.add(&item);
            }
            (Place::Item, _) => self.now.item = true,
            _ => {}
        }
    }

    fn number(&mut self, number: &[u8]) {
        let Some((place, field)) = self.places.last().copied() else {
            return;
        };
        // In which object the number stands; the parts of one reading stand in that reading.
        let in_round = self
            .places
            .iter()
            .any(|(place, _)| *place == Place::Iteration);
        let counts = if in_round {
            self.rounds.now()
        } else {
            &mut self.counts
        };
        let slot = match (place, field) {
            (Place::Usage | Place::Iteration, Field::InputTokens) => &mut counts.input,
            (Place::Usage | Place::Iteration, Field::OutputTokens) => &mut counts.output,
            (Place::Usage, Field::TotalTokens) => &mut counts.total,
            (Place::Usage | Place::Iteration, Field::CacheCreationTokens)
            | (Place::InputDetails, Field::CacheWriteTokens | Field::CacheCreationTokens) => {
                &mut counts.cache_write
            }
            (Place::Usage | Place::Iteration, Field::CacheReadTokens | Field::CachedTokens)
            | (Place::InputDetails, Field::CachedTokens) => &mut counts.cached,
            (Place::CacheCreation, Field::MinutesTokens) => &mut counts.cache_write_5m,
            (Place::CacheCreation, Field::HourTokens) => &mut counts.cache_write_1h,
            (Place::InputDetails, Field::AudioTokens) => &mut counts.audio_input,
            (Place::InputDetails, Field::ImageTokens) => &mut counts.image_input,
            (Place::OutputDetails, Field::ReasoningTokens) => &mut counts.reasoning,
            (Place::OutputDetails, Field::AudioTokens) => &mut counts.audio_output,
            (Place::OutputDetails, Field::ImageTokens) => &mut counts.image_output,
            (Place::ServerTools, Field::Searches) => &mut counts.searches,
            (Place::ServerTools, Field::OtherCalls) => &mut counts.other_calls,
            _ => return,
        };
        // What is no count leaves what was told before.
        *slot = count(number).or(*slot);
    }

    fn string(&mut self, text: &Text<'_>) {
        let Some((place, field)) = self.places.last().copied() else {
            return;
        };
        match (place, field) {
            (Place::Root, Field::Error) => self.error = true,
            (Place::Root, Field::Type) => self.now.event = Event::of(&text.decoded()),
            (Place::Root, Field::Delta)
            | (
                Place::Text,
                Field::Content
                | Field::Text
                | Field::Reasoning
                | Field::Arguments
                | Field::Name
                | Field::PartialJson,
            ) => self.delivered(text),
            (Place::Delta, Field::Text | Field::Thinking | Field::PartialJson) => {
                self.delivered(text);
            }
            (Place::Delta, Field::Signature) => {
                self.delivered(text);
                self.progress.unsealed = false;
            }
            (Place::Text, Field::FinishReason) => self.progress.finished = true,
            (Place::Root | Place::Envelope, Field::Model) => {
                self.model = name(text).or(self.model.take());
            }
            (Place::Iteration, Field::Model) => self.rounds.model(name(text)),
            (Place::Iteration, Field::Type) => self.rounds.kind(&text.decoded()),
            (Place::Root | Place::Envelope | Place::Usage, Field::ServiceTier) => {
                self.tier = tier(&text.decoded()).or(self.tier);
            }
            (Place::Usage, Field::Speed) => self.fast = Some(&*text.decoded() == b"fast"),
            (Place::Usage, Field::Geo) => {
                self.regional = !matches!(&*text.decoded(), b"global" | b"not_available" | b"");
            }
            (Place::Item, _) => self.item_text(field, text),
            (Place::Action, Field::Type) => {
                self.item.free =
                    matches!(&*text.decoded(), b"open_page" | b"find" | b"find_in_page");
            }
            _ => {}
        }
    }

    fn delivered(&mut self, text: &Text<'_>) {
        self.progress.started |= text.len > 0;
        self.text = self.text.saturating_add(text.len);
    }

    fn item_text(&mut self, field: Field, text: &Text<'_>) {
        match field {
            Field::Type => self.item.kind = ItemKind::of(&text.decoded()),
            Field::Name => {
                self.item.runs_code = text.decoded().windows(14).any(|w| w == b"code_execution");
            }
            Field::ContainerId => self.item.container(&text.decoded()),
            Field::EncryptedContent | Field::Data | Field::Signature => {
                self.item.sealed = self.item.sealed.max(text.len);
            }
            _ => {}
        }
    }
}

/// The name of a model, where it can be one.
fn name(text: &Text<'_>) -> Option<String> {
    let name = text.decoded();
    let fits = (1..=MODEL).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic);
    fits.then(|| String::from_utf8_lossy(&name).into_owned())
}

/// What a container is, from where it stands.
fn inside(parent: Place, field: Field, kind: Kind) -> Place {
    use Place::{
        Action, CacheCreation, Calls, Choices, Delta, Envelope, InputDetails, Item, Items,
        Iteration, Iterations, Other, OutputDetails, Root, ServerTools, Text, ToolUsage, Usage,
        XGroq,
    };
    match (parent, field, kind) {
        (Root, Field::Message | Field::Response, Kind::Object) => Envelope,
        (Root | Envelope | XGroq, Field::Usage, Kind::Object) => Usage,
        (Root, Field::XGroq, Kind::Object) => XGroq,
        (Root | Envelope, Field::Content | Field::Output, Kind::Array) => Items,
        (Items, _, Kind::Object) | (Root, Field::Item | Field::ContentBlock, Kind::Object) => Item,
        (Item, Field::Action, Kind::Object) => Action,
        (Root, Field::Delta, Kind::Object) => Delta,
        (Root, Field::Choices, Kind::Array) => Choices,
        (Choices | Calls, _, Kind::Object)
        | (Text, Field::Delta | Field::Message | Field::Function, Kind::Object) => Text,
        (Text, Field::ToolCalls, Kind::Array) => Calls,
        (Usage | Iteration, Field::InputDetails, Kind::Object) => InputDetails,
        (Usage | Iteration, Field::OutputDetails, Kind::Object) => OutputDetails,
        (Usage | Iteration | InputDetails, Field::CacheCreation, Kind::Object) => CacheCreation,
        (Root | Envelope, Field::ToolUsage, Kind::Object) => ToolUsage,
        (ToolUsage, Field::WebSearch, Kind::Object)
        | (Usage | Iteration, Field::ServerTools, Kind::Object) => ServerTools,
        (Usage, Field::Iterations, Kind::Array) => Iterations,
        (Iterations, _, Kind::Object) => Iteration,
        _ => Other,
    }
}
