//! Germany.

use super::{all_alike, compact, is_day, mod_11_10, numbers, value, weighted};

pub fn is_tax_id(secret: &[u8], _: &[u8]) -> bool {
    numbers::<11>(secret)
        .is_some_and(|digits| digits[0] != 0 && !all_alike(&digits) && mod_11_10(&digits))
}

/// The letter's place in the alphabet, in two digits.
fn letter_digits(letter: u8) -> Option<[u8; 2]> {
    let place = letter.is_ascii_uppercase().then(|| letter - b'A' + 1)?;
    Some([place / 10, place % 10])
}

/// The sum of the digits of each weighted digit.
fn cross_sum(digits: &[u8], weights: &[u8]) -> u32 {
    digits
        .iter()
        .zip(weights)
        .map(|(digit, weight)| u32::from(digit * weight / 10 + digit * weight % 10))
        .sum()
}

/// Office, date of birth, letter of the name, order, check digit.
pub fn is_social_security(secret: &[u8], _: &[u8]) -> bool {
    let text = compact(secret);
    if text.len() != 12 {
        return false;
    }
    let (Some(front), Some(letter), Some(back)) = (
        numbers::<8>(&text[..8]),
        letter_digits(text[8]),
        numbers::<3>(&text[9..]),
    ) else {
        return false;
    };
    let digits: Vec<u8> = front.into_iter().chain(letter).chain(back).collect();
    let sum = cross_sum(&digits, &[2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1]);
    let day = value(&front[2..4]);
    is_day(value(&front[4..6]), if day > 50 { day - 50 } else { day })
        && sum % 10 == u32::from(back[2])
}

/// The part of a health card's number that stays with a person.
pub fn is_health_insurance(secret: &[u8], _: &[u8]) -> bool {
    let text = compact(secret);
    let Some((&letter, rest)) = text.split_first() else {
        return false;
    };
    let (Some(letter), Some(rest)) = (letter_digits(letter), numbers::<9>(rest)) else {
        return false;
    };
    let digits: Vec<u8> = letter.into_iter().chain(rest).collect();
    cross_sum(&digits, &[1, 2, 1, 2, 1, 2, 1, 2, 1, 2]) % 10 == u32::from(rest[8])
}

/// A doctor's number: the seventh digit checks the six before.
pub fn is_lanr(secret: &[u8], _: &[u8]) -> bool {
    numbers::<9>(secret).is_some_and(|digits| {
        let sum = weighted(&digits, &[4, 9, 4, 9, 4, 9]);
        (10 - sum % 10) % 10 == u32::from(digits[6])
    })
}

/// Identity card and passport: eight letters and digits, weighted 7, 3, 1.
pub fn is_document(secret: &[u8], _: &[u8]) -> bool {
    let text = compact(secret);
    let number = |byte: u8| {
        u32::from(if byte.is_ascii_digit() {
            byte - b'0'
        } else {
            byte - b'A' + 10
        })
    };
    let sum: u32 = text
        .iter()
        .take(8)
        .zip([7, 3, 1, 7, 3, 1, 7, 3])
        .map(|(&byte, weight)| number(byte) * weight)
        .sum();
    text.len() == 9
        && text[0].is_ascii_uppercase()
        && text[8].is_ascii_digit()
        && sum % 10 == number(text[8])
}
