//! The periods of a budget, in a time zone: which one a moment falls into, and when it ends.
//!
//! Zones come from the database compiled in, not from the machine's: every node of a fleet must end a day at the same
//! moment, and a slim image has no zone files.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};

use crate::domain::Moment;

/// The years between which a moment is taken as it is; what lies outside is a broken clock, and is held at the edge.
const EARLIEST: Moment = Moment::from_seconds(0);
/// 9990-01-01, well inside the calendar.
const LATEST: Moment = Moment::from_seconds(253_087_632_000);

/// How long a budget lasts before it starts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Window {
    Day,
    /// From Monday, as ISO 8601 has it.
    Week,
    Month,
    /// Never starts anew.
    Total,
}

impl Window {
    pub const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Total];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// The window that a configuration names; `None` for any other word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.as_str() == text)
    }
}

/// A time zone by its IANA name.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(TimeZone);

/// A name that no time zone has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone `{0}`; write an IANA name such as `Europe/Berlin` or `UTC`")]
pub struct UnknownZone(String);

impl Zone {
    #[must_use]
    pub const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The zone of this IANA name.
    ///
    /// # Errors
    /// When the database has no such name.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        if name == "UTC" {
            return Ok(Self::utc());
        }
        TimeZoneDatabase::bundled()
            .get(name)
            .map(Self)
            .map_err(|_| UnknownZone(name.to_owned()))
    }

    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One period: from `start`, up to and without `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: Moment,
    /// `None`: never.
    pub end: Option<Moment>,
}

impl Span {
    /// All time.
    pub const EVER: Self = Self {
        start: Moment::from_micros(0),
        end: None,
    };

    /// The period of `window` in `zone` that `now` falls into. Adjacent periods meet without gap or overlap, whatever the
    /// zone's clock does. A moment outside the years 1970 to 9990 counts as the nearest one inside.
    #[must_use]
    pub fn containing(window: Window, zone: &Zone, now: Moment) -> Self {
        if window == Window::Total {
            return Self::EVER;
        }
        let now = now.clamp(EARLIEST, LATEST);
        Self::dated(window, &zone.0, now).unwrap_or(Self::EVER)
    }

    /// Whether `now`, held within the calendar as [`Span::containing`] holds it, falls into this period.
    #[must_use]
    pub fn contains(&self, now: Moment) -> bool {
        if self.end.is_none() {
            return true;
        }
        let now = now.clamp(EARLIEST, LATEST);
        self.start <= now && self.end.is_none_or(|end| now < end)
    }

    /// Whether a period of this length that begins at `start` is mostly this one: the same under another zone.
    pub(super) fn is_near(&self, start: Moment) -> bool {
        let length = self.end.map_or(0, |end| end.micros() - self.start.micros());
        (start.micros() - self.start.micros()).abs() < length / 2
    }

    /// `None` only outside the calendar's years, which the caller has excluded.
    fn dated(window: Window, zone: &TimeZone, now: Moment) -> Option<Self> {
        let today = Timestamp::from_microsecond(now.micros())
            .ok()?
            .to_zoned(zone.clone())
            .date();
        let span = Self::around(window, zone, today)?;
        match span.end {
            // Clocks that go back across midnight show yesterday again; a period that has begun is not undone.
            Some(end) if end <= now => Self::around(window, zone, today.tomorrow().ok()?),
            _ => Some(span),
        }
    }

    fn around(window: Window, zone: &TimeZone, date: Date) -> Option<Self> {
        let (first, next) = match window {
            Window::Day => (date, date.tomorrow().ok()?),
            Window::Week => {
                let past_monday = i64::from(date.weekday().to_monday_zero_offset());
                let monday = date.checked_sub(past_monday.days()).ok()?;
                (monday, monday.checked_add(7.days()).ok()?)
            }
            Window::Month | Window::Total => {
                let first = date.first_of_month();
                (first, first.checked_add(1.month()).ok()?)
            }
        };
        Some(Self {
            start: first_instant(first, zone)?,
            end: Some(first_instant(next, zone)?),
        })
    }
}

/// The first moment of a date: midnight, the later side of a gap that swallows it, the first of two where it comes twice.
fn first_instant(date: Date, zone: &TimeZone) -> Option<Moment> {
    let midnight = date.at(0, 0, 0, 0).to_zoned(zone.clone()).ok()?;
    let first = midnight.start_of_day().ok()?;
    Some(Moment::from_micros(first.timestamp().as_microsecond()))
}
