//! Private key blocks: after the header there must be key material, not a sentence about keys.

use super::entropy::shannon;

/// Characters of key material that are judged by themselves, and again from their middle on: as many as the shortest key
/// has (Ed25519, RFC 8410). However much that is dull stands before a key or behind it, of one part 41 are the key's: the
/// last is judged too if it has [`LEAST`].
const ENOUGH: usize = 64;
/// At least so many.
const LEAST: usize = 56;

/// At least 56 characters in lines of base64 that look random. Words and names in code are shorter than such a line, and
/// have no digits and capitals mixed; headers such as `Proc-Type` and escapes such as `\n` are left out.
pub fn is_key_block(secret: &[u8], _: &[u8]) -> bool {
    let mut material: Vec<u8> = Vec::new();
    let mut rest = after_header(secret);
    while !rest.is_empty() {
        let is_other = |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
        let (line, after) = rest.split_at(rest.iter().position(is_other).unwrap_or(rest.len()));
        rest = match after {
            [b'\\', b'n' | b'r' | b't', after @ ..] | [_, after @ ..] => after,
            [] => after,
        };
        if is_material(line) {
            material.extend_from_slice(line);
        }
        let mut judged = 0;
        while let Some(part) = material.get(judged..judged + ENOUGH) {
            if is_random(part) {
                return true;
            }
            judged += ENOUGH / 2;
        }
        material.drain(..judged);
    }
    is_random(&material)
}

fn is_random(material: &[u8]) -> bool {
    material.len() >= LEAST && shannon(material) >= 4.2
}

fn is_material(line: &[u8]) -> bool {
    line.len() >= 20
        && line.iter().any(u8::is_ascii_digit)
        && line.iter().any(u8::is_ascii_uppercase)
        && line.iter().any(u8::is_ascii_lowercase)
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
    fn what_stands_beside_a_key_does_not_hide_it() {
        let lines = "{b64:64}\n";
        for template in [lines.repeat(20), lines.repeat(2), lines.to_owned()] {
            for seed in 0..50 {
                a_key_is_found_beside_dull_lines(&expand(&template, seed).unwrap().text);
            }
        }
    }

    #[test]
    fn a_short_key_is_found_wherever_a_part_begins_in_it() {
        for seed in 0..50 {
            let key = expand("{b64:64}", seed).unwrap().text;
            for dull in 20..90 {
                let dull = &"A1a".repeat(30)[..dull];
                for lines in [format!("{dull}\n{key}\n"), format!("{dull}{key}{dull}\n")] {
                    let block = format!("-----BEGIN PRIVATE KEY-----\n{lines}");
                    assert!(is_key_block(block.as_bytes(), b""), "{seed} {}", dull.len());
                }
            }
        }
    }

    fn a_key_is_found_beside_dull_lines(key: &str) {
        let header = "-----BEGIN PRIVATE KEY-----\n";
        for lines in [0, 1, 2, 3, 4, 5, 6, 7, 20, 40, 300] {
            let dull = "A1aA1aA1aA1aA1aA1aA1aA1a\n".repeat(lines);
            let one_line = dull.replace('\n', "");
            assert!(!is_key_block(
                format!("{header}{dull}{dull}").as_bytes(),
                b""
            ));
            for body in [
                format!("{dull}{key}{dull}"),
                format!("{one_line}{}", key.replace('\n', "")),
            ] {
                assert!(
                    is_key_block(format!("{header}{body}").as_bytes(), b""),
                    "{lines}"
                );
            }
        }
    }

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
