//! The codings that a piece of text can be in besides being itself, each undone in one pass without building anything.

use std::ops::Range;

use memchr::memchr;

use super::escape;
use super::events::Events;
use super::fold;
use super::margin;
use super::packed;

/// One coding of a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// None: pieces that stand apart and are read as one.
    Joined,
    Escapes,
    Percent,
    Entities,
    /// Line breaks inside a token, with what an editor or a diff puts before each line.
    Folded,
    /// The same, where a mark at the end of each line says that it goes on.
    Continued,
    /// Lines of quoted-printable, of which a mark at the end says the same.
    Quoted,
    /// Characters that do not show.
    Invisible,
    Base64,
    /// Base64 of what is compressed.
    Packed,
}

impl Coding {
    /// Whether it stands in base64: no byte of the text is a byte of what is read.
    pub const fn is_sealed(self) -> bool {
        matches!(self, Self::Base64 | Self::Packed)
    }
}

/// Reads `piece` of the text as that coding.
pub fn read<E: Events>(coding: Coding, text: &[u8], piece: Range<usize>, events: &mut E) {
    match coding {
        Coding::Joined => events.plain(piece),
        Coding::Escapes => escapes(text, piece, events),
        Coding::Percent => percent(text, piece, events),
        Coding::Entities => entities(text, piece, events),
        Coding::Folded | Coding::Continued => folded(text, piece, events),
        Coding::Quoted => quoted(text, piece, events),
        Coding::Invisible => invisible(text, piece, events),
        Coding::Base64 => base64(text, piece, events),
        Coding::Packed => packed::read(text, piece, events),
    }
}

/// Tells `events` of everything up to the next `mark`; where that is.
fn plain_to<E: Events>(
    mark: u8,
    text: &[u8],
    at: usize,
    end: usize,
    events: &mut E,
) -> Option<usize> {
    let rest = text.get(at..end)?;
    let stop = memchr(mark, rest).map_or(end, |found| at + found);
    if stop > at {
        events.plain(at..stop);
    }
    (stop < end).then_some(stop)
}

/// Backslash escapes of any depth at once: a run of backslashes and what it announces. `\\\\n` is a line break as `\n` is:
/// how often a text was quoted does not matter to what it says.
fn escapes<E: Events>(text: &[u8], piece: Range<usize>, events: &mut E) {
    let mut at = piece.start;
    while let Some(slash) = plain_to(b'\\', text, at, piece.end, events) {
        let rest = text.get(slash..piece.end).unwrap_or_default();
        let run = rest.iter().take_while(|b| **b == b'\\').count();
        let last = slash + run - 1;
        at = last + 1;
        if let Some(one) = escape::any(text, last, piece.end) {
            at = last + one.taken;
            events.stands_for(one.text(), slash..at);
        } else {
            events.stands_for(b"\\", slash..at);
        }
    }
}

/// Whether what follows a percent sign may be the number of a byte of text: of one that shows, a tab or a line break; of
/// what is not ASCII the first of several, so that `%d0` is none.
pub const fn may_be_percent(rest: &[u8]) -> bool {
    match rest {
        [b'2'..=b'7', digit, ..] | [b'C'..=b'F' | b'c'..=b'f', digit, b'%', ..] => {
            digit.is_ascii_hexdigit()
        }
        [b'0', b'9' | b'A' | b'D' | b'a' | b'd', ..] => true,
        _ => false,
    }
}

fn percent<E: Events>(text: &[u8], piece: Range<usize>, events: &mut E) {
    let mut at = piece.start;
    while let Some(sign) = plain_to(b'%', text, at, piece.end, events) {
        let digits = text.get(sign + 1..sign + 3).and_then(escape::hex);
        at = sign + 1;
        match digits.and_then(|code| u8::try_from(code).ok()) {
            Some(byte) if sign + 3 <= piece.end => {
                at = sign + 3;
                events.stands_for(&[byte], sign..at);
            }
            _ => events.plain(sign..at),
        }
    }
}

