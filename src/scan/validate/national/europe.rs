//! Spain, Italy, Poland, Finland, Sweden, France, Switzerland, Turkey.

use super::{all_alike, compact, is_day, luhn, numbers, value, weighted};

/// NIF and NIE: the letter is the remainder by 23.
pub fn is_es_nif(secret: &[u8], _: &[u8]) -> bool {
    let mut text = compact(secret);
    let Some(letter) = text.pop() else {
        return false;
    };
    if let Some(first @ (b'X' | b'Y' | b'Z')) = text.first().copied() {
        text[0] = first - b'X' + b'0';
    }
    let Some(digits) = numbers::<8>(&text) else {
        return false;
    };
    let place = usize::try_from(value(&digits) % 23).unwrap_or(0);
    b"TRWAGMYFPDXBNJZSQVHLCKE"[place] == letter
}

/// Letters of names, date of birth, place, and a check letter over places counted apart by odd and even.
pub fn is_it_fiscal_code(secret: &[u8], _: &[u8]) -> bool {
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let text = compact(secret);
    let Some((&check, body)) = text.split_last() else {
        return false;
    };
    let number = |byte: u8| {
        usize::from(if byte.is_ascii_digit() {
            byte - b'0'
        } else {
            byte - b'A'
        })
    };
    let sum: u32 = body
        .iter()
        .enumerate()
        .map(|(place, &byte)| {
            if place % 2 == 0 {
                ODD[number(byte)]
            } else {
                u32::try_from(number(byte)).unwrap_or(0)
            }
        })
        .sum();
    let shape = |(place, byte): (usize, &u8)| match place {
        0..=5 | 8 | 11 => byte.is_ascii_uppercase(),
        // Digits, or the letters that stand for them where two persons share a code.
        _ => byte.is_ascii_digit() || b"LMNPQRSTUV".contains(byte),
    };
    text.len() == 16
        && body.iter().enumerate().all(shape)
        && b"ABCDEHLMPRST".contains(&text[8])
        && u32::from(check) == u32::from(b'A') + sum % 26
}

pub fn is_it_vat(secret: &[u8], _: &[u8]) -> bool {
    numbers::<11>(secret).is_some_and(|digits| !all_alike(&digits) && luhn(&digits))
}

/// The century is in the month: 80 for the 1800s, 20, 40 and 60 for what follows 1999.
pub fn is_pl_pesel(secret: &[u8], _: &[u8]) -> bool {
    let Some(digits) = numbers::<11>(secret) else {
        return false;
    };
    let sum = weighted(&digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]);
    is_day(value(&digits[2..4]) % 20, value(&digits[4..6]))
        && (10 - sum % 10) % 10 == u32::from(digits[10])
}

/// `DDMMYY`, a sign for the century, a number, and a check letter by the remainder of 31.
pub fn is_fi_hetu(secret: &[u8], _: &[u8]) -> bool {
    if secret.len() != 11 || !b"+-ABCDEFYXWVU".contains(&secret[6]) {
        return false;
    }
    let (Some(birth), Some(number)) = (numbers::<6>(&secret[..6]), numbers::<3>(&secret[7..10]))
    else {
        return false;
    };
    let whole = value(&birth) * 1000 + value(&number);
    let place = usize::try_from(whole % 31).unwrap_or(0);
    is_day(value(&birth[2..4]), value(&birth[..2]))
        && value(&number) >= 2
        && b"0123456789ABCDEFHJKLMNPRSTUVWXY"[place] == secret[10]
}

/// Ten digits, or twelve with the century; 60 more in the day for a coordination number.
pub fn is_se_personnummer(secret: &[u8], _: &[u8]) -> bool {
    let text = compact(secret);
    let short = match text.len() {
        12 if matches!(text[..2], [b'1', b'8' | b'9'] | [b'2', b'0']) => &text[2..],
        10 => &text[..],
        _ => return false,
    };
    numbers::<10>(short).is_some_and(|digits| {
        let day = value(&digits[4..6]);
        is_day(value(&digits[2..4]), if day > 60 { day - 60 } else { day }) && luhn(&digits)
    })
}

/// Like a person's number, with a month that no year has.
pub fn is_se_organisation(secret: &[u8], _: &[u8]) -> bool {
    numbers::<10>(secret)
        .is_some_and(|digits| value(&digits[2..4]) >= 20 && digits[0] != 0 && luhn(&digits))
}

/// Sex, year, month, place, order, and a key of 97 less the remainder.
pub fn is_fr_nir(secret: &[u8], _: &[u8]) -> bool {
    let Some(digits) = numbers::<15>(secret) else {
        return false;
    };
    let month = value(&digits[3..5]);
    matches!(digits[0], 1 | 2)
        && matches!(month, 1..=12 | 20 | 30..=42 | 50..=99)
        && 97 - value(&digits[..13]) % 97 == value(&digits[13..])
}

/// An article number (EAN-13) with the country's 756.
pub fn is_ch_ahv(secret: &[u8], _: &[u8]) -> bool {
    numbers::<13>(secret).is_some_and(|digits| {
        let sum = weighted(&digits, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]);
        digits[..3] == [7, 5, 6] && sum.is_multiple_of(10)
    })
}

pub fn is_tr_identity(secret: &[u8], _: &[u8]) -> bool {
    let Some(digits) = numbers::<11>(secret) else {
        return false;
    };
    let odd = weighted(&digits, &[7, 0, 7, 0, 7, 0, 7, 0, 7]);
    let even = weighted(&digits, &[0, 1, 0, 1, 0, 1, 0, 1]);
    let sum = weighted(&digits, &[1; 10]);
    digits[0] != 0
        && (odd + 100 - even) % 10 == u32::from(digits[9])
        && sum % 10 == u32::from(digits[10])
}
