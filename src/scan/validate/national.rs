//! National identity, tax, health and company numbers: what their check digits and parts allow.

mod americas;
mod asia;
mod britain;
mod europe;
mod germany;
mod oceania_africa;

use super::Check;
use super::bank::{luhn, weighted};

pub(super) const ALL: &[(&str, Check)] = &[
    ("us_ssn", americas::is_us_ssn),
    ("us_itin", americas::is_us_itin),
    ("us_npi", americas::is_us_npi),
    ("us_mbi", americas::is_us_mbi),
    ("us_dea", americas::is_us_dea),
    ("ca_sin", americas::is_ca_sin),
    ("br_cpf", americas::is_br_cpf),
    ("uk_nhs", britain::is_uk_nhs),
    ("uk_nino", britain::is_uk_nino),
    ("uk_driving_licence", britain::is_uk_driving_licence),
    ("es_nif", europe::is_es_nif),
    ("it_fiscal_code", europe::is_it_fiscal_code),
    ("it_vat", europe::is_it_vat),
    ("pl_pesel", europe::is_pl_pesel),
    ("fi_hetu", europe::is_fi_hetu),
    ("se_personnummer", europe::is_se_personnummer),
    ("se_organisation", europe::is_se_organisation),
    ("fr_nir", europe::is_fr_nir),
    ("ch_ahv", europe::is_ch_ahv),
    ("tr_identity", europe::is_tr_identity),
    ("de_tax_id", germany::is_tax_id),
    ("de_social_security", germany::is_social_security),
    ("de_health_insurance", germany::is_health_insurance),
    ("de_lanr", germany::is_lanr),
    ("de_document", germany::is_document),
    ("sg_nric", asia::is_sg_nric),
    ("in_aadhaar", asia::is_in_aadhaar),
    ("in_pan", asia::is_in_pan),
    ("in_gstin", asia::is_in_gstin),
    ("kr_rrn", asia::is_kr_rrn),
    ("kr_brn", asia::is_kr_brn),
    ("th_tnin", asia::is_th_tnin),
    ("cn_resident", asia::is_cn_resident),
    ("au_abn", oceania_africa::is_au_abn),
    ("au_acn", oceania_africa::is_au_acn),
    ("au_tfn", oceania_africa::is_au_tfn),
    ("au_medicare", oceania_africa::is_au_medicare),
    ("za_identity", oceania_africa::is_za_identity),
    ("alone", is_alone),
];

/// What agents call a text that is nothing but text; a number under any other key is named by it.
const PLAIN_KEYS: [&[u8]; 8] = [
    b"text:",
    b"content:",
    b"input:",
    b"output:",
    b"prompt:",
    b"value:",
    b"message:",
    b"query:",
];

/// A number without a word to it: nothing else in the text but other numbers, as in a cell of a table. Numbers among words
/// and code need a word that names them.
fn is_alone(secret: &[u8], context: &[u8]) -> bool {
    let Some(at) = memchr::memmem::find(context, secret) else {
        return false;
    };
    let before = context[..at].trim_ascii();
    let before = PLAIN_KEYS
        .iter()
        .find_map(|key| before.strip_suffix(*key))
        .unwrap_or(before);
    let rest = before.iter().chain(&context[at + secret.len()..]);
    let kept: Vec<u8> = rest
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    kept.len() <= 40
        && !kept
            .iter()
            .any(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'{' | b'(' | b'=' | b'/'))
}

/// Capital letters and digits, all else left out.
fn compact(text: &[u8]) -> Vec<u8> {
    text.iter()
        .filter(|byte| byte.is_ascii_alphanumeric())
        .map(u8::to_ascii_uppercase)
        .collect()
}

/// Exactly `N` digits, with anything but letters between them.
fn numbers<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let compact = compact(text);
    let all = compact.iter().all(u8::is_ascii_digit);
    let digits: Vec<u8> = compact.iter().map(|byte| byte.wrapping_sub(b'0')).collect();
    digits.try_into().ok().filter(|_| all)
}

fn value(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |sum, &digit| sum * 10 + u64::from(digit))
}

