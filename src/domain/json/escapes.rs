//! Escapes of a text, 64 bytes at a time and without a branch for each.

/// Tells which bytes are escaped by the backslash before them; carried from one block of 64 bytes to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Escapes {
    /// The first byte of the next block is escaped: one or zero.
    carried: u64,
}

impl Escapes {
    /// Which bytes of the next block are escaped, one bit each, the first byte's lowest, where `backslashes` tells which
    /// of them are backslashes. A byte is escaped by an odd number of backslashes before it: the subtraction runs through
    /// each row of them and comes out at its end (Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019, section
    /// 3.1.1, in the form of simdjson 3).
    #[inline]
    #[must_use]
    pub const fn of(&mut self, backslashes: u64) -> u64 {
        const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
        if backslashes == 0 {
            let first = self.carried;
            self.carried = 0;
            return first;
        }
        let escaping = backslashes & !self.carried;
        let codes = ((escaping << 1) | ODD).wrapping_sub(escaping) ^ ODD;
        let escaped = codes ^ (backslashes | self.carried);
        self.carried = (codes & backslashes) >> 63;
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_byte_is_escaped_after_an_odd_number_of_backslashes(
            bits in proptest::collection::vec(prop_oneof![3 => any::<u64>(), 1 => Just(0), 1 => Just(u64::MAX)], 1..6)
        ) {
            let mut escapes = Escapes::default();
            let mut is_escaped = false;
            for backslashes in bits {
                let escaped = escapes.of(backslashes);
                for place in 0..64 {
                    prop_assert_eq!(escaped >> place & 1 == 1, is_escaped);
                    is_escaped = !is_escaped && backslashes >> place & 1 == 1;
                }
            }
        }
    }
}
