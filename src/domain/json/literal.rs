//! The inside of a string literal: its escapes, what they mean, and how to write a text as one.

use std::borrow::Cow;
use std::ops::Range;

/// One indivisible part of a literal's inside: a run of bytes that mean themselves, or one escape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its bytes, counted from the start of the literal's inside.
    pub raw: Range<usize>,
    /// What an escape stands for; `None` for bytes that mean themselves.
    pub escape: Option<char>,
    /// Half a surrogate pair, which no text can hold; it reads as U+FFFD.
    pub torn: bool,
}

/// Walks the inside of a literal (no quotes). Stops early at an escape that JSON does not have.
pub fn units(raw: &[u8]) -> impl Iterator<Item = Unit> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let unit = next_unit(raw, at)?;
        at = unit.raw.end;
        Some(unit)
    })
}

fn next_unit(raw: &[u8], at: usize) -> Option<Unit> {
    if *raw.get(at)? != b'\\' {
        let rest = &raw[at..];
        let run = rest.iter().position(|b| *b == b'\\').unwrap_or(rest.len());
        return Some(Unit {
            raw: at..at + run,
            escape: None,
            torn: false,
        });
    }
    let simple = |character| {
        Some(Unit {
            raw: at..at + 2,
            escape: Some(character),
            torn: false,
        })
    };
    match raw.get(at + 1)? {
        b'n' => simple('\n'),
        b'"' => simple('"'),
        b'\\' => simple('\\'),
        b't' => simple('\t'),
        b'r' => simple('\r'),
        b'/' => simple('/'),
        b'b' => simple('\u{8}'),
        b'f' => simple('\u{c}'),
        b'u' => unicode(raw, at),
        _ => None,
    }
}

fn unicode(raw: &[u8], at: usize) -> Option<Unit> {
    let first = hex(raw.get(at + 2..at + 6)?)?;
    if let Some(character) = char::from_u32(first) {
        return Some(Unit {
            raw: at..at + 6,
            escape: Some(character),
            torn: false,
        });
    }
    if first < 0xDC00
        && raw.get(at + 6..at + 8) == Some(b"\\u")
        && let Some(second @ 0xDC00..=0xDFFF) = raw.get(at + 8..at + 12).and_then(hex)
    {
        let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return Some(Unit {
            raw: at..at + 12,
            escape: char::from_u32(code),
            torn: false,
        });
    }
    Some(Unit {
        raw: at..at + 6,
        escape: Some(char::REPLACEMENT_CHARACTER),
        torn: true,
    })
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |number, digit| {
        Some(number * 16 + char::from(*digit).to_digit(16)?)
    })
}

/// Whether a text can stand as the inside of a literal: its escapes are JSON's, and nothing in it must be escaped.
#[must_use]
pub fn is_literal(text: &str) -> bool {
    let mut end = 0;
    let plain = units(text.as_bytes()).all(|unit| {
        end = unit.raw.end;
        let said = text.get(unit.raw).unwrap_or_default();
        unit.escape.is_some() || !said.contains(|c| c == '"' || c < ' ')
    });
    plain && end == text.len()
}

/// What the inside of a literal says. Borrowed where nothing is escaped, which is the common case.
#[must_use]
pub fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    let mut text = Vec::with_capacity(raw.len());
    for unit in units(raw) {
        push_unit(raw, &unit, &mut text);
    }
    Cow::Owned(text)
}

/// What the inside of a literal says, where that is a text; `None` where it holds bytes that are not UTF-8 or half a
/// surrogate pair, which would not come back as they were.
#[must_use]
pub fn decode_exact(raw: &[u8]) -> Option<String> {
    let mut text = Vec::with_capacity(raw.len());
    let mut end = 0;
    for unit in units(raw) {
        if unit.torn {
            return None;
        }
        push_unit(raw, &unit, &mut text);
        end = unit.raw.end;
    }
    (end == raw.len()).then(|| String::from_utf8(text).ok())?
}

fn push_unit(raw: &[u8], unit: &Unit, text: &mut Vec<u8>) {
    match unit.escape {
        None => text.extend_from_slice(&raw[unit.raw.clone()]),
        Some(character) => {
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Writes a text as the inside of a literal. Besides what JSON demands, the three line ends that are no control characters
/// are escaped too: event-stream readers that split at "any" line end would cut the event there.
pub fn escape_into(text: &str, out: &mut Vec<u8>) {
    for character in text.chars() {
        let short = match character {
            '"' => b'"',
            '\\' => b'\\',
            '\n' => b'n',
            '\r' => b'r',
            '\t' => b't',
            '\u{8}' => b'b',
            '\u{c}' => b'f',
            '\u{0}'..='\u{1f}' | '\u{7f}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
                continue;
            }
            _ => {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_escape_reads_as_json_says() {
        let text = decode(br#"a\n\"\\\/\t\r\b\f\u0041\ud83d\ude00\u00e9z"#).into_owned();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "a\n\"\\/\t\r\u{8}\u{c}A😀éz"
        );
    }

    #[test]
    fn what_would_not_come_back_as_it_was_is_no_exact_text() {
        assert_eq!(decode_exact(br"ok\u0041"), Some("okA".into()));
        for raw in [
            &br"\ud83d"[..],
            br"\ude00\ud83d",
            b"\xff",
            br"\x",
            br"end\",
            br"\u12",
        ] {
            assert_eq!(decode_exact(raw), None, "{raw:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_escaped_reads_back_and_holds_no_line_end(text in any::<String>()) {
            let mut raw = Vec::new();
            escape_into(&text, &mut raw);
            prop_assert_eq!(decode_exact(&raw), Some(text.clone()));
            let written = String::from_utf8(raw).unwrap();
            let line_end = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            prop_assert!(!written.contains(line_end));
            let quoted = format!("\"{written}\"");
            prop_assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
        }
    }

    #[test]
    fn what_can_stand_in_quotes_is_known() {
        for (text, can) in [
            ("plain", true),
            (r#"a\nb\"c\u00e9"#, true),
            ("", true),
            ("a\"b", false),
            ("a\nb", false),
            (r"a\w", false),
            ("a\\", false),
        ] {
            assert_eq!(is_literal(text), can, "{text}");
        }
    }
}
