//! Bank and coin placeholders with right check digits. All random: no account or wallet behind any of them is meant.

use super::dice::{DIGITS, Dice, UPPER};
use crate::scan::validate::{
    base58check_encode, bech32_encode, eip55, iban_shape, mnemonic, with_iban_check,
};

/// `iban:DE`: an account number of that country.
pub fn iban(country: &str, dice: &mut Dice) -> String {
    let Some(length) = iban_shape(country.as_bytes()) else {
        return String::new();
    };
    // Banks are named by letters in some countries and by digits in others; a check digit covers both.
    let bank = if matches!(country, "GB" | "NL" | "IE" | "BG" | "LV" | "MT" | "RO") {
        dice.text(UPPER, 4)
    } else {
        dice.text(DIGITS, 4)
    };
    let account = dice.text(DIGITS, length - 8);
    with_iban_check(country, &format!("{bank}{account}"))
}

pub fn bitcoin(dice: &mut Dice) -> String {
    base58(0, dice.bytes::<20>())
}

pub fn tron(dice: &mut Dice) -> String {
    base58(0x41, dice.bytes::<20>())
}

/// A private key in the wallet import format.
pub fn wif(dice: &mut Dice) -> String {
    base58(0x80, dice.bytes::<32>())
}

fn base58<const N: usize>(version: u8, payload: [u8; N]) -> String {
    base58check_encode(&[&[version], &payload[..]].concat())
}

/// `bech32:bc`: a version 0 address under that prefix.
pub fn bech32(prefix: &str, dice: &mut Dice) -> String {
    let mut data = vec![0];
    data.extend(dice.bytes::<32>().map(|byte| byte & 31));
    bech32_encode(prefix, &data)
}

pub fn ethereum(dice: &mut Dice) -> String {
    let address = dice.text(b"0123456789abcdef", 40);
    format!("0x{}", eip55(address.as_bytes()))
}

/// Twelve words with a right checksum.
pub fn seed_phrase(dice: &mut Dice) -> String {
    mnemonic(&dice.bytes::<16>())
}

#[cfg(test)]
mod tests {
    use super::super::expand;
    use crate::scan::validate::Validator;

    #[test]
    fn what_is_made_is_accepted_by_its_validator() {
        for (template, validator) in [
            ("{iban:DE}", "iban"),
            ("{iban:GB}", "iban"),
            ("{bitcoin}", "base58check"),
            ("{bech32:bc}", "bech32"),
            ("{ethereum}", "eip55"),
            ("{seed}", "bip39"),
        ] {
            for seed in 0..20 {
                let text = expand(template, seed).unwrap().text;
                let validator = Validator::by_name(validator).unwrap();
                assert!(validator.accepts(text.as_bytes(), b""), "{text}");
            }
        }
    }
}
