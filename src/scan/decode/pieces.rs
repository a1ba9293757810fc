//! Which pieces of a text are coded once more. Most text is not, so this looks only at the few bytes that could tell:
//! backslashes, line breaks, long runs without a space. What the matcher finds on its way (entities, percent signs,
//! invisible characters) is added to it.

use std::ops::Range;

use memchr::memchr2_iter;

use super::coding::{Coding, base64_digit};
use super::events::CUT;
use super::fold;

/// A piece of one text that the next text is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub coding: Coding,
    pub at: Range<usize>,
    /// The next piece goes on where this one ends: no leaf ends between them.
    pub open: bool,
}

impl Piece {
    const fn new(coding: Coding, at: Range<usize>) -> Self {
        let open = false;
        Self { coding, at, open }
    }
}

/// Bytes before a coded place that go with it, and after it.
const LEAD: usize = 48;
const TRAIL: usize = 16;
/// A piece begins and ends at white space, unless none is as near as this.
const FAR: usize = 256;
/// Coded places as near to each other as this are in one piece anyway.
const NEAR: usize = 64;
/// Shortest run of base64 digits worth undoing: 18 bytes.
const BASE64: usize = 24;
/// A run this long is undone even when it begins with what is not text.
const BASE64_BLOB: usize = 512;
/// Bytes at the ends of adjacent blocks that are read as one.
const JOINED: usize = 1024;
/// Of which so many even past white space.
const JOINED_LEAST: usize = 64;

/// Gathers coded places, in the order of the text, to pieces.
struct Cluster {
    coding: Coding,
    first: usize,
    last: usize,
    /// Where the piece before ended.
    floor: usize,
}

impl Cluster {
    const fn new(coding: Coding) -> Self {
        Self {
            coding,
            first: usize::MAX,
            last: 0,
            floor: 0,
        }
    }

    fn add(&mut self, text: &[u8], at: usize, pieces: &mut Vec<Piece>) {
        if self.first == usize::MAX {
            self.first = at;
        } else if at > self.last + NEAR && at > self.end(text) {
            self.close(text, pieces);
            self.first = at;
        }
        self.last = at;
    }

    fn end(&self, text: &[u8]) -> usize {
        let from = (self.last + TRAIL).min(text.len());
        let rest = text.get(from..).unwrap_or_default();
        let rest = rest.get(..rest.len().min(4 * FAR)).unwrap_or_default();
        from + rest.iter().position(|b| is_space(*b)).unwrap_or(rest.len())
    }

    fn close(&mut self, text: &[u8], pieces: &mut Vec<Piece>) {
        if self.first == usize::MAX {
            return;
        }
        let from = self.first.saturating_sub(LEAD).max(self.floor);
        let near = from.saturating_sub(FAR).max(self.floor);
        let back = text.get(near..from).unwrap_or_default();
        let start = back.iter().rposition(|b| is_space(*b));
        let start = start.map_or(near, |space| near + space + 1);
        let end = self.end(text);
        pieces.push(Piece::new(self.coding, start..end));
        (self.floor, self.first) = (end, usize::MAX);
    }
}

const fn is_space(byte: u8) -> bool {
    byte <= b' ' || byte == CUT
}

/// Pieces in backslash escapes, and pieces that a line break cuts.
pub fn escapes_and_folds(text: &[u8], pieces: &mut Vec<Piece>) {
    let mut escapes = Cluster::new(Coding::Escapes);
    let mut fold: Option<Range<usize>> = None;
    for at in memchr2_iter(b'\\', b'\n', text) {
        if text.get(at) == Some(&b'\\') {
            escapes.add(text, at, pieces);
            continue;
        }
        let Some(around) = fold::around(text, at) else {
            continue;
        };
        match &mut fold {
            Some(open) if around.start < open.end => open.end = around.end,
            _ => {
                pieces.extend(fold.take().map(|at| Piece::new(Coding::Folded, at)));
                fold = Some(around);
            }
        }
    }
    escapes.close(text, pieces);
    pieces.extend(fold.map(|at| Piece::new(Coding::Folded, at)));
}

/// Pieces around places that the matcher found, in the order of the text.
pub fn around(
    coding: Coding,
    places: impl Iterator<Item = usize>,
    text: &[u8],
    pieces: &mut Vec<Piece>,
) {
    let mut cluster = Cluster::new(coding);
    for at in places {
        cluster.add(text, at, pieces);
    }
    cluster.close(text, pieces);
}

/// The end of one block and the start of the next, read as one; short blocks between others whole. `joins` are the ends
/// and starts of blocks that follow each other, in the order of the text.
pub fn joined(text: &[u8], joins: &[(usize, usize)], pieces: &mut Vec<Piece>) {
    let mut open = false;
    for (index, &(tail_end, head_start)) in joins.iter().enumerate() {
        if !open {
            pieces.push(Piece {
                coding: Coding::Joined,
                at: tail_end - tail(text, tail_end)..tail_end,
                open: true,
            });
        }
        let next_end = joins.get(index + 1).map(|(end, _)| *end);
        let middle = next_end.and_then(|end| text.get(head_start..end));
        open = middle.is_some_and(|middle| middle.len() <= JOINED && !middle.contains(&CUT));
        let head = middle
            .filter(|_| open)
            .map_or_else(|| head(text, head_start), <[u8]>::len);
        pieces.push(Piece {
            coding: Coding::Joined,
            at: head_start..head_start + head,
            open,
        });
    }
}

/// Bytes at the end of a block that go with the next.
fn tail(text: &[u8], end: usize) -> usize {
    let back = text.get(end.saturating_sub(JOINED)..end);
    near(back.unwrap_or_default().iter().rev())
}

