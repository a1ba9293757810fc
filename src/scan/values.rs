//! Finds any of many exact values in a text without reading all of it.
//!
//! A value of at least 24 bytes covers eight bytes at some multiple of sixteen, wherever it stands: so only those of the
//! text are looked up, and of each value the first sixteen runs of eight are kept. Shorter values need closer looks.

use std::ops::Range;

use aho_corasick::Span;
use aho_corasick::packed::{self, Searcher};

/// How values of some length are looked for.
#[derive(Clone, Copy)]
struct Plan {
    /// Bytes of the shortest value.
    shortest: usize,
    /// Bytes looked up at once.
    gram: usize,
    /// Bytes from one look to the next: at most `shortest - gram + 1`.
    step: usize,
}

const PLANS: [Plan; 3] = [
    Plan {
        shortest: 24,
        gram: 8,
        step: 16,
    },
    Plan {
        shortest: 12,
        gram: 8,
        step: 5,
    },
    Plan {
        shortest: 8,
        gram: 4,
        step: 5,
    },
];
/// Bits of the filter for each kept run.
const BITS: usize = 16;
const LARGEST_FILTER: usize = 1 << 25;
const SMALLEST_FILTER: usize = 1 << 13;

/// Runs that are read before they are looked up.
const PAGE: usize = 64;

/// Of so few values a vector search for all at once looks at every byte of a text and is faster all the same.
const FEW: usize = 16;

/// Many exact values.
pub struct Values {
    /// Where they are few, and the processor has the vectors for it.
    few: Option<Searcher>,
    classes: Vec<Class>,
}

struct Class {
    plan: Plan,
    values: Vec<Box<[u8]>>,
    /// Four bits, all in one word, for each hash that may be there; a power of two of words.
    filter: Vec<u64>,
    shift: u32,
    /// Hash of a run, which value's, and where in it; sorted.
    runs: Vec<(u32, u32, u8)>,
    /// Where in `runs` the hashes with the same highest bits start: to look for one by halves would miss the processor's
    /// caches twenty times.
    starts: Vec<u32>,
    start_shift: u32,
    /// Whether a value has white space in it. Most have none and most text has: then half of it needs no look.
    blanks: bool,
}

impl Values {
    pub fn new<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let values: Vec<&[u8]> = values.collect();
        let few = (1..=FEW)
            .contains(&values.len())
            .then(|| search(&values))
            .flatten();
        if few.is_some() {
            let classes = Vec::new();
            return Self { few, classes };
        }
        let mut sorted: [Vec<Box<[u8]>>; PLANS.len()] = Default::default();
        for value in values {
            let plan = PLANS.iter().position(|plan| value.len() >= plan.shortest);
            if let Some(class) = plan.and_then(|plan| sorted.get_mut(plan)) {
                class.push(value.into());
            }
        }
        let classes = PLANS.into_iter().zip(sorted);
        let classes = classes.filter(|(_, values)| !values.is_empty());
        Self {
            few,
            classes: classes
                .map(|(plan, values)| Class::new(plan, values))
                .collect(),
        }
    }

    /// Calls `found` with the place of every value in the text.
    pub fn find(&self, text: &[u8], mut found: impl FnMut(Range<usize>)) {
        for class in &self.classes {
            class.find(text, &mut found);
        }
        let Some(few) = &self.few else {
            return;
        };
        let (mut from, mut last) = (0, 0..0);
        while let Some(one) = few.find_in(text, Span::from(from..text.len())) {
            from = one.start() + 1;
            // A value may begin inside of another. One that begins inside of itself is a row of the same sign.
            let place = one.start()..one.end();
            let repeats =
                place.start < last.end && text.get(place.clone()) == text.get(last.clone());
            if place.end > last.end && !repeats {
                found(place.clone());
                last = place;
            }
        }
    }
}

/// A search for the longest of these at each place.
fn search(values: &[&[u8]]) -> Option<Searcher> {
    packed::Config::new()
        .match_kind(packed::MatchKind::LeftmostLongest)
        .builder()
        .extend(values)
        .build()
}

