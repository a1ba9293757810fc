//! Periods in time zones: no gap, no overlap, in any zone.

use jiff::Timestamp;
use proptest::prelude::*;

use super::{NOON, team, usd};
use crate::budget::{Balances, BudgetSpec, Ledger, Span, Window, Zone};
use crate::domain::{Moment, Usd};

fn at(text: &str) -> Moment {
    Moment::from_micros(text.parse::<Timestamp>().unwrap().as_microsecond())
}

fn span(window: Window, zone: &str, now: &str) -> (Moment, Option<Moment>) {
    let span = Span::containing(window, &Zone::named(zone).unwrap(), at(now));
    (span.start, span.end)
}

#[test]
fn windows_follow_the_zones_calendar() {
    let table = [
        (
            Window::Day,
            "UTC",
            "2026-11-21T12:00:00Z",
            "2026-11-21T00:00:00Z",
            "2026-11-22T00:00:00Z",
        ),
        (
            Window::Week,
            "UTC",
            "2026-11-22T23:59:59Z",
            "2026-11-16T00:00:00Z",
            "2026-11-23T00:00:00Z",
        ),
        (
            Window::Month,
            "Europe/Berlin",
            "2026-10-31T23:00:00Z",
            "2026-10-31T23:00:00Z",
            "2026-11-30T23:00:00Z",
        ),
        // Clocks go forward at midnight: the day begins at one o'clock.
        (
            Window::Day,
            "America/Havana",
            "2026-03-08T12:00:00Z",
            "2026-03-08T05:00:00Z",
            "2026-03-09T04:00:00Z",
        ),
        // Clocks go back at one o'clock: midnight comes twice, the day begins at the first.
        (
            Window::Day,
            "America/Havana",
            "2026-11-01T12:00:00Z",
            "2026-11-01T04:00:00Z",
            "2026-11-02T05:00:00Z",
        ),
        // Samoa skipped the 30th of December 2011.
        (
            Window::Day,
            "Pacific/Apia",
            "2011-12-30T09:59:59Z",
            "2011-12-29T10:00:00Z",
            "2011-12-30T10:00:00Z",
        ),
        (
            Window::Day,
            "Pacific/Apia",
            "2011-12-30T10:00:00Z",
            "2011-12-30T10:00:00Z",
            "2011-12-31T10:00:00Z",
        ),
    ];
    for (window, zone, now, start, end) in table {
        assert_eq!(
            span(window, zone, now),
            (at(start), Some(at(end))),
            "{window:?} {zone} {now}"
        );
    }
    assert_eq!(span(Window::Total, "UTC", "2026-11-21T12:00:00Z").1, None);
}

#[test]
fn an_unknown_zone_is_named() {
    let error = Zone::named("Europe/Atlantis").unwrap_err().to_string();
    assert!(error.contains("`Europe/Atlantis`"), "{error}");
    assert_eq!(
        Zone::named("Europe/Berlin").unwrap().name(),
        "Europe/Berlin"
    );
}

#[test]
fn a_changed_zone_makes_no_fresh_budget() {
    let ledger = Ledger::new(Balances::new());
    let mut spec = team("1.00");
    let accounts = [ledger.account(&spec)];
    ledger
        .reserve(&accounts, usd("1.00"), NOON)
        .unwrap()
        .settle(usd("1.00"));
    for zone in ["Pacific/Kiritimati", "Pacific/Niue", "Europe/Berlin"] {
        spec.zone = Zone::named(zone).unwrap();
        for window in [Window::Month, Window::Day] {
            let spec = BudgetSpec {
                window,
                ..spec.clone()
            };
            let first = Ledger::new(ledger.balances());
            let accounts = [first.account(&spec)];
            let view = accounts[0].view(NOON);
            assert_eq!(
                view.left == Usd::ZERO,
                window == Window::Month,
                "{zone} {window:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Every moment falls into exactly one period of every zone.
    #[test]
    fn periods_meet_without_gap_or_overlap(
        zone in proptest::sample::select(zones()),
        window in proptest::sample::select(vec![Window::Day, Window::Week, Window::Month]),
        seconds in 0_i64..4_102_444_800,
    ) {
        let zone = Zone::named(&zone).unwrap();
        let now = Moment::from_seconds(seconds);
        let span = Span::containing(window, &zone, now);
        prop_assert!(span.contains(now));
        let end = span.end.unwrap();
        let last = Moment::from_micros(end.micros() - 1);
        prop_assert_eq!(Span::containing(window, &zone, span.start.max(Moment::default())), span);
        prop_assert_eq!(Span::containing(window, &zone, last), span);
        prop_assert_eq!(Span::containing(window, &zone, end).start, end);
    }
}

fn zones() -> Vec<String> {
    jiff::tz::TimeZoneDatabase::bundled()
        .available()
        .map(|name| name.to_string())
        .collect()
}
