//! Strings as written in JSON, and what they mean.

use std::borrow::Cow;
use std::ops::ControlFlow;

use wide::u8x16;

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
    /// Bytes of the next block that belong to an escape which began in this one.
    skip: usize,
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
        let mut marks = from(special(block), self.skip);
        self.skip = 0;
        while marks != 0 {
            let bit = marks.trailing_zeros() as usize;
            let at = base + bit;
            match text.get(at) {
                Some(b'"') => return ControlFlow::Break(Some((at, self.escaped))),
                Some(b'\\') => {}
                _ => return ControlFlow::Break(None),
            }
            let Some(length) = escape(text, at) else {
                return ControlFlow::Break(None);
            };
            self.escaped = true;
            self.skip = (bit + length).saturating_sub(BLOCK);
            marks = from(marks, bit + length);
        }
        ControlFlow::Continue(())
    }
}

/// The bits from `bit` on; none where that is behind the block.
const fn from(bits: u64, bit: usize) -> u64 {
    if bit < BLOCK { bits >> bit << bit } else { 0 }
}

/// The bytes that the escape at `at` takes.
#[inline]
fn escape(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' if text.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => Some(6),
        _ => None,
    }
}

/// Which bytes do not mean themselves: quotes, backslashes and control characters, one bit each, the first byte's lowest.
#[inline]
fn special(block: &[u8; BLOCK]) -> u64 {
    let (quote, backslash) = (u8x16::splat(b'"'), u8x16::splat(b'\\'));
    let last_control = u8x16::splat(0x1f);
    block
        .as_chunks::<16>()
        .0
        .iter()
        .enumerate()
        .fold(0, |bits, (n, sixteen)| {
            let lane = u8x16::new(*sixteen);
            let control = lane.min(last_control).simd_eq(lane);
            let marked = lane.simd_eq(quote) | lane.simd_eq(backslash) | control;
            bits | u64::from(marked.to_bitmask()) << (16 * n)
        })
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
                    escape(text, at)?
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
