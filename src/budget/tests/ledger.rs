//! One node: reserving, settling, limits that change, periods that end.

use std::sync::Arc;
use std::time::Duration;

use super::{NOON, team, usd, user};
use crate::budget::{
    Account, Amendment, AtCap, Balances, BudgetId, BudgetSpec, Cause, EventKind, Ledger,
    NoSuchBudget, Settled, Span, Zone,
};
use crate::domain::{Moment, Usd};

const DAY: Duration = Duration::from_hours(24);

#[test]
fn two_requests_that_together_cross_the_cap_cannot_both_pass() {
    let ledger = Ledger::new(Balances::new());
    let accounts = [ledger.account(&team("10.00"))];
    let first = ledger.reserve(&accounts, usd("6.00"), NOON).unwrap();
    let refused = ledger.reserve(&accounts, usd("6.00"), NOON).unwrap_err();
    assert_eq!(refused.budget.as_str(), "team/payments/month");
    assert_eq!((refused.spent, refused.held), (Usd::ZERO, usd("6.00")));
    assert_eq!(refused.cause, Cause::Cap);
    // 2026-12-01T00:00:00Z
    assert_eq!(refused.resets, Some(Moment::from_seconds(1_796_083_200)));
    assert_eq!(first.settle(usd("4.00")), Settled::default());
    ledger
        .reserve(&accounts, usd("6.00"), NOON)
        .unwrap()
        .release();
    assert_eq!(accounts[0].view(NOON).spent, usd("4.00"));
    assert_eq!(accounts[0].view(NOON).left, usd("6.00"));
}

#[test]
fn the_last_cent_can_be_spent_and_not_one_nano_more() {
    let ledger = Ledger::new(Balances::new());
    let accounts = [ledger.account(&team("1.00"))];
    for _ in 0..100 {
        ledger
            .reserve(&accounts, usd("0.01"), NOON)
            .unwrap()
            .settle(usd("0.01"));
    }
    let refused = ledger.reserve(&accounts, Usd::from_nanos(1), NOON);
    assert_eq!(refused.unwrap_err().spent, usd("1.00"));
}

#[test]
fn a_request_reserves_on_all_budgets_or_on_none() {
    let ledger = Ledger::new(Balances::new());
    let accounts = [
        ledger.account(&team("10.00")),
        ledger.account(&user("1.00")),
    ];
    let refused = ledger.reserve(&accounts, usd("2.00"), NOON).unwrap_err();
    assert_eq!(refused.budget.as_str(), "user/payments/ada/day");
    assert!(
        accounts
            .iter()
            .all(|account| account.view(NOON).held == Usd::ZERO)
    );
    let held = ledger.reserve(&accounts, usd("1.00"), NOON).unwrap();
    let charges: Vec<_> = held
        .charges()
        .map(|(id, at)| (id.to_string(), at.seconds()))
        .collect();
    assert_eq!(
        charges,
        [
            ("team/payments/month".to_owned(), 1_793_491_200),
            ("user/payments/ada/day".to_owned(), 1_795_219_200),
        ]
    );
    held.release();
}

#[test]
fn a_dropped_reservation_is_charged_in_full() {
    let ledger = Ledger::new(Balances::new());
    let accounts = [ledger.account(&team("10.00"))];
    drop(ledger.reserve(&accounts, usd("3.00"), NOON).unwrap());
    assert_eq!(accounts[0].view(NOON).spent, usd("3.00"));
}

#[test]
fn a_cost_above_its_reservation_is_booked_and_reported() {
    let ledger = Ledger::new(Balances::new());
    let accounts = [ledger.account(&team("10.00"))];
    let held = ledger.reserve(&accounts, usd("9.00"), NOON).unwrap();
    let settled = held.settle(usd("12.00"));
    assert_eq!(
        (settled.overrun, settled.beyond_cap),
        (usd("3.00"), usd("2.00"))
    );
    let view = accounts[0].view(NOON);
    assert_eq!(
        (view.spent, view.held, view.left),
        (usd("12.00"), Usd::ZERO, Usd::ZERO)
    );
    assert!(ledger.reserve(&accounts, Usd::from_nanos(1), NOON).is_err());
    let overrun = EventKind::Overrun {
        beyond: usd("2.00"),
    };
    assert!(ledger.events().iter().any(|event| event.kind == overrun));
}

