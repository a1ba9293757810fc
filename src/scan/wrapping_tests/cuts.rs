//! What stands inside of a secret without being part of it. Where it stands is rolled.

use super::super::examples::dice::Dice;
use super::body::{Case, Text, Wrapped, escape, unicode};
use super::wraps::{Wrap, arguments};

pub const CUT: &[Wrap] = &[
    ("soft hyphen", |c, d| unseen(c, d, &['\u{ad}'])),
    ("joiner", |c, d| unseen(c, d, &['\u{34f}'])),
    ("Arabic mark", |c, d| unseen(c, d, &['\u{61c}'])),
    ("Hangul fillers", |c, d| {
        unseen(c, d, &['\u{3164}', '\u{115f}', '\u{1160}', '\u{ffa0}'])
    }),
    ("Khmer vowels", |c, d| {
        unseen(c, d, &['\u{17b4}', '\u{17b5}'])
    }),
    ("Mongolian marks", |c, d| {
        unseen(c, d, &['\u{180b}', '\u{180d}', '\u{180e}', '\u{180f}'])
    }),
    ("zero width", |c, d| unseen(c, d, &['\u{200b}'])),
    ("zero-width joiners", |c, d| {
        unseen(c, d, &['\u{200c}', '\u{200d}'])
    }),
    ("directions", |c, d| {
        unseen(c, d, &['\u{200e}', '\u{200f}', '\u{202a}', '\u{202e}'])
    }),
    ("word joiner", |c, d| unseen(c, d, &['\u{2060}'])),
    ("unseen operators", |c, d| {
        unseen(c, d, &['\u{2061}', '\u{2064}', '\u{2066}', '\u{206f}'])
    }),
    ("variants", |c, d| {
        unseen(c, d, &['\u{fe00}', '\u{fe0f}', '\u{e0100}', '\u{e01ef}'])
    }),
    ("byte order mark", |c, d| unseen(c, d, &['\u{feff}'])),
    ("annotations", |c, d| {
        unseen(c, d, &['\u{fff0}', '\u{fff9}', '\u{fffb}'])
    }),
    ("tags", |c, d| {
        unseen(c, d, &['\u{e0001}', '\u{e0041}', '\u{e007f}'])
    }),
    ("zero width between all letters", |case, _| {
        let at = 1..case.secret.len();
        let at: Vec<usize> = at.filter(|at| case.secret.is_char_boundary(*at)).collect();
        Some(Text::cut(case, &at, "\u{200b}").json())
    }),
    ("zero width as an escape", |case, dice| {
        let at = case.anywhere(dice, 1)?;
        let code = |text: &str| unicode(text, |unit| unit > 0x7E);
        Some(Text::cut(case, &at, "\u{200b}").map(code).literal())
    }),
    ("zero width in tool arguments", |case, dice| {
        let at = case.anywhere(dice, 2)?;
        Some(arguments(Text::cut(case, &at, "\u{200b}"), 1))
    }),
    ("two blocks", |case, dice| {
        let at = case.between_letters(dice, 1)?;
        Some(blocks(case, &at, r#""},{"type":"text","text":""#))
    }),
    ("three blocks", |case, dice| {
        let at = case.between_letters(dice, 2)?;
        Some(blocks(case, &at, r#""},{"type":"text","text":""#))
    }),
    ("blocks with more in them", |case, dice| {
        let at = case.between_letters(dice, 1)?;
        let knife = "\",\n \"cache_control\": {\"type\": \"ephemeral\"}},\n{\"type\": \"text\",\n \"text\": \"";
        Some(blocks(case, &at, knife))
    }),
    ("two strings", |case, dice| {
        let at = case.between_letters(dice, 1)?;
        let text = Text::split(case, &at, r#"",""#).map(escape);
        Some(text.body(r#"{"input":[""#, r#""]}"#, "application/json"))
    }),
    ("two messages", |case, dice| {
        let at = case.between_letters(dice, 1)?;
        let text = Text::split(case, &at, r#""},{"role":"user","content":""#).map(escape);
        let head = r#"{"messages":[{"role":"user","content":""#;
        Some(text.body(head, r#""}]}"#, "application/json"))
    }),
    ("line break", |c, d| broken(c, d, "\n", |_| String::new())),
    ("line break of Windows", |c, d| {
        broken(c, d, "\r\n", |_| String::new())
    }),
    ("continued line", |c, d| {
        broken(c, d, "\\\n", |_| String::new())
    }),
    ("indented line", |c, d| {
        broken(c, d, "\n", |_| "    ".to_owned())
    }),
    ("line of a diff", |c, d| {
        broken(c, d, "\n", |_| "+".to_owned())
    }),
    ("line taken out", |c, d| {
        broken(c, d, "\n", |_| "-".to_owned())
    }),
    ("quoted line", |c, d| {
        broken(c, d, "\n", |_| "> ".to_owned())
    }),
    ("comment", |c, d| broken(c, d, "\n", |_| "# ".to_owned())),
    ("numbered line", |c, d| {
        broken(c, d, "\n", |line| format!("{line:6}\t"))
    }),
    ("line with an arrow", |c, d| {
        broken(c, d, "\n", |line| format!("{line:6}\u{2192}"))
    }),
    ("line with a colon", |c, d| {
        broken(c, d, "\n", |line| format!("{line}:"))
    }),
    ("line with a bar", |c, d| {
        broken(c, d, "\n", |line| format!("{line} | "))
    }),
    ("continued and numbered", |c, d| {
        broken(c, d, "\\\r\n", |line| format!("{line:6}\t"))
    }),
    ("line break in tool arguments", |case, dice| {
        let at = case.in_a_token(dice)?;
        Some(arguments(Text::cut(case, &[at], "\n"), 1).of_lines())
    }),
    ("line breaks at one width", |case, dice| {
        // As a terminal or a mail program breaks lines: at the same column, however often.
        let width = dice.between(24, 100);
        let at: Vec<usize> = (width..case.secret.len()).step_by(width).collect();
        let folds = at.iter().all(|at| case.folds_at(*at));
        let plain = case.secret.is_ascii() && !case.secret.contains('\n');
        (plain && folds && !at.is_empty()).then(|| Text::cut(case, &at, "\n").json().of_lines())
    }),
    ("colour", |case, dice| {
        let at = case.anywhere(dice, 1)?;
        Some(Text::cut(case, &at, "\x1b[01;31m\x1b[K").json())
    }),
    ("colour as an escape", |case, dice| {
        // What is written out is read to the next blank.
        let is_one = !case.secret.contains(char::is_whitespace);
        let at = case.anywhere(dice, 1)?;
        is_one.then(|| Text::cut(case, &at, dice.pick(COLOURS)).json())
    }),
    ("comment of two signs", |case, dice| {
        let mark = dice.pick(&["// ", "/// ", "-- ", "## "]);
        broken(case, dice, "\n", |_| mark.to_owned())
    }),
    ("indented comment", |case, dice| {
        let mark = dice.pick(&[" * ", "    # ", "  // ", "; "]);
        broken(case, dice, "\n", |_| mark.to_owned())
    }),
    ("quote in a quote", |case, dice| {
        let mark = dice.pick(&["> > ", ">>", "│ "]);
        broken(case, dice, "\n", |_| mark.to_owned())
    }),
];

fn unseen(case: &Case<'_>, dice: &mut Dice, kinds: &[char]) -> Option<Wrapped> {
    let at = case.anywhere(dice, 1)?;
    let knife = dice.pick(kinds).to_string();
    Some(Text::cut(case, &at, &knife).json())
}

fn blocks(case: &Case<'_>, at: &[usize], knife: &str) -> Wrapped {
    Text::split(case, at, knife).map(escape).literal()
}

fn broken(
    case: &Case<'_>,
    dice: &mut Dice,
    knife: &str,
    mark: impl Fn(usize) -> String,
) -> Option<Wrapped> {
    let at = case.in_a_token(dice)?;
    Some(Text::cut(case, &[at], knife).marked(mark).json().of_lines())
}

/// Colours as languages write them.
pub const COLOURS: &[&str] = &[r"\x1b[32m", r"\u001b[1;33m", r"\033[0m", r"\e[0m"];

/// Letters of a token on each side of a line break, and on both together: of fewer nothing is read as one, but for a mixed
/// token as long as both on the first.
const SIDE: usize = 4;
const BOTH: usize = 16;

impl Case<'_> {
    /// So many different places in the secret, in order.
    fn anywhere(&self, dice: &mut Dice, count: usize) -> Option<Vec<usize>> {
        self.rolled(dice, count, |_| true)
    }

    /// Places where no white space is cut off: blocks that begin or end with it are texts of their own.
    fn between_letters(&self, dice: &mut Dice, count: usize) -> Option<Vec<usize>> {
        let shown = |at: usize| self.secret.as_bytes().get(at).is_some_and(|b| *b > b' ');
        self.rolled(dice, count, |at| shown(at) && shown(at - 1))
    }

    /// A place where a line break is read over.
    fn in_a_token(&self, dice: &mut Dice) -> Option<usize> {
        let places = self.rolled(dice, 1, |at| self.folds_at(at))?;
        places.first().copied()
    }

    fn rolled(
        &self,
        dice: &mut Dice,
        count: usize,
        fits: impl Fn(usize) -> bool,
    ) -> Option<Vec<usize>> {
        let places = 1..self.secret.len();
        let places = places.filter(|at| self.secret.is_char_boundary(*at) && fits(*at));
        let mut places: Vec<usize> = places.collect();
        while places.len() > count {
            places.remove(dice.between(0, places.len() - 1));
        }
        (places.len() == count).then_some(places)
    }

    /// Whether this place of the secret is inside of what looks like one token.
    fn folds_at(&self, at: usize) -> bool {
        let (left, right) = self.secret.split_at(at);
        let left: Vec<u8> = self.before.bytes().chain(left.bytes()).collect();
        let right: Vec<u8> = right.bytes().chain(self.after.bytes()).collect();
        let tail: Vec<u8> = token(left.iter().rev());
        let head = token(right.iter());
        let telling = |b: &u8| b.is_ascii_digit() || *b == b'@';
        let parted = tail.iter().chain(&head).any(|b| b"./:".contains(b));
        let parts = tail.len().min(head.len()) >= SIDE
            && tail.len() + head.len() >= BOTH
            && (tail.iter().chain(&head).any(telling) || !parted && is_mixed(&[&tail, &head]));
        let long = tail.len() >= BOTH && tail.iter().any(telling) && is_mixed(&[&tail]);
        parts || long && !head.is_empty()
    }
}

/// Whether a quarter of the letters in these parts is of another kind than the one before: digits, capitals, small letters.
fn is_mixed(parts: &[&[u8]]) -> bool {
    let kinds = parts.iter().map(|part| {
        let letters = part.iter().filter(|b| b.is_ascii_alphanumeric());
        letters
            .map(|b| (b.is_ascii_digit(), b.is_ascii_uppercase()))
            .collect::<Vec<_>>()
    });
    let (letters, turns) = kinds.fold((0, 0), |(letters, turns), part| {
        let changes = part.windows(2).filter(|pair| pair[0] != pair[1]).count();
        (letters + part.len(), turns + changes)
    });
    turns >= 4 && turns * 4 >= letters
}

fn token<'a>(bytes: impl Iterator<Item = &'a u8>) -> Vec<u8> {
    let is_letter = |b: &u8| b.is_ascii_alphanumeric() || b"_-+/=.~:@%$!".contains(b);
    bytes.copied().take_while(is_letter).collect()
}
