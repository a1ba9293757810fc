//! The end of one block and the start of the next, read as one: a secret may be cut in two by them.

use memchr::{memchr, memmem};

use super::blocks::{Join, LEAVES};
use super::coding::{Coding, base64_digit};
use super::events::CUT;
use super::pieces::{LEAD, Piece};

/// Bytes at the ends of adjacent blocks that are read as one.
const JOINED: usize = 1024;
/// Of which so many even past white space.
const JOINED_LEAST: usize = 64;
/// Bytes of a key in lines of base64 that are read as one. They stand in one leaf, and so in one outer value.
const KEY: usize = 8 << 10;
/// What begins such a key, and bytes of headers from there to its first line.
const KEY_BEGINS: &[u8] = b"-----BEGIN ";
const HEADERS: usize = 256;
/// What ends one, and bytes of its line at most.
const KEY_ENDS: &[u8] = b"-----END ";
const KEY_LINE: usize = 80;
/// Bytes of text over which outer values are read as one: fewer than a chunk has, since only the one before a new one is
/// read again.
const OUTER: usize = 512;

/// The end of one block and the start of the next, read as one; short blocks between others whole. `joins` are in the
/// order of the text.
pub fn joined(text: &[u8], joins: &mut [Join], pieces: &mut Vec<Piece>) {
    for index in 0..joins.len() {
        let Some(&Join { end, read, .. }) = joins.get(index) else {
            return;
        };
        if read {
            continue;
        }
        let mut add = |at, open| {
            let coding = Coding::Joined;
            pieces.push(Piece { coding, at, open });
        };
        add(end - tail(text, end)..end, true);
        let mut at = index;
        while let Some(next) = following(text, joins, at, end) {
            let Some((start, join)) = joins
                .get(at)
                .map(|join| join.start)
                .zip(joins.get_mut(next))
            else {
                break;
            };
            join.read = true;
            add(start..join.end, true);
            at = next;
        }
        if let Some(join) = joins.get(at) {
            add(join.start..join.start + head(text, join.start), false);
        }
    }
}

/// The join that goes on where the one at `at` ends, if the block between them is short; `first` is where the first of
/// all ended.
fn following(text: &[u8], joins: &[Join], at: usize, first: usize) -> Option<usize> {
    let join = joins.get(at)?;
    // Between outer values the next join alone counts, so that none from before the last chunk decides.
    let near = if join.outer { 1 } else { 2 * LEAVES };
    let mut next = joins.iter().enumerate().skip(at + 1).take(near);
    let goes_on = |next: &Join| {
        let near = !next.outer || next.start.saturating_sub(first) <= OUTER;
        let block = text.get(join.start..next.end);
        near && next.outer == join.outer && block.is_some_and(is_short)
    };
    next.find(|(_, next)| goes_on(next)).map(|(index, _)| index)
}

fn is_short(block: &[u8]) -> bool {
    let keys = || block.len() <= KEY && block.iter().all(|byte| is_key(*byte));
    (block.len() <= JOINED && memchr(CUT, block).is_none()) || keys()
}

/// Bytes at the end of a block that go with the next.
fn tail(text: &[u8], end: usize) -> usize {
    let (text, _) = text.split_at_checked(end).unwrap_or_default();
    let length = near(text.iter().rev().take(KEY));
    let (before, _) = text.split_at(text.len() - length);
    begun(text, length).unwrap_or_else(|| {
        let long = length > JOINED_LEAST;
        length + if long { lead(before) } else { 0 }
    })
}

/// Bytes at the end of a text that are a key, as far as it has been read.
pub fn open_key(text: &[u8]) -> Option<usize> {
    begun(text, near(text.iter().rev().take(KEY)))
}

/// The same, if of the last `length` bytes the first lines may be a key's.
fn begun(text: &[u8], length: usize) -> Option<usize> {
    let lines = text.len() - length;
    let from = lines.saturating_sub(HEADERS);
    // The mark may be cut in two by the beginning of the lines.
    let to = text.len().min(lines + KEY_BEGINS.len());
    let headers = text.get(from..to)?;
    let begins = memmem::rfind(headers, KEY_BEGINS)?;
    let whole = memchr(CUT, headers.get(begins..)?).is_none();
    (whole && from + begins < lines).then(|| text.len() - from - begins)
}

/// Bytes at the end of a text of what may announce the long token that follows: whole words.
pub fn lead(text: &[u8]) -> usize {
    let near = text.get(text.len().saturating_sub(2 * LEAD)..);
    let near = near.unwrap_or_default();
    let leaf = near.rsplit(|byte| *byte == CUT).next().unwrap_or_default();
    let Some(far) = leaf.len().checked_sub(LEAD) else {
        return leaf.len();
    };
    let (before, rest) = leaf.split_at(far);
    let is_space = |byte: &u8| *byte <= b' ';
    match before.iter().rposition(is_space) {
        Some(space) => leaf.len() - space - 1,
        None => rest.iter().skip_while(|byte| !is_space(byte)).count(),
    }
}

/// Bytes at the start of a block that go with the one before.
fn head(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let length = near(rest.iter().take(KEY));
    length + ending(rest, length)
}

/// Bytes of the line that ends a key, if `at` is in that line or before it.
fn ending(text: &[u8], at: usize) -> usize {
    let from = at.saturating_sub(KEY_LINE);
    let near = text.get(from..).unwrap_or_default();
    let near = near.get(..near.len().min(at - from + KEY_ENDS.len()));
    let Some(ends) = near.and_then(|near| memmem::rfind(near, KEY_ENDS)) else {
        return 0;
    };
    let line = text.get(from + ends..).unwrap_or_default().iter();
    let line = line
        .take(KEY_LINE)
        .take_while(|byte| **byte != CUT && !is_break(**byte));
    (from + ends + line.count()).saturating_sub(at)
}

/// Bytes of the lines of base64 that a text starts with, and of the line that ends them.
pub fn lines_of_key(text: &[u8]) -> usize {
    let length = text
        .iter()
        .take(KEY)
        .take_while(|byte| is_key(**byte))
        .count();
    length + ending(text, length)
}

/// Bytes up to white space, but for the first; in lines of base64 up to their end.
fn near<'a>(bytes: impl Iterator<Item = &'a u8>) -> usize {
    let mut lines = false;
    let goes_on = |(count, byte): &(usize, &u8)| {
        if *count < JOINED_LEAST {
            return **byte != CUT;
        }
        lines |= *count >= JOINED || is_break(**byte);
        if lines {
            is_key(**byte)
        } else {
            **byte > b' ' && **byte != CUT
        }
    };
    bytes.enumerate().take_while(goes_on).count()
}

/// Bytes of a key in lines of base64, even if its line breaks are escaped.
fn is_key(byte: u8) -> bool {
    let digit = byte != b'-' && base64_digit(byte).is_some();
    digit || is_break(byte) || matches!(byte, b'=' | b'\\')
}

const fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}
