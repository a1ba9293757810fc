//! The texts of one scan: the leaves of the body, then what is coded inside them, then what is coded inside that.

use std::ops::Range;

use super::confirm::Confirmed;
use super::decode::coding::{self, Coding};
use super::decode::events::{Append, LEAF_END};
use super::decode::locate::{Locate, Target};
use super::decode::pieces::Piece;

/// Bytes of decoded pieces that any body may have, as a multiple of its own size.
pub const TIMES: usize = 2;

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

/// Bytes that one scan may still decode.
pub struct Budget {
    /// Of pieces, which become no more than they were.
    pub pieces: usize,
    /// Of what is unpacked.
    pub packed: usize,
}

impl Budget {
    /// Takes what a piece became; `false` where it was unpacked to more than is left.
    fn take(&mut self, coding: Coding, length: usize) -> bool {
        if coding != Coding::Packed {
            self.pieces = self.pieces.saturating_sub(length);
            return true;
        }
        // What was unpacked may be coded in turn.
        self.pieces = self.pieces.saturating_add(length.saturating_mul(TIMES));
        let left = self.packed.checked_sub(length);
        self.packed = left.unwrap_or(0);
        left.is_some()
    }
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

    /// Becomes what the pieces of the text before stand for, within the budget. `false` when that was too little.
    pub fn read(&mut self, before: &[u8], pieces: &[Piece], budget: &mut Budget) -> bool {
        self.clear();
        for piece in pieces {
            // But for what is packed, no coding makes more bytes than it takes, besides the end of the leaf.
            let most = piece.at.len() + LEAF_END.len();
            let numbers = (
                u32::try_from(self.bytes.len()),
                u32::try_from(piece.at.start),
                u32::try_from(piece.at.end),
            );
            let (Ok(start), Ok(from), Ok(to), true) =
                (numbers.0, numbers.1, numbers.2, most <= budget.pieces)
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
                room: budget.packed.saturating_add(1),
            };
            coding::read(piece.coding, before, piece.at.clone(), &mut append);
            if !piece.open {
                self.bytes.extend_from_slice(LEAF_END);
            }
            let length = self.bytes.len() - start as usize;
            if !budget.take(piece.coding, length) {
                return false;
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
                locate.seek(start, end - start);
                let piece = segment.from as usize..segment.to as usize;
                coding::read(segment.coding, before, piece, &mut locate);
            }
        }
    }

    /// Where these runs of base64 (in the order of the text) stand in the text before, but for those that are part of one
    /// that was undone there.
    pub fn not_undone(&self, before: &[u8], runs: &[Range<usize>]) -> Vec<Range<usize>> {
        let mut targets: Vec<Target> = runs.iter().cloned().map(Target::new).collect();
        let mut sealed = vec![false; runs.len()];
        self.locate(before, &mut targets, |index, coding| {
            if let Some(sealed) = sealed.get_mut(index) {
                *sealed |= coding.is_sealed();
            }
        });
        let undone = self.segments.iter();
        let undone = undone.filter(|segment| segment.coding.is_sealed());
        let undone: Vec<_> = undone
            .map(|segment| segment.from as usize..segment.to as usize)
            .collect();
        let is_undone = |run: &Range<usize>| {
            let after = undone.partition_point(|one| one.start <= run.start);
            let near = after.checked_sub(1).and_then(|at| undone.get(at));
            near.is_some_and(|one| run.end <= one.end)
        };
        let mut left = Vec::new();
        for (Target { ranges, .. }, sealed) in targets.iter().zip(sealed) {
            let start = ranges.first().map_or(0, |range| range.start);
            let run = start..ranges.last().map_or(before.len(), |range| range.end);
            // What came out of base64 was seen before only where that base64 was undone before.
            if sealed || !is_undone(&run) {
                left.push(run);
            }
        }
        left.sort_unstable_by_key(|run| run.start);
        left
    }
}
