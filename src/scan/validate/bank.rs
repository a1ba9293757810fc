//! Check digits of payment cards, IBANs and American bank routing numbers.

/// The digits of a text that may hold spaces, dashes, dots and slashes between them; `None` if it holds anything else.
pub(super) fn digits(text: &[u8]) -> Option<Vec<u8>> {
    let mut found = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'0'..=b'9' => found.push(byte - b'0'),
            b' ' | b'-' | b'.' | b'/' => {}
            _ => return None,
        }
    }
    Some(found)
}

/// The sum of `digits` with these weights.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits
        .iter()
        .zip(weights)
        .map(|(&digit, weight)| u32::from(digit) * weight)
        .sum()
}

pub(super) fn luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| {
            u32::from(if place % 2 == 1 {
                doubled(digit)
            } else {
                digit
            })
        })
        .sum();
    digits.len() >= 2 && sum.is_multiple_of(10)
}

pub fn is_luhn(secret: &[u8], _: &[u8]) -> bool {
    digits(secret).is_some_and(|digits| luhn(&digits))
}

/// Luhn, a length and a first digit that a card network uses, and not one digit over and over.
pub fn is_payment_card(secret: &[u8], _: &[u8]) -> bool {
    let Some(digits) = digits(secret) else {
        return false;
    };
    let lead = |count: usize| {
        digits
            .iter()
            .take(count)
            .fold(0_u32, |sum, &digit| sum * 10 + u32::from(digit))
    };
    let known = match digits.len() {
        13 => lead(1) == 4,
        14 => matches!(lead(2), 36 | 38 | 39) || matches!(lead(3), 300..=305),
        15 => matches!(lead(2), 34 | 37) || matches!(lead(4), 2131 | 1800),
        16 => {
            lead(1) == 4
                || matches!(lead(2), 51..=55 | 62 | 64 | 65 | 81 | 30 | 35 | 36 | 38 | 39 | 50 | 56..=59 | 67)
                || matches!(lead(4), 2221..=2720 | 6011 | 2200..=2204 | 9792)
        }
        17..=19 => matches!(lead(1), 4) || matches!(lead(2), 50 | 56..=58 | 62 | 63 | 67),
        _ => false,
    };
    known && luhn(&digits) && digits.iter().any(|&digit| digit != digits[0])
}

/// Nine digits whose weights of 3, 7, 1 sum to a multiple of ten; the first two name a Federal Reserve district.
pub fn is_aba_routing(secret: &[u8], _: &[u8]) -> bool {
    let Some(digits) = digits(secret) else {
        return false;
    };
    let district = |digits: &[u8]| digits[0] * 10 + digits[1];
    digits.len() == 9
        && matches!(district(&digits), 1..=12 | 21..=32 | 61..=72 | 80)
        && weighted(&digits, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

/// How long an IBAN of each country is.
const IBAN_LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 \
EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 \
LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 \
RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

/// The length of an IBAN of a country, `None` for a country without.
#[must_use]
pub fn iban_shape(country: &[u8]) -> Option<usize> {
    let mut entries = IBAN_LENGTHS.split_ascii_whitespace();
    entries.find(|entry| entry.as_bytes()[..2] == *country)?[2..]
        .parse()
        .ok()
}

/// `country`, the check digits, `account`.
#[must_use]
pub fn with_iban_check(country: &str, account: &str) -> String {
    let check = 98 - mod_97(format!("{account}{country}00").as_bytes()).unwrap_or(0);
    format!("{country}{check:02}{account}")
}

pub fn is_iban(secret: &[u8], _: &[u8]) -> bool {
    let compact: Vec<u8> = secret
        .iter()
        .filter(|byte| !matches!(byte, b' ' | b'-'))
        .map(u8::to_ascii_uppercase)
        .collect();
    let Some((country, _)) = compact.split_first_chunk::<2>() else {
        return false;
    };
    if iban_shape(country) != Some(compact.len()) {
        return false;
    }
    let turned: Vec<u8> = compact[4..].iter().chain(&compact[..4]).copied().collect();
    mod_97(&turned) == Some(1)
}

/// The remainder by 97 of a number written with digits and letters (`A` is 10).
fn mod_97(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |rest, &byte| match byte {
        b'0'..=b'9' => Some((rest * 10 + u32::from(byte - b'0')) % 97),
        b'A'..=b'Z' => Some((rest * 100 + u32::from(byte - b'A') + 10) % 97),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_need_a_network_and_a_check_digit() {
        assert!(is_payment_card(b"4111 1111 1111 1111", b""));
        assert!(is_payment_card(b"378282246310005", b""));
        assert!(!is_payment_card(b"4111 1111 1111 1112", b""));
        assert!(!is_payment_card(b"0000000000000000", b""));
        assert!(!is_payment_card(b"1234567812345670", b""));
    }

    #[test]
    fn ibans_need_their_countrys_length_and_check_digits() {
        let iban = with_iban_check("DE", "370400440532013000");
        assert_eq!(iban, "DE89370400440532013000");
        assert!(is_iban(b"DE89 3704 0044 0532 0130 00", b""));
        assert!(!is_iban(b"DE88370400440532013000", b""));
        assert!(!is_iban(b"DE8937040044053201300", b""));
        assert!(!is_iban(b"ZZ89370400440532013000", b""));
    }

    #[test]
    fn routing_numbers_have_a_district_and_a_check_digit() {
        assert!(is_aba_routing(b"021000021", b""));
        assert!(!is_aba_routing(b"021000022", b""));
        assert!(!is_aba_routing(b"921000021", b""));
    }
}
