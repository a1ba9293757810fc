//! The text of a virtual key: `tg_live_`, 33 characters of base 62 that hold 24 random bytes, 6 of checksum.
//!
//! The checksum lets a typo be told from an unknown key without asking the directory, and lets scanners recognise a
//! leaked key. The alphabet has no punctuation, so a double click selects all of it.

use std::fmt;

use hmac::Mac;
use sha2::{Digest, Sha256};

use super::KeyError;
use crate::domain::{KeyId, Secret};
use crate::keyed;

const PREFIX: &str = "tg_live_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^33 is more than 2^192.
const RANDOM: usize = 33;
/// 62^6 is more than 2^32.
const CHECKSUM: usize = 6;
const ID: usize = 12;

/// The keyed hash under which a virtual key is stored. Without the installation's key it tells nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// A virtual key as a client presented it: well-formed, its checksum right. Borrowed from the request, without `Debug`.
pub struct PresentedKey<'r>(Secret<&'r str>);

impl PresentedKey<'_> {
    /// The hash under which the directory knows it.
    #[must_use]
    pub fn hash(&self, pepper: &Secret<[u8; 32]>) -> KeyHash {
        hashed(pepper, self.0.expose())
    }
}

/// A key that was just made. Its text is shown once and kept nowhere.
pub struct NewKey {
    pub text: Secret<String>,
    pub id: KeyId,
}

impl NewKey {
    /// The hash under which to store it.
    #[must_use]
    pub fn hash(&self, pepper: &Secret<[u8; 32]>) -> KeyHash {
        hashed(pepper, self.text.expose())
    }
}

/// Makes a key of 24 random bytes, which must come from the system's generator.
#[must_use]
pub fn generate(random: [u8; 24]) -> NewKey {
    let mut text = String::with_capacity(PREFIX.len() + RANDOM + CHECKSUM);
    text.push_str(PREFIX);
    push_base62(&mut text, &random, RANDOM);
    let sum = checksum(&text);
    push_base62(&mut text, &sum, CHECKSUM);
    let mut id = "key_".to_owned();
    // A hash's prefix: the public name tells nothing of the 192 random bits.
    push_base62(&mut id, &Sha256::digest(text.as_bytes())[..8], ID);
    NewKey {
        id: KeyId::new(&id),
        text: Secret::new(text),
    }
}

/// Reads a presented key.
///
/// # Errors
/// [`KeyError::Missing`], [`KeyError::Malformed`] or [`KeyError::Mistyped`].
pub fn parse(text: &str) -> Result<PresentedKey<'_>, KeyError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(KeyError::Missing);
    }
    let rest = text.strip_prefix(PREFIX).ok_or(KeyError::Malformed)?;
    let whole =
        rest.len() == RANDOM + CHECKSUM && rest.bytes().all(|byte| ALPHABET.contains(&byte));
    if !whole {
        return Err(KeyError::Mistyped);
    }
    let (body, given) = text.split_at(PREFIX.len() + RANDOM);
    // Not a secret: everyone can compute it.
    if base62(given) != u64::from(crc32c::crc32c(body.as_bytes())) {
        return Err(KeyError::Mistyped);
    }
    Ok(PresentedKey(Secret::new(text)))
}

/// Reads the key of a request from its two possible headers, `x-api-key` and `Authorization: Bearer`. Some clients send
/// it in both; some send a login of their own beside it, which is then ignored (and never forwarded).
///
/// # Errors
/// As [`parse`]; two different virtual keys are malformed, since neither is more right.
pub fn present<'r>(
    x_api_key: Option<&'r str>,
    authorization: Option<&'r str>,
) -> Result<PresentedKey<'r>, KeyError> {
    let bearer = authorization.and_then(bearer);
    match (x_api_key.map(parse), bearer.map(parse)) {
        (Some(Ok(first)), Some(Ok(second))) => {
            if first.0.expose() == second.0.expose() {
                Ok(first)
            } else {
                Err(KeyError::Malformed)
            }
        }
        (Some(Ok(key)), _) | (_, Some(Ok(key))) => Ok(key),
        // The more telling of two failures: mistyped before malformed before missing.
        (Some(Err(KeyError::Mistyped)), _) | (_, Some(Err(KeyError::Mistyped))) => {
            Err(KeyError::Mistyped)
        }
        (Some(Err(KeyError::Malformed)), _) | (_, Some(Err(KeyError::Malformed))) => {
            Err(KeyError::Malformed)
        }
        (None, None) if authorization.is_some() => Err(KeyError::Malformed),
        _ => Err(KeyError::Missing),
    }
}