#[test]
fn absurd_costs_do_not_wrap_into_free_money() {
    let ledger = Ledger::new(Balances::new());
    let accounts = [ledger.account(&team("10.00"))];
    for _ in 0..3 {
        let held = ledger.reserve(&accounts, Usd::ZERO, NOON);
        if let Ok(held) = held {
            held.settle(Usd::MAX);
        }
    }
    assert_eq!(accounts[0].view(NOON).spent, Usd::MAX);
    assert!(ledger.reserve(&accounts, Usd::from_nanos(1), NOON).is_err());
    ledger.account(&team("18446744073.709551615"));
    assert!(ledger.reserve(&accounts, Usd::from_nanos(1), NOON).is_err());
}

#[test]
fn a_raised_limit_counts_at_once_and_a_lowered_one_refuses() {
    let ledger = Ledger::new(Balances::new());
    let accounts = [ledger.account(&team("1.00"))];
    ledger
        .reserve(&accounts, usd("1.00"), NOON)
        .unwrap()
        .settle(usd("1.00"));
    assert!(ledger.reserve(&accounts, usd("1.00"), NOON).is_err());
    ledger.account(&team("5.00"));
    let held = ledger.reserve(&accounts, usd("3.00"), NOON).unwrap();
    ledger.account(&team("2.00"));
    assert!(ledger.reserve(&accounts, Usd::from_nanos(1), NOON).is_err());
    held.release();
    assert_eq!(accounts[0].view(NOON).left, usd("1.00"));
    assert!(ledger.reserve(&accounts, usd("1.01"), NOON).is_err());
    ledger
        .reserve(&accounts, usd("1.00"), NOON)
        .unwrap()
        .release();
}

#[test]
fn an_alerting_budget_never_refuses_and_reports_each_threshold_once() {
    let ledger = Ledger::new(Balances::new());
    let mut spec = team("10.00");
    spec.at_cap = AtCap::Alert;
    let accounts = [ledger.account(&spec)];
    for _ in 0..30 {
        ledger
            .reserve(&accounts, usd("1.00"), NOON)
            .unwrap()
            .settle(usd("1.00"));
    }
    let reported: Vec<_> = ledger
        .events()
        .into_iter()
        .map(|event| (event.kind, event.spent))
        .collect();
    let at = |percent, spent| (EventKind::Threshold { percent }, usd(spent));
    assert_eq!(reported, [at(50, "5.00"), at(80, "8.00"), at(100, "10.00")]);
    assert_eq!(accounts[0].view(NOON).spent, usd("30.00"));
}

#[test]
fn thresholds_follow_a_changed_list_and_none_is_told_twice() {
    let ledger = Ledger::new(Balances::new());
    let accounts = [ledger.account(&team("10.00"))];
    let spend = |dollars: &str| {
        let held = ledger.reserve(&accounts, usd(dollars), NOON).unwrap();
        held.settle(usd(dollars));
    };
    let told = || -> Vec<_> {
        let events = ledger.events().into_iter();
        events.map(|event| event.kind).collect()
    };
    let at = |percent| EventKind::Threshold { percent };
    spend("6.00");
    assert_eq!(told(), [at(50)]);
    let mut spec = team("10.00");
    spec.alert_at = vec![20, 50, 70, 90];
    ledger.account(&spec);
    assert_eq!(told(), [at(20)], "reached before anybody asked for it");
    spend("1.00");
    assert_eq!(told(), [at(70)]);
    spec.alert_at = vec![50, 80];
    ledger.account(&spec);
    spend("3.00");
    assert_eq!(
        told(),
        [at(80)],
        "90 is not asked for any more, 50 was told"
    );
}

