//! The fields of the request itself.

use crate::domain::{CacheWrites, ServiceTier};

use super::super::json::{Kind, Seen, Text, Token};
use super::super::route::{Dialect, Endpoint};
use super::field::Field;
use super::others::Entry;
use super::read::{MODEL_FAULT, Reader};

/// What is wrong with a number of answers that is none.
const ANSWERS_FAULT: &str = "`n` and `best_of` must be whole numbers of at most 4294967295";

/// The longest name of a model.
const MODEL: usize = 200;

/// The bound of output tokens that a request tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Bound {
    #[default]
    Untold,
    Tokens(u64),
    /// One is no whole number: that leaves it to the model, whatever another says.
    Open,
}

impl Bound {
    /// Of two bounds the wider counts.
    fn see(&mut self, token: Token<'_>) {
        let told = match token {
            Token::Number(number) => tokens(number),
            _ => None,
        };
        *self = match (*self, told) {
            (Self::Open, _) | (_, None) => Self::Open,
            (Self::Untold, Some(told)) => Self::Tokens(told),
            (Self::Tokens(before), Some(told)) => Self::Tokens(told.max(before)),
        };
    }

    pub(super) const fn tokens(self) -> Option<u64> {
        match self {
            Self::Tokens(told) => Some(told),
            Self::Untold | Self::Open => None,
        }
    }
}

impl Reader {
    /// A field of the request itself that is a list or an object.
    pub(super) fn root_container(&mut self, field: Field, kind: Kind, at: u64) {
        match field {
            Field::Model => self.refuse("`model` must be a string", at),
            Field::N | Field::BestOf => self.refuse(ANSWERS_FAULT, at),
            Field::CacheControl => self.may_write(CacheWrites::FiveMinutes),
            Field::Container => {
                self.demand.opaque = true;
                self.tools.may_read_again(None);
            }
            Field::Conversation | Field::Thread => self.demand.opaque = true,
            Field::Compaction => self.tools.may_read_again(Some(1)),
            Field::Prompt if kind == Kind::Object => self.demand.opaque = true,
            Field::Audio => self.demand.audio_output = true,
            Field::WebSearchOptions => self.tools.may_search(Some(1)),
            Field::SearchParameters | Field::Plugins => self.tools.may_search(None),
            _ if self.is_bound(field) => self.bound = Bound::Open,
            _ => {}
        }
    }

    /// A field of the request itself that is a single value.
    pub(super) fn root(&mut self, field: Field, seen: Seen<'_>) {
        match (field, seen.token) {
            (Field::Model, Token::String(text)) => match model_name(&text) {
                Some(name) => self.model = Some(name),
                None => self.refuse(MODEL_FAULT, seen.start),
            },
            (Field::Model, _) => self.refuse("`model` must be a string", seen.start),
            (_, Token::Null) => {}
            (Field::Stream, token) => self.stream = token == Token::Bool(true),
            (Field::Background, token) => {
                let served = self.endpoint == Endpoint::Responses;
                self.demand.background = served && token != Token::Bool(false);
            }
            (Field::N | Field::BestOf, token) => self.answers(field, token, seen.start),
            (_, token) if self.is_bound(field) => self.bound.see(token),
            (Field::MaxToolCalls, Token::Number(number)) => self.tools.bound = count(number),
            (_, Token::String(text)) => self.root_text(field, &text),
            _ => {}
        }
    }

    fn answers(&mut self, field: Field, token: Token<'_>, at: u64) {
        let Token::Number(number) = token else {
            return self.refuse(ANSWERS_FAULT, at);
        };
        match (field, count(number)) {
            (_, None) => self.refuse(ANSWERS_FAULT, at),
            (Field::N, Some(n)) => self.n = n.max(1),
            (_, Some(n)) => self.best_of = n.max(1),
        }
    }

    /// Whether the field bounds the output of this endpoint; another's name bounds nothing.
    fn is_bound(&self, field: Field) -> bool {
        let name = match field {
            Field::MaxTokens => "max_tokens",
            Field::MaxCompletionTokens => "max_completion_tokens",
            Field::MaxOutputTokens => "max_output_tokens",
            _ => return false,
        };
        self.endpoint.output_bounds().contains(&name)
    }

    fn root_text(&mut self, field: Field, text: &Text<'_>) {
        let word = text.decoded();
        match field {
            Field::PreviousResponseId | Field::Conversation => self.demand.opaque = true,
            Field::Container => {
                self.demand.opaque = true;
                self.tools.may_read_again(None);
            }
            Field::ServiceTier => {
                self.demand.tier = self.demand.tier.max(tier(self.dialect, &word));
            }
            // The provider chooses who answers in the first one's place.
            Field::Fallbacks | Field::Models => self.add_model(Entry::default()),
            Field::Speed if &*word != b"standard" => self.demand.tier = Some(ServiceTier::Fast),
            Field::InferenceGeo => self.demand.regional = Some(&*word != b"global"),
            Field::PromptCacheRetention if !matches!(&*word, b"in_memory" | b"in-memory") => {
                self.may_write(CacheWrites::Hour);
            }
            _ => {}
        }
    }
}

/// The tier of that name; `None` where the account decides. A name we do not know may be the dearest.
fn tier(dialect: Dialect, name: &[u8]) -> Option<ServiceTier> {
    match name {
        b"fast" if dialect == Dialect::OpenAi => Some(ServiceTier::Priority),
        b"auto" => None,
        b"default" | b"standard" | b"standard_only" => Some(ServiceTier::Standard),
        b"flex" => Some(ServiceTier::Flex),
        b"batch" => Some(ServiceTier::Batch),
        b"priority" => Some(ServiceTier::Priority),
        _ => Some(ServiceTier::Fast),
    }
}

pub(super) fn model_name(text: &Text<'_>) -> Option<String> {
    let name = text.decoded();
    let fits = text.is_whole()
        && (1..=MODEL).contains(&name.len())
        && name.iter().all(u8::is_ascii_graphic);
    fits.then(|| String::from_utf8_lossy(&name).into_owned())
}

/// A bound of tokens. Anything but a whole number leaves it to the model.
pub(super) fn tokens(number: &[u8]) -> Option<u64> {
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// A whole number that counts something.
pub(super) fn count(number: &[u8]) -> Option<u32> {
    std::str::from_utf8(number).ok()?.parse().ok()
}