fn entities<E: Events>(text: &[u8], piece: Range<usize>, events: &mut E) {
    let mut at = piece.start;
    while let Some(sign) = plain_to(b'&', text, at, piece.end, events) {
        let rest = text.get(sign..piece.end).unwrap_or_default();
        at = sign + 1;
        if let Some((character, taken)) = entity(rest) {
            at = sign + taken;
            let mut bytes = [0; 4];
            events.stands_for(character.encode_utf8(&mut bytes).as_bytes(), sign..at);
        } else {
            events.plain(sign..at);
        }
    }
}

/// Bytes of an entity, at most: `&ZeroWidthSpace;`.
const ENTITY: usize = 16;

/// The character whose entity the text starts with, and how many bytes that takes.
pub fn entity(text: &[u8]) -> Option<(char, usize)> {
    // Most ampersands are a programming language's.
    if !matches!(
        text.get(1..3)?,
        b"am"
            | b"ap"
            | b"lt"
            | b"gt"
            | b"qu"
            | b"nb"
            | b"so"
            | b"eq"
            | b"pl"
            | b"co"
            | b"lo"
            | b"sh"
            | b"zw"
            | b"Ze"
            | b"pe"
            | b"hy"
            | b"da"
            | b"do"
            | b"ex"
            | [b'#', _]
    ) {
        return None;
    }
    let body = text.get(1..text.len().min(ENTITY))?;
    let length = memchr(b';', body)?;
    Some((character(body.get(..length)?)?, length + 2))
}

/// What `&name;` stands for.
fn character(name: &[u8]) -> Option<char> {
    Some(match name {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        b"nbsp" => ' ',
        b"sol" => '/',
        b"equals" => '=',
        b"plus" => '+',
        b"colon" => ':',
        b"lowbar" => '_',
        b"period" => '.',
        b"percnt" => '%',
        b"commat" => '@',
        b"dollar" => '$',
        b"excl" => '!',
        // What shows as one is meant as one.
        b"hyphen" | b"dash" => '-',
        b"shy" => '\u{ad}',
        b"zwnj" => '\u{200c}',
        b"zwj" => '\u{200d}',
        b"ZeroWidthSpace" => '\u{200b}',
        [b'#', b'x' | b'X', digits @ ..] if !digits.is_empty() => {
            char::from_u32(escape::hex(digits)?)?
        }
        [b'#', digits @ ..] => char::from_u32(std::str::from_utf8(digits).ok()?.parse().ok()?)?,
        _ => return None,
    })
}

fn folded<E: Events>(text: &[u8], piece: Range<usize>, events: &mut E) {
    let mut at = piece.start;
    while let Some(newline) = memchr(b'\n', text.get(at..piece.end).unwrap_or_default()) {
        let newline = at + newline;
        let before = fold::before(text, newline).max(at);
        if before > at {
            events.plain(at..before);
        }
        at = margin::after(text, newline).min(piece.end);
    }
    if at < piece.end {
        events.plain(at..piece.end);
    }
}

/// Quoted-printable: `=3D`, and a line that ends with the sign goes on.
fn quoted<E: Events>(text: &[u8], piece: Range<usize>, events: &mut E) {
    let mut at = piece.start;
    while let Some(sign) = plain_to(b'=', text, at, piece.end, events) {
        let rest = text.get(sign + 1..piece.end).unwrap_or_default();
        let byte = rest.get(..2).and_then(escape::hex);
        at = match (rest, byte.and_then(|code| u8::try_from(code).ok())) {
            ([b'\n', ..], _) => sign + 2,
            ([b'\r', b'\n', ..], _) => sign + 3,
            (_, Some(byte)) => {
                events.stands_for(&[byte], sign..sign + 3);
                sign + 3
            }
            _ => {
                events.plain(sign..sign + 1);
                sign + 1
            }
        };
    }
}

fn invisible<E: Events>(text: &[u8], piece: Range<usize>, events: &mut E) {
    let (mut at, mut from) = (piece.start, piece.start);
    while at < piece.end {
        let length = fold::invisible(text.get(at..piece.end).unwrap_or_default());
        if length > 0 {
            if at > from {
                events.plain(from..at);
            }
            from = at + length;
        }
        at += length.max(1);
    }
    if from < piece.end {
        events.plain(from..piece.end);
    }
}

