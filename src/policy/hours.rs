//! The hours and days in which a team may work.

use std::fmt;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::domain::Moment;

/// From a time of day to another, on some days of the week. A span past midnight belongs to the day on which it starts.
#[derive(Clone, PartialEq)]
pub struct Hours {
    zone: TimeZone,
    days: Vec<Weekday>,
    from: Time,
    to: Time,
}

/// Outside the hours; they begin again then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    pub opens: Option<Moment>,
}

impl Hours {
    /// `from` equal to `to` means the whole day.
    #[must_use]
    pub const fn new(zone: TimeZone, days: Vec<Weekday>, from: Time, to: Time) -> Self {
        Self {
            zone,
            days,
            from,
            to,
        }
    }

    /// Whether the team may work now.
    ///
    /// # Errors
    /// When not, with the moment at which it may again.
    pub fn open(&self, now: Moment) -> Result<(), Closed> {
        let Ok(instant) = Timestamp::from_microsecond(now.micros()) else {
            return Err(Closed { opens: None });
        };
        let today = instant.to_zoned(self.zone.clone()).date();
        let mut opens = None;
        for ahead in -1..=7 {
            let Some((start, end)) = today
                .checked_add(ahead.days())
                .ok()
                .and_then(|day| self.span_of(day))
            else {
                continue;
            };
            if start <= instant && instant < end {
                return Ok(());
            }
            if start > instant {
                opens = Some(Moment::from_micros(start.as_microsecond()));
                break;
            }
        }
        Err(Closed { opens })
    }

    /// The span that starts on this day, if one does. An hour that summer time leaves out begins when it ends.
    fn span_of(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        if !self.days.contains(&day.weekday()) {
            return None;
        }
        let last = if self.from < self.to {
            day
        } else {
            day.tomorrow().ok()?
        };
        let at = |date: Date, time: Time| {
            date.to_datetime(time)
                .to_zoned(self.zone.clone())
                .ok()
                .map(|zoned| zoned.timestamp())
        };
        let (start, end) = (at(day, self.from)?, at(last, self.to)?);
        (end.duration_since(start) > SignedDuration::ZERO).then_some((start, end))
    }
}

/// As the directory file has it: `mon,tue 08:00-18:00 Europe/Berlin`.
impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<&str> = self.days.iter().map(|day| word(*day)).collect();
        let zone = self.zone.iana_name().unwrap_or("UTC");
        let hour = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
        write!(
            f,
            "{} {}-{} {zone}",
            days.join(","),
            hour(self.from),
            hour(self.to)
        )
    }
}

impl fmt::Debug for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hours({self})")
    }
}

impl Hours {
    /// The words of the directory file.
    pub const DAYS: [(&'static str, Weekday); 7] = [
        ("mon", Weekday::Monday),
        ("tue", Weekday::Tuesday),
        ("wed", Weekday::Wednesday),
        ("thu", Weekday::Thursday),
        ("fri", Weekday::Friday),
        ("sat", Weekday::Saturday),
        ("sun", Weekday::Sunday),
    ];

    /// Reads back what `Display` prints.
    ///
    /// # Errors
    /// When the text has another shape.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" are no hours");
        let mut parts = text.split(' ');
        let (Some(days), Some(span), Some(zone), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let day = |name: &str| {
            Self::DAYS
                .iter()
                .find(|(word, _)| *word == name)
                .map(|(_, day)| *day)
        };
        let days = days
            .split(',')
            .map(day)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(wrong)?;
        let (from, to) = span.split_once('-').ok_or_else(wrong)?;
        let zone = TimeZoneDatabase::bundled().get(zone).map_err(|_| wrong())?;
        Ok(Self::new(zone, days, time_of_day(from)?, time_of_day(to)?))
    }
}

/// Reads a time of day such as `08:30`; `24:00` is midnight.
///
/// # Errors
/// What to write instead.
pub fn time_of_day(text: &str) -> Result<Time, String> {
    let wrong = || format!("\"{text}\" is not a time of day; write it as \"08:30\"");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let two = |part: &str| (part.len() == 2).then(|| part.parse::<i8>().ok()).flatten();
    let (hour, minute) = two(hour).zip(two(minute)).ok_or_else(wrong)?;
    let hour = if (hour, minute) == (24, 0) { 0 } else { hour };
    Time::new(hour, minute, 0, 0).map_err(|_| wrong())
}

fn word(day: Weekday) -> &'static str {
    Hours::DAYS
        .iter()
        .find(|(_, known)| *known == day)
        .map_or("", |(word, _)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Moment {
        Moment::from_micros(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    #[test]
    fn the_hours_are_those_of_the_zone() {
        let hours = Hours::parse("mon,tue,wed,thu,fri 08:00-18:00 Europe/Berlin").unwrap();
        // Friday 2026-11-20; Berlin is one hour ahead.
        assert_eq!(hours.open(moment("2026-11-20T07:00:00Z")), Ok(()));
        assert_eq!(hours.open(moment("2026-11-20T16:59:59Z")), Ok(()));
        let early = hours.open(moment("2026-11-20T06:59:59Z")).unwrap_err();
        assert_eq!(early.opens, Some(moment("2026-11-20T07:00:00Z")));
        let weekend = hours.open(moment("2026-11-20T17:00:00Z")).unwrap_err();
        assert_eq!(weekend.opens, Some(moment("2026-11-23T07:00:00Z")));
    }

    #[test]
    fn a_night_shift_belongs_to_the_day_on_which_it_starts() {
        let night = Hours::parse("fri 22:00-06:00 UTC").unwrap();
        assert_eq!(night.open(moment("2026-11-21T05:59:00Z")), Ok(()));
        assert!(night.open(moment("2026-11-20T05:00:00Z")).is_err());
        assert!(night.open(moment("2026-11-21T22:30:00Z")).is_err());
    }

    #[test]
    fn the_hour_that_summer_time_leaves_out_does_not_close_the_day() {
        let hours = Hours::parse("sun 02:30-12:00 Europe/Berlin").unwrap();
        // 2026-03-29: 02:00 becomes 03:00.
        assert!(hours.open(moment("2026-03-29T01:15:00Z")).is_err());
        assert_eq!(hours.open(moment("2026-03-29T01:30:00Z")), Ok(()));
        assert_eq!(hours.open(moment("2026-03-29T09:59:00Z")), Ok(()));
    }

    #[test]
    fn hours_read_back_as_they_print_and_nonsense_is_refused() {
        let text = "sat,sun 00:00-00:00 UTC";
        assert_eq!(Hours::parse(text).unwrap().to_string(), text);
        assert_eq!(
            Hours::parse(text)
                .unwrap()
                .open(moment("2026-11-21T23:59:59Z")),
            Ok(())
        );
        for text in [
            "",
            "mon",
            "mon 8-18 UTC",
            "mon 08:00-25:00 UTC",
            "day 08:00-09:00 UTC",
            "mon 08:00-09:00 Mars/X",
        ] {
            assert!(Hours::parse(text).is_err(), "{text:?}");
        }
        assert!(time_of_day("08:60").is_err() && time_of_day("24:00").is_ok());
    }
}
