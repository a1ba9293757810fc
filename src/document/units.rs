//! Sizes and durations as people write them: `32 MiB`, `600s`.

use std::time::Duration;

const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

const DURATIONS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads a size in bytes.
///
/// # Errors
/// What to write instead.
pub fn size(text: &str) -> Result<u64, String> {
    scaled(text, &SIZES).ok_or_else(|| {
        format!("\"{text}\" is not a size; write a whole number and B, KiB, MiB or GiB, such as \"32 MiB\"")
    })
}

/// Reads a duration, to the millisecond.
///
/// # Errors
/// What to write instead.
pub fn duration(text: &str) -> Result<Duration, String> {
    scaled(text, &DURATIONS).map(Duration::from_millis).ok_or_else(|| {
        format!("\"{text}\" is not a duration; write a whole number and ms, s, m, h or d, such as \"60s\"")
    })
}

/// Prints a duration as [`duration`] reads it, in the largest unit that keeps it whole.
#[must_use]
pub fn show_duration(value: Duration) -> String {
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    DURATIONS
        .iter()
        .rev()
        .find(|(_, unit)| millis >= *unit && millis.is_multiple_of(*unit))
        .map_or_else(
            || format!("{millis}ms"),
            |(name, unit)| format!("{}{name}", millis / unit),
        )
}

/// Prints a size as [`size`] reads it, in the largest binary unit that keeps it whole.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    SIZES[..4]
        .iter()
        .rev()
        .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(
            || format!("{bytes} B"),
            |(name, unit)| format!("{} {name}", bytes / unit),
        )
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_scale() {
        assert_eq!(size("32 MiB"), Ok(33_554_432));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("0 B"), Ok(0));
        assert_eq!(duration("600s"), Ok(Duration::from_mins(10)));
        assert_eq!(duration("400d"), Ok(Duration::from_hours(9600)));
    }

    #[test]
    fn what_has_no_unit_or_does_not_fit_is_refused() {
        for text in [
            "",
            "32",
            "MiB",
            "-1 B",
            "1.5 GiB",
            "99999999999 GiB",
            "32 mib",
            "1 TiB x",
        ] {
            assert!(size(text).is_err(), "{text:?}");
        }
        for text in ["", "60", "1 week", "s", "-5s", "99999999999999999d"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_duration_reads_back_as_it_prints() {
        for text in ["60s", "1h", "400d", "1500ms", "90m", "0ms"] {
            let value = duration(text).unwrap();
            assert_eq!(duration(&show_duration(value)), Ok(value));
        }
        assert_eq!(show_duration(Duration::from_mins(10)), "10m");
        assert_eq!(show_size(33_554_432), "32 MiB");
    }
}