/// The token of `Bearer TOKEN`; the scheme in any case.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn checksum(text: &str) -> [u8; 4] {
    crc32c::crc32c(text.as_bytes()).to_be_bytes()
}

fn hashed(pepper: &Secret<[u8; 32]>, text: &str) -> KeyHash {
    let mut mac = keyed::mac(pepper);
    mac.update(text.as_bytes());
    KeyHash(mac.finalize().into_bytes().into())
}

/// The value of at most ten base-62 digits, checked before to be such.
fn base62(digits: &str) -> u64 {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte - b'0',
        b'A'..=b'Z' => byte - b'A' + 10,
        _ => byte.wrapping_sub(b'a').wrapping_add(36),
    };
    digits.bytes().fold(0_u64, |value, byte| {
        value.wrapping_mul(62).wrapping_add(u64::from(digit(byte)))
    })
}

/// Appends a big-endian number in base 62, padded to `width` digits, which must suffice.
fn push_base62(text: &mut String, number: &[u8], width: usize) {
    let mut number = number.to_vec();
    let mut digits = vec![b'0'; width];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_usize;
        for byte in &mut number {
            let value = rest * 256 + usize::from(*byte);
            // Below 256, since `rest` is below 62.
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            rest = value % 62;
        }
        *digit = ALPHABET[rest];
    }
    text.extend(digits.into_iter().map(char::from));
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEPPER: Secret<[u8; 32]> = Secret::new([7; 32]);

    fn key(seed: u8) -> NewKey {
        generate(std::array::from_fn(|i| {
            seed.wrapping_mul(31).wrapping_add(u8::try_from(i).unwrap())
        }))
    }

    fn outcome(text: &str) -> Result<(), KeyError> {
        parse(text).map(|_| ())
    }

    #[test]
    fn a_made_key_reads_back_to_the_hash_that_is_stored() {
        let made = key(1);
        assert_eq!(made.text.expose().len(), 47);
        assert!(made.id.as_str().starts_with("key_") && made.id.as_str().len() == 16);
        let read = parse(made.text.expose()).ok().unwrap();
        assert_eq!(read.hash(&PEPPER), made.hash(&PEPPER));
        assert_ne!(read.hash(&Secret::new([8; 32])), made.hash(&PEPPER));
        assert_ne!(key(2).id, made.id);
    }

    #[test]
    fn every_single_slip_is_told_from_an_unknown_key() {
        let text = key(3).text.expose().clone();
        for at in 8..text.len() {
            for replacement in ["0", "z", "-"] {
                let mut typo = text.clone();
                typo.replace_range(at..=at, replacement);
                if typo != text {
                    assert_eq!(outcome(&typo), Err(KeyError::Mistyped), "{at}");
                }
            }
        }
        assert_eq!(outcome(&text[..46]), Err(KeyError::Mistyped));
        assert_eq!(outcome(&format!("{text}x")), Err(KeyError::Mistyped));
        assert_eq!(outcome(&format!(" {text}\n")), Ok(()));
    }

    #[test]
    fn what_is_no_virtual_key_is_malformed_or_missing() {
        assert_eq!(outcome(""), Err(KeyError::Missing));
        assert_eq!(outcome("sk-other"), Err(KeyError::Malformed));
        assert_eq!(outcome("TG_LIVE_x"), Err(KeyError::Malformed));
        assert_eq!(outcome("tg_live_ä"), Err(KeyError::Mistyped));
    }

    #[test]
    fn either_header_will_do_and_two_keys_will_not() {
        let (one, two) = (key(4).text.expose().clone(), key(5).text.expose().clone());
        let bearer = |text: &str| format!("bearer {text}");
        let with = |x: Option<&str>, a: Option<&str>| present(x, a).map(|_| ());
        assert_eq!(with(Some(&one), None), Ok(()));
        assert_eq!(with(None, Some(&bearer(&one))), Ok(()));
        assert_eq!(with(Some(&one), Some(&bearer(&one))), Ok(()));
        assert_eq!(with(Some(&one), Some("Bearer someone-elses-login")), Ok(()));
        assert_eq!(with(Some("sk-x"), Some(&bearer(&one))), Ok(()));
        assert_eq!(
            with(Some(&one), Some(&bearer(&two))),
            Err(KeyError::Malformed)
        );
        assert_eq!(with(None, Some("Basic dTpw")), Err(KeyError::Malformed));
        assert_eq!(
            with(None, Some(&bearer("tg_live_short"))),
            Err(KeyError::Mistyped)
        );
        assert_eq!(with(None, None), Err(KeyError::Missing));
        assert_eq!(with(Some(""), Some("Bearer  ")), Err(KeyError::Missing));
    }
}
