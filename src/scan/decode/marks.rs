//! The bytes of a text that may tell of a coding: backslashes, line breaks, percent signs, ampersands, characters that do
//! not show, long runs without a space. Every byte of every text passes here, and most tell nothing, so this is written
//! for the processor: what a block of 64 bytes has is found without a branch and noted without one, and only the few blocks
//! that have something are looked at, a page at a time.

use super::coding;
use super::escape;
use super::fold;
use super::lanes::{BLOCK, Lanes, each};

/// Blocks looked at before what was noted of them is read: their text is still near the processor then.
const PAGE: usize = 64;
/// Coded places as near to each other as this are in one piece anyway.
pub const NEAR: u32 = 64;

/// The bytes of a text that may tell of codings.
#[derive(Default)]
pub struct Marks {
    pub escapes: Places,
    pub percents: Places,
    pub entities: Places,
    pub invisible: Places,
    /// Line breaks after what may be half a secret.
    pub breaks: Vec<u32>,
    /// Whole words of eight bytes, at least two, that could all be digits of base64: where they start and end.
    pub runs: Vec<(u32, u32)>,
}

/// Places of one kind in a text: the first and the last of those that are near each other.
#[derive(Default)]
pub struct Places(pub Vec<(u32, u32)>);

impl Places {
    fn add(&mut self, at: usize) {
        let at = number(at);
        match self.0.last_mut() {
            Some((_, last)) if at.wrapping_sub(*last) <= NEAR => *last = at,
            _ => self.0.push((at, at)),
        }
    }
}

/// The blocks of a page that have something of one kind.
struct Noted {
    blocks: [(usize, u64); PAGE],
    count: usize,
}

impl Noted {
    const fn new() -> Self {
        Self {
            blocks: [(0, 0); PAGE],
            count: 0,
        }
    }

    /// Keeps the bits of the block at `at` if there are any. Which blocks have some cannot be guessed, so this does not.
    #[inline]
    fn note(&mut self, at: usize, bits: u64) {
        if let Some(block) = self.blocks.get_mut(self.count) {
            *block = (at, bits);
        }
        self.count += usize::from(bits != 0);
    }

    fn blocks(&self) -> &[(usize, u64)] {
        self.blocks.get(..self.count).unwrap_or_default()
    }

    /// Calls `look` with the place of each bit.
    #[inline]
    fn places(&self, mut look: impl FnMut(usize)) {
        for &(at, bits) in self.blocks() {
            each(bits, |place| look(at + place));
        }
    }
}

/// What is noted of a page.
struct Page {
    breaks: Noted,
    signs: Noted,
    unseen: Noted,
    words: Noted,
    /// Of the block before: which bytes may be a token's, and which are digits of base64.
    token: u64,
    base64: u64,
}

impl Page {
    const fn new() -> Self {
        Self {
            breaks: Noted::new(),
            signs: Noted::new(),
            unseen: Noted::new(),
            words: Noted::new(),
            token: 0,
            base64: 0,
        }
    }

    #[inline]
    fn block(&mut self, at: usize, lanes: Lanes) {
        let (token, before) = (lanes.token(), self.token);
        self.token = token;
        let ends = |back: u32| token << back | before >> (64 - back);
        let tail = ends(1) & ends(2) & ends(3) & ends(4);
        self.breaks.note(at, lanes.any([b'\n']) & tail);
        self.signs.note(at, lanes.any([b'\\', b'%', b'&']));
        self.unseen.note(at, u64::from(lanes.has_unseen()));
        let base64 = lanes.base64();
        self.words.note(at, pairs(base64, self.base64));
        self.base64 = base64;
    }

