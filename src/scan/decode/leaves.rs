//! Builds the first text from the strings of a JSON body. Most of a scan's own time goes here: source code has an escape
//! every twenty bytes, and each that is searched for by itself costs a branch that nobody can predict. So the quotes and
//! backslashes of 64 bytes are found at once, and what lies between them is copied in strides of a fixed length.

use std::ops::Range;

use super::blocks::Blocks;
use super::escape;
use super::events::{self, Events, Gap, Role};
use super::lanes::{BLOCK, Lanes};

/// Bytes of room that a text has at least: what ends its leaves, and a stride that is not wholly used.
const ROOM: usize = 2 * BLOCK;
/// Bytes copied at once: more than most strings have from one escape to the next.
const STRIDE: usize = 32;

/// The text being built.
pub struct Leaves<'a> {
    source: &'a [u8],
    /// Longer than the text, so that strides can be written at its end.
    text: &'a mut Vec<u8>,
    /// Bytes of `text` that are text.
    length: usize,
    blocks: &'a mut Blocks,
    /// Where the current leaf starts in the text.
    start: usize,
    /// What is left out of the body, in its order.
    gaps: &'a [Gap],
}

impl<'a> Leaves<'a> {
    pub fn new(
        source: &'a [u8],
        text: &'a mut Vec<u8>,
        blocks: &'a mut Blocks,
        gaps: &'a [Gap],
    ) -> Self {
        let left_out: usize = gaps.iter().map(|gap| gap.end - gap.start).sum();
        text.clear();
        text.resize(source.len() - left_out + ROOM, 0);
        Self {
            source,
            text,
            length: 0,
            blocks,
            start: 0,
            gaps,
        }
    }

    /// The text is whole. Whether all that was to be left out was come across.
    pub fn finish(self) -> bool {
        self.text.truncate(self.length);
        self.gaps.is_empty()
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

    /// Copies the first `length` bytes, at most 64, of more.
    #[inline]
    fn copy(&mut self, more: &[u8], length: usize) {
        for stride in 0..BLOCK / STRIDE {
            let done = stride * STRIDE;
            if stride > 0 && done >= length {
                break;
            }
            let from = more.get(done..).and_then(<[u8]>::first_chunk::<STRIDE>);
            let to = self.text.get_mut(self.length + done..);
            let to = to.and_then(<[u8]>::first_chunk_mut::<STRIDE>);
            if let (Some(from), Some(to)) = (from, to) {
                *to = *from;
            }
        }
        self.length += length;
    }

    /// Reads as much of a string as the first block of this window has, and what an escape at its end takes of the
    /// second: how many bytes those are, and whether the string ends or cannot go on there.
    #[inline]
    fn block(&mut self, window: &[u8; 2 * BLOCK], block: &[u8; BLOCK]) -> (usize, Option<Stop>) {
        let mut special = Lanes::of(block).any([b'"', b'\\']);
        let mut at = 0;
        while special != 0 {
            let next = special.trailing_zeros() as usize;
            self.copy(window.get(at..).unwrap_or_default(), next - at);
            let taken = match window.get(next..) {
                Some([b'\\', letter, ..]) if let byte @ 1.. = escape::short(*letter) => {
                    if let Some(place) = self.text.get_mut(self.length) {
                        *place = byte;
                    }
                    self.length += 1;
                    2
                }
                Some([b'\\', ..]) => match escape::json(window, next) {
                    Some(one) => {
                        self.put(one.text());
                        one.taken
                    }
                    None => return (next, Some(Stop::Broken)),
                },
                _ => return (next, Some(Stop::Quote)),
            };
            at = next + taken;
            special = special.unbounded_shr(low(at)).unbounded_shl(low(at));
        }
        if at < BLOCK {
            self.copy(window.get(at..).unwrap_or_default(), BLOCK - at);
        }
        (at.max(BLOCK), None)
    }
}

/// Why a string does not go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Quote,
    /// What follows the backslash is no escape.
    Broken,
}

/// A place in two blocks, as a number of bits.
fn low(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Events for Leaves<'_> {
    fn plain(&mut self, at: Range<usize>) {
        self.put(self.source.get(at).unwrap_or_default());
    }

    fn stands_for(&mut self, text: &[u8], _at: Range<usize>) {
        self.put(text);
    }

    fn string(&mut self, source: &[u8], mut at: usize) -> Result<usize, usize> {
        // Nothing stands for more bytes than it takes, so this is room for the whole string.
        let end = self.gaps.first().map_or(source.len(), |gap| gap.start);
        self.room(end.saturating_sub(at));
        while let Some(window) = source.get(at..).and_then(<[u8]>::first_chunk)
            && let Some(block) = window.first_chunk()
        {
            let (taken, stop) = self.block(window, block);
            at += taken;
            match stop {
                None => {}
                Some(Stop::Quote) => return Ok(at),
                Some(Stop::Broken) => return Err(at),
            }
        }
        events::string(source, at, self)
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

    #[inline]
    fn skip(&mut self, at: usize) -> Option<Gap> {
        let (gap, rest) = self.gaps.split_first().filter(|(gap, _)| gap.start == at)?;
        self.gaps = rest;
        self.blocks.gap(gap.in_list);
        Some(*gap)
    }
}
