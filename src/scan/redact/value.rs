//! What stands at some bytes of a literal, as the model reads it: that is what its placeholder stands for.
//!
//! A text of a message is read once. The arguments of a tool call are JSON inside a JSON literal (the APIs of `OpenAI`): what the
//! tool gets, and what an answer brings back, is read twice. A file that happens to hold JSON is a text like any other: the
//! model sees its escapes, writes them back, and so they belong to the value.

use std::ops::Range;

use crate::domain::json::{self, Tape, Value};

/// One literal that is cut into. Asked in ascending order, so that a large literal is walked once.
pub struct Frame<'a> {
    literal: Range<usize>,
    raw: &'a [u8],
    /// The start of a unit before whatever is asked next.
    walked: usize,
    inner: Option<Inner>,
}

/// JSON inside the literal.
struct Inner {
    text: Vec<u8>,
    /// For every byte of the text, where its unit begins in the literal; and the end.
    starts: Vec<usize>,
    /// The insides of its own literals, in order.
    literals: Vec<Range<usize>>,
    walked: usize,
}

impl<'a> Frame<'a> {
    pub fn of(literal: Value<'a>) -> Self {
        let raw = literal.raw();
        Self {
            literal: literal.range(),
            raw,
            walked: 0,
            inner: is_arguments(literal).then(|| Inner::read(raw)).flatten(),
        }
    }

    pub fn literal(&self) -> Range<usize> {
        self.literal.clone()
    }

    /// Widens a range of the body so that it cuts no escape.
    pub fn aligned(&mut self, at: &Range<usize>) -> Range<usize> {
        let base = self.literal.start;
        let asked = at.start - base..at.end - base;
        let outer = align(self.raw, &mut self.walked, &asked);
        let inner = self.inner.as_mut().and_then(|inner| inner.align(&outer));
        let found = inner.unwrap_or(outer);
        found.start + base..found.end + base
    }

    /// What these (aligned) bytes of the body say; `None` where that is no text, or reads differently at its two ends.
    pub fn value(&self, at: &Range<usize>) -> Option<String> {
        let raw = at.start - self.literal.start..at.end - self.literal.start;
        let text = json::decode_exact(&self.raw[raw.clone()])?;
        match self
            .inner
            .as_ref()
            .filter(|inner| inner.literal_around(&raw).is_some())
        {
            Some(_) => json::decode_exact(text.as_bytes()),
            None => Some(text),
        }
    }
}

impl Inner {
    fn read(raw: &[u8]) -> Option<Self> {
        let (mut text, mut starts) = (
            Vec::with_capacity(raw.len()),
            Vec::with_capacity(raw.len() + 1),
        );
        for unit in json::units(raw) {
            match unit.escape {
                None => {
                    text.extend_from_slice(&raw[unit.raw.clone()]);
                    starts.extend(unit.raw);
                }
                Some(character) => {
                    let mut bytes = [0; 4];
                    let encoded = character.encode_utf8(&mut bytes).as_bytes();
                    text.extend_from_slice(encoded);
                    starts.extend(encoded.iter().map(|_| unit.raw.start));
                }
            }
        }
        starts.push(raw.len());
        let mut tape = Tape::default();
        let document = tape.read(&text).ok()?;
        let literals = document
            .all()
            .filter(|one| matches!(one.kind(), json::Kind::Text | json::Kind::Key))
            .map(Value::range)
            .collect();
        Some(Self {
            text,
            starts,
            literals,
            walked: 0,
        })
    }

    /// The bytes of the inner text that these bytes of the literal stand for.
    fn text_at(&self, raw: &Range<usize>) -> Range<usize> {
        let place = |at: usize| {
            self.starts
                .partition_point(|start| *start < at)
                .min(self.text.len())
        };
        place(raw.start)..place(raw.end)
    }

    /// The inner literal that holds all of these bytes.
    fn literal_around(&self, raw: &Range<usize>) -> Option<Range<usize>> {
        let text = self.text_at(raw);
        let index = self
            .literals
            .partition_point(|one| one.start <= text.start)
            .checked_sub(1)?;
        let literal = self.literals.get(index)?;
        (text.end <= literal.end).then(|| literal.clone())
    }

    /// Widens so that no inner escape is cut; `None` where the bytes are not inside one inner literal.
    fn align(&mut self, raw: &Range<usize>) -> Option<Range<usize>> {
        let literal = self.literal_around(raw)?;
        self.walked = self.walked.max(literal.start);
        let text = self.text_at(raw);
        let text = align(&self.text[..literal.end], &mut self.walked, &text);
        Some(*self.starts.get(text.start)?..*self.starts.get(text.end)?)
    }
}

/// Widens a range of a literal's inside so that it cuts no escape. Starts at `walked`, the start of a unit, and moves it on.
fn align(raw: &[u8], walked: &mut usize, at: &Range<usize>) -> Range<usize> {
    let (mut start, mut end) = (at.start, at.end);
    let from = *walked;
    // An escape has at most twelve bytes; what lies further cannot reach back.
    let window = &raw[from..raw.len().min(at.end + 12)];
    for unit in json::units(window) {
        let unit_at = unit.raw.start + from..unit.raw.end + from;
        if unit_at.start >= at.end {
            break;
        }
        if unit.escape.is_none() {
            // Bytes that mean themselves may be parted anywhere.
            *walked = (*walked).max(unit_at.end.min(at.start));
        } else if unit_at.end <= at.start {
            *walked = unit_at.end;
        } else {
            start = start.min(unit_at.start);
            end = end.max(unit_at.end);
        }
    }
    start..end
}

/// Whether a literal is the arguments of a tool call in one of the APIs of `OpenAI`.
fn is_arguments(literal: Value<'_>) -> bool {
    let (Some(key), Some(call)) = (literal.key(), literal.parent()) else {
        return false;
    };
    let held_as = |name| call.key().is_some_and(|key| key.says(name));
    let is = |name| call.get("type").is_some_and(|kind| kind.says(name));
    key.says("arguments")
        && call.get("name").is_some()
        && (held_as("function")
            || held_as("function_call")
            || is("function_call")
            || is("mcp_call"))
}