impl Class {
    fn new(plan: Plan, mut values: Vec<Box<[u8]>>) -> Self {
        values.sort_unstable();
        values.dedup();
        let bits = (values.len() * plan.step * BITS).next_power_of_two();
        let bits = bits.clamp(SMALLEST_FILTER, LARGEST_FILTER);
        let buckets = (values.len() * plan.step).next_power_of_two();
        let buckets = buckets.clamp(2, LARGEST_FILTER);
        let mut class = Self {
            plan,
            filter: vec![0; bits / 64],
            shift: 64 - (bits / 64).trailing_zeros(),
            runs: Vec::with_capacity(values.len() * plan.step),
            starts: Vec::with_capacity(buckets + 1),
            start_shift: 32 - buckets.trailing_zeros(),
            blanks: values.iter().flatten().any(|byte| *byte <= b' '),
            values: Vec::new(),
        };
        for (index, value) in values.iter().enumerate() {
            for (offset, run) in (0u8..).zip(value.windows(plan.gram).take(plan.step)) {
                let hash = hash(plan.number(run));
                let (word, bits) = class.place(hash);
                if let Some(word) = class.filter.get_mut(word) {
                    *word |= bits;
                }
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                class.runs.push((short(hash), index, offset));
            }
        }
        class.runs.sort_unstable();
        for bucket in 0..=buckets {
            let first = class
                .runs
                .partition_point(|(hash, ..)| class.bucket(*hash) < bucket);
            class.starts.push(u32::try_from(first).unwrap_or(u32::MAX));
        }
        class.values = values;
        class
    }

    #[inline]
    fn place(&self, hash: u64) -> (usize, u64) {
        let word = usize::try_from(hash >> self.shift).unwrap_or(0);
        let bit = |from: u32| 1 << (hash >> from & 63);
        (word, bit(20) | bit(26) | bit(32) | bit(38))
    }

    fn bucket(&self, hash: u32) -> usize {
        (hash >> self.start_shift) as usize
    }

    fn find(&self, text: &[u8], found: &mut impl FnMut(Range<usize>)) {
        let (mut end, mut first) = (0, 0);
        let mut page = [(0, 0); PAGE];
        while first < text.len() {
            let count = self.page(text, first, &mut page);
            for &(at, hash) in page.iter().take(count) {
                let (word, bits) = self.place(hash);
                let word = self.filter.get(word);
                if word.is_some_and(|word| word & bits == bits)
                    && at >= end
                    && let Some(place) = self.look(text, at, hash)
                {
                    end = place.end;
                    found(place);
                }
            }
            first += PAGE * self.plan.step;
        }
    }

    /// Fills in where the runs to look up stand, of a page that begins at `first`, and their hashes; how many they are.
    /// Which have white space cannot be guessed, so this does not; and the filter's words are read together, for they come
    /// from far.
    fn page(&self, text: &[u8], first: usize, page: &mut [(usize, u64); PAGE]) -> usize {
        let mut count = 0;
        for look in 0..PAGE {
            let at = first + look * self.plan.step;
            let Some(run) = text.get(at..at + self.plan.gram) else {
                break;
            };
            let number = self.plan.number(run);
            if let Some(slot) = page.get_mut(count) {
                *slot = (at, hash(number));
            }
            count += usize::from(self.blanks || !has_blank(number));
        }
        count
    }

    /// The longest value that stands over the run at `at`.
    #[cold]
    fn look(&self, text: &[u8], at: usize, hash: u64) -> Option<Range<usize>> {
        let hash = short(hash);
        let bucket = self.bucket(hash);
        let ends = (self.starts.get(bucket)?, self.starts.get(bucket + 1)?);
        let near = self.runs.get(*ends.0 as usize..*ends.1 as usize)?.iter();
        let same = near.filter(|(other, ..)| *other == hash);
        same.filter_map(|(_, value, offset)| {
            let start = at.checked_sub(usize::from(*offset))?;
            let value = self.values.get(*value as usize)?;
            let place = start..start + value.len();
            (text.get(place.clone())? == &**value).then_some(place)
        })
        .max_by_key(Range::len)
    }
}

