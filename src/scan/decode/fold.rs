//! What can stand inside a secret without being part of it: line breaks with what editors, diffs and terminals put around
//! them, and characters that do not show.

use std::ops::Range;

use memchr::memrchr;

use super::lanes::{ESCAPE, Sixteen};
use super::margin::after;

/// Letters of a token on each side of a line break, at least.
const SIDE: usize = 4;
/// On both sides together, at least.
const BOTH: usize = 16;
/// On this side so many vouch for fewer on the other, if they are mixed as a made token's are.
const LONG: usize = 16;
/// As many are looked at.
const FAR: usize = 512;
/// Bytes of a line of quoted-printable, and how many fewer it may have: it is not broken inside of `=3D`.
const MAIL: usize = 76;
const MAIL_LESS: usize = 3;
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
    if end > 0 && (text.get(end - 1) == Some(&b'\\') || is_soft(text, end)) {
        end -= 1;
    }
    end
}

/// Whether the line before the break at `newline` is one of quoted-printable that goes on.
pub fn is_quoted(text: &[u8], newline: usize) -> bool {
    let line = text.get(..newline).unwrap_or_default();
    is_soft(text, line.strip_suffix(b"\r").unwrap_or(line).len())
}

/// Whether a line that ends at `end` ends as mail programs break it: with a sign, at the width of mail. Other lines that
/// end with the sign have an empty value, or are base64.
fn is_soft(text: &[u8], end: usize) -> bool {
    let line = text.get(..end).filter(|line| line.ends_with(b"="));
    let line = line.map(|line| line.get(end.saturating_sub(MAIL + 1)..).unwrap_or_default());
    line.is_some_and(|line| {
        let length = memrchr(b'\n', line).map_or(line.len(), |at| line.len() - at - 1);
        (MAIL - MAIL_LESS..=MAIL).contains(&length)
    })
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
    let (ends, begins) = (16 - tail, (1 << head) - 1);
    let telling = line.telling() >> ends | (next.telling() & begins);
    let capitals = (line.capitals() >> ends).count_ones() + (next.capitals() & begins).count_ones();
    let (tail, head) = (tail as usize, head as usize);
    let may_tell = telling != 0 || capitals >= CAPITALS || tail == 16 || head == 16;
    let long = tail == LONG && line.telling() != 0;
    head >= SIDE && tail + head >= BOTH && may_tell || head > 0 && long
}

/// The piece of text to read as one, if the line break at `newline` may stand inside a secret: what touches it on both
/// sides looks like parts of one token, with a digit or an `@` in it as all but the fewest secrets have, or with capital and
/// small letters in no order.
pub fn around(text: &[u8], newline: usize) -> Option<Range<usize>> {
    let end = before(text, newline);
    if !may_be_cut(text, end, newline) {
        return None;
    }
    let tail = Token::of(text.get(..end)?.iter().rev());
    if tail.length < SIDE {
        return None;
    }
    let start = after(text, newline);
    let head = Token::of(text.get(start..)?.iter());
    if !tail.goes_on(&head) {
        return None;
    }
    let token_start = end - tail.length;
    let lead = text.get(token_start.saturating_sub(LEAD)..token_start)?;
    let line = memrchr(b'\n', lead).map_or(0, |at| at + 1);
    let lead = lead.len() - line;
    let next = text.get(start + head.length..)?.iter().take(TRAIL);
    let more = next.take_while(|byte| **byte > b' ').count();
    Some(token_start - lead..start + head.length + more)
}

/// What stands on one side of a line break and may be part of a token.
#[derive(Default)]
struct Token {
    length: usize,
    /// All but the fewest secrets have a digit or an `@`.
    telling: bool,
    /// It has signs of paths, addresses and sentences.
    parted: bool,
    letters: usize,
    /// How often digits, small letters and capitals follow another of these.
    turns: usize,
}

impl Token {
    /// What these bytes start with.
    fn of<'a>(bytes: impl Iterator<Item = &'a u8>) -> Self {
        let (mut token, mut last) = (Self::default(), None);
        for byte in bytes.take(FAR).take_while(|byte| is_token(**byte)) {
            token.length += 1;
            token.telling |= byte.is_ascii_digit() || *byte == b'@';
            token.parted |= matches!(byte, b'.' | b'/' | b':');
            if byte.is_ascii_alphanumeric() {
                let kind = Some((byte.is_ascii_digit(), byte.is_ascii_uppercase()));
                token.letters += 1;
                token.turns += usize::from(last.is_some() && last != kind);
                last = kind;
            }
        }
        token
    }

    /// Whether this and what follows the line break look like parts of one token.
    fn goes_on(&self, next: &Self) -> bool {
        let mixed = !(self.parted || next.parted)
            && is_mixed(self.turns + next.turns, self.letters + next.letters);
        let telling = self.telling || next.telling || mixed;
        let parts = next.length >= SIDE && self.length + next.length >= BOTH && telling;
        let long = self.length >= LONG && self.telling && is_mixed(self.turns, self.letters);
        parts || long && next.length > 0
    }
}

/// Whether so many letters change between their kinds as often as a made token's do, and a name's do not.
const fn is_mixed(turns: usize, letters: usize) -> bool {
    turns >= 4 && turns * 4 >= letters
}

/// Four turns between capitals and small letters take so many capitals.
const CAPITALS: u32 = 2;

/// First bytes of the characters that do not show.
pub const INVISIBLE: [u8; 9] = [ESCAPE, 0xC2, 0xCD, 0xD8, 0xE1, 0xE2, 0xE3, 0xEF, 0xF3];

/// Bytes between the head and the last letter of a terminal's control sequence, at most.
const PARAMETERS: usize = 32;

/// Length of the invisible character, or of the terminal's control sequence, that the text starts with; 0 if it starts
/// with another.
pub fn invisible(text: &[u8]) -> usize {
    match text {
        // Colours and the like (ECMA-48): parameters, then a letter that is none of the text's.
        [ESCAPE, b'[', rest @ ..] => {
            let is_parameter = |byte: &&u8| matches!(**byte, b' '..=b'?');
            let parameters = rest
                .iter()
                .take(PARAMETERS)
                .take_while(is_parameter)
                .count();
            match rest.get(parameters) {
                Some(b'@'..=b'~') => parameters + 3,
                _ => 0,
            }
        }
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
    fn the_last_letters_of_a_made_token_are_part_of_it_and_other_words_are_not() {
        for (line, next, cut) in [
            ("k=aB3dE5gH7jK9mN1pQ", "r", true),
            ("k=aB3dE5gH7jK9mN1pQ", "(r)", false),
            ("some_name_of_a_test_1", "let", false),
            ("k=aB3dE5g", "r2", false),
            ("hf_aBcDeFgHiJkLm", "NoPqRsTuVwXyZ", true),
            ("use GetuserByaccount", "Identifierandname", false),
            ("what has no value.", "FloatKeyMustBeFinite", false),
        ] {
            let text = format!("{line}\n{next} ");
            assert_eq!(piece(&text).is_some(), cut, "{text}");
        }
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
