//! The texts of one scan: the leaves of the body, then what is coded inside them, then what is coded inside that.

use std::ops::Range;

use super::confirm::Confirmed;
use super::decode::coding::{self, Coding};
use super::decode::events::{Append, LEAF_END};
use super::decode::locate::{Locate, Target};
use super::decode::pieces::Piece;

/// One text, and what was found in it.
#[derive(Default)]
pub struct Text {
    pub bytes: Vec<u8>,
    pub confirmed: Vec<Confirmed>,
    /// Which pieces of the text before became this; empty for the first.
    segments: Vec<Segment>,
}

/// A piece of the text before and where it begins in this one.
#[derive(Clone, Copy)]
struct Segment {
    start: u32,
    from: u32,
    to: u32,
    coding: Coding,
}

impl Text {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.confirmed.clear();
        self.segments.clear();
    }

    /// Gives memory above `kept` bytes back.
    pub fn shrink(&mut self, kept: usize) {
        self.clear();
        if self.bytes.capacity() > kept {
            self.bytes.shrink_to(kept);
        }
        if self.segments.capacity() > kept / size_of::<Segment>() {
            self.segments.shrink_to(0);
        }
    }

    /// Becomes what the pieces of the text before stand for, up to `budget` bytes. `false` when that was too little.
    pub fn read(&mut self, before: &[u8], pieces: &[Piece], budget: usize) -> bool {
        self.clear();
        for piece in pieces {
            // No coding makes more bytes than it takes, but for the end of the leaf.
            let most = self.bytes.len() + piece.at.len() + LEAF_END.len();
            let numbers = (
                u32::try_from(self.bytes.len()),
                u32::try_from(piece.at.start),
                u32::try_from(piece.at.end),
            );
            let (Ok(start), Ok(from), Ok(to), true) =
                (numbers.0, numbers.1, numbers.2, most <= budget)
            else {
                return false;
            };
            self.segments.push(Segment {
                start,
                from,
                to,
                coding: piece.coding,
            });
            let mut append = Append {
                source: before,
                text: &mut self.bytes,
            };
            coding::read(piece.coding, before, piece.at.clone(), &mut append);
            if !piece.open {
                self.bytes.extend_from_slice(LEAF_END);
            }
        }
        true
    }

    /// Finds where targets of this text (sorted by their start) lie in the text before; tells `seen` which coding each
    /// went through.
    pub fn locate(
        &self,
        before: &[u8],
        targets: &mut [Target],
        mut seen: impl FnMut(usize, Coding),
    ) {
        let wanted: Vec<Range<usize>> = targets.iter().map(|one| one.wanted.clone()).collect();
        let mut locate = Locate::new(before, targets, 0);
        let mut first = 0;
        for (index, segment) in self.segments.iter().enumerate() {
            let start = segment.start as usize;
            let next = self.segments.get(index + 1).map(|next| next.start as usize);
            let end = next.unwrap_or(self.bytes.len());
            while wanted.get(first).is_some_and(|one| one.end <= start) {
                first += 1;
            }
            let mut any = false;
            for (offset, one) in wanted.iter().skip(first).enumerate() {
                if one.start >= end {
                    break;
                }
                if one.end > start {
                    seen(first + offset, segment.coding);
                    any = true;
                }
            }
            if any {
                locate.seek(start);
                let piece = segment.from as usize..segment.to as usize;
                coding::read(segment.coding, before, piece, &mut locate);
            }
        }
    }
}
