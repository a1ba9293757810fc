//! Which string literals of an answer carry text of the model, and what that text belongs to.
//!
//! Knows the shapes of the answers of both vendors' APIs, streamed and whole. Does not know what somebody wants to do with
//! the text. Thinking and reasoning are not handed out: providers sign them, and a changed byte breaks the next turn.

mod anthropic;
mod chat;
mod responses;

use std::ops::Range;

use super::route::Endpoint;
use crate::domain::json::{Kind, Value};

/// What a text belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Of {
    /// What a person reads.
    Text,
    Refusal,
    /// The arguments of a tool call.
    Call,
    /// Code that the provider itself runs.
    Code,
}

/// Names one growing text of an answer: deltas of the same key continue each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub of: Of,
    /// Anthropic's content block, the chat choice, or the output item.
    pub group: u64,
    /// The tool call of the choice, or the content part of the item.
    pub member: u64,
}

/// How much of its text a literal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The next piece.
    Delta,
    /// All of it.
    Whole,
    /// All of it, which the deltas before have told already.
    Repeat,
}

/// One literal that carries text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub key: Key,
    /// The inside of the literal, in the JSON text.
    pub literal: Range<usize>,
    pub part: Part,
    /// The text is itself JSON.
    pub json: bool,
    /// Which of the [`Located::calls`] it belongs to, where it is whole arguments or a part of them.
    pub call: Option<usize>,
}

/// A tool call whose arguments are there as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub key: Key,
    /// The inside of the literal with the tool's name; an earlier event may have it.
    pub name: Option<Range<usize>>,
    /// The value of the arguments: the inside of a literal, or an object.
    pub arguments: Range<usize>,
}

/// A growing tool call tells its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    pub key: Key,
    pub name: Range<usize>,
}

/// Texts that get no more deltas once this event's own are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Key(Key),
    Group(u64),
    All,
}

/// What one event, or one whole answer, holds. Reused from event to event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// In the order of the text.
    pub slots: Vec<Slot>,
    pub calls: Vec<Call>,
    pub openings: Vec<Opening>,
    pub ends: Vec<End>,
    /// The choices that it belongs to, where later events of the same choice must not overtake it: it says more than deltas.
    pub opens: Vec<u64>,
    /// The choices that it speaks of at all.
    pub groups: Vec<u64>,
}

impl Located {
    pub fn clear(&mut self) {
        self.slots.clear();
        self.calls.clear();
        self.openings.clear();
        self.ends.clear();
        self.opens.clear();
        self.groups.clear();
    }

    fn sort(&mut self) {
        if self.slots.len() > 1 {
            self.slots.sort_by_key(|slot| slot.literal.start);
        }
    }

    /// Adds a text that is there; anything but a literal is passed over.
    fn text(&mut self, value: Option<Value<'_>>, of: Of, group: u64, member: u64, part: Part) {
        if let Some(value) = value.filter(|value| value.kind() == Kind::Text) {
            self.slots.push(Slot {
                key: Key { of, group, member },
                literal: value.range(),
                part,
                json: false,
                call: None,
            });
        }
    }

    /// Adds a piece of a growing call's arguments.
    fn call_delta(&mut self, value: Option<Value<'_>>, key: Key, json: bool) {
        if let Some(value) = value.filter(|value| value.kind() == Kind::Text) {
            self.slots.push(Slot {
                key,
                literal: value.range(),
                part: Part::Delta,
                json,
                call: None,
            });
        }
    }

    /// Adds a whole call: a literal that says JSON (or free text, without `json`), or an object with literals.
    fn call(
        &mut self,
        name: Option<Value<'_>>,
        arguments: Option<Value<'_>>,
        key: Key,
        part: Part,
        json: bool,
    ) {
        let Some(arguments) = arguments else {
            return;
        };
        let call = Some(self.calls.len());
        let before = self.slots.len();
        let inside_literal = arguments.kind() == Kind::Text;
        for value in arguments
            .within()
            .filter(|one| matches!(one.kind(), Kind::Text | Kind::Key))
        {
            let json = json && inside_literal;
            self.slots.push(Slot {
                key,
                literal: value.range(),
                part,
                json,
                call,
            });
        }
        if self.slots.len() > before {
            let name = name
                .filter(|name| name.kind() == Kind::Text)
                .map(Value::range);
            self.calls.push(Call {
                key,
                name,
                arguments: arguments.range(),
            });
        }
    }

    fn opening(&mut self, name: Option<Value<'_>>, key: Key) {
        if let Some(name) = name.filter(|name| name.kind() == Kind::Text) {
            self.openings.push(Opening {
                key,
                name: name.range(),
            });
        }
    }
}

/// Finds the text in the data of one event of a stream.
pub fn locate_event(endpoint: Endpoint, event: Value<'_>, found: &mut Located) {
    found.clear();
    match endpoint {
        Endpoint::Messages => anthropic::event(event, found),
        Endpoint::ChatCompletions | Endpoint::Completions => chat::event(event, found),
        Endpoint::Responses => responses::event(event, found),
        Endpoint::CountTokens | Endpoint::Models | Endpoint::Embeddings | Endpoint::Probe => {}
    }
    found.sort();
}

/// Finds the text in an answer that came whole.
pub fn locate_body(endpoint: Endpoint, body: Value<'_>, found: &mut Located) {
    found.clear();
    match endpoint {
        Endpoint::Messages => anthropic::body(body, found),
        Endpoint::ChatCompletions | Endpoint::Completions => chat::body(body, found),
        Endpoint::Responses => responses::response(body, Part::Whole, found),
        Endpoint::CountTokens | Endpoint::Models | Endpoint::Embeddings | Endpoint::Probe => {}
    }
    found.sort();
}

fn index(value: Value<'_>, name: &str) -> u64 {
    value.get(name).and_then(Value::number).unwrap_or(0)
}

#[cfg(test)]
mod tests;
