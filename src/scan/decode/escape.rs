//! Single backslash escapes.

use super::lanes::ESCAPE;

/// What one escape means, and how many bytes it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escape {
    bytes: [u8; 4],
    length: usize,
    pub taken: usize,
}

impl Escape {
    const fn byte(byte: u8, taken: usize) -> Self {
        Self {
            bytes: [byte, 0, 0, 0],
            length: 1,
            taken,
        }
    }

    fn character(character: char, taken: usize) -> Self {
        let mut bytes = [0; 4];
        let length = character.encode_utf8(&mut bytes).len();
        Self {
            bytes,
            length,
            taken,
        }
    }

    pub fn text(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The JSON escape whose backslash is at `at`; `None` where JSON has no such escape. Half a surrogate pair reads as U+FFFD.
pub fn json(text: &[u8], at: usize) -> Option<Escape> {
    match text.get(at + 1)? {
        b'u' => unicode(text, at),
        letter => match short(*letter) {
            0 => None,
            byte => Some(Escape::byte(byte, 2)),
        },
    }
}

/// Whether a backslash between these may be an escape, as far as a few bytes tell.
pub const fn may_be(before: &[u8], rest: &[u8]) -> bool {
    match rest {
        [b'u' | b'x' | b'\'' | b'`', ..] => true,
        [letter, ..] if short(*letter) != 0 => true,
        [sign, next, ..] if is_sign(*sign) => {
            // Inside a word or an address: elsewhere, regular expressions are full of them.
            matches!(before, [.., last] if last.is_ascii_alphanumeric())
                && (next.is_ascii_alphanumeric() || *next == b'/')
        }
        _ => control(rest) > 0,
    }
}

/// A sign of tokens and addresses that is written behind a backslash: in Java's properties, in Markdown and TeX, by shells.
const fn is_sign(sign: u8) -> bool {
    matches!(
        sign,
        b'_' | b':' | b'=' | b'?' | b'&' | b'#' | b'!' | b'-' | b'*' | b'@' | b'~' | b'$'
    )
}

/// How many bytes of what follows a backslash write the first byte of a terminal's control sequence: as shells do, and only
/// where one goes on.
const fn control(rest: &[u8]) -> usize {
    match rest {
        [b'e', b'[', ..] => 1,
        [b'0', b'3', b'3', b'[', ..] => 3,
        _ => 0,
    }
}

/// What a backslash and this letter stand for in JSON; 0 if they stand for nothing or for what more letters tell.
#[inline]
pub const fn short(letter: u8) -> u8 {
    const TABLE: [u8; 256] = {
        let mut table = [0; 256];
        table[b'n' as usize] = b'\n';
        table[b'"' as usize] = b'"';
        table[b'\\' as usize] = b'\\';
        table[b't' as usize] = b'\t';
        table[b'r' as usize] = b'\r';
        table[b'/' as usize] = b'/';
        table[b'b' as usize] = 8;
        table[b'f' as usize] = 12;
        table
    };
    TABLE[letter as usize]
}

/// `\uXXXX`, or a pair of them that makes one character.
fn unicode(text: &[u8], at: usize) -> Option<Escape> {
    let first = hex(text.get(at + 2..at + 6)?)?;
    if let Some(character) = char::from_u32(first) {
        return Some(Escape::character(character, 6));
    }
    let second = match text.get(at + 6..at + 8) {
        Some(b"\\u") => text.get(at + 8..at + 12).and_then(hex),
        _ => None,
    };
    if let Some(second @ 0xDC00..=0xDFFF) = second
        && (0xD800..0xDC00).contains(&first)
    {
        let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return char::from_u32(code).map(|character| Escape::character(character, 12));
    }
    Some(Escape::character(char::REPLACEMENT_CHARACTER, 6))
}

/// The escape whose last backslash is at `at`, in any of the languages that agents send: JSON's and `\x41`, `\'`, `\e[`, `\_`.
pub fn any(text: &[u8], at: usize, end: usize) -> Option<Escape> {
    let one = match text.get(at + 1)? {
        quote @ (b'\'' | b'`') => Escape::byte(*quote, 2),
        sign if is_sign(*sign) => Escape::byte(*sign, 2),
        b'x' => {
            let code = hex(text.get(at + 2..at + 4)?)?;
            Escape::character(char::from_u32(code)?, 4)
        }
        _ => match control(text.get(at + 1..)?) {
            0 => json(text, at)?,
            length => Escape::byte(ESCAPE, length + 1),
        },
    };
    (at + one.taken <= end).then_some(one)
}

/// The number that these hexadecimal digits write.
pub fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        number.checked_mul(16)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, usize)> {
        let one = json(text.as_bytes(), 0)?;
        Some((String::from_utf8(one.text().to_vec()).unwrap(), one.taken))
    }

    #[test]
    fn escapes_read_as_json_says() {
        assert_eq!(read(r"\n").unwrap(), ("\n".into(), 2));
        assert_eq!(read(r"\u0041b").unwrap(), ("A".into(), 6));
        assert_eq!(read(r"\ud83d\ude00").unwrap(), ("😀".into(), 12));
        assert_eq!(read(r"\ud83d\u0041").unwrap(), ("\u{fffd}".into(), 6));
        assert_eq!(read(r"\u00g1"), None);
        assert_eq!(read(r"\x41"), None);
        assert_eq!(read("\\"), None);
    }
}
