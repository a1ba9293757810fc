//! What can stand inside a secret without being part of it: line breaks with what editors, diffs and terminals put around
//! them, and characters that do not show.

use std::ops::Range;

use memchr::memmem;

use super::events::KEY_END;

/// Letters of a token on each side of a line break, at least.
const SIDE: usize = 4;
/// On both sides together, at least.
const BOTH: usize = 16;
/// As many are looked at.
const FAR: usize = 512;
/// Bytes of the line before the token that go with it, for what announces it.
const LEAD: usize = 40;

/// Characters of keys, tokens and addresses with credentials.
pub const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'_' | b'-' | b'+' | b'/' | b'=' | b'.' | b'~' | b':' | b'@' | b'%' | b'$' | b'!'
        )
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

/// The start of the next line's own text: after indentation, a line number, or the mark that this line starts with too.
pub fn after(text: &[u8], newline: usize) -> usize {
    let mut at = newline + 1;
    let line_start = text
        .get(newline.saturating_sub(FAR)..newline)
        .and_then(|line| line.iter().rposition(|b| *b == b'\n').map(|at| at + 1))
        .map_or_else(
            || newline.saturating_sub(FAR),
            |at| newline.saturating_sub(FAR) + at,
        );
    let line = text.get(line_start..newline).unwrap_or_default();
    let mark = text.get(at).filter(|b| b"+->|#*".contains(b));
    // The first line of a leaf stands after its key.
    let key = memmem::find(line.get(..line.len().min(64)).unwrap_or_default(), KEY_END);
    let own = key.and_then(|key| line.get(key + KEY_END.len()));
    if mark.is_some() && (mark == line.first() || mark == own) {
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

fn skip_blanks(text: &[u8], at: usize) -> usize {
    at + count(text, at, |b| b == b' ' || b == b'\t')
}

fn count(text: &[u8], at: usize, is: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().take(FAR).take_while(|b| is(**b)).count()
}

/// The piece of text to read as one, if the line break at `newline` may stand inside a secret: what touches it on both
/// sides looks like parts of one token.
pub fn around(text: &[u8], newline: usize) -> Option<Range<usize>> {
    let end = before(text, newline);
    let last = text.get(end.checked_sub(1)?)?;
    if !is_token(*last) {
        return None;
    }
    let start = after(text, newline);
    if !is_token(*text.get(start)?) {
        return None;
    }
    let back = text.get(end.saturating_sub(FAR)..end)?;
    let tail = back.iter().rev().take_while(|b| is_token(**b)).count();
    let head = count(text, start, is_token);
    if tail < SIDE || head < SIDE || tail + head < BOTH {
        return None;
    }
    let token_start = end - tail;
    let both = text
        .get(token_start..end)?
        .iter()
        .chain(text.get(start..start + head)?);
    if !both.clone().any(|b| b.is_ascii_digit() || *b == b'@') {
        return None;
    }
    let lead = text.get(token_start.saturating_sub(LEAD)..token_start)?;
    let line = lead
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    let lead = lead.len() - line;
    Some(token_start - lead..(start + head + 1).min(text.len()))
}

/// Length of the invisible character that the text starts with; 0 if it starts with another.
pub fn invisible(text: &[u8]) -> usize {
    match text {
        // Soft hyphen; combining grapheme joiner; Arabic letter mark.
        [0xC2, 0xAD, ..] | [0xCD, 0x8F, ..] | [0xD8, 0x9C, ..] => 2,
        // Zero-width spaces and joiners, direction marks, word joiner and invisible operators; byte order mark; variation
        // selectors; Mongolian vowel separator; Hangul fillers.
        [0xE2, 0x80, 0x8B..=0x8F | 0xAA..=0xAE, ..]
        | [0xE2, 0x81, 0xA0..=0xAF, ..]
        | [0xEF, 0xBB, 0xBF, ..]
        | [0xEF, 0xB8, 0x80..=0x8F, ..]
        | [0xE1, 0xA0, 0x8E, ..]
        | [0xE3, 0x85, 0xA4, ..] => 3,
        // Tag characters and more variation selectors.
        [0xF3, 0xA0, 0x80..=0x87, _, ..] => 4,
        _ => 0,
    }
}

/// The same characters as a pattern for the matcher.
pub const INVISIBLE: &str = r"\xC2\xAD|\xCD\x8F|\xD8\x9C|\xE2\x80[\x8B-\x8F\xAA-\xAE]|\xE2\x81[\xA0-\xAF]|\xEF\xBB\xBF|\xEF\xB8[\x80-\x8F]|\xE1\xA0\x8E|\xE3\x85\xA4|\xF3\xA0[\x80-\x87][\x80-\xBF]";

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
    fn lines_of_code_and_prose_are_not() {
        assert_eq!(piece("let x = foo(12);\nlet y = bar(34567890);"), None);
        assert_eq!(piece("a description of\nsomething else"), None);
    }
}
