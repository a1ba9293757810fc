//! Runs of base64 in a text that stand for text, by the words of digits that it bears.

use std::ops::Range;
use std::str::from_utf8;

use super::coding::{Coding, base64_digit};
use super::lanes::{ESCAPE, Sixteen};
use super::marks::Marks;
use super::packed;
use super::pieces::Piece;

/// Shortest run of base64 digits worth undoing: 18 bytes. It has two whole words of eight bytes, wherever it begins.
const BASE64: usize = 24;
/// Shortest line of base64 in lines: programs break them at 64 or 76.
const LINE: usize = 60;
/// A run this long is undone even when it begins with what is not text.
const BASE64_BLOB: usize = 512;
/// Words that zeros may part in the first 18 bytes of text.
const WORDS: usize = 5;

/// For each byte its value as a digit of base64, or [`NO_DIGIT`].
pub struct Digits([u8; 256]);

const NO_DIGIT: u8 = 0xFF;

impl Digits {
    pub fn new() -> Self {
        let mut table = [NO_DIGIT; 256];
        for (byte, digit) in (0u8..=255).zip(&mut table) {
            *digit = base64_digit(byte).unwrap_or(NO_DIGIT);
        }
        Self(table)
    }

    #[inline]
    const fn value(&self, byte: u8) -> u8 {
        self.0[byte as usize]
    }

    const fn has(&self, byte: u8) -> bool {
        self.value(byte) != NO_DIGIT
    }

    /// Pieces that are text in base64.
    pub fn base64(&self, text: &[u8], marks: &Marks, pieces: &mut Vec<Piece>) {
        let mut done = 0;
        for &(first, last) in &marks.runs {
            let words = text.split_at_checked(first as usize);
            let rest = text.get(last as usize..);
            let (Some((before, _)), Some(rest)) = (words, rest) else {
                continue;
            };
            let before = self.ending(before);
            let after = self.starting(rest);
            let (start, end) = (first as usize - before, last as usize + after);
            let run = text.get(start..).unwrap_or_default();
            if start >= done
                && end - start >= BASE64
                && let Some((coding, lead)) = self.coding(run, end - start)
            {
                done = self.last_line(text, start + lead..end);
                pieces.push(Piece::new(coding, start + lead..done));
            }
        }
    }

    /// What a run of so many digits is, and how many stand before it.
    fn coding(&self, run: &[u8], length: usize) -> Option<(Coding, usize)> {
        // Text may begin as zlib's data do.
        let is_text = || run.starts_with(b"e") && self.is_text(run);
        if packed::begins(run) && length >= packed::SHORTEST && !is_text() {
            return Some((Coding::Packed, 0));
        }
        Some((Coding::Base64, self.lead(run, length)?))
    }

    /// Digits before the base64 that a run of so many is or ends with; `None` where it stands for no text.
    fn lead(&self, run: &[u8], length: usize) -> Option<usize> {
        if has_capital(run) && self.is_text(run) {
            return Some(0);
        }
        let lead = self.out_of_step(run.get(..length)?);
        let in_step = lead.is_none_or(|lead| lead.is_multiple_of(4));
        let blob = in_step && has_capital(run) && self.has_text(run);
        if blob { Some(0) } else { lead }
    }

    /// The same of a run before which other digits stand: a diff's `+`, a path, a name. Wherever those end, its own end is
    /// text in one of the four ways to divide it into groups.
    fn out_of_step(&self, run: &[u8]) -> Option<usize> {
        let last = run.len().checked_sub(BASE64)?;
        if capitals(run.last_chunk()?) < 3 {
            return None;
        }
        let is_text = |at: &usize| run.get(*at..).is_some_and(|end| self.is_text(end));
        let at = (last.saturating_sub(3)..=last).find(is_text)?;
        let before = run.get(at % 4..at)?.chunks_exact(4).rev();
        let text = before.take_while(|four| !self.three(four).into_iter().any(is_control));
        Some(at - 4 * text.count())
    }

