//! From findings to the bytes that are cut out of the body: whole, disjoint, each inside one string literal.

use std::ops::Range;

use crate::domain::Category;
use crate::domain::json::{Document, Kind, Value};

use super::placeholder::{self, LONGEST};
use super::presented;
use super::value::Frame;

/// One finding to be redacted.
pub struct Target<'a> {
    /// Its number in the report.
    pub number: usize,
    pub ranges: &'a [Range<usize>],
    pub category: &'a Category,
    /// It is a secret because another place says so.
    pub echo: bool,
}

/// Bytes of the body to be replaced.
pub struct Cut {
    pub at: Range<usize>,
    pub category: Category,
    /// What stood there, as the model would read it; `None` where that is no text.
    pub value: Option<String>,
    /// The findings that it comes from.
    pub numbers: Vec<usize>,
}

/// A part of a finding inside one literal.
struct Part<'a> {
    at: Range<usize>,
    target: &'a Target<'a>,
    literal: Range<usize>,
}

/// The cuts, in the order of the body. Findings that cannot be cut out are added to `sealed`.
pub fn cuts(
    document: Document<'_>,
    body: &[u8],
    targets: &[Target<'_>],
    sealed: &mut Vec<usize>,
) -> Vec<Cut> {
    let mut parts = Vec::new();
    for target in targets {
        match parts_of(document, body, target) {
            Some(some) => parts.extend(some),
            None => sealed.push(target.number),
        }
    }
    // At one place the longest names the category; of equals the first by name, so that every turn chooses the same.
    parts.sort_by(|a, b| {
        let key = |part: &Part<'_>| (part.at.start, std::cmp::Reverse(part.at.end));
        key(a)
            .cmp(&key(b))
            .then_with(|| a.target.category.cmp(b.target.category))
    });
    let mut cuts: Vec<Cut> = Vec::new();
    let mut frame: Option<Frame<'_>> = None;
    for part in parts {
        if frame
            .as_ref()
            .is_none_or(|one| one.literal() != part.literal)
        {
            frame = document.literal_around(&part.at).map(Frame::of);
        }
        let Some(frame) = &mut frame else {
            continue;
        };
        add(&mut cuts, frame, &part);
    }
    cuts
}

/// Adds a part, or widens the cut before it where the two overlap.
fn add(cuts: &mut Vec<Cut>, frame: &mut Frame<'_>, part: &Part<'_>) {
    let at = frame.aligned(&part.at);
    if let Some(last) = cuts.last_mut()
        && at.start < last.at.end
    {
        last.numbers.push(part.target.number);
        if at.end > last.at.end {
            last.at.end = at.end;
            last.value = frame.value(&last.at);
        }
        return;
    }
    cuts.push(Cut {
        value: frame.value(&at),
        at,
        category: part.target.category.clone(),
        numbers: vec![part.target.number],
    });
}

/// A finding's bytes, gathered into one stretch for each literal that it lies in; `None` where some of it lies outside of
/// any literal, or in one that must stay as it is.
fn parts_of<'a>(
    document: Document<'_>,
    body: &[u8],
    target: &'a Target<'a>,
) -> Option<Vec<Part<'a>>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for range in target.ranges {
        if range.is_empty() || in_placeholder(body, range) {
            continue;
        }
        let literal = document.literal_around(range)?;
        if target.echo && is_of_the_api(literal, range) {
            continue;
        }
        if untouchable(literal) || presented::is_for_the_provider(literal) {
            return None;
        }
        match parts.last_mut() {
            Some(last) if last.literal == literal.range() => last.at.end = range.end,
            _ => parts.push(Part {
                at: range.clone(),
                target,
                literal: literal.range(),
            }),
        }
    }
    Some(parts)
}

/// Whether the bytes lie inside something of a placeholder's shape: the client sent it, and it stays.
pub fn in_placeholder(body: &[u8], range: &Range<usize>) -> bool {
    if range.len() > LONGEST {
        return false;
    }
    (range.end.saturating_sub(LONGEST)..=range.start).any(|start| {
        body.get(start..)
            .and_then(placeholder::length_at)
            .is_some_and(|length| start + length >= range.end)
    })
}

/// Whether a place may be a word of the API and no text: a password may be called `assistant` too, and a request in which
/// that role became a placeholder would be none any more.
fn is_of_the_api(literal: Value<'_>, at: &Range<usize>) -> bool {
    const TEXTS: [&str; 6] = [
        "text",
        "content",
        "input",
        "output",
        "arguments",
        "instructions",
    ];
    let plain = |b: &u8| b.is_ascii_lowercase() || *b == b'_';
    literal.range() == *at
        && literal.raw().iter().all(plain)
        && !literal
            .key()
            .is_some_and(|key| TEXTS.iter().any(|text| key.says(text)))
}

/// Literals that the provider checks: a changed byte makes it refuse the whole request.
fn untouchable(literal: Value<'_>) -> bool {
    if literal.kind() == Kind::Key {
        return false;
    }
    let (Some(key), Some(parent)) = (literal.key(), literal.parent()) else {
        return false;
    };
    let kind = |name| parent.get("type").is_some_and(|kind| kind.says(name));
    let signed = key.says("thinking") || key.says("signature") || key.says("data");
    (signed && (kind("thinking") || kind("redacted_thinking")))
        || key.says("encrypted_content")
        || key.says("encrypted_index")
        || (key.says("text") && literal.raw().starts_with(b"x-anthropic-billing-header"))
}
