//! United States, Canada, Brazil.

use super::{all_alike, compact, luhn, numbers, value, weighted};

/// Areas, groups and serials that were given out; numbers that advertisements made known are none.
pub fn is_us_ssn(secret: &[u8], _: &[u8]) -> bool {
    let Some(digits) = numbers::<9>(secret) else {
        return false;
    };
    let (area, group, serial) = (
        value(&digits[..3]),
        value(&digits[3..5]),
        value(&digits[5..]),
    );
    let printed = matches!(
        value(&digits),
        78_051_120 | 219_099_999 | 123_456_789 | 987_654_321 | 111_223_333
    );
    area != 0
        && area != 666
        && area < 900
        && group != 0
        && serial != 0
        && !printed
        && !all_alike(&digits)
}

pub fn is_us_itin(secret: &[u8], _: &[u8]) -> bool {
    let Some(digits) = numbers::<9>(secret) else {
        return false;
    };
    digits[0] == 9 && matches!(value(&digits[3..5]), 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// Luhn, with the prefix of American health in front.
pub fn is_us_npi(secret: &[u8], _: &[u8]) -> bool {
    let Some(digits) = numbers::<10>(secret) else {
        return false;
    };
    let prefixed: Vec<u8> = [8, 0, 8, 4, 0].into_iter().chain(digits).collect();
    matches!(digits[0], 1 | 2) && !all_alike(&digits[1..]) && luhn(&prefixed)
}

/// Medicare: `C A X N A X N A A N N`, without the letters that look like digits.
pub fn is_us_mbi(secret: &[u8], _: &[u8]) -> bool {
    let text = compact(secret);
    let letter = |byte: u8| byte.is_ascii_uppercase() && !b"SLOIBZ".contains(&byte);
    let fits = |place: usize, byte: u8| match place {
        0 => matches!(byte, b'1'..=b'9'),
        1 | 4 | 7 | 8 => letter(byte),
        2 | 5 => letter(byte) || byte.is_ascii_digit(),
        _ => byte.is_ascii_digit(),
    };
    text.len() == 11
        && text
            .iter()
            .enumerate()
            .all(|(place, &byte)| fits(place, byte))
}

/// A prescriber's registration: two letters, six digits, a check digit.
pub fn is_us_dea(secret: &[u8], _: &[u8]) -> bool {
    let text = compact(secret);
    let Some((letters, rest)) = text.split_first_chunk::<2>() else {
        return false;
    };
    let Some(digits) = numbers::<7>(rest) else {
        return false;
    };
    let kind = b"ABCDEFGHJKLMPRSTUX".contains(&letters[0]);
    let name = letters[1].is_ascii_uppercase() || letters[1] == b'9';
    kind && name && weighted(&digits, &[1, 2, 1, 2, 1, 2]) % 10 == u32::from(digits[6])
}

pub fn is_ca_sin(secret: &[u8], _: &[u8]) -> bool {
    numbers::<9>(secret)
        .is_some_and(|digits| !matches!(digits[0], 0 | 8) && !all_alike(&digits) && luhn(&digits))
}

pub fn is_br_cpf(secret: &[u8], _: &[u8]) -> bool {
    let Some(digits) = numbers::<11>(secret) else {
        return false;
    };
    let check = |sum: u32| {
        if sum * 10 % 11 == 10 {
            0
        } else {
            sum * 10 % 11
        }
    };
    let first = check(weighted(&digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]));
    let second = check(weighted(&digits, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]));
    !all_alike(&digits) && first == u32::from(digits[9]) && second == u32::from(digits[10])
}