    /// Where the base64 ends whose first line this is: `base64` and mail programs break lines of whole groups of four.
    fn last_line(&self, text: &[u8], line: Range<usize>) -> usize {
        let (length, mut end) = (line.len(), line.end);
        if length < LINE || !length.is_multiple_of(4) {
            return end;
        }
        loop {
            let rest = text.get(end..).unwrap_or_default();
            let newline = match rest {
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] => 1,
                _ => return end,
            };
            let rest = rest.get(newline..).unwrap_or_default().iter();
            let more = rest.take_while(|byte| self.has(**byte)).count();
            if more == 0 || more > length {
                return end;
            }
            end += newline + more;
            if more < length {
                return end;
            }
        }
    }

    /// How many digits, fewer than eight, the text ends with.
    #[inline]
    fn ending(&self, text: &[u8]) -> usize {
        if let Some(last) = text.last_chunk() {
            let digits = Sixteen::of(last).base64() << 16;
            return digits.leading_ones().min(7) as usize;
        }
        let digits = |byte: &&u8| self.has(**byte);
        text.iter().rev().take(7).take_while(digits).count()
    }

    /// How many digits, fewer than eight, it starts with.
    #[inline]
    fn starting(&self, text: &[u8]) -> usize {
        if let Some(first) = text.first_chunk() {
            return Sixteen::of(first).base64().trailing_ones().min(7) as usize;
        }
        let digits = |byte: &&u8| self.has(**byte);
        text.iter().take(7).take_while(digits).count()
    }

    /// Whether the first bytes that a run of base64 stands for are text. Of the runs in source code and lock files hardly
    /// one stands for two or three bytes of text, so they are looked at as they come.
    fn is_text(&self, run: &[u8]) -> bool {
        let mut head = [0u8; BASE64 / 4 * 3];
        for (number, four) in run.chunks_exact(4).take(BASE64 / 4).enumerate() {
            let (done, end) = (number * 3, number * 3 + 3);
            let three = self.three(four);
            if let Some(place) = head.get_mut(done..end) {
                place.copy_from_slice(&three);
            }
            let text = head.get(..end).unwrap_or_default();
            // The end may cut the last character.
            let torn = from_utf8(text).is_err_and(|error| error.error_len().is_some());
            let control = |byte: u8| byte != 0 && is_control(byte);
            if torn || three.into_iter().any(control) {
                return false;
            }
        }
        !head.contains(&0) || is_environment(&head)
    }

    /// Whether the beginning of a long run stands for bytes of which many are text, as in programs and documents; what is
    /// compressed or encrypted has no text to find.
    fn has_text(&self, run: &[u8]) -> bool {
        let Some(head) = run.get(..BASE64_BLOB) else {
            return false;
        };
        if !head
            .iter()
            .rev()
            .step_by(16)
            .chain(head)
            .all(|byte| self.has(*byte))
        {
            return false;
        }
        let bytes = head.chunks_exact(4).flat_map(|four| self.three(four));
        let shown = bytes.filter(|b| (b' '..0x7F).contains(b) || matches!(b, 0 | b'\n' | b'\t'));
        shown.count() * 4 >= head.len() / 4 * 3 * 2
    }

    /// The three bytes that four digits stand for.
    fn three(&self, four: &[u8]) -> [u8; 3] {
        let bits = four
            .iter()
            .fold(0u32, |bits, byte| bits << 6 | u32::from(self.value(*byte)));
        let [_, first, second, third] = bits.to_be_bytes();
        [first, second, third]
    }
}

/// A byte that no text has. Terminals' colours are text.
const fn is_control(byte: u8) -> bool {
    byte < b' ' && !matches!(byte, b'\n' | b'\r' | b'\t' | ESCAPE) || byte == 0x7F
}

/// Whether the zeros in what may be text stand between words: as between the variables of `/proc/self/environ`, and not as
/// in numbers, tables or UTF-16.
fn is_environment(head: &[u8]) -> bool {
    let shown = |word: &[u8]| !word.is_empty() && word.iter().all(|b| (b' '..0x7F).contains(b));
    let head = head.strip_suffix(b"\0").unwrap_or(head);
    let mut words = head.split(|byte| *byte == 0);
    words.clone().count() <= WORDS && words.all(shown)
}

