//! Sixty-four bytes at once: which of them are of some kind, as one bit each, the first byte's lowest.

use wide::u8x16;

/// Bytes looked at together.
pub const BLOCK: usize = 64;
/// Begins a terminal's control sequences.
pub const ESCAPE: u8 = 0x1B;

/// A block in the registers that compare its bytes.
#[derive(Clone, Copy)]
pub struct Lanes([u8x16; 4]);

impl Lanes {
    #[inline]
    pub fn of(block: &[u8; BLOCK]) -> Self {
        let lane = |at: usize| u8x16::new(*block.as_chunks().0.get(at).unwrap_or(&[b' '; 16]));
        Self([lane(0), lane(1), lane(2), lane(3)])
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
        let [a, b, c, d] = self.0;
        let bits = |lane: u8x16| u64::from(is(lane).to_bitmask());
        bits(a) | bits(b) << 16 | bits(c) << 32 | bits(d) << 48
    }

    /// Which bytes are one of these.
    #[inline]
    pub fn any<const N: usize>(self, bytes: [u8; N]) -> u64 {
        self.mask(|lane| {
            let same = |all, byte: &u8| all | lane.simd_eq(u8x16::splat(*byte));
            bytes.iter().fold(u8x16::ZERO, same)
        })
    }

    /// Which bytes are brackets or commas.
    #[inline]
    pub fn structure(self) -> u64 {
        self.mask(|lane| {
            // A bit apart: `[` and `{`, `]` and `}`.
            let bracket = lane | u8x16::splat(0x20);
            let is = |lane: u8x16, byte: u8| lane.simd_eq(u8x16::splat(byte));
            is(bracket, b'{') | is(bracket, b'}') | is(lane, b',')
        })
    }

    /// Whether there is a byte that is not ASCII, or the one that begins a terminal's control sequence.
    #[inline]
    pub fn has_unseen(self) -> bool {
        let [a, b, c, d] = self.0;
        let escape = |lane: u8x16| lane.simd_eq(u8x16::splat(ESCAPE));
        let escapes = (escape(a) | escape(b)) | (escape(c) | escape(d));
        (a | b | c | d | escapes).to_bitmask() != 0
    }

    /// Which bytes may be a token's or touch a line break inside one: all of [`super::fold::is_token`], and a few more, but
    /// no blank, bracket, quote, comma or semicolon.
    #[inline]
    pub fn token(self) -> u64 {
        self.mask(|lane| {
            let is = |byte: u8| lane.simd_eq(u8x16::splat(byte));
            let most = within(lane, b'+', b'~') & !(is(b',') | is(b';'));
            most | within(lane, b'#', b'%') | is(b'!') | is(b'\r')
        })
    }

    /// Which bytes are digits of base64, in either alphabet.
    #[inline]
    pub fn base64(self) -> u64 {
        self.mask(base64)
    }
}

/// Calls `look` with the number of each bit that is set.
#[inline]
pub fn each(mut bits: u64, mut look: impl FnMut(usize)) {
    while bits != 0 {
        look(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

/// Sixteen bytes next to a line break.
#[derive(Clone, Copy)]
pub struct Sixteen(u8x16);

impl Sixteen {
    #[inline]
    pub fn of(bytes: &[u8; 16]) -> Self {
        Self(u8x16::new(*bytes))
    }

    /// Which of them are [`super::fold::is_token`], one bit each.
    #[inline]
    pub fn token(self) -> u32 {
        let Self(lane) = self;
        let is = |byte: u8| lane.simd_eq(u8x16::splat(byte));
        let letter = within(lane | u8x16::splat(0x20), b'a', b'z');
        let digit = within(lane, b'-', b':');
        let sign = is(b'_') | is(b'+') | is(b'=') | is(b'~') | is(b'@') | is(b'!');
        (letter | digit | sign | within(lane, b'$', b'%')).to_bitmask()
    }

    /// Which are digits or `@`.
    #[inline]
    pub fn telling(self) -> u32 {
        let Self(lane) = self;
        (within(lane, b'0', b'9') | lane.simd_eq(u8x16::splat(b'@'))).to_bitmask()
    }

    /// Which are capital letters.
    #[inline]
    pub fn capitals(self) -> u32 {
        within(self.0, b'A', b'Z').to_bitmask()
    }

    /// Which are digits of base64, in either alphabet.
    #[inline]
    pub fn base64(self) -> u32 {
        base64(self.0).to_bitmask()
    }

    /// How many, from the first on, are spaces and tabs.
    #[inline]
    pub fn blanks(self) -> usize {
        let Self(lane) = self;
        let blank = lane.simd_eq(u8x16::splat(b' ')) | lane.simd_eq(u8x16::splat(b'\t'));
        blank.to_bitmask().trailing_ones() as usize
    }
}

/// Digits of either alphabet of base64.
#[inline]
fn base64(lane: u8x16) -> u8x16 {
    let is = |byte: u8| lane.simd_eq(u8x16::splat(byte));
    let letter = within(lane | u8x16::splat(0x20), b'a', b'z');
    letter | within(lane, b'/', b'9') | is(b'+') | is(b'-') | is(b'_')
}

#[inline]
fn within(lane: u8x16, first: u8, last: u8) -> u8x16 {
    let above = lane - u8x16::splat(first);
    above.min(u8x16::splat(last - first)).simd_eq(above)
}

#[cfg(test)]
mod tests {
    use super::super::coding::base64_digit;
    use super::super::fold::is_token;
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
            let unseen = !block.is_ascii() || block.contains(&ESCAPE);
            assert_eq!(Lanes::of(&block).has_unseen(), unseen);
            let slow = (0..BLOCK).filter(|at| b"{}[],".contains(&block[*at]));
            let slow = slow.fold(0u64, |bits, at| bits | 1 << at);
            assert_eq!(Lanes::of(&block).structure(), slow);
        }
    }

    #[test]
    fn kinds_of_bytes_are_known_in_every_lane() {
        for block in blocks() {
            let bits = |is: &dyn Fn(u8) -> bool| {
                let places = (0..BLOCK).filter(|at| is(block[*at]));
                places.fold(0u64, |bits, at| bits | 1 << at)
            };
            let lanes = Lanes::of(&block);
            assert_eq!(lanes.base64(), bits(&|b| base64_digit(b).is_some()));
            assert_eq!(bits(&is_token) & !lanes.token(), 0, "{block:?}");
            assert_eq!(
                lanes.token() & bits(&|b| b" \n\t\",;()<'&*".contains(&b) && b != b'<'),
                0
            );
        }
    }

    #[test]
    fn tokens_are_known_among_sixteen() {
        for byte in 0..=255u8 {
            let sixteen = Sixteen::of(&[byte; 16]);
            let all = |is: bool| if is { 0xFFFF } else { 0 };
            assert_eq!(sixteen.token(), all(is_token(byte)), "{byte}");
            assert_eq!(sixteen.base64(), all(base64_digit(byte).is_some()));
            let telling = byte.is_ascii_digit() || byte == b'@';
            assert_eq!(sixteen.telling(), all(telling));
            assert_eq!(sixteen.capitals(), all(byte.is_ascii_uppercase()));
        }
    }

    #[test]
    fn blanks_are_counted_to_the_first_other_byte() {
        for count in 0..=16 {
            let mut bytes = [b'x'; 16];
            bytes[..count].fill(b' ');
            bytes[..count / 2].fill(b'\t');
            assert_eq!(Sixteen::of(&bytes).blanks(), count);
        }
    }
}
