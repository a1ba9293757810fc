//! Australia, South Africa.

use super::{all_alike, is_day, luhn, numbers, value, weighted};

pub fn is_au_abn(secret: &[u8], _: &[u8]) -> bool {
    let Some(mut digits) = numbers::<11>(secret) else {
        return false;
    };
    if digits[0] == 0 {
        return false;
    }
    digits[0] -= 1;
    weighted(&digits, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]).is_multiple_of(89)
}

pub fn is_au_acn(secret: &[u8], _: &[u8]) -> bool {
    numbers::<9>(secret).is_some_and(|digits| {
        let sum = weighted(&digits, &[8, 7, 6, 5, 4, 3, 2, 1]);
        !all_alike(&digits) && (10 - sum % 10) % 10 == u32::from(digits[8])
    })
}

pub fn is_au_tfn(secret: &[u8], _: &[u8]) -> bool {
    numbers::<9>(secret).is_some_and(|digits| {
        !all_alike(&digits) && weighted(&digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11)
    })
}

/// Eight digits, their check, the issue of the card; with a person's place on it, eleven digits.
pub fn is_au_medicare(secret: &[u8], _: &[u8]) -> bool {
    let Some(digits) = numbers::<10>(secret).or_else(|| {
        let longer = numbers::<11>(secret)?;
        longer.first_chunk::<10>().copied()
    }) else {
        return false;
    };
    (2..=6).contains(&digits[0])
        && digits[9] != 0
        && weighted(&digits, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == u32::from(digits[8])
}

/// Date of birth, order, citizenship, a digit that was once something else, Luhn.
pub fn is_za_identity(secret: &[u8], _: &[u8]) -> bool {
    numbers::<13>(secret).is_some_and(|digits| {
        is_day(value(&digits[2..4]), value(&digits[4..6])) && digits[10] <= 2 && luhn(&digits)
    })
}
