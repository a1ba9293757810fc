//! Cuts a JSON body between its outer values: after a member of the body, and after an element of a list that is a member
//! of the body (`messages`, `tools`, `input`). An agent's next turn has the same pieces as the turn before, and a few more.
//!
//! Sixty-four bytes are looked at together; only brackets and commas outside strings are looked at by themselves.

use super::lanes::{BLOCK, Lanes, each};
use crate::domain::json::Escapes;

/// Bytes of strings that a chunk has at least. A word announces a secret over 512 bytes of text at most, and no byte of text
/// takes more than six in a string: so what a chunk has to do with is in it and in the next.
const LEAST: usize = 4096 + BLOCK;

/// What a walk is inside of, between two outer values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// Nothing of the body has been read.
    Start,
    /// The object that the body is.
    Body,
    /// A list that is a member of the body.
    List,
}

/// Bytes of a body from one cut to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub start: usize,
    pub end: usize,
    /// What a walk is inside of, before and after it.
    pub within: (Within, Within),
}

/// Cuts a body. What follows the last chunk ends the body; nothing is cut of a body that is no object.
pub fn cut(body: &[u8], chunks: &mut Vec<Chunk>) {
    chunks.clear();
    let mut strings = Strings::default();
    let mut nesting = Nesting::default();
    let (blocks, rest) = body.as_chunks();
    let mut at = 0;
    for block in blocks {
        let lanes = Lanes::of(block);
        let outside = strings.outside(lanes);
        if outside != 0 {
            let structure = outside & lanes.structure();
            each(structure, |place| nesting.see(block, at, place, chunks));
        }
        nesting.told += outside.count_zeros() as usize;
        at += BLOCK;
    }
    let mut last = [b' '; BLOCK];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    let lanes = Lanes::of(&last);
    let structure = strings.outside(lanes) & lanes.structure();
    each(structure, |place| nesting.see(&last, at, place, chunks));
}

/// Which bytes are in strings, carried from block to block.
#[derive(Default)]
struct Strings {
    /// All ones inside a string.
    inside: u64,
    escapes: Escapes,
}

impl Strings {
    /// Which bytes of a block stand outside strings.
    #[inline]
    fn outside(&mut self, lanes: Lanes) -> u64 {
        let quotes = lanes.any([b'"']) & !self.escapes.of(lanes.any([b'\\']));
        let inside = parity(quotes) ^ self.inside;
        self.inside = if inside >> 63 == 1 { u64::MAX } else { 0 };
        !inside
    }
}

/// For each bit, whether the number of bits up to it is odd.
#[inline]
const fn parity(mut bits: u64) -> u64 {
    // As in most blocks of a long string.
    if bits == 0 {
        return 0;
    }
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^ bits << 32
}

/// Which containers are open, as far as it matters here.
struct Nesting {
    depth: usize,
    /// The body is an object.
    object: bool,
    /// The container at depth two is a list.
    list: bool,
    /// Nothing but its bracket has been read of it: what follows is not what follows a value.
    begins: bool,
    /// Bytes of strings before the block at hand.
    told: usize,
    /// Where the chunk at hand starts, inside of what, and what was told then.
    start: usize,
    within: Within,
    told_before: usize,
}

impl Default for Nesting {
    fn default() -> Self {
        Self {
            depth: 0,
            object: false,
            list: false,
            begins: false,
            told: 0,
            start: 0,
            within: Within::Start,
            told_before: 0,
        }
    }
}

impl Nesting {
    /// A bracket or a comma stands outside strings, at `place` of the block at `at`.
    #[inline]
    fn see(&mut self, block: &[u8; BLOCK], at: usize, place: usize, chunks: &mut Vec<Chunk>) {
        let byte = block.get(place).copied().unwrap_or_default();
        if matches!(byte, b'{' | b'[') {
            self.depth += 1;
            match self.depth {
                1 => self.object = byte == b'{',
                2 => (self.list, self.begins) = (byte == b'[', true),
                _ => self.begins = false,
            }
            return;
        }
        // The last value ends where, in the next turn, a comma will stand.
        let begins = std::mem::take(&mut self.begins) && byte != b',';
        if self.depth <= 2 && !begins && self.told >= self.told_before + LEAST {
            self.cut(at + place, chunks);
        }
        if byte != b',' {
            self.depth = self.depth.saturating_sub(1);
        }
    }

