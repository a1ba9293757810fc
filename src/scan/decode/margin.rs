//! What lines begin with before their own text: marks of quotes, comments and diffs, indentation, a line number.

use memchr::{memmem, memrchr};

use super::events::KEY_END;
use super::lanes::Sixteen;

/// As many blanks and digits are looked at.
const FAR: usize = 512;
/// Bytes before a line break in which its line's beginning is looked for.
const LINE: usize = 4 << 10;
/// First bytes of the marks that lines begin with, and the one that is no ASCII.
const MARKS: [u8; 9] = [b'+', b'-', b'>', b'|', b'#', b'*', b';', b'/', BAR[0]];
const BAR: &[u8] = "│".as_bytes();

/// The start of the next line's own text: after the marks that this line starts with too, indentation, a line number, and
/// marks behind that.
pub fn after(text: &[u8], newline: usize) -> usize {
    let mut at = skip_blanks(text, newline + 1);
    let is_mark = |at: usize| text.get(at).is_some_and(|first| MARKS.contains(first));
    if is_mark(at) {
        let next = text.get(newline + 1..).unwrap_or_default();
        let marks = beginnings(text, newline)
            .map(|line| marks(line, next))
            .max();
        at = skip_blanks(text, newline + 1 + marks.unwrap_or(0));
    }
    let next = text.get(at..).unwrap_or_default();
    if !next.first().is_some_and(u8::is_ascii_digit) {
        return at;
    }
    let Some((sign, next)) = behind_number(next) else {
        return at;
    };
    let lines = || {
        let lines = beginnings(text, newline).filter_map(behind_number);
        lines.filter(|(other, _)| *other == sign)
    };
    // A time or a pair may begin with digits and a colon too.
    if matches!(sign, b'|' | b':') && lines().next().is_none() {
        return at;
    }
    let own = text.len() - next.len();
    let shown = skip_blanks(text, own);
    if !is_mark(shown) {
        return shown;
    }
    let marks = lines().map(|(_, line)| marks(line, next)).max();
    skip_blanks(text, own + marks.unwrap_or(0))
}

/// The first byte of the sign behind a line's number, and what follows it.
fn behind_number(line: &[u8]) -> Option<(u8, &[u8])> {
    let line = line.get(skip_blanks(line, 0)..)?;
    let digits = count(line, 0, |byte| byte.is_ascii_digit());
    let rest = line.get(digits..).filter(|_| digits > 0)?;
    let (blanks, shown) = rest.split_at_checked(skip_blanks(rest, 0))?;
    let bar = shown.strip_prefix(BAR);
    if let Some(rest) = bar.or_else(|| shown.strip_prefix("→".as_bytes())) {
        return Some((BAR[0], rest));
    }
    if let Some(tab) = blanks.iter().position(|byte| *byte == b'\t') {
        return Some((b'\t', rest.get(tab + 1..)?));
    }
    match shown {
        [sign @ (b'|' | b':'), rest @ ..] if digits < 6 => Some((*sign, rest)),
        _ => None,
    }
}

/// Bytes of the marks of quotes, comments, lists and diffs, and of blanks, that both lines begin with.
fn marks(line: &[u8], next: &[u8]) -> usize {
    let both = line.iter().zip(next).take_while(|(a, b)| a == b).count();
    line.get(..both).map_or(0, marks_of)
}

/// Bytes of marks and blanks that this begins with. One slash is a path's.
fn marks_of(line: &[u8]) -> usize {
    let mut rest = line;
    loop {
        rest = match rest {
            [
                b' ' | b'\t' | b'+' | b'-' | b'>' | b'|' | b'#' | b'*' | b';',
                rest @ ..,
            ] => rest,
            [b'/', b'/', after @ ..] => {
                let slashes = after.iter().take_while(|byte| **byte == b'/').count();
                after.get(slashes..).unwrap_or_default()
            }
            _ => match rest.strip_prefix(BAR) {
                Some(rest) => rest,
                None => return line.len() - rest.len(),
            },
        };
    }
}

/// Where the line that ends at `newline` may begin: at its start, and after a key that stands before it.
fn beginnings(text: &[u8], newline: usize) -> impl Iterator<Item = &[u8]> {
    let near = newline.saturating_sub(LINE);
    let line = text.get(near..newline).unwrap_or_default();
    let line = memrchr(b'\n', line).map_or(line, |at| line.get(at + 1..).unwrap_or_default());
    let key = memmem::find(line.get(..line.len().min(64)).unwrap_or_default(), KEY_END);
    let own = key.and_then(|key| line.get(key + KEY_END.len()..));
    [Some(line), own].into_iter().flatten()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_numbers_of_both_lines_are_none_of_the_token() {
        let half = "aB3dE5gH7jK9mN1";
        for mark in [
            "// ", "/// ", " * ", "    # ", "> > ", ">>", "; ", "-- ", "## ", "│ ", "  - ", "12:",
        ] {
            let text = format!("{mark}k={half}\n{mark}{half} x");
            let newline = text.find('\n').unwrap();
            let after = after(text.as_bytes(), newline);
            assert_eq!(
                text.get(after..),
                Some(format!("{half} x").as_str()),
                "{text}"
            );
        }
        for number in ["     1\t", "    12→", "  9 │ ", "12 | ", "12:"] {
            for (mark, next) in [
                ("", ""),
                ("  key: ", "    "),
                ("+", "+"),
                ("# ", "# "),
                ("+ // ", "+ // "),
                ("\tk = ", "\t\t"),
            ] {
                let text = format!("a\n{number}{mark}{half}\n{number}{next}{half} x");
                let newline = text.rfind('\n').unwrap();
                let after = after(text.as_bytes(), newline);
                assert_eq!(&text[after..], format!("{half} x"), "{text}");
            }
        }
        for (line, next) in [
            ("k=123456", "7890:AAbcd"),
            ("/a/b", "/c/d"),
            ("// a", "# b"),
        ] {
            let text = format!("{line}\n{next}");
            assert_eq!(after(text.as_bytes(), line.len()), line.len() + 1, "{text}");
        }
    }
}
