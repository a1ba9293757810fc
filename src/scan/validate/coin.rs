//! Coin addresses and keys: base58check, bech32 and bech32m, and the capitals of an Ethereum address (EIP-55).

use sha2::{Digest as _, Sha256};

use super::keccak::keccak256_short;

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

fn double_hash(payload: &[u8]) -> [u8; 4] {
    let hash = Sha256::digest(Sha256::digest(payload));
    [hash[0], hash[1], hash[2], hash[3]]
}

/// `payload` with its checksum, in base 58.
#[must_use]
pub fn base58check_encode(payload: &[u8]) -> String {
    let bytes: Vec<u8> = payload
        .iter()
        .copied()
        .chain(double_hash(payload))
        .collect();
    let mut digits: Vec<u32> = Vec::new();
    for &byte in &bytes {
        let mut carry = u32::from(byte);
        for digit in &mut digits {
            carry += *digit << 8;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).map(|_| '1');
    zeros
        .chain(
            digits
                .iter()
                .rev()
                .map(|&digit| char::from(BASE58[digit as usize])),
        )
        .collect()
}

/// Any base58check value of the length of an address, a private key (WIF) or an extended key.
pub fn is_base58check(secret: &[u8], _: &[u8]) -> bool {
    if !(26..=112).contains(&secret.len()) {
        return false;
    }
    let Some(bytes) = base58(secret) else {
        return false;
    };
    bytes
        .split_last_chunk::<4>()
        .is_some_and(|(payload, check)| double_hash(payload) == *check)
}

fn base58(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len());
    for &letter in text {
        let mut carry = BASE58.iter().position(|&known| known == letter)?;
        for byte in &mut bytes {
            carry += usize::from(*byte) * 58;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        while carry > 0 {
            bytes.push(carry.to_le_bytes()[0]);
            carry >>= 8;
        }
    }
    bytes.extend(text.iter().take_while(|&&letter| letter == b'1').map(|_| 0));
    bytes.reverse();
    Some(bytes)
}

/// The checksum over prefix and data: 1 for bech32, `0x2bc8_30a3` for bech32m.
fn polymod(prefix: &[u8], data: &[u8]) -> u32 {
    const STEPS: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    let high = prefix.iter().map(|byte| byte >> 5);
    let low = prefix.iter().map(|byte| byte & 31);
    high.chain([0])
        .chain(low)
        .chain(data.iter().copied())
        .fold(1, |sum, value| {
            let top = sum >> 25;
            let sum = ((sum & 0x01ff_ffff) << 5) ^ u32::from(value);
            STEPS.iter().enumerate().fold(
                sum,
                |sum, (bit, step)| if top >> bit & 1 == 1 { sum ^ step } else { sum },
            )
        })
}

/// `data` (five bits a value) under `prefix`, as bech32.
#[must_use]
pub fn bech32_encode(prefix: &str, data: &[u8]) -> String {
    let padded: Vec<u8> = data.iter().copied().chain([0; 6]).collect();
    let sum = polymod(prefix.as_bytes(), &padded) ^ 1;
    let check = (0..6).map(|place| (sum >> (5 * (5 - place)) & 31).to_le_bytes()[0]);
    let letters = data
        .iter()
        .copied()
        .chain(check)
        .map(|value| char::from(BECH32[usize::from(value)]));
    format!("{prefix}1{}", letters.collect::<String>())
}

pub fn is_bech32(secret: &[u8], _: &[u8]) -> bool {
    let upper = secret.iter().any(u8::is_ascii_uppercase);
    if upper && secret.iter().any(u8::is_ascii_lowercase) {
        return false;
    }
    let small = secret.to_ascii_lowercase();
    let Some(at) = small.iter().rposition(|&byte| byte == b'1') else {
        return false;
    };
    let value = |letter: &u8| {
        BECH32
            .iter()
            .position(|known| known == letter)
            .and_then(|place| u8::try_from(place).ok())
    };
    let Some(data) = small[at + 1..]
        .iter()
        .map(value)
        .collect::<Option<Vec<u8>>>()
    else {
        return false;
    };
    at > 0 && data.len() >= 6 && matches!(polymod(&small[..at], &data), 1 | 0x2bc8_30a3)
}

/// The address (40 small hexadecimal digits) with the capitals that its hash asks for.
#[must_use]
pub fn eip55(address: &[u8]) -> String {
    let hash = keccak256_short(address);
    let half = |place: usize| hash[place / 2] >> (4 * (1 - place % 2)) & 15;
    let cased = |(place, &byte): (usize, &u8)| {
        char::from(if half(place) >= 8 {
            byte.to_ascii_uppercase()
        } else {
            byte
        })
    };
    address.iter().take(40).enumerate().map(cased).collect()
}

/// All small or all capital letters carry no check; mixed ones must be right.
pub fn is_eip55(secret: &[u8], _: &[u8]) -> bool {
    let Some(address) = secret.strip_prefix(b"0x") else {
        return false;
    };
    let small = address.to_ascii_lowercase();
    let plain = address == small || address == address.to_ascii_uppercase();
    let varied = super::entropy::shannon(&small) >= 2.5;
    address.len() == 40
        && address.iter().all(u8::is_ascii_hexdigit)
        && varied
        && (plain || eip55(&small).as_bytes() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_addresses_pass_and_a_changed_letter_does_not() {
        assert!(is_base58check(b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", b""));
        assert!(!is_base58check(b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", b""));
        assert!(is_bech32(
            b"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            b""
        ));
        assert!(is_bech32(
            b"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            b""
        ));
        assert!(!is_bech32(
            b"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
            b""
        ));
        assert!(is_eip55(b"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", b""));
        assert!(!is_eip55(
            b"0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            b""
        ));
        assert!(!is_eip55(
            b"0x0000000000000000000000000000000000000000",
            b""
        ));
    }
}