#[test]
fn a_request_settles_in_the_period_that_it_was_reserved_in() {
    let ledger = Ledger::new(Balances::new());
    let accounts = [ledger.account(&user("1.00"))];
    let midnight = Moment::from_seconds(1_795_305_600);
    let before = ledger
        .reserve(
            &accounts,
            usd("1.00"),
            Moment::from_micros(midnight.micros() - 1),
        )
        .unwrap();
    let after = ledger.reserve(&accounts, usd("1.00"), midnight).unwrap();
    before.settle(usd("0.25"));
    after.settle(usd("0.50"));
    assert_eq!(accounts[0].view(NOON).spent, usd("0.25"));
    assert_eq!(accounts[0].view(midnight).spent, usd("0.50"));
}

#[test]
fn a_clock_that_jumps_makes_no_fresh_budget() {
    let ledger = Ledger::new(Balances::new());
    let accounts = [ledger.account(&user("1.00"))];
    ledger
        .reserve(&accounts, usd("1.00"), NOON)
        .unwrap()
        .settle(usd("1.00"));
    for days in 1..40 {
        let later = NOON.plus(DAY * days);
        ledger
            .reserve(&accounts, usd("1.00"), later)
            .unwrap()
            .settle(usd("1.00"));
    }
    for wild in [i64::MIN, -1, 0, i64::MAX] {
        let wild = Moment::from_micros(wild);
        let _ = ledger
            .reserve(&accounts, usd("0.10"), wild)
            .map(|held| held.settle(usd("0.10")));
    }
    for days in 0..40 {
        assert!(
            ledger
                .reserve(&accounts, Usd::from_nanos(1), NOON.plus(DAY * days))
                .is_err()
        );
    }
}

#[test]
fn a_missing_and_a_doubled_hour_make_no_fresh_budget() {
    let at = |text: &str| {
        let time: jiff::Timestamp = text.parse().unwrap();
        Moment::from_micros(time.as_microsecond())
    };
    // In Havana midnight is missing on the 8th of March, and comes twice on the 1st of November.
    for (from, change) in [
        ("2026-03-07T12:00:00Z", "2026-03-08T05:00:00Z"),
        ("2026-10-31T12:00:00Z", "2026-11-01T04:00:00Z"),
    ] {
        let mut spec = user("1.00");
        spec.zone = Zone::named("America/Havana").unwrap();
        let ledger = Ledger::new(Balances::new());
        let accounts = [ledger.account(&spec)];
        let (from, change) = (at(from), at(change));
        let mut admitted = Vec::new();
        // Every ten minutes for a day and a half: one dollar before the day ends, one after.
        for step in 0..216 {
            let now = from.plus(Duration::from_mins(10 * step));
            if let Ok(held) = ledger.reserve(&accounts, usd("1.00"), now) {
                held.settle(usd("1.00"));
                admitted.push(now);
            }
        }
        assert_eq!(admitted, [from, change]);
    }
}

#[test]
fn a_ledger_goes_on_from_its_balances() {
    let ledger = Ledger::new(Balances::new());
    let accounts = [
        ledger.account(&team("10.00")),
        ledger.account(&user("5.00")),
    ];
    ledger
        .reserve(&accounts, usd("3.00"), NOON)
        .unwrap()
        .settle(usd("2.50"));
    ledger
        .reserve(&accounts, usd("1.00"), NOON.plus(DAY))
        .unwrap()
        .settle(usd("1.00"));
    let again = Ledger::new(ledger.balances());
    let accounts = [again.account(&team("10.00")), again.account(&user("5.00"))];
    assert_eq!(accounts[0].view(NOON).spent, usd("3.50"));
    assert_eq!(accounts[1].view(NOON).spent, usd("2.50"));
    assert_eq!(accounts[1].view(NOON.plus(DAY)).spent, usd("1.00"));
    assert_eq!(again.balances(), ledger.balances());
}

