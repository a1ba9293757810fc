//! Which pieces of a text are coded once more. Most text is not, so this looks only at the few bytes that could tell:
//! backslashes, line breaks, percent signs, ampersands, long runs without a space.

use std::ops::Range;

use super::coding::{self, Coding, base64_digit};
use super::escape;
use super::events::CUT;
use super::fold;
use super::lanes::{BLOCK, Lanes};

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
const NEAR: u32 = 64;
/// Shortest run of base64 digits worth undoing: 18 bytes. It has two whole words of eight bytes, wherever it begins.
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
        } else if at > self.last + NEAR as usize && at > self.end(text) {
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

/// Places of one kind in a text: the first and the last of those that are near each other.
#[derive(Default)]
struct Places(Vec<(u32, u32)>);

impl Places {
    fn add(&mut self, at: usize) {
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        match self.0.last_mut() {
            Some((_, last)) if at.wrapping_sub(*last) <= NEAR => *last = at,
            _ => self.0.push((at, at)),
        }
    }

    /// Adds the pieces around them.
    fn pieces(&self, coding: Coding, text: &[u8], pieces: &mut Vec<Piece>) {
        let mut cluster = Cluster::new(coding);
        for &(first, last) in &self.0 {
            cluster.add(text, first as usize, pieces);
            cluster.last = last as usize;
        }
        cluster.close(text, pieces);
    }
}

/// The bytes of a text that may tell of codings.
#[derive(Default)]
pub struct Marks {
    escapes: Places,
    percents: Places,
    entities: Places,
    invisible: Places,
    /// Line breaks after what may be half a secret.
    breaks: Vec<u32>,
    /// Whole words of eight bytes, at least two, that could all be digits of base64: where they start and end.
    runs: Vec<(u32, u32)>,
}

impl Marks {
    fn places(&mut self) -> [&mut Vec<(u32, u32)>; 5] {
        [
            &mut self.escapes.0,
            &mut self.percents.0,
            &mut self.entities.0,
            &mut self.invisible.0,
            &mut self.runs,
        ]
    }

    fn clear(&mut self) {
        self.places().into_iter().for_each(Vec::clear);
        self.breaks.clear();
    }

    /// Gives memory above `kept` bytes back.
    pub fn shrink(&mut self, kept: usize) {
        self.clear();
        let pairs = self.places().map(|places| places.capacity());
        let numbers = pairs.iter().sum::<usize>() * 2 + self.breaks.capacity();
        if numbers * size_of::<u32>() > kept {
            *self = Self::default();
        }
    }

    /// Finds the marks of a text, in place of those of another.
    pub fn read(&mut self, text: &[u8]) {
        self.clear();
        let mut carry = 0;
        let (blocks, rest) = text.as_chunks();
        for (index, block) in blocks.iter().enumerate() {
            self.block(text, index * BLOCK, Lanes::of(block), &mut carry);
        }
        if !rest.is_empty() {
            let (at, lanes) = (text.len() - rest.len(), Lanes::of_rest(rest));
            self.block(text, at, lanes, &mut carry);
        }
    }

    /// Finds the marks of the block at `at`.
    #[inline]
    fn block(&mut self, text: &[u8], at: usize, lanes: Lanes, carry: &mut u64) {
        self.lines(text, at, lanes.any([b'\n']));
        each(lanes.any([b'\\', b'%', b'&']), |place| {
            self.sign(text, at + place);
        });
        if lanes.has_high() {
            each(lanes.any(fold::INVISIBLE), |place| {
                let length = fold::invisible(text.get(at + place..).unwrap_or_default());
                if length > 0 {
                    self.invisible.add(at + place + length - 1);
                }
            });
        }
        each(lanes.base64_words(carry), |place| self.words(at + place));
    }

    /// Line breaks stand at these places of the block at `at`. Whether one is kept depends on four bytes that no processor
    /// can guess, so that is no branch.
    #[inline]
    fn lines(&mut self, text: &[u8], at: usize, lines: u64) {
        let mut kept = [0; BLOCK];
        let mut count = 0;
        each(lines, |place| {
            if let Some(slot) = kept.get_mut(count) {
                *slot = u32::try_from(at + place).unwrap_or(u32::MAX);
            }
            let line = text.get(..at + place).unwrap_or_default();
            count += usize::from(fold::may_end(line));
        });
        self.breaks
            .extend_from_slice(kept.get(..count).unwrap_or_default());
    }

    /// A backslash, a percent sign or an ampersand stands at `at`.
    #[inline]
    fn sign(&mut self, text: &[u8], at: usize) {
        match text.split_at_checked(at) {
            Some((_, [b'\\', next, ..])) if escape::is_letter(*next) => self.escapes.add(at),
            Some((_, [b'%', b'2'..=b'7', digit, ..])) if digit.is_ascii_hexdigit() => {
                self.percents.add(at);
            }
            Some((_, rest @ [b'&', ..])) if coding::entity(rest).is_some() => {
                self.entities.add(at);
            }
            _ => {}
        }
    }

    /// The eight bytes at `at` and the eight before them could all be digits of base64.
    #[inline]
    fn words(&mut self, at: usize) {
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        match self.runs.last_mut() {
            Some((_, last)) if *last == at => *last = at.saturating_add(8),
            _ => self.runs.push((at.saturating_sub(8), at.saturating_add(8))),
        }
    }

    /// Pieces in percent signs and entities, and pieces with characters that do not show.
    pub fn decoded_pieces(&self, text: &[u8], pieces: &mut Vec<Piece>) {
        self.entities.pieces(Coding::Entities, text, pieces);
        self.percents.pieces(Coding::Percent, text, pieces);
        self.invisible.pieces(Coding::Invisible, text, pieces);
    }

    /// Pieces in backslash escapes, and pieces that a line break cuts.
    pub fn pieces(&self, text: &[u8], pieces: &mut Vec<Piece>) {
        self.escapes.pieces(Coding::Escapes, text, pieces);
        let mut fold: Option<Range<usize>> = None;
        let folds = self
            .breaks
            .iter()
            .filter_map(|at| fold::around(text, *at as usize));
        for around in folds {
            match &mut fold {
                Some(open) if around.start < open.end => open.end = around.end,
                _ => {
                    pieces.extend(fold.take().map(|at| Piece::new(Coding::Folded, at)));
                    fold = Some(around);
                }
            }
        }
        pieces.extend(fold.map(|at| Piece::new(Coding::Folded, at)));
    }
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

/// Calls `look` with the number of each bit that is set.
#[inline]
fn each(mut bits: u64, mut look: impl FnMut(usize)) {
    while bits != 0 {
        look(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

/// For each byte its value as a digit of base64, or [`NO_DIGIT`].
pub struct Digits([u8; 256]);

const NO_DIGIT: u8 = 0xFF;

impl Digits {
    pub fn new() -> Self {
        let mut table = [NO_DIGIT; 256];
        for (byte, digit) in (0u8..=255).zip(&mut table) {
            *digit = base64_digit(byte).unwrap_or(NO_DIGIT);
        }
        Self(table)
    }

    #[inline]
    const fn value(&self, byte: u8) -> u8 {
        self.0[byte as usize]
    }

    const fn has(&self, byte: u8) -> bool {
        self.value(byte) != NO_DIGIT
    }

    /// Pieces that are text in base64.
    pub fn base64(&self, text: &[u8], marks: &Marks, pieces: &mut Vec<Piece>) {
        for &(first, last) in &marks.runs {
            let words = text.split_at_checked(first as usize);
            let rest = text.get(last as usize..);
            let (Some((before, _)), Some(rest)) = (words, rest) else {
                continue;
            };
            let digits = |byte: &&u8| self.has(**byte);
            let before = before.iter().rev().take(7).take_while(digits).count();
            let after = rest.iter().take(7).take_while(digits).count();
            let (start, end) = (first as usize - before, last as usize + after);
            let run = text.get(start..).unwrap_or_default();
            if end - start >= BASE64 && (self.is_text(run) || self.has_text(run)) {
                pieces.push(Piece::new(Coding::Base64, start..end));
            }
        }
    }

    /// Whether the first bytes that a run of base64 stands for are text.
    fn is_text(&self, run: &[u8]) -> bool {
        let mut head = [0u8; BASE64 / 4 * 3];
        let (mut filled, mut before) = (0, 0);
        for (four, three) in run.chunks_exact(4).zip(head.chunks_exact_mut(3)) {
            let bytes = self.three(four);
            for byte in bytes {
                let control = byte < b' ' && !matches!(byte, b'\n' | b'\r' | b'\t');
                // What is no text is mostly told by a character that lacks its beginning or its end.
                let goes_on = byte & 0xC0 == 0x80;
                let torn = if goes_on {
                    before < 0x80
                } else {
                    before >= 0xC0
                };
                if control || byte == 0x7F || torn {
                    return false;
                }
                before = byte;
            }
            three.copy_from_slice(&bytes);
            filled += 3;
        }
        match std::str::from_utf8(head.get(..filled).unwrap_or_default()) {
            Ok(_) => true,
            // The head may cut the last character.
            Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
        }
    }

    /// Whether the beginning of a long run stands for bytes of which many are text, as in programs and documents; what is
    /// compressed or encrypted has no text to find.
    fn has_text(&self, run: &[u8]) -> bool {
        let Some(head) = run.get(..BASE64_BLOB) else {
            return false;
        };
        if !head
            .iter()
            .rev()
            .step_by(16)
            .chain(head)
            .all(|byte| self.has(*byte))
        {
            return false;
        }
        let bytes = head.chunks_exact(4).flat_map(|four| self.three(four));
        let shown = bytes.filter(|b| (b' '..0x7F).contains(b) || matches!(b, 0 | b'\n' | b'\t'));
        shown.count() * 4 >= head.len() / 4 * 3 * 2
    }

    /// The three bytes that four digits stand for.
    fn three(&self, four: &[u8]) -> [u8; 3] {
        let bits = four
            .iter()
            .fold(0u32, |bits, byte| bits << 6 | u32::from(self.value(*byte)));
        let [_, first, second, third] = bits.to_be_bytes();
        [first, second, third]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, find: impl Fn(&[u8], &mut Vec<Piece>)) -> Vec<&str> {
        let mut pieces = Vec::new();
        find(text.as_bytes(), &mut pieces);
        pieces.into_iter().map(|piece| &text[piece.at]).collect()
    }

    fn base64(text: &[u8], out: &mut Vec<Piece>) {
        let mut marks = Marks::default();
        marks.read(text);
        Digits::new().base64(text, &marks, out);
    }

    #[test]
    fn runs_of_base64_are_found_wherever_they_begin() {
        for lead in 0..40 {
            let text = format!("{} IyBmaWxlCmhlbGxvIHdvcmxkCg==,", "x.".repeat(lead));
            let found = pieces(&text, base64);
            assert_eq!(found, ["IyBmaWxlCmhlbGxvIHdvcmxkCg"], "{lead}");
        }
    }

    #[test]
    fn what_stands_before_a_run_without_a_space_does_not_hide_it() {
        let found = pieces(
            "data:text/plain;base64,IyBmaWxlCmhlbGxvIHdvcmxkCg==",
            base64,
        );
        assert_eq!(found, ["IyBmaWxlCmhlbGxvIHdvcmxkCg"]);
    }

    #[test]
    fn hashes_and_long_names_are_not_base64() {
        let text =
            "0123456789abcdef0123456789abcdef01234567 src/some/very_long/path_name-that/goes/on.rs";
        assert_eq!(pieces(text, base64), Vec::<&str>::new());
    }

    #[test]
    fn near_escapes_are_one_piece_and_far_ones_two() {
        let gap = "word ".repeat(100);
        let text = format!(r"one\ntwo\nthree {gap} four\nfive");
        let found = pieces(&text, |text, out| {
            let mut marks = Marks::default();
            marks.read(text);
            marks.pieces(text, out);
        });
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with(r"one\ntwo\nthree"));
        assert!(found[1].ends_with(r"four\nfive"));
    }
}