/// Whether a capital letter is among the first digits of a run: names in lower case and hexadecimal numbers, most of what
/// looks like base64 in source code, have none; of texts of 18 bytes not one in ten thousand is coded without.
fn has_capital(run: &[u8]) -> bool {
    run.first_chunk().is_some_and(|digits| capitals(digits) > 0)
}

/// How many are capital letters: of text, a third; of names, few.
fn capitals(digits: &[u8; BASE64]) -> usize {
    digits
        .iter()
        .filter(|byte| byte.is_ascii_uppercase())
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// The base64 of a text.
    fn runs(text: &str) -> Vec<&str> {
        let (mut marks, mut pieces) = (Marks::default(), Vec::new());
        marks.read(text.as_bytes());
        Digits::new().base64(text.as_bytes(), &marks, &mut pieces);
        pieces.into_iter().map(|piece| &text[piece.at]).collect()
    }

    #[test]
    fn runs_of_base64_are_found_wherever_they_begin() {
        for lead in 0..40 {
            let text = format!("{} IyBmaWxlCmhlbGxvIHdvcmxkCg==,", "x.".repeat(lead));
            let found = runs(&text);
            assert_eq!(found, ["IyBmaWxlCmhlbGxvIHdvcmxkCg"], "{lead}");
        }
    }

    #[test]
    fn what_stands_before_a_run_without_a_space_does_not_hide_it() {
        let found = runs("data:text/plain;base64,IyBmaWxlCmhlbGxvIHdvcmxkCg==");
        assert_eq!(found, ["IyBmaWxlCmhlbGxvIHdvcmxkCg"]);
    }

    #[test]
    fn digits_before_a_run_do_not_put_it_out_of_step() {
        let code = "IyBmaWxlCmhlbGxvIHdvcmxkLCAweDIzIQ";
        for lead in [
            "+",
            "-",
            "v1",
            "x_",
            "https://x.io/cfg/",
            "a/very/long/path/to/a/file/",
        ] {
            let text = format!("{lead}{code}==\n");
            let found = runs(&text);
            assert_eq!(found.len(), 1, "{text}");
            assert!(found[0].ends_with(code), "{text}");
            let before = found[0].len() - code.len();
            assert!(before.is_multiple_of(4), "{text}");
        }
    }

    #[test]
    fn hashes_and_long_names_are_not_base64() {
        let text = "0123456789abcdef0123456789abcdef01234567 src/some/very_long/path_name-that/goes/on.rs \
             packages/components/SettingsPanel/useSettingsPanelController/IndexOfAllTheSettings";
        assert_eq!(runs(text), Vec::<&str>::new());
    }

    #[test]
    fn text_in_utf_8_is_text_and_other_bytes_are_not() {
        let is_text = |bytes: &[u8]| Digits::new().is_text(STANDARD.encode(bytes).as_bytes());
        for text in [
            "# a file\r\n\tkey = 1 ",
            "Schlüssel für die Tür",
            "密钥是这样的一个东西",
            "aé\u{1F600}ÿ and on it goes",
            "\u{1b}[1;32mok\u{1b}[0m and more",
            "A=/b\0HOME=/root\0PATH=/bin",
        ] {
            let lead = "abcd";
            for lead in (0..4).map(|length| &lead[..length]) {
                assert!(is_text(format!("{lead}{text}").as_bytes()), "{text}");
            }
        }
        for at in 0..18 {
            for byte in [8, 0x1F, 0x7F, 0x80, 0xBF, 0xFF] {
                let mut bytes = [b'a'; 18];
                bytes[at] = byte;
                assert!(!is_text(&bytes), "{byte} at {at}");
            }
        }
        assert!(!is_text(b"a\xC3 and so it goes"));
        assert!(!is_text(b"\0and so it goes on and on"));
        assert!(!is_text(b"and\0\0so it goes on and on"));
        assert!(!is_text(b"a\0n\0d\0 \0s\0o\0 \0i\0t\0 \0g"));
        assert!(!is_text("\u{fc}ber\0den Tag und so".as_bytes()));
    }
}
