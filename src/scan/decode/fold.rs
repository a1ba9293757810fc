//! What can stand inside a secret without being part of it: line breaks with what editors, diffs and terminals put around
//! them, and characters that do not show.

use std::ops::Range;

use memchr::{memmem, memrchr};

use super::events::KEY_END;
use super::lanes::Sixteen;

/// Letters of a token on each side of a line break, at least.
const SIDE: usize = 4;
/// On both sides together, at least.
const BOTH: usize = 16;
/// As many are looked at.
const FAR: usize = 512;
/// Bytes of the line before the token that go with it, for what announces it.
const LEAD: usize = 96;
/// Bytes of the next line after the token, up to a blank: what the token is part of may go on behind a sign.
const TRAIL: usize = 160;

/// Characters of keys, tokens and addresses with credentials.
#[inline]
pub const fn is_token(byte: u8) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0u8;
        while byte < 128 {
            table[byte as usize] = byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'_' | b'-'
                        | b'+'
                        | b'/'
                        | b'='
                        | b'.'
                        | b'~'
                        | b':'
                        | b'@'
                        | b'%'
                        | b'$'
                        | b'!'
                );
            byte += 1;
        }
        table
    };
    TABLE[byte as usize]
}

/// Whether the next line begins with the rest of a token, and not with a name and its value.
pub fn goes_on(text: &[u8], newline: usize) -> bool {
    let next = text.get(after(text, newline)..).unwrap_or_default();
    let rest = next.iter().take(FAR).take_while(|byte| is_token(**byte));
    let mut signs = rest.skip_while(|byte| !matches!(byte, b'=' | b':'));
    signs.all(|byte| *byte == b'=')
}

/// The end of the line's own text before the break at `newline`: without a carriage return or a continuation mark.
pub fn before(text: &[u8], newline: usize) -> usize {
    let mut end = newline;
    if end > 0 && text.get(end - 1) == Some(&b'\r') {
        end -= 1;
    }
    if end > 0 && text.get(end - 1) == Some(&b'\\') {
        end -= 1;
    }
    end
}

/// Whether a mark before the line break says that the line goes on.
pub fn is_continued(text: &[u8], newline: usize) -> bool {
    let line = text.get(..newline).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line).ends_with(b"\\")
}

/// Whether sixteen bytes on each side of the line break are all digits of base64.
pub fn is_in_base64(text: &[u8], newline: usize) -> bool {
    let (line, next) = text.split_at_checked(newline).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line).last_chunk();
    let next = next.get(1..).and_then(<[u8]>::first_chunk);
    let is_whole = |sixteen| Sixteen::of(sixteen).base64() == 0xFFFF;
    line.is_some_and(is_whole) && next.is_some_and(is_whole)
}

/// The start of the next line's own text: after indentation, a line number, or the mark that this line starts with too.
pub fn after(text: &[u8], newline: usize) -> usize {
    let mut at = newline + 1;
    let mark = text.get(at);
    let mark = mark.filter(|b| matches!(b, b'+' | b'-' | b'>' | b'|' | b'#' | b'*'));
    if mark.is_some_and(|mark| starts_with_mark(text, newline, *mark)) {
        at += 1;
    }
    at = skip_blanks(text, at);
    let digits = count(text, at, |b| b.is_ascii_digit());
    if digits > 0 {
        let end = skip_blanks(text, at + digits);
        let rest = text.get(end..).unwrap_or_default();
        let tab = end > at + digits && text.get(end - 1) == Some(&b'\t');
        if rest.starts_with("→".as_bytes()) || rest.starts_with("│".as_bytes()) {
            return skip_blanks(text, end + 3);
        }
        if tab || (digits < 6 && matches!(rest.first(), Some(b'|' | b':'))) {
            return skip_blanks(text, if tab { end } else { end + 1 });
        }
    }
    at
}

/// Whether the line that ends at `newline` starts with this mark, or does so after a key that stands before it.
fn starts_with_mark(text: &[u8], newline: usize, mark: u8) -> bool {
    let near = newline.saturating_sub(FAR);
    let line = text.get(near..newline).unwrap_or_default();
    let line = memrchr(b'\n', line).map_or(line, |at| line.get(at + 1..).unwrap_or_default());
    let key = memmem::find(line.get(..line.len().min(64)).unwrap_or_default(), KEY_END);
    let own = key.and_then(|key| line.get(key + KEY_END.len()));
    line.first() == Some(&mark) || own == Some(&mark)
}

fn skip_blanks(text: &[u8], at: usize) -> usize {
    let near = text.get(at..).and_then(<[u8]>::first_chunk);
    if let Some(blanks @ ..16) = near.map(|near| Sixteen::of(near).blanks()) {
        return at + blanks;
    }
    at + count(text, at, |b| b == b' ' || b == b'\t')
}

fn count(text: &[u8], at: usize, is: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().take(FAR).take_while(|b| is(**b)).count()
}

