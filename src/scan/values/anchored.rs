//! Values that are looked for only where a letter and a digit meet. Of text that people write one byte in a hundred is
//! such a place; of a random value several are. Nearly all have a letter after a digit: only the few others, in a small
//! table of their own, are looked for where a digit follows a letter.

use std::collections::HashMap;
use std::ops::Range;

use super::super::decode::lanes::{BLOCK, Lanes};
use super::table::{Table, hash};

/// Bytes looked up at a place, half of them before it.
const RUN: usize = 8;

/// Values, each kept by the eight bytes at one of its places.
#[derive(Default)]
pub struct Anchored {
    /// By a letter after a digit.
    letters: Option<Table>,
    /// By a digit after a letter.
    digits: Option<Table>,
}

/// Which of two bytes is where one value's place is.
type Place = fn(u8, u8) -> bool;

impl Anchored {
    /// Takes the values that have such a place, and gives the others back.
    pub fn new(mut values: Vec<&[u8]>) -> (Self, Vec<&[u8]>) {
        values.sort_unstable();
        values.dedup();
        let letter: Place = |before, at| before.is_ascii_digit() && at.is_ascii_alphabetic();
        let digit: Place = |before, at| before.is_ascii_alphabetic() && at.is_ascii_digit();
        let (letters, rest) = table(values, letter);
        let (digits, rest) = table(rest, digit);
        (Self { letters, digits }, rest)
    }

    pub fn find(&self, text: &[u8], found: &mut impl FnMut(Range<usize>)) {
        if self.letters.is_none() && self.digits.is_none() {
            return;
        }
        let (mut letters, mut digits) = (Places::new(), Places::new());
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        let (mut at, mut before) = (0, (0, 0));
        let mut see = |lanes: Lanes, at: usize| {
            let (digit, letter) = (lanes.digits(), lanes.letters());
            if self.letters.is_some() {
                letters.add(at, letter & (digit << 1 | before.0));
            }
            if self.digits.is_some() {
                digits.add(at, digit & (letter << 1 | before.1));
            }
            before = (digit >> (BLOCK - 1), letter >> (BLOCK - 1));
            if at / BLOCK % PAGE == PAGE - 1 || at + BLOCK > text.len() {
                self.letters
                    .iter()
                    .for_each(|table| letters.look(table, text, found));
                self.digits
                    .iter()
                    .for_each(|table| digits.look(table, text, found));
            }
        };
        for block in blocks {
            see(Lanes::of(block), at);
            at += BLOCK;
        }
        see(Lanes::of_rest(rest), at);
    }
}

/// Blocks whose places are looked up together: one look need not wait for the memory that another asks for.
const PAGE: usize = 8;
/// Places that are noted of a block whether there are so many or not: how many there are cannot be guessed.
const USUAL: usize = 4;
/// Of two bytes that meet one at most is such a place.
const MOST: usize = PAGE * BLOCK / 2 + USUAL;

/// Places of a page that are to be looked up.
struct Places {
    at: [u32; MOST],
    count: usize,
}

impl Places {
    const fn new() -> Self {
        let at = [0; MOST];
        Self { at, count: 0 }
    }

    #[inline]
    fn add(&mut self, at: usize, mut bits: u64) {
        // Texts are shorter than 4 GiB: the matcher's own limit.
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        let end = self.count + bits.count_ones() as usize;
        let mut next = self.count;
        loop {
            let slots = self.at.get_mut(next..);
            let Some(slots) = slots.and_then(<[u32]>::first_chunk_mut::<USUAL>) else {
                return;
            };
            for slot in slots {
                *slot = at.wrapping_add(bits.trailing_zeros());
                bits &= bits.wrapping_sub(1);
            }
            next += USUAL;
            if next >= end {
                self.count = end;
                return;
            }
        }
    }

    #[inline]
    fn look(&mut self, table: &Table, text: &[u8], found: &mut impl FnMut(Range<usize>)) {
        let places = self.at.get(..self.count).unwrap_or_default();
        for place in places {
            if let Some((hash, start)) = run(text, *place as usize)
                && table.may_have(hash)
            {
                table.all(text, start, hash).for_each(&mut *found);
            }
        }
        self.count = 0;
    }
}

/// A table of the values that have such a place, and the others.
fn table(values: Vec<&[u8]>, is: Place) -> (Option<Table>, Vec<&[u8]>) {
    let mut common: HashMap<u64, u32> = HashMap::new();
    for value in &values {
        places(value, is).for_each(|(hash, _)| *common.entry(hash).or_default() += 1);
    }
    let (mut taken, mut runs, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for value in values {
        // Many values begin as their service writes them all: what they share would find every one at once.
        let rarest = places(value, is).min_by_key(|(hash, _)| common.get(hash));
        if let Some((hash, offset)) = rarest {
            runs.push((hash, taken.len(), offset));
            taken.push(value.into());
        } else {
            rest.push(value);
        }
    }
    let table = (!taken.is_empty()).then(|| Table::new(taken, &runs));
    (table, rest)
}

/// The hash of the run around a place, and where that starts.
#[inline]
fn run(text: &[u8], place: usize) -> Option<(u64, usize)> {
    let start = place.checked_sub(RUN / 2)?;
    let run = text.get(start..)?.first_chunk::<RUN>()?;
    Some((hash(u64::from_le_bytes(*run)), start))
}

/// The runs of a value's own places, with where they start in it, as far as that can be kept.
fn places(value: &[u8], is: Place) -> impl Iterator<Item = (u64, u8)> {
    let pairs = value.windows(2).enumerate();
    let places = pairs.filter_map(move |(at, pair)| match pair {
        [before, byte] => is(*before, *byte).then_some(at + 1),
        _ => None,
    });
    places.filter_map(|place| {
        let (hash, start) = run(value, place)?;
        Some((hash, u8::try_from(start).ok()?))
    })
}
