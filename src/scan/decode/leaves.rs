//! Builds the first text from the strings of a JSON body. Most of a scan's own time goes here: source code has an escape
//! every twenty bytes, and each costs a branch that nobody can predict. So a string is searched, copied and looked through
//! for base64 eight bytes at a time in one loop whose counters stay in registers.

use std::ops::Range;

use super::blocks::Blocks;
use super::escape;
use super::events::{Events, Role};
use super::pieces::Marks;

/// Bytes of room that a text has at least: what ends its leaves, and a word that is not wholly used.
const ROOM: usize = 64;

/// The text being built.
pub struct Leaves<'a> {
    source: &'a [u8],
    /// Longer than the text, so that words can be written at its end.
    text: &'a mut Vec<u8>,
    /// Bytes of `text` that are text.
    length: usize,
    blocks: &'a mut Blocks,
    marks: &'a mut Marks,
    /// Where the current leaf starts in the text.
    start: usize,
}

impl<'a> Leaves<'a> {
    pub fn new(
        source: &'a [u8],
        text: &'a mut Vec<u8>,
        blocks: &'a mut Blocks,
        marks: &'a mut Marks,
    ) -> Self {
        text.clear();
        text.resize(source.len() + ROOM, 0);
        Self {
            source,
            text,
            length: 0,
            blocks,
            marks,
            start: 0,
        }
    }

    /// The text is whole.
    pub fn finish(self) {
        self.text.truncate(self.length);
    }

    /// Makes room for so many more bytes.
    #[inline]
    fn room(&mut self, more: usize) {
        let needed = self.length + more + ROOM;
        if self.text.len() < needed {
            self.text.resize(needed + needed / 8, 0);
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.room(bytes.len());
        let end = self.length + bytes.len();
        if let Some(place) = self.text.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
            self.length = end;
        }
    }

    fn mark(&mut self, byte: u8) {
        match byte {
            b'\n' => self
                .marks
                .line_break(self.text.get(..self.length).unwrap_or_default()),
            b'\\' => self.marks.escape(self.length),
            _ => {}
        }
    }
}

impl Events for Leaves<'_> {
    fn plain(&mut self, at: Range<usize>) {
        self.put(self.source.get(at).unwrap_or_default());
    }

    fn stands_for(&mut self, text: &[u8], _at: Range<usize>) {
        if let [byte] = text {
            self.mark(*byte);
        }
        self.put(text);
    }

    fn string(&mut self, source: &[u8], mut at: usize) -> Result<usize, usize> {
        // Nothing stands for more bytes than it takes, so this is room for the whole string.
        self.room(source.len().saturating_sub(at));
        let mut length = self.length;
        loop {
            let text = self.text.as_mut_slice();
            (at, length) = words(source, text, at, length, self.marks);
            self.length = length;
            match source.get(at..) {
                Some([b'"', ..]) => return Ok(at),
                Some([b'\\', letter, ..]) if let Some(byte) = escape::short(*letter) => {
                    self.mark(byte);
                    if let Some(place) = self.text.get_mut(length) {
                        *place = byte;
                    }
                    length += 1;
                    at += 2;
                }
                Some([b'\\', ..]) if let Some(one) = escape::json(source, at) => {
                    self.stands_for(one.text(), at..at + one.taken);
                    length = self.length;
                    at += one.taken;
                }
                _ => return Err(at),
            }
        }
    }

    fn start(&mut self, _role: Role, _at: usize) {
        self.start = self.length;
    }

    fn end(&mut self, role: Role, _at: usize) {
        let leaf = self.start..self.length;
        match role {
            Role::Key => self.blocks.key(leaf),
            Role::Value => self.blocks.value(self.text, leaf),
        }
        self.put(role.ending());
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

/// Copies plain bytes from `at` on to `length` on, up to a quote, a backslash or the end; where both are then.
#[inline]
fn words(
    source: &[u8],
    text: &mut [u8],
    mut at: usize,
    mut length: usize,
    marks: &mut Marks,
) -> (usize, usize) {
    let mut run = 0;
    loop {
        let from = source.get(at..).and_then(<[u8]>::first_chunk::<8>);
        let to = text
            .get_mut(length..)
            .and_then(<[u8]>::first_chunk_mut::<8>);
        let (Some(from), Some(to)) = (from, to) else {
            break;
        };
        *to = *from;
        let word = u64::from_le_bytes(*from);
        let special = special(word);
        if special != 0 {
            let plain = (special.trailing_zeros() / 8) as usize;
            return (at + plain, length + plain);
        }
        (at, length) = (at + 8, length + 8);
        run = marks.word(word, run, length);
    }
    while let (Some(byte), Some(place)) = (source.get(at), text.get_mut(length)) {
        if matches!(byte, b'"' | b'\\') {
            break;
        }
        *place = *byte;
        (at, length) = (at + 1, length + 1);
    }
    (at, length)
}

/// The high bit of the lowest byte of eight that is a quote or a backslash; bits above it mean nothing.
const fn special(eight: u64) -> u64 {
    const LOW: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let quote = eight ^ u64::from_le_bytes([b'"'; 8]);
    let slash = eight ^ u64::from_le_bytes([b'\\'; 8]);
    (quote.wrapping_sub(LOW) & !quote | slash.wrapping_sub(LOW) & !slash) & HIGH
}
