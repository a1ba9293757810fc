//! Events that wait, in order, with the changes that are known for each; and the one at hand, which may join them.

use std::collections::VecDeque;
use std::ops::Range;

use super::{Counts, count};
use crate::provider::slots::Key;
use crate::scan::restore::{Edit, Nesting, Restorations, splice};

/// One event and what is to change in it.
#[derive(Default)]
pub struct Waiting {
    /// As it came; empty for the event at hand, whose bytes are still the splitter's.
    raw: Vec<u8>,
    pub literals: Vec<Literal>,
    /// Choices in which later events must not overtake it.
    pub opens: Vec<u64>,
    /// Choices that it speaks of.
    pub groups: Vec<u64>,
    /// It ends texts, so it must not overtake anything of its choices.
    pub ends: bool,
}

/// A literal with text, in an event.
pub struct Literal {
    pub key: Key,
    /// The number of the piece, while it is one and not yet decided.
    pub piece: Option<u64>,
    /// Its inside, in the event's raw bytes.
    pub at: Range<usize>,
    pub nesting: Nesting,
    pub edits: Vec<Edit>,
    /// Whether what is put back here counts.
    pub counts: bool,
}

/// The events that wait.
#[derive(Default)]
pub struct Queue {
    events: VecDeque<Waiting>,
    pub current: Waiting,
    bytes: usize,
    /// Whether something was decided since the last release.
    changed: bool,
    /// Whether the event before the one at hand waits.
    pub waits: bool,
}

impl Waiting {
    fn decided(&self) -> bool {
        self.literals.iter().all(|literal| literal.piece.is_none())
    }

    /// Whether a later event must stay behind this one.
    fn before(&self, later: &Self) -> bool {
        let shares = |a: &[u64], b: &[u64]| a.iter().any(|group| b.contains(group));
        shares(&self.opens, &later.groups)
            || (later.ends && shares(&self.groups, &later.groups))
            || later
                .literals
                .iter()
                .any(|one| self.literals.iter().any(|two| one.key == two.key))
    }

    /// Writes the event of these raw bytes with its changes made.
    fn write(&self, raw: &[u8], known: &Restorations, counts: &mut Counts, out: &mut Vec<u8>) {
        let mut from = 0;
        for literal in self
            .literals
            .iter()
            .filter(|literal| !literal.edits.is_empty())
        {
            out.extend_from_slice(&raw[from..literal.at.start]);
            let inside = &raw[literal.at.clone()];
            splice(
                inside,
                &literal.edits,
                literal.nesting,
                known,
                out,
                |entry| {
                    if literal.counts {
                        count(&mut counts.restored, known.category(entry));
                    }
                },
            );
            from = literal.at.end;
        }
        out.extend_from_slice(&raw[from..]);
    }
}

impl Queue {
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn literals(&mut self) -> impl Iterator<Item = &mut Literal> {
        self.events
            .iter_mut()
            .chain([&mut self.current])
            .flat_map(|event| &mut event.literals)
    }

    /// Adds the end of its last line's end to the event before the one at hand: CR and LF came in two reads.
    pub fn line_feed(&mut self, out: &mut Vec<u8>) {
        match self.events.back_mut().filter(|_| self.waits) {
            Some(event) => {
                event.raw.push(b'\n');
                self.bytes += 1;
            }
            None => out.push(b'\n'),
        }
    }

    /// Notes changes of pieces that are not decided, in the order of the pieces.
    pub fn edit(&mut self, key: Key, edits: &[Edit]) {
        let mut edits = edits.iter().peekable();
        if edits.peek().is_none() {
            return;
        }
        for literal in self.literals().filter(|literal| literal.key == key) {
            let Some(piece) = literal.piece else {
                continue;
            };
            while let Some(edit) = edits.next_if(|edit| edit.piece <= piece) {
                if edit.piece == piece {
                    literal.edits.push(edit.clone());
                }
            }
        }
    }

    /// All pieces of a text before this one are decided.
    pub fn settled(&mut self, key: Key, before: u64) {
        for literal in self.literals() {
            if literal.key == key && literal.piece.is_some_and(|piece| piece < before) {
                literal.piece = None;
            }
        }
        self.changed = true;
    }

    /// Writes every event that may go on, oldest first.
    pub fn release(&mut self, known: &Restorations, counts: &mut Counts, out: &mut Vec<u8>) {
        // Nothing gets free unless something was decided: thousands of events may wait, and each one more comes by here.
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let mut index = 0;
        while let Some(event) = self.events.get(index) {
            let free =
                event.decided() && !self.events.iter().take(index).any(|one| one.before(event));
            if free && let Some(event) = self.events.remove(index) {
                self.bytes -= event.raw.len();
                event.write(&event.raw, known, counts, out);
            } else {
                index += 1;
            }
        }
    }

    /// Writes the event at hand, whose bytes are `raw`, or lets it wait.
    pub fn pass(
        &mut self,
        raw: &[u8],
        known: &Restorations,
        counts: &mut Counts,
        out: &mut Vec<u8>,
    ) {
        let mut event = std::mem::take(&mut self.current);
        if event.decided() && !self.events.iter().any(|earlier| earlier.before(&event)) {
            event.write(raw, known, counts, out);
        } else {
            event.raw = raw.to_vec();
            self.bytes += raw.len();
            self.waits = true;
            self.events.push_back(event);
        }
    }
}
