//! How random a candidate looks.

/// Shannon entropy in bits per byte.
#[must_use]
pub fn shannon(text: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for &byte in text {
        counts[usize::from(byte)] += 1;
    }
    let Ok(length) = u32::try_from(text.len()) else {
        return 8.0;
    };
    let length = f64::from(length);
    let mut bits = 0.0;
    for count in counts.into_iter().filter(|&count| count > 0) {
        let share = f64::from(count) / length;
        bits -= share * share.log2();
    }
    bits
}

/// Three bits per byte: what about sixteen random hexadecimal digits have.
pub fn is_random(secret: &[u8], _: &[u8]) -> bool {
    shannon(secret) >= 3.0
}

/// A made token, not a word, a name in code or a number: letters and digits both, changing between them more often than
/// `version2` or `2024-report` do; or, where chance gave it no digits, capital and small letters in no order.
pub fn is_mixed(secret: &[u8], context: &[u8]) -> bool {
    let digits = secret.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = secret
        .iter()
        .filter(|byte| byte.is_ascii_alphabetic())
        .count();
    let numbered = digits >= 2 && letters >= 2 && turns(secret) * 6 >= secret.len();
    (numbered || is_mixed_case(secret, context)) && shannon(secret) >= 3.0
}

/// Capital and small letters in no order: three of each, and neither a word nor `CamelCase`.
pub fn is_mixed_case(secret: &[u8], _: &[u8]) -> bool {
    let upper = secret
        .iter()
        .filter(|byte| byte.is_ascii_uppercase())
        .count();
    let lower = secret
        .iter()
        .filter(|byte| byte.is_ascii_lowercase())
        .count();
    upper >= 3 && lower >= 3 && turns(secret) * 3 >= secret.len() && shannon(secret) >= 3.0
}

/// At least two digits: what a name for a token has not, and every token of the kind has.
pub fn is_numbered(secret: &[u8], _: &[u8]) -> bool {
    secret.iter().filter(|byte| byte.is_ascii_digit()).count() >= 2
}

/// For a value that a name nearby vouches for: not a word, a path, or a name in code. A digit among letters, or capitals
/// where no name has them.
pub fn is_opaque(secret: &[u8], _: &[u8]) -> bool {
    let digits = secret.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = secret
        .iter()
        .filter(|byte| byte.is_ascii_alphabetic())
        .count();
    let turns = turns(secret);
    let mixed = digits >= 2 && turns >= 3;
    let cased = letters >= 12 && turns * 3 >= secret.len();
    (mixed || cased) && digits < secret.len() && shannon(secret) >= 2.6
}

/// How often the text changes between digits, small letters and capitals; signs between them do not count.
fn turns(text: &[u8]) -> usize {
    let mut kinds = text
        .iter()
        .filter(|byte| byte.is_ascii_alphanumeric())
        .map(|&byte| kind(byte));
    let Some(mut last) = kinds.next() else {
        return 0;
    };
    kinds
        .filter(|&next| std::mem::replace(&mut last, next) != next)
        .count()
}

fn kind(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_zero_for_one_letter_and_full_for_all_different() {
        assert!(shannon(b"aaaaaaaa") < 1e-9);
        assert!((shannon(b"abcdefgh") - 3.0).abs() < 1e-9);
        assert!(shannon(b"") < 1e-9);
    }

    #[test]
    fn names_and_words_are_not_mixed() {
        assert!(is_mixed(b"f3Kd92LmQ0xZ7bV1", b""));
        assert!(is_mixed(b"9f8c1e0b7a6d5f4e3c2b1a0f", b""));
        assert!(!is_mixed(b"getUserByAccountIdentifier", b""));
        assert!(!is_mixed(b"configuration_for_production2", b""));
    }
}