/// Whether the line break at `newline`, whose line's own text ends at `end`, is worth a closer look: `false` only where
/// [`around`] finds nothing. Asked at one line in five, and mostly answered by the sixteen bytes on each side.
#[inline]
fn may_be_cut(text: &[u8], end: usize, newline: usize) -> bool {
    let Some(line) = text.get(..end).and_then(<[u8]>::last_chunk) else {
        return true;
    };
    let line = Sixteen::of(line);
    let tail = (line.token() << 16).leading_ones();
    if (tail as usize) < SIDE {
        return false;
    }
    let next = text.get(after(text, newline)..);
    let Some(next) = next.and_then(<[u8]>::first_chunk) else {
        return true;
    };
    let next = Sixteen::of(next);
    let head = next.token().trailing_ones();
    let telling = line.telling() >> (16 - tail) | (next.telling() & ((1 << head) - 1));
    let more = tail == 16 || head == 16;
    (head as usize) >= SIDE && (tail + head) as usize >= BOTH && (telling != 0 || more)
}

/// The piece of text to read as one, if the line break at `newline` may stand inside a secret: what touches it on both
/// sides looks like parts of one token, with a digit or an `@` in it as all but the fewest secrets have.
pub fn around(text: &[u8], newline: usize) -> Option<Range<usize>> {
    let end = before(text, newline);
    if !may_be_cut(text, end, newline) {
        return None;
    }
    let (tail, telling) = token(text.get(..end)?.iter().rev());
    if tail < SIDE {
        return None;
    }
    let start = after(text, newline);
    let (head, also_telling) = token(text.get(start..)?.iter());
    if head < SIDE || tail + head < BOTH || !(telling || also_telling) {
        return None;
    }
    let token_start = end - tail;
    let lead = text.get(token_start.saturating_sub(LEAD)..token_start)?;
    let line = memrchr(b'\n', lead).map_or(0, |at| at + 1);
    let lead = lead.len() - line;
    let next = text.get(start + head..)?.iter().take(TRAIL);
    let more = next.take_while(|byte| **byte > b' ').count();
    Some(token_start - lead..start + head + more)
}

/// Length of the token that these bytes start with, and whether it could be a secret's.
fn token<'a>(bytes: impl Iterator<Item = &'a u8>) -> (usize, bool) {
    let (mut length, mut telling) = (0, false);
    for byte in bytes.take(FAR).take_while(|byte| is_token(**byte)) {
        length += 1;
        telling |= is_telling(*byte);
    }
    (length, telling)
}

/// All but the fewest secrets have one of these.
#[inline]
const fn is_telling(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'@'
}

/// First bytes of the characters that do not show.
pub const INVISIBLE: [u8; 8] = [0xC2, 0xCD, 0xD8, 0xE1, 0xE2, 0xE3, 0xEF, 0xF3];

/// Length of the invisible character that the text starts with; 0 if it starts with another.
pub fn invisible(text: &[u8]) -> usize {
    match text {
        // Soft hyphen; combining grapheme joiner; Arabic letter mark.
        [0xC2, 0xAD, ..] | [0xCD, 0x8F, ..] | [0xD8, 0x9C, ..] => 2,
        // Zero-width spaces and joiners, direction marks, word joiner and invisible operators; byte order mark; variation
        // selectors; what annotates; Mongolian selectors and vowel separator; Khmer vowels; Hangul fillers.
        [0xE2, 0x80, 0x8B..=0x8F | 0xAA..=0xAE, ..]
        | [0xE2, 0x81, 0xA0..=0xAF, ..]
        | [0xEF, 0xBB, 0xBF, ..]
        | [0xEF, 0xB8, 0x80..=0x8F, ..]
        | [0xEF, 0xBF, 0xB0..=0xBB, ..]
        | [0xE1, 0xA0, 0x8B..=0x8F, ..]
        | [0xE1, 0x9E, 0xB4 | 0xB5, ..]
        | [0xE1, 0x85, 0x9F | 0xA0, ..]
        | [0xE3, 0x85, 0xA4, ..]
        | [0xEF, 0xBE, 0xA0, ..] => 3,
        // Tag characters and more variation selectors.
        [0xF3, 0xA0, 0x80..=0x87, _, ..] => 4,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str) -> Option<&str> {
        around(text.as_bytes(), text.find('\n')?).map(|range| &text[range])
    }

    #[test]
    fn a_token_over_two_lines_is_one_piece() {
        assert_eq!(
            piece("key = abcdef0123\n  456789xyz;"),
            Some("key = abcdef0123\n  456789xyz;")
        );
    }

    #[test]
    fn what_goes_on_names_nothing() {
        for (text, expected) in [
            ("k=abc\nabcdef0123== # x", true),
            ("k=abc\n  abcdef0123", true),
            ("k=abc\nNAME=abcdef0123", false),
            ("k=abc\nname: abcdef0123", false),
            ("k=abc\n", true),
        ] {
            let newline = text.find('\n').unwrap();
            assert_eq!(goes_on(text.as_bytes(), newline), expected, "{text}");
        }
    }

    #[test]
    fn lines_of_code_and_prose_are_not() {
        assert_eq!(piece("let x = foo(12);\nlet y = bar(34567890);"), None);
        assert_eq!(piece("a description of\nsomething else"), None);
    }
}
