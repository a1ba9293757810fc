//! What can be known of a candidate without asking anyone: checksums, structure, randomness, documented examples.
//!
//! Every validator is a pure function of the candidate and the text around it. It knows formats, not rules or policy.

mod address;
mod bank;
mod base64;
mod coin;
mod entropy;
mod jwt;
mod keccak;
mod key_block;
mod national;
mod seed_phrase;
mod stop_words;
mod token_checksum;

pub use self::bank::{iban_shape, with_iban_check};
pub use self::coin::{base58check_encode, bech32_encode, eip55};
pub use self::entropy::shannon;
pub use self::seed_phrase::mnemonic;
pub use self::token_checksum::base62_crc;

/// Says whether a candidate can be what its rule looks for; `context` is the text around it.
type Check = fn(secret: &[u8], context: &[u8]) -> bool;

/// A check with the name that rule files call it by.
#[derive(Clone, Copy, Debug)]
pub struct Validator {
    name: &'static str,
    check: Check,
}

impl Validator {
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let mut all = GENERAL.iter().chain(MONEY).chain(national::ALL);
        let &(name, check) = all.find(|(known, _)| *known == name)?;
        Some(Self { name, check })
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    #[must_use]
    pub fn accepts(self, secret: &[u8], context: &[u8]) -> bool {
        (self.check)(secret, context)
    }
}

const GENERAL: &[(&str, Check)] = &[
    ("entropy", entropy::is_random),
    ("mixed", entropy::is_mixed),
    ("mixed_case", entropy::is_mixed_case),
    ("numbered", entropy::is_numbered),
    ("opaque", entropy::is_opaque),
    ("stop_words", stop_words::is_no_example),
    ("no_sequence", stop_words::is_no_sequence),
    ("not_typed", stop_words::is_not_typed),
    ("no_digest", stop_words::is_no_digest),
    ("password", stop_words::is_password),
    ("opaque_password", stop_words::is_opaque_password),
    ("not_the_user", stop_words::is_not_the_user),
    ("url_host", stop_words::is_on_a_real_host),
    ("github_checksum", token_checksum::github),
    ("npm_checksum", token_checksum::github),
    ("jwt", jwt::is_jwt),
    ("base64", base64::is_base64),
    ("base64_json", base64::holds_json),
    ("base64_text", base64::holds_text),
    ("basic_auth", base64::holds_credentials),
    ("key_block", key_block::is_key_block),
    ("email", address::is_email),
    ("phone", address::is_phone),
    ("ip_address", address::is_ip),
    ("mac_address", address::is_mac),
];

const MONEY: &[(&str, Check)] = &[
    ("luhn", bank::is_luhn),
    ("payment_card", bank::is_payment_card),
    ("iban", bank::is_iban),
    ("aba_routing", bank::is_aba_routing),
    ("base58check", coin::is_base58check),
    ("bech32", coin::is_bech32),
    ("eip55", coin::is_eip55),
    ("bip39", seed_phrase::is_bip39),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_validator_is_found_by_its_name_and_none_twice() {
        let mut names = Vec::new();
        for (name, _) in GENERAL.iter().chain(MONEY).chain(national::ALL) {
            assert_eq!(Validator::by_name(name).unwrap().name(), *name);
            names.push(*name);
        }
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before);
        assert!(Validator::by_name("none such").is_none());
    }

    #[test]
    fn no_validator_panics_on_odd_input() {
        let odd: [&[u8]; 9] = [
            b"",
            b"\xff\xfe",
            b"-",
            b"0",
            b"A",
            "é".as_bytes(),
            b"{}",
            &[0; 300],
            b"..........",
        ];
        for (_, check) in GENERAL.iter().chain(MONEY).chain(national::ALL) {
            for text in odd {
                check(text, text);
            }
        }
    }
}