    fn clear(&mut self) {
        for noted in [
            &mut self.breaks,
            &mut self.signs,
            &mut self.unseen,
            &mut self.words,
        ] {
            noted.count = 0;
        }
    }
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
        let mut page = Page::new();
        let (blocks, rest) = text.as_chunks();
        let mut at = 0;
        for blocks in blocks.chunks(PAGE) {
            for block in blocks {
                page.block(at, Lanes::of(block));
                at += BLOCK;
            }
            self.page(text, &mut page);
        }
        if !rest.is_empty() {
            page.block(at, Lanes::of_rest(rest));
            self.page(text, &mut page);
        }
    }

    /// Reads what was noted.
    fn page(&mut self, text: &[u8], page: &mut Page) {
        page.breaks.places(|at| self.breaks.push(number(at)));
        page.signs.places(|at| self.sign(text, at));
        for &(at, _) in page.unseen.blocks() {
            each(lanes(text, at).any(fold::INVISIBLE), |place| {
                let length = fold::invisible(text.get(at + place..).unwrap_or_default());
                if length > 0 {
                    self.invisible.add(at + place + length - 1);
                }
            });
        }
        page.words.places(|at| self.words(at));
        page.clear();
    }

    /// A backslash, a percent sign or an ampersand stands at `at`.
    #[inline]
    fn sign(&mut self, text: &[u8], at: usize) {
        match text.split_at_checked(at) {
            Some((before, [b'\\', rest @ ..])) if escape::may_be(before, rest) => {
                self.escapes.add(at);
            }
            Some((_, [b'%', rest @ ..])) if coding::may_be_percent(rest) => self.percents.add(at),
            Some((_, rest @ [b'&', ..])) if coding::entity(rest).is_some() => {
                self.entities.add(at);
            }
            _ => {}
        }
    }

    /// The eight bytes at `at` and the eight before them are all digits of base64.
    #[inline]
    fn words(&mut self, at: usize) {
        let at = number(at);
        match self.runs.last_mut() {
            Some((_, last)) if *last == at => *last = at.saturating_add(8),
            _ => self.runs.push((at.saturating_sub(8), at.saturating_add(8))),
        }
    }
}

/// Words of eight bytes that are whole and follow a whole word, by their first bit; `before` is the block before.
#[inline]
const fn pairs(bytes: u64, before: u64) -> u64 {
    const FIRSTS: u64 = 0x0101_0101_0101_0101;
    let two = bytes & bytes >> 1;
    let four = two & two >> 2;
    let words = four & four >> 4 & FIRSTS;
    words & (words << 8 | (before >> 56 == 0xFF) as u64)
}

/// The block at `at` of a text.
fn lanes(text: &[u8], at: usize) -> Lanes {
    let rest = text.get(at..).unwrap_or_default();
    rest.first_chunk()
        .map_or_else(|| Lanes::of_rest(rest), Lanes::of)
}

/// Texts are shorter than 4 GiB: the matcher's own limit.
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_wherever_they_stand() {
        for lead in (0..140).chain(PAGE * BLOCK - 90..PAGE * BLOCK + 90) {
            let text = format!(
                r"{} \n %41 &lt; a{}b sixteen_",
                " ".repeat(lead),
                '\u{200b}'
            );
            let text = format!("{text}\n(x)\n");
            let mut marks = Marks::default();
            marks.read(text.as_bytes());
            let one = |mark: &str, further: usize| {
                let at = number(text.find(mark).unwrap() + further);
                vec![(at, at)]
            };
            assert_eq!(marks.escapes.0, one("\\", 0), "{lead}");
            assert_eq!(marks.percents.0, one("%", 0), "{lead}");
            assert_eq!(marks.entities.0, one("&", 0), "{lead}");
            assert_eq!(marks.invisible.0, one("\u{200b}", 2), "{lead}");
            assert_eq!(marks.breaks, [number(text.find('\n').unwrap())], "{lead}");
        }
    }

    #[test]
    fn a_run_has_whole_words_across_blocks_and_pages() {
        for lead in (0..140).chain(PAGE * BLOCK - 90..PAGE * BLOCK + 90) {
            let text = format!("{}{}, x", " ".repeat(lead), "aB3-".repeat(8));
            let mut marks = Marks::default();
            marks.read(text.as_bytes());
            let first = lead.next_multiple_of(8);
            let last = (lead + 32) / 8 * 8;
            assert_eq!(marks.runs, [(number(first), number(last))], "{lead}");
        }
    }
}