impl Plan {
    /// The run as a number; one of four bytes has its upper half set.
    #[inline]
    fn number(&self, run: &[u8]) -> u64 {
        match (run.first_chunk::<8>(), run.first_chunk::<4>()) {
            (Some(eight), _) if self.gram == 8 => u64::from_le_bytes(*eight),
            (_, Some(four)) => u64::from(u32::from_le_bytes(*four)) | !0 << 32,
            _ => 0,
        }
    }
}

/// Fibonacci hashing; the filter takes the highest bits.
#[inline]
const fn hash(number: u64) -> u64 {
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    (number ^ number >> 29).wrapping_mul(SPREAD)
}

/// Whether one of the number's bytes is a space or below.
#[inline]
const fn has_blank(number: u64) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    number.wrapping_sub(EACH * 0x21) & !number & EACH << 7 != 0
}

/// The part of a hash that is kept.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the lower half is what is wanted"
)]
const fn short(hash: u64) -> u32 {
    (hash >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_found_wherever_it_stands() {
        let letters = |length: usize| (0..length).map(move |at| at * length % 26);
        let all: Vec<String> = (8..60)
            .map(|length| {
                letters(length)
                    .map(|at| char::from(b"abcdefghijklmnopqrstuvwxyz"[at]))
                    .collect()
            })
            .collect();
        let values = Values::new(all.iter().map(String::as_bytes));
        for value in &all {
            let borders = PLANS.map(|plan| PAGE * plan.step - 60..PAGE * plan.step + 5);
            for lead in (0..40).chain(borders.into_iter().flatten()) {
                let text = format!("{}{value}-rest of the text", "~".repeat(lead));
                let mut found = Vec::new();
                values.find(text.as_bytes(), |place| found.push(place));
                assert!(
                    found.contains(&(lead..lead + value.len())),
                    "{value} at {lead}"
                );
            }
        }
    }

    #[test]
    fn values_with_and_without_blanks_are_found() {
        let all = ["a pass phrase of words", "0123 abc", "no-blank-in-this-one"];
        let many: Vec<String> = (0..FEW)
            .map(|number| format!("number {number:08}"))
            .collect();
        let many = many.iter().map(String::as_str);
        let many: Vec<&str> = all.into_iter().chain(many).collect();
        for (among, value) in [
            (&many[..], all[0]),
            (&many, all[1]),
            (&many, all[2]),
            (&all, all[0]),
            (&all, all[1]),
            (&all, all[2]),
            (&all[..1], all[0]),
        ] {
            let values = Values::new(among.iter().map(|value| value.as_bytes()));
            let text = format!(" x {value} y");
            let mut found = Vec::new();
            values.find(text.as_bytes(), |place| found.push(place));
            let found: Vec<&str> = found.into_iter().map(|place| &text[place]).collect();
            assert_eq!(found, [value], "{value}");
        }
        for byte in 0..=255u8 {
            let run = u64::from_le_bytes([b'a', b'z', 0xFF, byte, 0x80, b'!', b'~', b'0']);
            assert_eq!(has_blank(run), byte <= b' ', "{byte}");
        }
    }

    #[test]
    fn a_value_that_begins_inside_another_is_found() {
        let values = Values::new([b"abcdefgh".as_slice(), b"ghijklmn", b"cdefgh--"].into_iter());
        let mut found = Vec::new();
        values.find(b"x abcdefghijklmn abcdefgh", |place| found.push(place));
        assert_eq!(found, [2..10, 8..16, 17..25]);
        let values = Values::new([b"--------".as_slice()].into_iter());
        let mut found = Vec::new();
        values.find(b"--------------------", |place| found.push(place));
        assert_eq!(found, [0..8, 8..16]);
    }

    #[test]
    fn nothing_else_is_found() {
        let values = Values::new([b"correct horse battery staple".as_slice()].into_iter());
        values.find(
            "correct horse battery stable, correct horse".as_bytes(),
            |_| panic!("found"),
        );
        Values::new([].into_iter()).find(b"anything", |_| panic!("found"));
    }
}
