//! The first text of a body, by its content type.

use std::ops::Range;

use memchr::memchr2;

use super::blocks::Blocks;
use super::events::{Append, Events, LEAF_END, Role};
use super::pieces::Marks;
use super::{form, json};
use crate::scan::finding::{Layer, Undecodable};

/// How a body's bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    /// Several JSON texts, one after another.
    JsonLines,
    Form,
    /// As it is: plain text, multipart, anything unknown.
    Text,
}

const TYPES: [(&str, Format); 6] = [
    ("application/json", Format::Json),
    ("text/json", Format::Json),
    ("application/x-ndjson", Format::JsonLines),
    ("application/jsonl", Format::JsonLines),
    ("application/jsonlines", Format::JsonLines),
    ("application/x-www-form-urlencoded", Format::Form),
];

impl Format {
    /// By the declared type; where there is none, by the first byte. The second part tells whether it was declared, so that
    /// a failure to read it is a fault of the body.
    pub fn of(content_type: Option<&str>, body: &[u8]) -> (Self, bool) {
        let Some(declared) = content_type else {
            let first = body.iter().find(|b| !b.is_ascii_whitespace());
            let json = matches!(first, Some(b'{' | b'['));
            return (if json { Self::JsonLines } else { Self::Text }, false);
        };
        let essence = declared.split(';').next().unwrap_or_default().trim();
        let format = TYPES
            .iter()
            .find(|(name, _)| essence.eq_ignore_ascii_case(name))
            .map(|(_, format)| *format);
        let json = ends_with_json(essence).then_some(Self::Json);
        let format = format.or(json).unwrap_or(Self::Text);
        (format, true)
    }

    /// The coding that its leaves went through.
    pub const fn layer(self) -> Option<Layer> {
        match self {
            Self::Json | Self::JsonLines => Some(Layer::Json),
            Self::Form => Some(Layer::Percent),
            Self::Text => None,
        }
    }
}

/// `application/vnd.api+json`
fn ends_with_json(essence: &str) -> bool {
    let suffix = essence
        .len()
        .checked_sub(5)
        .and_then(|at| essence.get(at..));
    suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
}

/// Reads a body; whatever cannot be read as its format is handed out as it is.
pub fn read<E: Events>(
    format: Format,
    body: &[u8],
    depth: usize,
    events: &mut E,
) -> Option<Undecodable> {
    let stopped = match format {
        Format::Json => json::walk(body, false, depth, events).err(),
        Format::JsonLines => json::walk(body, true, depth, events).err(),
        Format::Form => {
            form::walk(body, events);
            None
        }
        Format::Text => {
            raw(body, 0, events);
            None
        }
    };
    let stopped = stopped?;
    raw(body, stopped.at, events);
    Some(stopped.why)
}

/// Hands out everything from `at` on as one leaf.
fn raw<E: Events>(body: &[u8], at: usize, events: &mut E) {
    if at < body.len() {
        events.start(Role::Value, at);
        events.plain(at..body.len());
        events.end(Role::Value, body.len());
    }
}

/// Appends the text of a body, and notes which blocks follow each other.
pub fn append(
    format: Format,
    body: &[u8],
    depth: usize,
    text: &mut Vec<u8>,
    blocks: &mut Blocks,
    marks: &mut Marks,
) -> Option<Undecodable> {
    if format == Format::Text {
        text.extend_from_slice(body);
        text.extend_from_slice(LEAF_END);
        marks.read(text);
        return None;
    }
    let mut leaves = Leaves {
        append: Append { source: body, text },
        blocks,
        marks,
        start: 0,
    };
    let stopped = read(format, body, depth, &mut leaves);
    if stopped.is_some() {
        // What was handed out raw told of no escapes.
        marks.clear();
        marks.read(text);
    }
    stopped
}

/// The high bit of the lowest byte of eight that is a quote or a backslash; bits above it mean nothing.
const fn special(eight: u64) -> u64 {
    const LOW: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let quote = eight ^ u64::from_le_bytes([b'"'; 8]);
    let slash = eight ^ u64::from_le_bytes([b'\\'; 8]);
    (quote.wrapping_sub(LOW) & !quote | slash.wrapping_sub(LOW) & !slash) & HIGH
}

/// Builds the first text.
struct Leaves<'a> {
    append: Append<'a>,
    blocks: &'a mut Blocks,
    marks: &'a mut Marks,
    /// Where the current leaf starts in the text.
    start: usize,
}

impl Events for Leaves<'_> {
    #[inline]
    fn plain(&mut self, at: Range<usize>) {
        self.append.plain(at);
    }

    fn stands_for(&mut self, text: &[u8], at: Range<usize>) {
        match text {
            [byte] => self.stands_for_byte(*byte, at.start),
            _ => self.append.stands_for(text, at),
        }
    }

    #[inline]
    fn stands_for_byte(&mut self, byte: u8, at: usize) {
        match byte {
            b'\n' => self.marks.line_break(self.append.text),
            b'\\' => self.marks.escape(self.append.text.len()),
            _ => {}
        }
        self.append.stands_for_byte(byte, at);
    }

    /// Strings of source code have an escape every thirty bytes or so: searching them and looking for base64 eight bytes at a
    /// time in one go is faster than a call for each.
    #[inline]
    fn plain_run(&mut self, source: &[u8], at: usize) -> usize {
        let text = &mut *self.append.text;
        let rest = source.get(at..).unwrap_or_default();
        let (eights, last) = rest.as_chunks::<8>();
        let words = self
            .marks
            .words(eights, text.len(), |word| special(word) != 0);
        let length = 8 * words
            + match eights.get(words) {
                Some(eight) => (special(u64::from_le_bytes(*eight)).trailing_zeros() / 8) as usize,
                None => memchr2(b'"', b'\\', last).unwrap_or(last.len()),
            };
        text.extend_from_slice(rest.get(..length).unwrap_or_default());
        at + length
    }

    fn start(&mut self, _role: Role, _at: usize) {
        self.start = self.append.text.len();
    }

    fn end(&mut self, role: Role, at: usize) {
        let leaf = self.start..self.append.text.len();
        match role {
            Role::Key => self.blocks.key(leaf),
            Role::Value => self.blocks.value(self.append.text, leaf),
        }
        self.append.end(role, at);
    }

    fn open(&mut self, array: bool) {
        self.blocks.open(array);
    }

    fn close(&mut self) {
        self.blocks.close();
    }

    fn comma(&mut self) {
        self.blocks.comma();
    }
}
