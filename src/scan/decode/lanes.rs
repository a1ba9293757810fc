//! Sixty-four bytes at once: which of them are of some kind, as one bit each, the first byte's lowest.

use wide::u8x16;

/// Bytes looked at together.
pub const BLOCK: usize = 64;

/// The first bit of each word of eight.
const FIRSTS: u64 = 0x0101_0101_0101_0101;

/// A block in the registers that compare its bytes.
#[derive(Clone, Copy)]
pub struct Lanes([u8x16; 4]);

impl Lanes {
    #[inline]
    pub fn of(block: &[u8; BLOCK]) -> Self {
        let mut lanes = [u8x16::ZERO; 4];
        for (lane, sixteen) in lanes.iter_mut().zip(block.as_chunks::<16>().0) {
            *lane = u8x16::new(*sixteen);
        }
        Self(lanes)
    }

    /// As [`Self::of`], for the end of a text: what is missing is spaces.
    pub fn of_rest(rest: &[u8]) -> Self {
        let mut block = [b' '; BLOCK];
        for (to, from) in block.iter_mut().zip(rest) {
            *to = *from;
        }
        Self::of(&block)
    }

    #[inline]
    fn mask(self, is: impl Fn(u8x16) -> u8x16) -> u64 {
        let [a, b, c, d] = self.0.map(|lane| u64::from(is(lane).to_bitmask()));
        a | b << 16 | c << 32 | d << 48
    }

    /// Which bytes are one of these.
    #[inline]
    pub fn any<const N: usize>(self, bytes: [u8; N]) -> u64 {
        let bytes = bytes.map(u8x16::splat);
        self.mask(|lane| {
            let same = bytes.map(|byte| lane.simd_eq(byte));
            same.into_iter().fold(u8x16::ZERO, |all, one| all | one)
        })
    }

    /// Whether there is a byte that is not ASCII.
    #[inline]
    pub fn has_high(self) -> bool {
        let [a, b, c, d] = self.0;
        (a | b | c | d).to_bitmask() != 0
    }

    /// The first bit of each word of eight bytes that could all be digits of base64, where the word before is such a word
    /// too; `carry` hands that on from block to block.
    #[inline]
    pub fn base64_words(self, carry: &mut u64) -> u64 {
        // Most words have a space, a quote or a bracket, which are lower than any digit.
        let near = whole_words(self.mask(|lane| within(lane, b'+', b'z')));
        let mut pairs = near & (near << 8 | *carry);
        if pairs != 0 {
            let exact = whole_words(self.mask(is_digit));
            pairs &= exact & (exact << 8 | *carry);
        }
        let [.., last] = self.0;
        *carry = u64::from(near >> 56 != 0 && is_digit(last).to_bitmask() >> 8 == 0xFF);
        pairs
    }
}

/// Words of eight bits that are all set, by their first bit.
const fn whole_words(bits: u64) -> u64 {
    let two = bits & bits >> 1;
    let four = two & two >> 2;
    four & four >> 4 & FIRSTS
}

#[inline]
fn within(lane: u8x16, first: u8, last: u8) -> u8x16 {
    let above = lane - u8x16::splat(first);
    above.min(u8x16::splat(last - first)).simd_eq(above)
}

/// Digits of either alphabet of base64.
#[inline]
fn is_digit(lane: u8x16) -> u8x16 {
    let is = |byte: u8| lane.simd_eq(u8x16::splat(byte));
    let letter = within(lane | u8x16::splat(0x20), b'a', b'z');
    letter | within(lane, b'/', b'9') | is(b'+') | is(b'-') | is(b'_')
}

#[cfg(test)]
mod tests {
    use super::super::coding::base64_digit;
    use super::*;

    /// Every byte after another at every place of a block.
    fn blocks() -> impl Iterator<Item = [u8; BLOCK]> {
        (0..=255u8).flat_map(|byte| {
            (0..BLOCK).map(move |place| {
                let mut block = [b'x'; BLOCK];
                block[place] = byte;
                block
            })
        })
    }

    #[test]
    fn each_byte_has_its_bit() {
        for block in blocks() {
            let slow = (0..BLOCK).filter(|at| matches!(block[*at], b'"' | b'\\'));
            let slow = slow.fold(0u64, |bits, at| bits | 1 << at);
            assert_eq!(Lanes::of(&block).any([b'"', b'\\']), slow);
            assert_eq!(Lanes::of(&block).has_high(), !block.is_ascii());
        }
    }

    #[test]
    fn words_of_base64_are_those_whose_bytes_all_are_digits() {
        for block in blocks() {
            let whole = |at: usize| block[at..at + 8].iter().all(|b| base64_digit(*b).is_some());
            let before = |at: usize| at == 0 || whole(at - 8);
            let slow = (0..BLOCK).step_by(8).filter(|at| whole(*at) && before(*at));
            let slow = slow.fold(0u64, |bits, at| bits | 1 << at);
            assert_eq!(Lanes::of(&block).base64_words(&mut 1), slow, "{block:?}");
        }
    }

    #[test]
    fn the_first_word_of_a_block_needs_the_last_of_the_block_before() {
        let digits = Lanes::of(&[b'a'; BLOCK]);
        let mut carry = 0;
        assert_eq!(digits.base64_words(&mut carry), FIRSTS & !1);
        assert_eq!(digits.base64_words(&mut carry), FIRSTS);
        assert_eq!(Lanes::of_rest(b"").base64_words(&mut carry), 0);
        assert_eq!(digits.base64_words(&mut carry), FIRSTS & !1);
        let mut comma = [b'a'; BLOCK];
        comma[60] = b',';
        assert_eq!(Lanes::of(&comma).base64_words(&mut carry) >> 56, 0);
        assert_eq!(digits.base64_words(&mut carry), FIRSTS & !1);
    }
}
