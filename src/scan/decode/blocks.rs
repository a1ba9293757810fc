//! Notices text blocks that follow each other in one list (`content: [{"text": …}, {"text": …}]`): a secret may be cut in
//! two by them.

use std::ops::Range;

use memchr::memmem;

use super::coding::base64_digit;

/// Strings remembered of each element of a list: its first, so that nothing but the element before decides which.
pub const LEAVES: usize = 6;
/// Bytes on each side of the gap between two blocks by which it is known whether it is a key's.
const KEY_LINE: usize = 64;
/// Of which so many are digits of base64, or some are its mark's.
const KEY_DIGITS: usize = 32;
const KEY_MARK: &[u8] = b"-----";
/// Bytes of a line break.
const KEY_GAP: usize = 2;
/// Joins kept of one body.
const JOINS: usize = 1 << 16;

/// Listens to the structure of a JSON text while its leaves become text.
#[derive(Default)]
pub struct Blocks {
    frames: Vec<Frame>,
    /// Blocks that follow each other, in the order of the text.
    pub joins: Vec<Join>,
    /// There were more of them than are kept.
    pub overflow: bool,
}

/// Where one block ends in the text and the next starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    pub end: usize,
    pub start: usize,
    /// They stand in a list that is a member of the body: each may be all that is new of it.
    pub outer: bool,
    /// It was read together with another.
    pub read: bool,
}

#[derive(Clone, Copy, Default)]
struct Frame {
    array: bool,
    index: usize,
    /// The current key of an object, as bytes of the text.
    key: (usize, usize),
    /// Of a list: the first strings of its element at hand, with the element's number, and of the one before.
    now: (usize, [Option<Leaf>; LEAVES]),
    before: [Option<Leaf>; LEAVES],
}

/// The key that a string stood under in its element, and where it ended.
#[derive(Clone, Copy)]
struct Leaf {
    key: (usize, usize),
    end: usize,
}

impl Frame {
    /// Turns to the element at hand, if that is another one.
    fn turn(&mut self) {
        let (index, leaves) = self.now;
        if index != self.index {
            self.before = if index + 1 == self.index {
                leaves
            } else {
                [None; LEAVES]
            };
            self.now = (self.index, [None; LEAVES]);
        }
    }
}

impl Blocks {
    pub fn clear(&mut self) {
        self.frames.clear();
        self.joins.clear();
        self.overflow = false;
    }

    pub fn open(&mut self, array: bool) {
        self.frames.push(Frame {
            array,
            ..Frame::default()
        });
    }

    pub fn close(&mut self) {
        self.frames.pop();
    }

    pub fn comma(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.index += 1;
        }
    }

    /// Outer values were left out: what follows has nothing before it.
    pub fn gap(&mut self, in_list: bool) {
        self.frames.clear();
        self.open(false);
        if in_list {
            self.open(true);
        }
    }

    pub fn key(&mut self, at: Range<usize>) {
        if let Some(frame) = self.frames.last_mut() {
            frame.key = (at.start, at.end);
        }
    }

    /// A string value stands at these bytes of the text.
    pub fn value(&mut self, text: &[u8], at: Range<usize>) {
        let depth = self.frames.len();
        let (list, key, outer) = match self.frames.as_mut_slice() {
            [.., list] if list.array => (list, (0, 0), depth == 2),
            [.., list, element] if list.array => (list, element.key, depth == 3),
            _ => return,
        };
        list.turn();
        let name = |key: (usize, usize)| text.get(key.0..key.1);
        let same = |leaf: &&Leaf| name(leaf.key) == name(key);
        if let Some(before) = list.before.iter().flatten().find(same)
            && may_go_on(text, before.end, at.start)
        {
            if self.joins.len() < JOINS {
                self.joins.push(Join {
                    end: before.end,
                    start: at.start,
                    outer,
                    read: false,
                });
            } else {
                self.overflow = true;
            }
        }
        let leaf = Leaf { key, end: at.end };
        if let Some(slot) = list.now.1.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(leaf);
        }
    }
}

/// Whether what ends at `end` may go on at `start`: where neither shows a gap, and where a key shows the break of a line or
/// the space of a mark.
fn may_go_on(text: &[u8], end: usize, start: usize) -> bool {
    let (before, after) = (
        text.get(end.saturating_sub(KEY_LINE)..end),
        text.get(start..text.len().min(start + KEY_LINE)),
    );
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let (line, next) = (before.trim_ascii_end(), after.trim_ascii_start());
    let shown = |byte: Option<&u8>| byte.is_some_and(|b| *b > b' ');
    let gap = (before.len() - line.len()).max(after.len() - next.len());
    shown(line.last()) && shown(next.first()) && (gap == 0 || gap <= KEY_GAP && is_of_key(line))
}

/// Whether what ends here is a key's: of its marks, or nothing but base64.
fn is_of_key(line: &[u8]) -> bool {
    let digit = |b: &u8| *b == b'=' || base64_digit(*b).is_some();
    let digits = line.last_chunk::<KEY_DIGITS>();
    digits.is_some_and(|digits| digits.iter().all(digit)) || memmem::find(line, KEY_MARK).is_some()
}