/// Bytes at the start of a block that go with the one before.
fn head(text: &[u8], start: usize) -> usize {
    near(text.get(start..).unwrap_or_default().iter().take(JOINED))
}

fn near<'a>(bytes: impl Iterator<Item = &'a u8>) -> usize {
    bytes
        .enumerate()
        .take_while(|(count, b)| **b != CUT && (*count < JOINED_LEAST || **b > b' '))
        .count()
}

/// For each byte: may it stand in a run of base64?
pub struct Digits([bool; 256]);

impl Digits {
    pub fn new() -> Self {
        let mut table = [false; 256];
        for (byte, digit) in (0u8..=255).zip(&mut table) {
            *digit = base64_digit(byte).is_some();
        }
        Self(table)
    }

    fn has(&self, text: &[u8], at: usize) -> bool {
        text.get(at).is_some_and(|byte| self.0[usize::from(*byte)])
    }

    /// Pieces that are text in base64.
    pub fn base64(&self, text: &[u8], pieces: &mut Vec<Piece>) {
        let step = BASE64 / 2;
        let (mut at, mut floor) = (0, 0);
        while let Some(window) = text.get(at..at + step + 1) {
            // Every run of 24 covers some such window whole; most windows of other text hold a byte that is no digit.
            let run = [0, 12, 5, 8, 3].iter().all(|place| {
                window
                    .get(*place)
                    .is_some_and(|byte| self.0[usize::from(*byte)])
            });
            if !run {
                at += step;
                continue;
            }
            let mut start = at;
            while start > floor && self.has(text, start - 1) {
                start -= 1;
            }
            let mut end = at;
            while self.has(text, end) {
                end += 1;
            }
            if end - start >= BASE64
                && let Some(start) = aligned(text, start, end)
            {
                pieces.push(Piece::new(Coding::Base64, start..end));
            }
            floor = end;
            at = end.max(at + step);
        }
    }
}

/// Where in a run base64 begins that decodes to text: at its start, or after one of the first slashes or dashes, which
/// might be a path's. `None` if nowhere.
fn aligned(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let run = text.get(start..end)?;
    if decodes_to_text(run) {
        return Some(start);
    }
    let breaks = run.iter().take(64).enumerate();
    let inner = breaks
        .filter(|(_, b)| matches!(b, b'/' | b'-' | b'_' | b'+'))
        .map(|(at, _)| at + 1)
        .take(4)
        .filter(|at| run.len() - at >= BASE64)
        .find(|at| run.get(*at..).is_some_and(decodes_to_text));
    match inner {
        Some(at) => Some(start + at),
        None if run.len() >= BASE64_BLOB && !is_packed(run) => Some(start),
        None => None,
    }
}

/// Whether the first bytes that a run of base64 stands for are text.
fn decodes_to_text(run: &[u8]) -> bool {
    let mut head = [0u8; 24];
    let filled = decode_head(run, &mut head);
    let head = head.get(..filled).unwrap_or_default();
    let shown = head
        .iter()
        .all(|b| *b >= b' ' && *b != 0x7F || matches!(b, b'\n' | b'\r' | b'\t'));
    shown
        && match std::str::from_utf8(head) {
            Ok(_) => true,
            // The head may cut the last character.
            Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
        }
}

fn decode_head(run: &[u8], head: &mut [u8; 24]) -> usize {
    let mut filled = 0;
    for (four, three) in run.chunks_exact(4).zip(head.chunks_exact_mut(3)) {
        let digits = four.iter().filter_map(|byte| base64_digit(*byte));
        let bits = digits.fold(0u32, |bits, digit| bits << 6 | u32::from(digit));
        let [_, first, second, third] = bits.to_be_bytes();
        three.copy_from_slice(&[first, second, third]);
        filled += 3;
    }
    filled
}

/// Images, archives and the like: compressed, so that no text stands in them.
fn is_packed(run: &[u8]) -> bool {
    let mut head = [0u8; 24];
    decode_head(run, &mut head);
    let magic: [&[u8]; 8] = [
        b"\x89PNG",
        b"\xFF\xD8\xFF",
        b"GIF8",
        b"RIFF",
        b"PK\x03\x04",
        b"\x1F\x8B",
        b"\x28\xB5\x2F\xFD",
        b"wOF2",
    ];
    magic.iter().any(|magic| head.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, find: impl Fn(&[u8], &mut Vec<Piece>)) -> Vec<&str> {
        let mut pieces = Vec::new();
        find(text.as_bytes(), &mut pieces);
        pieces.into_iter().map(|piece| &text[piece.at]).collect()
    }

    #[test]
    fn runs_of_base64_are_found_wherever_they_begin() {
        for lead in 0..40 {
            let text = format!("{} IyBmaWxlCmhlbGxvIHdvcmxkCg==,", "x.".repeat(lead));
            let found = pieces(&text, |text, out| Digits::new().base64(text, out));
            assert_eq!(found, ["IyBmaWxlCmhlbGxvIHdvcmxkCg"], "{lead}");
        }
    }

    #[test]
    fn hashes_and_long_names_are_not_base64() {
        let text =
            "0123456789abcdef0123456789abcdef01234567 src/some/very_long/path_name-that/goes/on.rs";
        assert_eq!(
            pieces(text, |text, out| Digits::new().base64(text, out)),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn near_escapes_are_one_piece_and_far_ones_two() {
        let gap = "word ".repeat(100);
        let text = format!(r"one\ntwo\nthree {gap} four\nfive");
        let found = pieces(&text, escapes_and_folds);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with(r"one\ntwo\nthree"));
        assert!(found[1].ends_with(r"four\nfive"));
    }
}