/// Both alphabets; padding and line breaks are passed over.
fn base64<E: Events>(text: &[u8], piece: Range<usize>, events: &mut E) {
    let (mut bits, mut digits, mut start) = (0u32, 0u8, piece.start);
    for at in piece.clone() {
        let Some(digit) = text.get(at).copied().and_then(base64_digit) else {
            continue;
        };
        if digits == 0 {
            start = at;
        }
        bits = bits << 6 | u32::from(digit);
        digits += 1;
        if digits == 4 {
            let [_, first, second, third] = bits.to_be_bytes();
            events.stands_for(&[first, second, third], start..at + 1);
            (bits, digits) = (0, 0);
        }
    }
    let rest = (bits << (6 * (4 - u32::from(digits)))).to_be_bytes();
    if let Some(length @ 1..) = digits.checked_sub(1) {
        let bytes = rest.get(1..=usize::from(length)).unwrap_or_default();
        events.stands_for(bytes, start..piece.end);
    }
}

/// The value of a digit in the standard or the URL-safe alphabet.
pub const fn base64_digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::events::Append;
    use super::*;

    fn decode(coding: Coding, text: &str) -> String {
        let mut out = Vec::new();
        let mut events = Append {
            source: text.as_bytes(),
            text: &mut out,
            room: usize::MAX,
        };
        read(coding, text.as_bytes(), 0..text.len(), &mut events);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn escapes_of_any_depth_are_undone() {
        assert_eq!(
            decode(Coding::Escapes, r#"a\nb\\nc\\\"d\/e\u0041\\u0042\x43"#),
            "a\nb\nc\"d/eABC"
        );
        assert_eq!(
            decode(Coding::Escapes, r"\e[1m\033[2m\x1b[3m\u001b[4m \e \033"),
            "\x1b[1m\x1b[2m\x1b[3m\x1b[4m \\e \\033"
        );
        assert_eq!(decode(Coding::Escapes, r"C:\Work \\ \"), r"C:\Work \ \");
    }

    #[test]
    fn percent_and_entities_are_undone() {
        assert_eq!(decode(Coding::Percent, "a%3Db%2f%zz%4"), "a=b/%zz%4");
        assert_eq!(
            decode(Coding::Entities, "a&amp;b&#61;&#x3d;&no; & &quot;"),
            "a&b==&no; & \""
        );
        assert_eq!(
            decode(
                Coding::Entities,
                "a&period;b&hyphen;c&dash;d&commat;e&shy;f&ZeroWidthSpace;g"
            ),
            "a.b-c-d@e\u{ad}f\u{200b}g"
        );
        assert_eq!(
            decode(Coding::Quoted, "k=3Dab=\nc=\r\nd =E2=80=94 =x\ne="),
            "k=abcd \u{2014} =x\ne="
        );
    }

    #[test]
    fn base64_is_undone_in_both_alphabets_with_any_padding() {
        assert_eq!(decode(Coding::Base64, "aGVsbG8="), "hello");
        assert_eq!(decode(Coding::Base64, "aGVs\nbG8gdw"), "hello w");
        assert_eq!(decode(Coding::Base64, "Pz8_Pz8/"), "??????");
    }

    #[test]
    fn folds_and_invisible_characters_are_left_out() {
        assert_eq!(decode(Coding::Folded, "abc\n  def\r\nghi"), "abcdefghi");
        assert_eq!(decode(Coding::Folded, "+abc\n+def"), "+abcdef");
        assert_eq!(decode(Coding::Folded, "  12→abc\n  13→def"), "  12→abcdef");
        assert_eq!(
            decode(Coding::Invisible, "\x1b[1;32ma\x1b[mb\x1b[Kc\x1b[\n\x1bd"),
            "abc\x1b[\n\x1bd"
        );
        assert_eq!(
            decode(Coding::Invisible, "a\u{200b}b\u{feff}c\u{2019}d\u{ad}"),
            "abc\u{2019}d"
        );
    }
}
