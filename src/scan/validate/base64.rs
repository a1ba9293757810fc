//! Base64 that must hold something: a whole number of groups, text, JSON, `user:password`.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::stop_words::is_password;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Decodes either alphabet, padded or not.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let alphabet = if text.iter().any(|byte| matches!(byte, b'-' | b'_')) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    GeneralPurpose::new(alphabet, LENIENT).decode(text).ok()
}

pub fn is_base64(secret: &[u8], _: &[u8]) -> bool {
    decode(secret).is_some_and(|decoded| !decoded.is_empty())
}

/// Decodes to what begins as a JSON object.
pub fn holds_json(secret: &[u8], _: &[u8]) -> bool {
    let start = &secret[..secret.len().min(64) / 4 * 4];
    decode(start).is_some_and(|decoded| decoded.first() == Some(&b'{') && decoded.contains(&b'"'))
}

/// Decodes to printable text.
pub fn holds_text(secret: &[u8], _: &[u8]) -> bool {
    decode(secret).is_some_and(|decoded| {
        !decoded.is_empty()
            && decoded
                .iter()
                .all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t'))
    })
}

/// What follows `Authorization: Basic`: a user, a colon and a password that is one.
pub fn holds_credentials(secret: &[u8], context: &[u8]) -> bool {
    let Some(decoded) = decode(secret) else {
        return false;
    };
    let Some(colon) = decoded.iter().position(|&byte| byte == b':') else {
        return false;
    };
    let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
    let printable = decoded.iter().all(|byte| matches!(byte, b' '..=b'~'));
    printable && (is_password(password, context) || (password.is_empty() && user.len() >= 16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::examples::expand;

    #[test]
    fn both_alphabets_decode_with_and_without_padding() {
        for text in ["aGVsbG8=", "aGVsbG8", "_-8=", "+/8="] {
            assert!(is_base64(text.as_bytes(), b""), "{text}");
        }
        assert!(!is_base64(b"a", b""));
        assert!(!is_base64(b"a b c", b""));
    }

    #[test]
    fn contents_are_looked_at() {
        let json = expand("{base64:[1]}", 1).unwrap().text;
        assert!(!holds_json(json.as_bytes(), b""));
        let user = expand("{base64:ada:tr0ub4dor-3}", 1).unwrap().text;
        assert!(holds_credentials(user.as_bytes(), b""));
        assert!(holds_text(user.as_bytes(), b""));
        let placeholder = expand("{base64:user:password}", 1).unwrap().text;
        assert!(!holds_credentials(placeholder.as_bytes(), b""));
    }
}
