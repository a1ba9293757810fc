//! The first text of a body, by its content type.

use super::blocks::Blocks;
use super::events::{Events, Gap, LEAF_END, Role};
use super::leaves::Leaves;
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

/// Appends the text of a body, less what is left out, and notes which blocks follow each other. Only of JSON can anything
/// be left out.
pub fn append(
    format: Format,
    body: &[u8],
    depth: usize,
    text: &mut Vec<u8>,
    blocks: &mut Blocks,
    gaps: &[Gap],
) -> Option<Undecodable> {
    if format == Format::Text {
        text.extend_from_slice(body);
        text.extend_from_slice(LEAF_END);
        return None;
    }
    let mut leaves = Leaves::new(body, text, blocks, gaps);
    let stopped = read(format, body, depth, &mut leaves);
    let whole = leaves.finish();
    stopped.or((!whole).then_some(Undecodable::BadJson { at: body.len() }))
}