    fn cut(&mut self, at: usize, chunks: &mut Vec<Chunk>) {
        let within = match self.depth {
            1 if self.object => Within::Body,
            2 if self.object && self.list => Within::List,
            _ => return,
        };
        chunks.push(Chunk {
            start: self.start,
            end: at,
            within: (self.within, within),
        });
        (self.start, self.within, self.told_before) = (at, within, self.told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cuts(body: &str) -> Vec<(usize, Within)> {
        let mut chunks = Vec::new();
        cut(body.as_bytes(), &mut chunks);
        let ends = chunks.iter().map(|chunk| chunk.end);
        let starts = chunks.iter().map(|chunk| chunk.start);
        assert!(starts.skip(1).eq(ends.take(chunks.len().saturating_sub(1))));
        chunks
            .iter()
            .map(|chunk| (chunk.end, chunk.within.1))
            .collect()
    }

    #[test]
    fn a_body_is_cut_after_members_and_elements_that_are_long_enough() {
        let long = "x".repeat(LEAST + BLOCK);
        let body = format!(
            r#"{{"system": "{long}", "messages": [{{"content": ["{long}", "{long}"]}}, "{long}", 1, 2], "model": {{"a": [1, "{long}"], "b": 1}}}}"#
        );
        let places: Vec<_> = cuts(&body)
            .into_iter()
            .map(|(at, within)| (&body[at..body.len().min(at + 12)], within))
            .collect();
        assert_eq!(
            places,
            [
                (r#", "messages""#, Within::Body),
                (r#", "xxxxxxxxx"#, Within::List),
                (r#", 1, 2], "mo"#, Within::List),
                ("}", Within::Body),
            ]
        );
    }

    #[test]
    fn an_empty_list_is_not_cut_where_a_value_might_begin() {
        for length in LEAST - 2 * BLOCK..LEAST + 2 * BLOCK {
            let (long, blank) = ("x".repeat(length), " ".repeat(2 * BLOCK));
            let body =
                format!(r#"{{"system": "{long}", "messages": [{blank}], "more": "{long}"}}"#);
            for (at, _) in cuts(&body) {
                assert_ne!(body.as_bytes()[at], b']', "{length}");
            }
        }
    }

    #[test]
    fn nothing_is_cut_of_what_is_no_object() {
        let long = "x".repeat(2 * LEAST);
        for body in [
            format!(r#"["{long}", "{long}"]"#),
            format!(r#"{{"a": "{long}, {long}"#),
            format!("{long}, {long}"),
        ] {
            assert_eq!(cuts(&body), [], "{}", &body[..12]);
        }
    }

    /// A string without and with escapes, across blocks in every way.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("\\".to_owned()),
            Just("\\\"".to_owned()),
            Just("\\\\".to_owned()),
            "[a-z,{}\\[\\] ]{0,40}",
        ];
        proptest::collection::vec(piece, 0..400).prop_map(|pieces| {
            let text: String = pieces.concat();
            serde_json::to_string(&text).unwrap()
        })
    }

    proptest! {
        #[test]
        fn strings_never_tell_of_structure(texts in proptest::collection::vec(text(), 1..12)) {
            let body = format!(r#"{{"messages": [{}]}}"#, texts.join(","));
            // The commas between the texts are the only ones at that depth; each text counts with one of its quotes.
            let start = r#"{"messages": ["#.len();
            let mut told = vec![false; start];
            told[1..10].fill(true);
            let mut ends = Vec::new();
            for text in &texts {
                told.extend(std::iter::repeat_n(true, text.len() - 1).chain([false, false]));
                ends.push((told.len() - 1, Within::List));
            }
            // The brace, where it is the first byte of a block, ends the body with what the bracket before it did not tell.
            ends.push((told.len(), Within::Body));
            let mut before = 0;
            ends.retain(|(at, _)| {
                let so_far = told[..at / BLOCK * BLOCK].iter().filter(|told| **told).count();
                let long = so_far >= before + LEAST;
                if long {
                    before = so_far;
                }
                long
            });
            prop_assert_eq!(cuts(&body), ends);
        }
    }
}
