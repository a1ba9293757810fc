//! Which value stands around a run of bytes, by the hash of the run: a filter that says no to almost all, then the runs
//! themselves.

use std::ops::Range;

/// Bits of the filter for each kept run.
const BITS: usize = 16;
const LARGEST_FILTER: usize = 1 << 25;
const SMALLEST_FILTER: usize = 1 << 13;

pub struct Table {
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
}

impl Table {
    /// Of each run its hash, the number of its value, and where in that it is.
    pub fn new(values: Vec<Box<[u8]>>, runs: &[(u64, usize, u8)]) -> Self {
        let bits = (runs.len() * BITS).next_power_of_two();
        let bits = bits.clamp(SMALLEST_FILTER, LARGEST_FILTER);
        let buckets = runs.len().next_power_of_two().clamp(2, LARGEST_FILTER);
        let mut table = Self {
            values,
            filter: vec![0; bits / 64],
            shift: 64 - (bits / 64).trailing_zeros(),
            runs: Vec::with_capacity(runs.len()),
            starts: Vec::with_capacity(buckets + 1),
            start_shift: 32 - buckets.trailing_zeros(),
        };
        for &(hash, value, offset) in runs {
            let (word, bits) = table.place(hash);
            if let Some(word) = table.filter.get_mut(word) {
                *word |= bits;
            }
            let value = u32::try_from(value).unwrap_or(u32::MAX);
            table.runs.push((short(hash), value, offset));
        }
        table.runs.sort_unstable();
        for bucket in 0..=buckets {
            let before = |run: &(u32, u32, u8)| table.bucket(run.0) < bucket;
            let first = table.runs.partition_point(before);
            table.starts.push(u32::try_from(first).unwrap_or(u32::MAX));
        }
        table
    }

    #[inline]
    fn place(&self, hash: u64) -> (usize, u64) {
        let word = usize::try_from(hash >> self.shift).unwrap_or(0);
        let bit = |from: u32| 1 << (hash >> from & 63);
        (word, bit(20) | bit(26) | bit(32) | bit(38))
    }

    const fn bucket(&self, hash: u32) -> usize {
        (hash >> self.start_shift) as usize
    }

    /// Whether a run of this hash may be kept; `false` only where none is.
    #[inline]
    pub fn may_have(&self, hash: u64) -> bool {
        let (word, bits) = self.place(hash);
        self.filter
            .get(word)
            .is_some_and(|word| word & bits == bits)
    }

    /// The longest value that stands over the run at `at`.
    #[cold]
    pub fn longest(&self, text: &[u8], at: usize, hash: u64) -> Option<Range<usize>> {
        self.all(text, at, hash).max_by_key(Range::len)
    }

    /// Every value that stands over it.
    pub fn all(&self, text: &[u8], at: usize, hash: u64) -> impl Iterator<Item = Range<usize>> {
        let hash = short(hash);
        let bucket = self.bucket(hash);
        let start = |bucket: usize| self.starts.get(bucket).map_or(0, |start| *start as usize);
        let near = self.runs.get(start(bucket)..start(bucket + 1));
        let near = near.unwrap_or_default().iter();
        let same = near.filter(move |(other, ..)| *other == hash);
        same.filter_map(move |(_, value, offset)| {
            let start = at.checked_sub(usize::from(*offset))?;
            let value = self.values.get(*value as usize)?;
            let place = start..start + value.len();
            (text.get(place.clone())? == &**value).then_some(place)
        })
    }
}

/// Fibonacci hashing; the filter takes the highest bits.
#[inline]
pub const fn hash(number: u64) -> u64 {
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    (number ^ number >> 29).wrapping_mul(SPREAD)
}

/// The part of a hash that is kept.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the lower half is what is wanted"
)]
const fn short(hash: u64) -> u32 {
    (hash >> 16) as u32
}
