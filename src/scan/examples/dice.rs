//! A small seeded generator (`SplitMix64`) and the alphabets that templates name. Not for anything that must be secret.

pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        let span = u64::try_from(high - low)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        low + usize::try_from(self.next() % span).unwrap_or(0)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.between(0, from.len() - 1)]
    }

    pub fn text(&mut self, alphabet: &[u8], count: usize) -> String {
        (0..count)
            .map(|_| char::from(self.pick(alphabet)))
            .collect()
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next().to_le_bytes()[0])
    }
}

pub const DIGITS: &[u8] = b"0123456789";
pub const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
pub const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
pub const B64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
pub const B64URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The alphabet that a placeholder names.
pub fn alphabet(name: &str) -> Option<&'static [u8]> {
    Some(match name {
        "digits" => DIGITS,
        "nonzero" => &DIGITS[1..],
        "upper" => UPPER,
        "lower" => LOWER,
        "alpha" => &B64[..52],
        "alnum" => &B64[..62],
        "hex" => b"0123456789abcdef",
        "upper_hex" => b"0123456789ABCDEF",
        "lower_alnum" => b"abcdefghijklmnopqrstuvwxyz0123456789",
        "upper_alnum" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        "b64" => B64,
        "b64url" => B64URL,
        "base32" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
        "lower_base32" => b"abcdefghijklmnopqrstuvwxyz234567",
        "bech32_upper" => b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
        "base58" => b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
        _ => return None,
    })
}
