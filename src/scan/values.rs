//! Finds any of many exact values in a text without reading all of it.
//!
//! Most values mix digits and letters as hardly any text does: they are looked up only where one follows the other, by
//! the eight bytes around ([`anchored`]). The others, of at least 24 bytes, cover eight bytes at some multiple of sixteen,
//! wherever they stand: so only those of the text are looked up, and of each value the first sixteen runs of eight are
//! kept. Shorter values need closer looks.

mod anchored;
mod table;

use std::ops::Range;

use aho_corasick::Span;
use aho_corasick::packed::{self, Searcher};

use self::anchored::Anchored;
use self::table::{Table, hash};

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
/// Of so few values a vector search for all at once looks at every byte of a text and is faster all the same.
const FEW: usize = 16;

/// Many exact values.
pub struct Values {
    /// Where they are few, and the processor has the vectors for it.
    few: Option<Searcher>,
    anchored: Anchored,
    classes: Vec<Class>,
}

/// The values of one length that have no anchor.
struct Class {
    plan: Plan,
    table: Table,
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
            return Self {
                few,
                anchored: Anchored::default(),
                classes: Vec::new(),
            };
        }
        let (anchored, values) = Anchored::new(values);
        let mut sorted: [Vec<Box<[u8]>>; PLANS.len()] = Default::default();
        for value in values {
            let plan = PLANS.iter().position(|plan| value.len() >= plan.shortest);
            if let Some(class) = plan.and_then(|plan| sorted.get_mut(plan)) {
                class.push(value.into());
            }
        }
        let classes = PLANS.into_iter().zip(sorted);
        let classes = classes.filter(|(_, values)| !values.is_empty());
        let classes = classes.map(|(plan, values)| Class::new(plan, values));
        Self {
            few,
            anchored,
            classes: classes.collect(),
        }
    }

    /// Calls `found` with the place of every value in the text.
    pub fn find(&self, text: &[u8], mut found: impl FnMut(Range<usize>)) {
        self.anchored.find(text, &mut found);
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
        let mut runs = Vec::with_capacity(values.len() * plan.step);
        for (index, value) in values.iter().enumerate() {
            for (offset, run) in (0u8..).zip(value.windows(plan.gram).take(plan.step)) {
                runs.push((hash(plan.number(run)), index, offset));
            }
        }
        Self {
            plan,
            blanks: values.iter().flatten().any(|byte| *byte <= b' '),
            table: Table::new(values, &runs),
        }
    }

    fn find(&self, text: &[u8], found: &mut impl FnMut(Range<usize>)) {
        let mut end = 0;
        for at in (0..text.len()).step_by(self.plan.step) {
            let Some(run) = text.get(at..at + self.plan.gram) else {
                return;
            };
            let number = self.plan.number(run);
            if !self.blanks && has_blank(number) {
                continue;
            }
            let hash = hash(number);
            if self.table.may_have(hash)
                && at >= end
                && let Some(place) = self.table.longest(text, at, hash)
            {
                end = place.end;
                found(place);
            }
        }
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

/// Whether one of the number's bytes is a space or below.
#[inline]
const fn has_blank(number: u64) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    number.wrapping_sub(EACH * 0x21) & !number & EACH << 7 != 0
}

#[cfg(test)]
mod tests {
    use super::super::examples;
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
            for lead in 0..40 {
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
    fn values_that_mix_letters_and_digits_are_found_wherever_they_stand() {
        let all: Vec<String> = (0..2000u64)
            .map(|seed| {
                let length = 8 + seed % 50;
                let template = format!("key1x_{{alnum:{length}}}");
                examples::expand(&template, seed).unwrap().text
            })
            .collect();
        let values = Values::new(all.iter().map(String::as_bytes));
        assert!(values.classes.is_empty());
        for (lead, value) in (0..140).cycle().zip(&all) {
            let text = format!("{}{value}{value}x", "~".repeat(lead));
            let mut found = Vec::new();
            values.find(text.as_bytes(), |place| found.push(place));
            let one = lead..lead + value.len();
            let two = one.end..one.end + value.len();
            assert!(found.contains(&one) && found.contains(&two), "{value}");
        }
    }

    #[test]
    fn values_that_overlap_are_found_by_their_anchors() {
        let many = (0..2 * FEW).map(|number| format!("{number:08}ab{number:08}"));
        let mut all: Vec<String> = many.collect();
        all.push("xxab12cdyy".to_owned());
        all.push("12cdyyzz9a00".to_owned());
        let values = Values::new(all.iter().map(String::as_bytes));
        let mut found = Vec::new();
        values.find(b"xxab12cdyyzz9a00", |place| found.push(place));
        found.sort_by_key(|place| place.start);
        assert_eq!(found, [0..10, 4..16]);
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
