//! Values that are looked for only where a letter follows a digit. Of text that people write one byte in a hundred is such
//! a place; of a random value several are.

use std::collections::HashMap;
use std::ops::Range;

use super::super::decode::lanes::{BLOCK, Lanes, each};
use super::table::{Table, hash};

/// Bytes looked up at a place, half of them before the letter.
const RUN: usize = 8;

/// One value, kept by the eight bytes at one of its places.
pub struct Anchored {
    table: Table,
}

impl Anchored {
    /// Takes the values that have such a place, and gives the others back.
    pub fn new(mut values: Vec<&[u8]>) -> (Option<Self>, Vec<Box<[u8]>>) {
        values.sort_unstable();
        values.dedup();
        let mut common: HashMap<u64, u32> = HashMap::new();
        for value in &values {
            places(value).for_each(|(hash, _)| *common.entry(hash).or_default() += 1);
        }
        let (mut taken, mut runs, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for value in values {
            // Many values begin as their service writes them all: what they share would find every one at once.
            let rarest = places(value).min_by_key(|(hash, _)| common.get(hash));
            if let Some((hash, offset)) = rarest {
                runs.push((hash, taken.len(), offset));
                taken.push(value.into());
            } else {
                rest.push(value.into());
            }
        }
        let table = (!taken.is_empty()).then(|| Table::new(taken, &runs));
        (table.map(|table| Self { table }), rest)
    }

    pub fn find(&self, text: &[u8], found: &mut impl FnMut(Range<usize>)) {
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        let (mut at, mut digit) = (0, 0);
        for block in blocks {
            self.block(text, at, Lanes::of(block), &mut digit, found);
            at += BLOCK;
        }
        self.block(text, at, Lanes::of_rest(rest), &mut digit, found);
    }

    /// `digit` tells whether the block before ended with one.
    #[inline]
    fn block(
        &self,
        text: &[u8],
        at: usize,
        lanes: Lanes,
        digit: &mut u64,
        found: &mut impl FnMut(Range<usize>),
    ) {
        let digits = lanes.digits();
        let places = lanes.letters() & (digits << 1 | *digit);
        *digit = digits >> (BLOCK - 1);
        each(places, |place| {
            if let Some((hash, start)) = run(text, at + place)
                && self.table.may_have(hash)
            {
                self.table.all(text, start, hash).for_each(&mut *found);
            }
        });
    }
}

/// The hash of the run around a letter, and where that starts.
#[inline]
fn run(text: &[u8], letter: usize) -> Option<(u64, usize)> {
    let start = letter.checked_sub(RUN / 2)?;
    let run = text.get(start..)?.first_chunk::<RUN>()?;
    Some((hash(u64::from_le_bytes(*run)), start))
}

/// The runs of a value's own places, with where they start in it, as far as that can be kept.
fn places(value: &[u8]) -> impl Iterator<Item = (u64, u8)> {
    let pairs = value.windows(2).enumerate();
    let letters = pairs.filter_map(|(at, pair)| match pair {
        [digit, letter] if digit.is_ascii_digit() && letter.is_ascii_alphabetic() => Some(at + 1),
        _ => None,
    });
    letters.filter_map(|letter| {
        let (hash, start) = run(value, letter)?;
        Some((hash, u8::try_from(start).ok()?))
    })
}
