//! Money as whole nano-dollars. No float ever touches it.

use std::fmt;

/// Nano-dollars in one dollar.
const NANOS: u64 = 1_000_000_000;
/// Digits after the decimal point that a nano-dollar resolves.
const DIGITS: usize = 9;

/// Dollars as whole nano-dollars. Never negative, never a float; at most about 18.4 thousand million dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(u64);

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsdError {
    /// Something other than digits with at most one point, such as a sign, a comma or an exponent.
    NotDecimal,
    /// More than nine digits after the point: finer than a nano-dollar.
    TooFine,
    /// Larger than [`Usd::MAX`].
    TooLarge,
}

impl fmt::Display for UsdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDecimal => {
                "is not an amount; write dollars as digits with a point, such as \"12.50\""
            }
            Self::TooFine => "has more than nine digits after the point",
            Self::TooLarge => "is larger than any amount that can be kept",
        })
    }
}

impl std::error::Error for UsdError {}

impl Usd {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self(u64::MAX);

    /// An amount of whole nano-dollars.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Whole nano-dollars.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Reads a decimal such as `12`, `12.5` or `0.000000001`: digits with at most one point, no sign, no exponent.
    ///
    /// # Errors
    /// When the text is not such a decimal, is finer than a nano-dollar, or too large to hold.
    pub fn parse(text: &str) -> Result<Self, UsdError> {
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(UsdError::NotDecimal),
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return Err(UsdError::NotDecimal);
        }
        if fraction.len() > DIGITS {
            return Err(UsdError::TooFine);
        }
        let whole: u64 = whole.parse().map_err(|_| UsdError::TooLarge)?;
        let fraction: u64 = format!("{fraction:0<DIGITS$}")
            .parse()
            .map_err(|_| UsdError::TooLarge)?;
        whole
            .checked_mul(NANOS)
            .and_then(|n| n.checked_add(fraction))
            .map(Self)
            .ok_or(UsdError::TooLarge)
    }

    /// The sum, or `None` past [`Usd::MAX`].
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` below zero.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// The sum, held at [`Usd::MAX`]: for charges, where too much is the safe side.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left after `other`, at least nothing: for display and remainders, never for a charge.
    #[must_use]
    pub const fn left_after(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This share of the amount in whole percent, rounded down.
    #[must_use]
    pub fn percent(self, percent: u64) -> Self {
        let nanos = u128::from(self.0) * u128::from(percent) / 100;
        Self(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Prints dollars with at least two digits after the point and no trailing zeros beyond them: `12.50`, `0.000021`.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.0 % NANOS);
        let kept = fraction.trim_end_matches('0').len().max(2);
        write!(f, "{}.{}", self.0 / NANOS, &fraction[..kept])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_reads_back_as_it_prints() {
        for text in [
            "0.00",
            "12.50",
            "0.000000001",
            "18446744073.709551615",
            "7.123",
        ] {
            assert_eq!(
                Usd::parse(text).map(|usd| usd.to_string()),
                Ok(text.to_owned())
            );
        }
        assert_eq!(Usd::parse("12"), Ok(Usd::from_nanos(12 * NANOS)));
    }

    #[test]
    fn what_is_not_a_decimal_is_refused() {
        for text in [
            "", ".", "1.", ".5", "-1", "+1", "1e3", "12,50", "1 ", "0x1", "１",
        ] {
            assert_eq!(Usd::parse(text), Err(UsdError::NotDecimal), "{text:?}");
        }
        assert_eq!(Usd::parse("0.0000000001"), Err(UsdError::TooFine));
        assert_eq!(Usd::parse("18446744073.709551616"), Err(UsdError::TooLarge));
        assert_eq!(
            Usd::parse("99999999999999999999999"),
            Err(UsdError::TooLarge)
        );
    }

    #[test]
    fn sums_do_not_wrap() {
        assert_eq!(Usd::MAX.checked_add(Usd::from_nanos(1)), None);
        assert_eq!(Usd::ZERO.checked_sub(Usd::from_nanos(1)), None);
        assert_eq!(Usd::MAX.saturating_add(Usd::MAX), Usd::MAX);
    }
}
