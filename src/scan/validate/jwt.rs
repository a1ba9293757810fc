//! JSON Web Tokens: the header must decode to an object that names an algorithm.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::entropy::{is_mixed, shannon};
use super::stop_words::contains;

/// Header and claims decode to JSON objects, and the header has an `alg` (or `enc`, or `typ`). A damaged token, as one with a
/// letter changed, is still one when both parts begin as objects do, or when it is too long and random to be a name.
pub fn is_jwt(secret: &[u8], _: &[u8]) -> bool {
    let mut parts = secret.split(|&byte| byte == b'.');
    let (Some(header), Some(claims)) = (parts.next(), parts.next()) else {
        return false;
    };
    let others = parts.count();
    let begins = |part: &[u8]| {
        part.starts_with(b"eyJ") || part.starts_with(b"ewo") || part.starts_with(b"ewk")
    };
    let random =
        |least: usize| secret.len() >= least && shannon(secret) >= 4.5 && is_mixed(secret, b"");
    if let Some(decoded) = object(header) {
        let names = [&b"\"alg\""[..], b"\"enc\"", b"\"typ\""];
        // The claims of an encrypted token (five parts) are not JSON.
        if names.iter().any(|name| contains(&decoded, name))
            && (object(claims).is_some() || others >= 3)
        {
            return !object(claims).is_some_and(|claims| is_sample(&claims));
        }
    }
    (begins(header) && begins(claims) && random(60)) || random(120)
}

/// The claims that debuggers, tutorials and tests of libraries show: signed with a secret that is printed beside them.
fn is_sample(claims: &[u8]) -> bool {
    let samples = [&b"\"1234567890\""[..], b"\"John Doe\""];
    samples.iter().any(|sample| contains(claims, sample))
}

/// The decoded part when it reads as an object. The end may be cut off, so only the start must be well formed.
fn object(part: &[u8]) -> Option<Vec<u8>> {
    let part = &part[..part.len() - usize::from(part.len() % 4 == 1)];
    let trimmed = part
        .strip_suffix(b"==")
        .or_else(|| part.strip_suffix(b"="))
        .unwrap_or(part);
    let decoded = lenient(trimmed)?;
    let text = decoded.trim_ascii_start();
    (text.first() == Some(&b'{') && text.contains(&b'"')).then_some(decoded)
}

fn lenient(part: &[u8]) -> Option<Vec<u8>> {
    let url_safe: Vec<u8> = part
        .iter()
        .map(|&byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => other,
        })
        .collect();
    // Bits left over in the last letter are an encoder's business, not ours: cut to whole groups if they are not zero.
    URL_SAFE_NO_PAD
        .decode(&url_safe)
        .or_else(|_| URL_SAFE_NO_PAD.decode(&url_safe[..url_safe.len() / 4 * 4]))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::examples::expand;

    #[test]
    fn the_token_of_every_tutorial_is_not() {
        let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let token = |claims: &str| {
            let head = encode(r#"{"alg":"HS256","typ":"JWT"}"#);
            format!("{head}.{}.{}", encode(claims), encode(&"k3x9".repeat(8)))
        };
        let sample = token(r#"{"sub":"1234567890","name":"John Doe","iat":1516239022}"#);
        assert!(!is_jwt(sample.as_bytes(), b""));
        let real = token(r#"{"sub":"8214417","name":"svc-deploy","iat":1716239022}"#);
        assert!(is_jwt(real.as_bytes(), b""));
    }

    #[test]
    fn a_token_is_accepted_and_dotted_names_are_not() {
        for seed in 0..20 {
            assert!(is_jwt(expand("{jwt}", seed).unwrap().text.as_bytes(), b""));
        }
        assert!(!is_jwt(b"eyJhbGci.something.else", b""));
        assert!(!is_jwt(b"no dots", b""));
    }
}
