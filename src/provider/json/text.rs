//! Strings as written in JSON, and what they mean.

use std::borrow::Cow;
use std::ops::ControlFlow;

use wide::u8x16;

use crate::domain::json::Escapes;

#[cfg(doc)]
use super::CAPTURE;

/// A string between its quotes, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    /// The first [`CAPTURE`] bytes, or all.
    pub(super) raw: &'a [u8],
    /// Bytes of the whole string as written: at least as many as it has decoded.
    pub len: u64,
    pub(super) escaped: bool,
}

impl<'a> Text<'a> {
    /// The decoded bytes; of a string longer than [`CAPTURE`], those of its beginning.
    #[must_use]
    pub fn decoded(&self) -> Cow<'a, [u8]> {
        if self.escaped {
            Cow::Owned(decode(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// Whether the whole string was kept.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.raw.len() as u64 == self.len
    }
}

/// Undoes escapes; half a surrogate pair becomes U+FFFD, an escape cut off at the end of the capture is left out.
pub(super) fn decode(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let Some(letter) = rest.get(at + 1) else {
            return out;
        };
        let mut taken = at + 2;
        match letter {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'u' => {
                let (character, length) = decode_unicode(&rest[taken..]);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                taken += length;
            }
            other => out.push(*other),
        }
        rest = &rest[taken.min(rest.len())..];
    }
    out.extend_from_slice(rest);
    out
}

/// The character of the digits after `\u`, and how many bytes they take (a second `\u` included where it completes a pair).
fn decode_unicode(digits: &[u8]) -> (char, usize) {
    let unit = |from: usize| {
        let text = std::str::from_utf8(digits.get(from..from + 4)?).ok()?;
        u32::from_str_radix(text, 16).ok()
    };
    let Some(first) = unit(0) else {
        return (char::REPLACEMENT_CHARACTER, 4);
    };
    if let Some(character) = char::from_u32(first) {
        return (character, 4);
    }
    if first < 0xDC00
        && digits.get(4..6) == Some(b"\\u")
        && let Some(second @ 0xDC00..=0xDFFF) = unit(6)
    {
        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return (
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
            10,
        );
    }
    (char::REPLACEMENT_CHARACTER, 4)
}

/// Bytes of a string looked at together.
const BLOCK: usize = 64;

/// Where the string that begins here ends, and whether it has escapes. `None` when its end is not in `text`, or when it is
/// no string: then whoever reads it byte by byte finds the place.
pub(super) fn closing_quote(text: &[u8]) -> Option<(usize, bool)> {
    let mut search = Search::default();
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for (n, block) in blocks.iter().enumerate() {
        if let ControlFlow::Break(found) = search.block(text, n * BLOCK, block) {
            return found;
        }
    }
    let mut last = [b' '; BLOCK];
    last.get_mut(..rest.len())?.copy_from_slice(rest);
    search
        .block(text, text.len() - rest.len(), &last)
        .break_value()?
}

/// The way through a string, block by block.
#[derive(Default)]
struct Search {
    escapes: Escapes,
    escaped: bool,
}

impl Search {
    /// Looks through the block of `text` at `base`: breaks with the place of the quote, or with nothing at what no string has.
    #[inline]
    fn block(
        &mut self,
        text: &[u8],
        base: usize,
        block: &[u8; BLOCK],
    ) -> ControlFlow<Option<(usize, bool)>> {
        let marks = Marks::of(block);
        let escaped = self.escapes.of(marks.backslashes);
        let ends = marks.quotes & !escaped | marks.controls;
        // Up to the end, or all of them.
        let before = ends.wrapping_sub(1) & !ends;
        self.escaped |= (escaped | marks.backslashes) & before != 0;
        let mut rare = escaped & before & !marks.common;
        while rare != 0 {
            let at = base + rare.trailing_zeros() as usize;
            if !may_be_escaped(text, at) {
                return ControlFlow::Break(None);
            }
            rare &= rare - 1;
        }
        if ends == 0 {
            return ControlFlow::Continue(());
        }
        let at = ends.trailing_zeros() as usize;
        let quote = block.get(at) == Some(&b'"');
        ControlFlow::Break(quote.then_some((base + at, self.escaped)))
    }
}

/// Whether what stands at `at` may follow a backslash.
fn may_be_escaped(text: &[u8], at: usize) -> bool {
    match text.get(at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
        Some(b'u') => text
            .get(at + 1..at + 5)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        _ => false,
    }
}

/// Bytes of a block that do not mean themselves, one bit each, the first byte's lowest.
#[derive(Default)]
struct Marks {
    quotes: u64,
    backslashes: u64,
    controls: u64,
    /// What most often follows a backslash.
    common: u64,
}

impl Marks {
    #[inline]
    fn of(block: &[u8; BLOCK]) -> Self {
        let mut marks = Self::default();
        for (n, sixteen) in block.as_chunks::<16>().0.iter().enumerate() {
            let lane = u8x16::new(*sixteen);
            let is = |byte: u8| lane.simd_eq(u8x16::splat(byte));
            let bits = |lane: u8x16| u64::from(lane.to_bitmask()) << (16 * n);
            let (quote, backslash) = (is(b'"'), is(b'\\'));
            marks.quotes |= bits(quote);
            marks.backslashes |= bits(backslash);
            marks.controls |= bits(lane.min(u8x16::splat(0x1f)).simd_eq(lane));
            marks.common |= bits(quote | backslash | is(b'n') | is(b't'));
        }
        marks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same, byte by byte.
    fn slowly(text: &[u8]) -> Option<(usize, bool)> {
        let (mut at, mut escaped) = (0, false);
        loop {
            at += match text.get(at)? {
                b'"' => return Some((at, escaped)),
                b'\\' => {
                    escaped = true;
                    let unicode = text.get(at + 1) == Some(&b'u');
                    may_be_escaped(text, at + 1).then_some(if unicode { 6 } else { 2 })?
                }
                0..=0x1f => return None,
                _ => 1,
            };
        }
    }

    proptest! {
        #[test]
        fn a_string_ends_where_it_ends_read_byte_by_byte(
            pieces in proptest::collection::vec(r#"[a-zé ]{0,40}|\\["nu\\]|\\u00e9|\\u00|["\n]"#, 0..12),
            quote in any::<bool>(),
        ) {
            let text = pieces.concat() + if quote { "\"" } else { "" };
            prop_assert_eq!(closing_quote(text.as_bytes()), slowly(text.as_bytes()));
        }
    }

    #[test]
    fn an_escape_may_lie_across_two_blocks() {
        for before in 55..70 {
            for escape in [r"\n", r#"\""#, r"\\", r"\u00e9"] {
                let text = format!("{}{escape}{}\"", "x".repeat(before), "y".repeat(before));
                let end = text.len() - 1;
                assert_eq!(closing_quote(text.as_bytes()), Some((end, true)), "{text}");
            }
        }
    }
}
