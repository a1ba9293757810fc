//! Singapore, India, Korea, Thailand, China.

use super::{all_alike, compact, is_day, numbers, value, weighted};

pub fn is_sg_nric(secret: &[u8], _: &[u8]) -> bool {
    let text = compact(secret);
    if text.len() != 9 {
        return false;
    }
    let Some(digits) = numbers::<7>(&text[1..8]) else {
        return false;
    };
    let sum = weighted(&digits, &[2, 7, 6, 5, 4, 3, 2]);
    let (offset, letters): (u32, &[u8; 11]) = match text[0] {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        b'M' => (3, b"XWUTRQPNJLK"),
        _ => return false,
    };
    letters[((sum + offset) % 11) as usize] == text[8]
}

/// Verhoeff's check: sums in a group of ten that notices swapped digits.
fn verhoeff(digits: &[u8]) -> bool {
    const TURN: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let product = |a: u8, b: u8| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b) % 5,
        (false, true) => 5 + (a + 5 - b) % 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let sum = digits
        .iter()
        .rev()
        .enumerate()
        .fold(0, |sum, (place, &digit)| {
            let turned = (0..place % 8).fold(digit, |digit, _| TURN[usize::from(digit)]);
            product(sum, turned)
        });
    sum == 0
}

pub fn is_in_aadhaar(secret: &[u8], _: &[u8]) -> bool {
    numbers::<12>(secret)
        .is_some_and(|digits| digits[0] >= 2 && !all_alike(&digits) && verhoeff(&digits))
}

/// Three letters, the kind of holder, an initial, four digits, a letter.
pub fn is_in_pan(secret: &[u8], _: &[u8]) -> bool {
    let text = compact(secret);
    text.len() == 10
        && text[..5].iter().all(u8::is_ascii_uppercase)
        && b"ABCFGHLJPTKE".contains(&text[3])
        && numbers::<4>(&text[5..9]).is_some_and(|digits| value(&digits) != 0)
        && text[9].is_ascii_uppercase()
}

/// A state's code, a PAN, a number of the registration, `Z`, a check letter.
pub fn is_in_gstin(secret: &[u8], _: &[u8]) -> bool {
    let text = compact(secret);
    let Some((state, rest)) = text.split_first_chunk::<2>() else {
        return false;
    };
    let known = numbers::<2>(state).is_some_and(|state| matches!(value(&state), 1..=37 | 97 | 99));
    text.len() == 15
        && known
        && rest[..5].iter().all(u8::is_ascii_uppercase)
        && numbers::<4>(&rest[5..9]).is_some()
        && rest[9].is_ascii_uppercase()
        && rest[10] != b'0'
        && rest[11] == b'Z'
}

/// Residents (1 to 4 in the seventh place) and foreigners (5 to 8): date of birth, century. Numbers given since 2020 carry
/// no check digit.
pub fn is_kr_rrn(secret: &[u8], _: &[u8]) -> bool {
    numbers::<13>(secret).is_some_and(|digits| {
        is_day(value(&digits[2..4]), value(&digits[4..6]))
            && (1..=8).contains(&digits[6])
            && value(&digits[7..9]) <= 95
    })
}

pub fn is_kr_brn(secret: &[u8], _: &[u8]) -> bool {
    let Some(digits) = numbers::<10>(secret) else {
        return false;
    };
    let carry = u32::from(digits[8]) * 5 / 10;
    let sum = weighted(&digits, &[1, 3, 7, 1, 3, 7, 1, 3, 5]) + carry;
    digits[0] != 0 && (10 - sum % 10) % 10 == u32::from(digits[9])
}

pub fn is_th_tnin(secret: &[u8], _: &[u8]) -> bool {
    numbers::<13>(secret).is_some_and(|digits| {
        let sum = weighted(&digits, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
        (1..=8).contains(&digits[0])
            && digits[1] != 0
            && (11 - sum % 11) % 10 == u32::from(digits[12])
    })
}

/// Place, date of birth, order, and a remainder by 11 where `X` is ten.
pub fn is_cn_resident(secret: &[u8], _: &[u8]) -> bool {
    let text = compact(secret);
    if text.len() != 18 {
        return false;
    }
    let Some(digits) = numbers::<17>(&text[..17]) else {
        return false;
    };
    let sum = weighted(
        &digits,
        &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2],
    );
    (1800..2100).contains(&value(&digits[6..10]))
        && is_day(value(&digits[10..12]), value(&digits[12..14]))
        && b"10X98765432"[(sum % 11) as usize] == text[17]
}
