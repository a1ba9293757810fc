//! Strings as written in JSON, and what they mean.

use std::borrow::Cow;

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

/// Where the string that begins here ends, and whether it has escapes. `None` when its end is not in `text`, or when it is
/// no string: then whoever reads it byte by byte finds the place.
pub(super) fn closing_quote(text: &[u8]) -> Option<(usize, bool)> {
    let mut at = 0;
    let mut escaped = false;
    loop {
        at += plain(text.get(at..)?);
        match text.get(at)? {
            b'"' => return Some((at, escaped)),
            b'\\' => {}
            _ => return None,
        }
        escaped = true;
        at += match text.get(at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' if text.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return None,
        };
    }
}

/// How many bytes at the beginning mean themselves: no quote, backslash or control character. Eight at a time.
fn plain(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    const fn has_zero(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGH
    }
    let (words, rest) = text.as_chunks::<8>();
    for (n, bytes) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*bytes);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let quote = has_zero(word ^ (ONES * u64::from(b'"')));
        let backslash = has_zero(word ^ (ONES * u64::from(b'\\')));
        let special = control | quote | backslash;
        if special != 0 {
            // A borrow can only mark bytes behind the first special one.
            return n * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let special = |b: &u8| *b < 0x20 || matches!(b, b'"' | b'\\');
    text.len() - rest.len() + rest.iter().position(special).unwrap_or(rest.len())
}