#[test]
fn operators_grant_and_adjust_for_this_window() {
    let ledger = Ledger::new(Balances::new());
    let spec = user("1.00");
    let accounts = [ledger.account(&spec)];
    ledger
        .reserve(&accounts, usd("1.00"), NOON)
        .unwrap()
        .settle(usd("1.00"));
    let amend = |totals| ledger.amend(&spec.id, vec![(accounts[0].view(NOON).since, totals)]);
    let granted = Amendment {
        granted: usd("2.00"),
        ..Amendment::default()
    };
    amend(granted).unwrap();
    assert_eq!(accounts[0].view(NOON).left, usd("2.00"));
    assert_eq!(accounts[0].view(NOON.plus(DAY)).left, usd("1.00"));
    let corrected = Amendment {
        charged: usd("2.00"),
        credited: usd("0.50"),
        ..granted
    };
    amend(corrected).unwrap();
    assert_eq!(accounts[0].view(NOON).spent, usd("2.50"));
    assert!(ledger.reserve(&accounts, usd("0.51"), NOON).is_err());
    ledger
        .reserve(&accounts, usd("0.50"), NOON)
        .unwrap()
        .release();
    let unknown = ledger.amend(&BudgetId::new("team/none/day"), Vec::new());
    assert_eq!(unknown, Err(NoSuchBudget));
}

#[test]
fn a_warm_reservation_allocates_nothing() {
    let ledger = Ledger::new(Balances::new());
    let accounts = [
        ledger.account(&team("10.00")),
        ledger.account(&user("10.00")),
    ];
    let admit = || {
        let held = ledger.reserve(&accounts, usd("0.01"), NOON).unwrap();
        held.settle(usd("0.005"));
    };
    admit();
    let counted = allocation_counter::measure(|| {
        let (quote, cost) = (Usd::from_nanos(1000), Usd::from_nanos(500));
        for _ in 0..100 {
            ledger.reserve(&accounts, quote, NOON).unwrap().settle(cost);
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_budget_that_is_removed_and_comes_back_remembers() {
    let ledger = Ledger::new(Balances::new());
    let account = ledger.account(&team("10.00"));
    let held = ledger
        .reserve(&[Arc::clone(&account)], usd("4.00"), NOON)
        .unwrap();
    assert_eq!(ledger.retain(|_| false), 1);
    assert!(ledger.find(account.id()).is_some(), "in use");
    held.settle(usd("3.00"));
    drop(account);
    assert_eq!(ledger.retain(|_| false), 0);
    assert!(ledger.views(NOON).is_empty());
    assert_eq!(ledger.account(&team("10.00")).view(NOON).spent, usd("3.00"));
}

#[test]
fn a_grant_around_a_change_of_zone_counts_in_the_period_that_runs() {
    let ledger = Ledger::new(Balances::new());
    let (before, mut spec) = (team("10.00"), team("10.00"));
    spec.zone = Zone::named("Europe/Berlin").unwrap();
    let of = |spec: &BudgetSpec, now, granted| {
        let totals = Amendment {
            granted: usd(granted),
            ..Amendment::default()
        };
        let period = Span::containing(spec.window, &spec.zone, now).start;
        (period, totals)
    };
    let account = ledger.account(&before);
    let limit = |account: &Account, now| account.view(now).limit;
    let first = of(&before, NOON, "1.00");
    ledger.amend(&spec.id, vec![first]).unwrap();
    assert_eq!(limit(&account, NOON), usd("11.00"));
    ledger.account(&spec);
    let second = of(&spec, NOON, "5.00");
    assert_ne!(first.0, second.0);
    for _ in 0..2 {
        ledger.amend(&spec.id, vec![first, second]).unwrap();
        assert_eq!(limit(&account, NOON), usd("16.00"));
    }
    // The last half hour of November in UTC is December in Berlin: what is granted then is for the period to come.
    let december = Moment::from_seconds(1_796_083_200);
    let half_past = december.plus(Duration::from_mins(30));
    let eve = Moment::from_seconds(december.seconds() - 1800);
    let third = of(&spec, eve, "3.00");
    ledger.amend(&spec.id, vec![first, second, third]).unwrap();
    assert_eq!(limit(&account, eve), usd("16.00"));
    assert_eq!(limit(&account, half_past), usd("13.00"));
    let restarted = Ledger::new(ledger.balances());
    let account = restarted.account(&spec);
    restarted.amend(&spec.id, vec![first, second]).unwrap();
    assert_eq!(limit(&account, NOON), usd("16.00"));
}
