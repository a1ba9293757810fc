//! United Kingdom.

use super::{all_alike, compact, is_day, numbers, value, weighted};

pub fn is_uk_nhs(secret: &[u8], _: &[u8]) -> bool {
    let Some(digits) = numbers::<10>(secret) else {
        return false;
    };
    let check = (11 - weighted(&digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    !all_alike(&digits) && check == u32::from(digits[9])
}

/// Prefixes that were given out, and a suffix from A to D.
pub fn is_uk_nino(secret: &[u8], _: &[u8]) -> bool {
    let text = compact(secret);
    let (Some((prefix, rest)), Some(suffix)) = (text.split_first_chunk::<2>(), text.last()) else {
        return false;
    };
    let letters = prefix.iter().all(u8::is_ascii_uppercase)
        && !b"DFIQUV".contains(&prefix[0])
        && !b"DFIOQUV".contains(&prefix[1]);
    let given = ![b"BG", b"GB", b"NK", b"KN", b"TN", b"NT", b"ZZ"].contains(&prefix);
    letters
        && given
        && (b'A'..=b'D').contains(suffix)
        && numbers::<6>(&rest[..rest.len() - 1]).is_some()
}

/// Five of the name, the date of birth turned about (50 more in the month for a woman), initials, check letters.
pub fn is_uk_driving_licence(secret: &[u8], _: &[u8]) -> bool {
    let text = compact(secret);
    let Some((name, rest)) = text.split_first_chunk::<5>() else {
        return false;
    };
    let Some(birth) = rest.get(..6).and_then(numbers::<6>) else {
        return false;
    };
    let month = value(&birth[1..3]);
    let month = if month > 50 { month - 50 } else { month };
    let padded = name
        .iter()
        .rposition(|&byte| byte != b'9')
        .map_or(0, |last| last + 1);
    text.len() == 16
        && padded > 0
        && name[..padded].iter().all(u8::is_ascii_uppercase)
        && is_day(month, value(&birth[3..5]))
        && rest[6].is_ascii_uppercase()
        && (rest[7].is_ascii_uppercase() || rest[7] == b'9')
        && rest[9..].iter().all(u8::is_ascii_uppercase)
}