/// A month and a day that exist together in some year.
fn is_day(month: u64, day: u64) -> bool {
    let days = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

fn all_alike(digits: &[u8]) -> bool {
    digits.iter().all(|digit| *digit == digits[0])
}

/// ISO 7064 MOD 11,10: the last digit checks the others.
fn mod_11_10(digits: &[u8]) -> bool {
    let Some((&check, body)) = digits.split_last() else {
        return false;
    };
    let product = body.iter().fold(10_u32, |product, &digit| {
        let sum = (u32::from(digit) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == u32::from(check)
}

#[cfg(test)]
mod tests {
    use crate::scan::validate::Validator;

    /// Numbers printed by the authorities or in encyclopaedias as examples of the format, and the same with an error.
    const KNOWN: &[(&str, &str, &str)] = &[
        ("us_ssn", "536-90-4399", "666-12-3456"),
        ("us_itin", "912-91-3457", "912-93-3457"),
        ("us_npi", "1245319599", "1245319598"),
        ("us_mbi", "1EG4-TE5-MK73", "1EG4-SE5-MK73"),
        ("us_dea", "AB1234563", "AB1234564"),
        ("ca_sin", "130 692 544", "130 692 545"),
        ("br_cpf", "529.982.247-25", "529.982.247-24"),
        ("uk_nhs", "943 476 5919", "943 476 5918"),
        ("uk_nino", "AB 12 34 56 C", "QQ 12 34 56 C"),
        ("uk_driving_licence", "MORGA753116SM9IJ", "MORGA793116SM9IJ"),
        ("es_nif", "12345678Z", "12345678A"),
        ("es_nif", "X9613851N", "X9613851M"),
        ("it_fiscal_code", "RSSMRA85T10A562S", "RSSMRA85T10A562T"),
        ("it_vat", "01333550323", "01333550324"),
        ("pl_pesel", "44051401359", "44051401358"),
        ("fi_hetu", "131052-308T", "131052-308U"),
        ("se_personnummer", "19811218-9876", "19811218-9877"),
        ("se_organisation", "556703-7485", "556703-7486"),
        ("fr_nir", "2 55 08 14 168 025 38", "2 55 08 14 168 025 39"),
        ("ch_ahv", "756.9217.0769.85", "756.9217.0769.84"),
        ("tr_identity", "10000000146", "10000000147"),
        ("de_tax_id", "86095742719", "86095742718"),
        ("de_social_security", "15070649C103", "15070649C104"),
        ("de_health_insurance", "A123456780", "A123456781"),
        ("de_lanr", "123456601", "123456701"),
        ("de_document", "C01X00T41", "C01X00T42"),
        ("sg_nric", "S1234567D", "S1234567E"),
        ("in_aadhaar", "3998 7654 3211", "3998 7654 3212"),
        ("in_pan", "AAAPL1234C", "AAAZL1234C"),
        ("in_gstin", "27AAPFU0939F1ZV", "38AAPFU0939F1ZV"),
        ("kr_rrn", "960121-1021413", "961321-1021413"),
        ("kr_brn", "104-86-56659", "104-86-56658"),
        ("th_tnin", "1234567890121", "1234567890122"),
        ("cn_resident", "11010519491231002X", "110105194912310021"),
        ("au_abn", "51 824 753 556", "51 824 753 557"),
        ("au_acn", "004 085 616", "004 085 617"),
        ("au_tfn", "876 543 210", "876 543 211"),
        ("au_medicare", "2123 45670 1", "2123 45671 1"),
        ("za_identity", "9202201234088", "9202201234089"),
    ];

    #[test]
    fn right_numbers_pass_and_wrong_ones_do_not() {
        for (name, right, wrong) in KNOWN {
            let validator = Validator::by_name(name).unwrap();
            assert!(validator.accepts(right.as_bytes(), b""), "{name} {right}");
            assert!(!validator.accepts(wrong.as_bytes(), b""), "{name} {wrong}");
        }
    }

    #[test]
    fn a_number_among_words_is_not_alone() {
        let alone = Validator::by_name("alone").unwrap();
        assert!(alone.accepts(b"130692544", b"  130692544, 12\n"));
        assert!(alone.accepts(b"130692544", b"\ntext: 130692544\n"));
        assert!(!alone.accepts(b"130692544", b"\nid: 130692544\n"));
        assert!(!alone.accepts(b"130692544", b"let x = 130692544;"));
    }
}
