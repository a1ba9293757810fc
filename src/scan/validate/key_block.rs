//! Private key blocks: after the header there must be key material, not a sentence about keys.

use super::entropy::shannon;

/// At least 48 characters of base64 that look random, headers such as `Proc-Type` and escapes such as `\n` left out.
pub fn is_key_block(secret: &[u8], _: &[u8]) -> bool {
    let body = after_header(secret);
    let mut material = Vec::new();
    let mut letters = body.iter().copied().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            b'\\' => {
                letters.next_if(|next| matches!(next, b'n' | b'r' | b't'));
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => material.push(letter),
            // The end mark, or the armour's checksum.
            b'-' if material.len() >= 48 => break,
            _ => {}
        }
    }
    let mixed =
        material.iter().any(u8::is_ascii_digit) && material.iter().any(u8::is_ascii_uppercase);
    material.len() >= 48 && mixed && shannon(&material) >= 4.2
}

fn after_header(secret: &[u8]) -> &[u8] {
    const HEADER_END: &[u8] = b"-----";
    memchr::memmem::find_iter(secret, HEADER_END)
        .nth(1)
        .map_or(secret, |at| &secret[at + HEADER_END.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::examples::expand;

    #[test]
    fn blocks_are_accepted_and_talk_about_them_is_not() {
        for template in ["{pem:RSA PRIVATE KEY}", "{pem_escaped:PRIVATE KEY}"] {
            assert!(is_key_block(
                expand(template, 4).unwrap().text.as_bytes(),
                b""
            ));
        }
        let talk = expand("{pem:X}", 1)
            .unwrap()
            .text
            .replace(|letter: char| letter.is_ascii_digit(), ".");
        assert!(!is_key_block(talk.as_bytes(), b""));
    }
}
