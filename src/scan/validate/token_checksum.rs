//! The checksum that GitHub and npm put into their tokens: the last six characters are a CRC-32 in base 62.

use super::entropy::shannon;
use super::stop_words::is_no_example;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The six characters for `body`.
#[must_use]
pub fn base62_crc(body: &[u8]) -> [u8; 6] {
    let mut crc = flate2::Crc::new();
    crc.update(body);
    let mut left = crc.sum() as usize;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[left % 62];
        left /= 62;
    }
    digits
}

/// A right checksum settles it, whatever the token looks like. A wrong one does not clear the token: it may be a real one
/// with a letter mistyped or cut, so a candidate that looks random is still held back; only a poor one is let go.
pub fn github(secret: &[u8], context: &[u8]) -> bool {
    let body = secret
        .iter()
        .rposition(|&byte| byte == b'_')
        .map_or(secret, |at| &secret[at + 1..]);
    if let Some((payload, checksum)) = body.split_last_chunk::<6>()
        && body.len() == 36
        && base62_crc(payload) == *checksum
    {
        return true;
    }
    shannon(body) >= 3.5 && is_no_example(secret, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_checksum_outweighs_low_entropy_and_a_wrong_one_does_not() {
        let poor = b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let mut token = b"ghp_".to_vec();
        token.extend(poor);
        token.extend(base62_crc(poor));
        assert!(github(&token, b""));
        token.pop();
        token.push(b'_');
        assert!(!github(&token, b""));
    }
}
