//! Which pieces of a text are coded once more, by the marks that it bears.

use std::ops::Range;

use super::blocks::Join;
use super::coding::{Coding, base64_digit};
use super::events::CUT;
use super::fold;
use super::lanes::{self, Sixteen};
use super::marks::{Marks, NEAR, Places};

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
/// Shortest run of base64 digits worth undoing: 18 bytes. It has two whole words of eight bytes, wherever it begins.
const BASE64: usize = 24;
/// A run this long is undone even when it begins with what is not text.
const BASE64_BLOB: usize = 512;
/// Bytes at the ends of adjacent blocks that are read as one.
const JOINED: usize = 1024;
/// Of which so many even past white space.
const JOINED_LEAST: usize = 64;
/// Bytes of text over which outer values are read as one: fewer than a chunk has, since only the one before a new one is
/// read again.
const OUTER: usize = 512;

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

/// Pieces in backslash escapes, and pieces that a line break cuts.
pub fn escaped(text: &[u8], marks: &Marks, pieces: &mut Vec<Piece>) {
    gather(&marks.escapes, Coding::Escapes, text, pieces);
    let mut fold: Option<Range<usize>> = None;
    let breaks = marks.breaks.iter();
    for around in breaks.filter_map(|at| fold::around(text, *at as usize)) {
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

/// Pieces in percent signs and entities, and pieces with characters that do not show.
pub fn encoded(text: &[u8], marks: &Marks, pieces: &mut Vec<Piece>) {
    gather(&marks.entities, Coding::Entities, text, pieces);
    gather(&marks.percents, Coding::Percent, text, pieces);
    gather(&marks.invisible, Coding::Invisible, text, pieces);
}

/// Adds the pieces around the places.
fn gather(places: &Places, coding: Coding, text: &[u8], pieces: &mut Vec<Piece>) {
    let mut cluster = Cluster::new(coding);
    for &(first, last) in &places.0 {
        cluster.add(text, first as usize, pieces);
        cluster.last = last as usize;
    }
    cluster.close(text, pieces);
}

/// The end of one block and the start of the next, read as one; short blocks between others whole. `joins` are in the
/// order of the text.
pub fn joined(text: &[u8], joins: &[Join], pieces: &mut Vec<Piece>) {
    let (mut open, mut first) = (false, 0);
    for (index, join) in joins.iter().enumerate() {
        if !open {
            first = join.end;
            pieces.push(Piece {
                coding: Coding::Joined,
                at: join.end - tail(text, join.end)..join.end,
                open: true,
            });
        }
        let next = joins.get(index + 1);
        let next = next.filter(|next| !next.outer || next.start.saturating_sub(first) <= OUTER);
        let middle = next.and_then(|next| text.get(join.start..next.end));
        open = middle.is_some_and(|middle| middle.len() <= JOINED && !middle.contains(&CUT));
        let head = middle
            .filter(|_| open)
            .map_or_else(|| head(text, join.start), <[u8]>::len);
        pieces.push(Piece {
            coding: Coding::Joined,
            at: join.start..join.start + head,
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
            let before = self.ending(before);
            let after = self.starting(rest);
            let (start, end) = (first as usize - before, last as usize + after);
            let run = text.get(start..).unwrap_or_default();
            if end - start >= BASE64
                && has_capital(run)
                && (self.is_text(run) || self.has_text(run))
            {
                pieces.push(Piece::new(Coding::Base64, start..end));
            }
        }
    }

    /// How many digits, fewer than eight, the text ends with.
    #[inline]
    fn ending(&self, text: &[u8]) -> usize {
        if let Some(last) = text.last_chunk() {
            let digits = Sixteen::of(last).base64() << 16;
            return digits.leading_ones().min(7) as usize;
        }
        let digits = |byte: &&u8| self.has(**byte);
        text.iter().rev().take(7).take_while(digits).count()
    }

    /// How many digits, fewer than eight, it starts with.
    #[inline]
    fn starting(&self, text: &[u8]) -> usize {
        if let Some(first) = text.first_chunk() {
            return Sixteen::of(first).base64().trailing_ones().min(7) as usize;
        }
        let digits = |byte: &&u8| self.has(**byte);
        text.iter().take(7).take_while(digits).count()
    }

    /// Whether the first bytes that a run of base64 stands for are text.
    fn is_text(&self, run: &[u8]) -> bool {
        let mut head = [0u8; BASE64 / 4 * 3];
        for (four, three) in run.chunks_exact(4).zip(head.chunks_exact_mut(3)) {
            three.copy_from_slice(&self.three(four));
        }
        // Of the runs in source code and lock files hardly one passes this.
        if !head.first_chunk().is_some_and(lanes::may_be_text) {
            return false;
        }
        let control = |b: &u8| *b < b' ' && !matches!(b, b'\n' | b'\r' | b'\t') || *b == 0x7F;
        match std::str::from_utf8(&head) {
            _ if head.iter().any(control) => false,
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

/// Whether a capital letter is among the first digits of a run: names in lower case and hexadecimal numbers, most of what
/// looks like base64 in source code, have none; of texts of 18 bytes not one in ten thousand is coded without.
fn has_capital(run: &[u8]) -> bool {
    let digits = run.iter().take(BASE64);
    digits.filter(|byte| byte.is_ascii_uppercase()).count() > 0
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
            escaped(text, &marks, out);
        });
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with(r"one\ntwo\nthree"));
        assert!(found[1].ends_with(r"four\nfive"));
    }
}
