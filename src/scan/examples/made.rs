//! The placeholders that are more than random letters: checksums, UUIDs, JWTs, PEM blocks, values a validator accepts.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::dice::{B64, B64URL, DIGITS, Dice, LOWER, UPPER, alphabet};
use crate::scan::validate::{Validator, base62_crc};

const WORDS: &[&str] = &[
    "harbor", "violet", "meadow", "copper", "lantern", "orchard", "granite", "willow", "summit",
    "ember", "cedar", "marble", "falcon", "prairie", "cobalt", "thicket",
];

pub fn word(dice: &mut Dice) -> &'static str {
    dice.pick(WORDS)
}

/// The six characters that end a GitHub or npm token, over the thirty before.
pub fn checksum_of(before: &str) -> String {
    let body = &before.as_bytes()[before.len().saturating_sub(30)..];
    base62_crc(body)
        .iter()
        .map(|&byte| char::from(byte))
        .collect()
}

pub fn uuid(dice: &mut Dice) -> String {
    let hex = |dice: &mut Dice, count| dice.text(b"0123456789abcdef", count);
    let variant = char::from(dice.pick(b"89ab"));
    format!(
        "{}-{}-4{}-{variant}{}-{}",
        hex(dice, 8),
        hex(dice, 4),
        hex(dice, 3),
        hex(dice, 3),
        hex(dice, 12)
    )
}

pub fn jwt(dice: &mut Dice) -> String {
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = format!(
        r#"{{"sub":"{}","name":"{}","iat":{}}}"#,
        dice.text(DIGITS, 10),
        word(dice),
        1_600_000_000 + dice.between(0, 99_999_999)
    );
    let signature = dice.text(B64URL, 43);
    format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims))
}

/// A block of the given label, 64 to a line, with `newline` between lines.
pub fn pem(label: &str, newline: &str, dice: &mut Dice) -> String {
    let lines = dice.between(12, 25);
    let body = (0..lines)
        .map(|_| dice.text(B64, 64))
        .collect::<Vec<_>>()
        .join(newline);
    format!("-----BEGIN {label}-----{newline}{body}{newline}-----END {label}-----")
}

/// What a person might choose: a word, digits, a sign, more letters.
pub fn password(dice: &mut Dice) -> String {
    let sign = char::from(dice.pick(b"!_.-*"));
    format!(
        "{}{}{sign}{}",
        word(dice),
        dice.text(DIGITS, 3),
        dice.text(&B64[..52], 5)
    )
}

pub fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

/// `validator:shape`: rolls the shape until the validator accepts. In a shape `9` is a digit, `A` a capital letter,
/// `a` a small one, `X` a capital letter or digit; `\` takes the next letter as it is, and so does all else.
pub fn valid(argument: &str, dice: &mut Dice) -> Option<String> {
    let (name, shape) = argument.split_once(':')?;
    let validator = Validator::by_name(name)?;
    (0..20_000).find_map(|_| {
        let text = shaped(shape, dice);
        validator
            .accepts(text.as_bytes(), text.as_bytes())
            .then_some(text)
    })
}

fn shaped(shape: &str, dice: &mut Dice) -> String {
    let mut letters = shape.chars();
    let mut text = String::with_capacity(shape.len());
    while let Some(letter) = letters.next() {
        text.push(match letter {
            '9' => char::from(dice.pick(DIGITS)),
            'A' => char::from(dice.pick(UPPER)),
            'a' => char::from(dice.pick(LOWER)),
            'X' => char::from(dice.pick(alphabet("upper_alnum").unwrap_or(UPPER))),
            '\\' => letters.next().unwrap_or('\\'),
            other => other,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::expand;
    use crate::scan::validate::Validator;

    #[test]
    fn a_made_token_carries_a_right_checksum() {
        let token = expand("ghp_{alnum:30}{crc}", 5).unwrap().text;
        assert_eq!(token.len(), 40);
        assert_eq!(super::checksum_of(&token[..34]), token[34..]);
    }

    #[test]
    fn a_shape_is_rolled_until_its_validator_accepts() {
        let card = expand("{valid:luhn:4999 9999 9999 9999}", 2).unwrap().text;
        assert!(
            Validator::by_name("luhn")
                .unwrap()
                .accepts(card.as_bytes(), b"")
        );
        assert!(expand("{valid:nobody:99}", 2).is_err());
    }
}
