//! Notices text blocks that follow each other in one list (`content: [{"text": …}, {"text": …}]`): a secret may be cut in
//! two by them.

use std::ops::Range;

/// Strings remembered of each element of a list.
const LEAVES: usize = 4;
/// Joins kept of one body.
const JOINS: usize = 1 << 16;

/// Listens to the structure of a JSON text while its leaves become text.
#[derive(Default)]
pub struct Blocks {
    frames: Vec<Frame>,
    /// Ends and starts, in the text, of blocks that follow each other.
    pub joins: Vec<(usize, usize)>,
    /// There were more of them than are kept.
    pub overflow: bool,
}

#[derive(Clone, Copy, Default)]
struct Frame {
    array: bool,
    index: usize,
    /// The current key of an object, as bytes of the text.
    key: (usize, usize),
    /// Of a list: its latest strings, by the key they stood under in their element.
    leaves: [Option<Leaf>; LEAVES],
}

#[derive(Clone, Copy)]
struct Leaf {
    index: usize,
    key: (usize, usize),
    end: usize,
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
        let (list, key) = match self.frames.as_mut_slice() {
            [.., list] if list.array => (list, (0, 0)),
            [.., list, element] if list.array => {
                let key = element.key;
                (list, key)
            }
            _ => return,
        };
        let index = list.index;
        let name = |key: (usize, usize)| text.get(key.0..key.1);
        let same = |leaf: &Option<Leaf>| leaf.is_some_and(|leaf| name(leaf.key) == name(key));
        let stale = |leaf: &Option<Leaf>| leaf.is_none_or(|leaf| leaf.index + 1 < index);
        let leaves = &list.leaves;
        let slot = leaves
            .iter()
            .position(same)
            .or_else(|| leaves.iter().position(stale));
        let Some(slot) = slot.and_then(|slot| list.leaves.get_mut(slot)) else {
            return;
        };
        if let Some(before) = slot
            && before.index + 1 == index
            && name(before.key) == name(key)
        {
            let shown = |at: usize| text.get(at).is_some_and(|b| *b > b' ');
            if before.end.checked_sub(1).is_some_and(shown) && shown(at.start) {
                if self.joins.len() < JOINS {
                    self.joins.push((before.end, at.start));
                } else {
                    self.overflow = true;
                }
            }
        }
        *slot = Some(Leaf {
            index,
            key,
            end: at.end,
        });
    }
}
