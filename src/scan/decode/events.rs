//! What every decoder tells as it reads: which bytes mean themselves, and which stand for others. One listener builds the
//! text to match, another finds out later, and only for bodies with findings, where a piece of that text came from; so
//! clean bodies pay for no map.

use std::ops::Range;

use memchr::memchr2;

use super::escape;

/// Follows each leaf: a line of its own for rules that look at line starts, and a byte that no text holds, so that no
/// match is taken across it.
pub const LEAF_END: &[u8] = b"\n\xFF\n";
/// Follows a key: `password: hunter2` reads like any file of settings.
pub const KEY_END: &[u8] = b": ";
/// The byte of [`LEAF_END`] that cuts.
pub const CUT: u8 = 0xFF;

/// What a text is to the one that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Key,
    Value,
}

impl Role {
    /// What follows such a text.
    pub const fn ending(self) -> &'static [u8] {
        match self {
            Self::Key => KEY_END,
            Self::Value => LEAF_END,
        }
    }
}

/// Receives what a decoder reads. Ranges are bytes of the text that it reads.
pub trait Events {
    /// These bytes mean themselves.
    fn plain(&mut self, at: Range<usize>);
    /// These bytes stand for `text`.
    fn stands_for(&mut self, text: &[u8], at: Range<usize>);
    /// Reads the JSON string whose first byte is at `at`: the place of its closing quote, or where it stops being one.
    fn string(&mut self, source: &[u8], at: usize) -> Result<usize, usize>
    where
        Self: Sized,
    {
        string(source, at, self)
    }
    /// Bytes of text that may follow: what is packed is unpacked to no more.
    fn room(&self) -> usize {
        usize::MAX
    }
    /// A leaf begins with the byte at `at`.
    fn start(&mut self, _role: Role, _at: usize) {}
    /// It ended before the byte at `at`.
    fn end(&mut self, _role: Role, _at: usize) {}
    /// An object or array opens.
    fn open(&mut self, _array: bool) {}
    fn close(&mut self) {}
    /// The next element or member of the innermost container follows.
    fn comma(&mut self) {}
    /// Where to read on, if the outer values from `at` on are to be left out: they were found clean before.
    fn skip(&mut self, _at: usize) -> Option<Gap> {
        None
    }
}

/// Outer values of a body that are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub start: usize,
    pub end: usize,
    /// Whether it ends inside of a list that is a member of the body; else inside of the body.
    pub in_list: bool,
}

/// Reads a JSON string as [`Events::string`] must, telling of every piece.
pub fn string<E: Events>(source: &[u8], mut at: usize, events: &mut E) -> Result<usize, usize> {
    loop {
        let rest = source.get(at..).unwrap_or_default();
        let length = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        if length > 0 {
            events.plain(at..at + length);
        }
        at += length;
        if source.get(at) == Some(&b'"') {
            return Ok(at);
        }
        let Some(one) = escape::json(source, at) else {
            return Err(at);
        };
        events.stands_for(one.text(), at..at + one.taken);
        at += one.taken;
    }
}

/// Builds the text.
pub struct Append<'a> {
    pub source: &'a [u8],
    pub text: &'a mut Vec<u8>,
    pub room: usize,
}

impl Events for Append<'_> {
    fn plain(&mut self, at: Range<usize>) {
        self.text
            .extend_from_slice(self.source.get(at).unwrap_or_default());
    }

    #[inline]
    fn stands_for(&mut self, text: &[u8], _at: Range<usize>) {
        self.text.extend_from_slice(text);
    }

    fn room(&self) -> usize {
        self.room
    }

    fn end(&mut self, role: Role, _at: usize) {
        self.text.extend_from_slice(role.ending());
    }
}
