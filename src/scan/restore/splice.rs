//! Changes the inside of one string literal and leaves every other byte of it as it is.

use std::borrow::Cow;

use super::restorations::Restorations;
use super::thread::Edit;
use crate::domain::json;

/// How deep the text of a literal lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// The literal says the text.
    Text,
    /// The literal says a text that reads like JSON: what could not stand in its literals as it is, is escaped.
    Document,
    /// The literal says a JSON text, in whose literals the text stands: a value is escaped once more.
    Json,
}

/// Writes the literal's inside to `out`, with the edits (of this piece, in order) made. `restored` hears of every entry
/// whose value was written.
pub fn splice(
    raw: &[u8],
    edits: &[Edit],
    nesting: Nesting,
    known: &Restorations,
    out: &mut Vec<u8>,
    mut restored: impl FnMut(usize),
) {
    let mut places = Places::new(raw);
    let mut from = 0;
    for edit in edits {
        let start = places.raw_of(edit.at.start);
        out.extend_from_slice(&raw[from..start.max(from)]);
        if let Some(entry) = edit.entry {
            write(known.value(entry).expose(), nesting, out);
            restored(entry);
        }
        from = places.raw_of(edit.at.end).max(from);
    }
    out.extend_from_slice(&raw[from..]);
}

fn write(value: &str, nesting: Nesting, out: &mut Vec<u8>) {
    let text = match nesting {
        Nesting::Text => Cow::Borrowed(value),
        // One from a JSON file brings its escapes along.
        Nesting::Document if json::is_literal(value) => Cow::Borrowed(value),
        Nesting::Document | Nesting::Json => {
            let mut inner = Vec::with_capacity(value.len() + 8);
            json::escape_into(value, &mut inner);
            // What was escaped from a text is a text.
            Cow::Owned(String::from_utf8(inner).unwrap_or_default())
        }
    };
    json::escape_into(&text, out);
}

/// Where decoded bytes stand in the raw inside of a literal; asked in ascending order.
struct Places<'a> {
    raw: &'a [u8],
    plain: bool,
    at: usize,
    decoded: usize,
}

impl<'a> Places<'a> {
    fn new(raw: &'a [u8]) -> Self {
        Self {
            raw,
            plain: !raw.contains(&b'\\'),
            at: 0,
            decoded: 0,
        }
    }

    fn raw_of(&mut self, decoded: usize) -> usize {
        if self.plain {
            return decoded.min(self.raw.len());
        }
        let mut at = self.at;
        for unit in json::units(&self.raw[self.at..]) {
            let length = unit.escape.map_or(unit.raw.len(), char::len_utf8);
            if self.decoded + length > decoded {
                let inside = if unit.escape.is_some() {
                    0
                } else {
                    decoded - self.decoded
                };
                return at + inside;
            }
            self.decoded += length;
            at += unit.raw.len();
            self.at = at;
        }
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::super::restorations::tests::{PAIRS, of};
    use super::super::thread::{Settled, Thread};
    use super::*;

    fn restore(raw: &str, nesting: Nesting) -> String {
        let known = of(&PAIRS);
        let (mut thread, mut settled) = (Thread::text(), Settled::default());
        thread.feed(&known, &json::decode(raw.as_bytes()), &mut settled);
        let mut out = Vec::new();
        let mut count = 0;
        splice(
            raw.as_bytes(),
            &settled.edits,
            nesting,
            &known,
            &mut out,
            |_| count += 1,
        );
        assert_eq!(count, settled.edits.len());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_is_escaped_for_its_nesting_and_the_rest_stays() {
        assert_eq!(
            restore(
                r"a\u0062é\n TG_key_AAAAAAAAAAAAAAA2\ud83d\ude00 end",
                Nesting::Text
            ),
            r#"a\u0062é\n one \"quoted\"\\\ud83d\ude00 end"#
        );
        assert_eq!(
            restore(
                r"\u0054G_key_AAAAAAAAAAAAAAA2\/TG\u005fkey_a_AAAAAAAAAAAAAATG",
                Nesting::Text
            ),
            r#"one \"quoted\"\\\/three"#
        );
        assert_eq!(
            restore(r#"{\"a\":\"TG_key_AAAAAAAAAAAAAAA3\"}"#, Nesting::Json),
            r#"{\"a\":\"two\\nlines\\u2028é😀\"}"#
        );
        assert_eq!(
            restore(r"\ud83d TG_a_TGTGTGTGTGTGTGTG \ud83d", Nesting::Text),
            r"\ud83d TG_key_AAAAAAAAAAAAAAA2 \ud83d"
        );
    }
}
