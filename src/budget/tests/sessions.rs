//! Sessions: accounts that appear by themselves, are bounded, and are never free.

use std::time::Duration;

use super::{NOON, usd};
use crate::budget::{Balances, BudgetId, Ledger, OnStoreLoss, SessionId, SessionTerms};
use crate::domain::{KeyId, Moment, Usd};

fn key() -> KeyId {
    KeyId::new("key_0123456789ab")
}

fn session(number: u32) -> SessionId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    SessionId(bytes)
}

fn terms(limit: &str) -> SessionTerms {
    SessionTerms {
        limit: usd(limit),
        on_store_loss: OnStoreLoss::Deny,
    }
}

fn spend(ledger: &Ledger, number: u32, amount: Usd, now: Moment) -> bool {
    let account = ledger.session(&key(), Some(session(number)), terms("1.00"), now);
    let held = ledger.reserve(&[account], amount, now);
    held.map(|held| held.settle(amount)).is_ok()
}

#[test]
fn each_session_of_a_key_has_its_own_cap() {
    let ledger = Ledger::new(Balances::new());
    assert!(spend(&ledger, 1, usd("0.75"), NOON));
    assert!(!spend(&ledger, 1, usd("0.75"), NOON));
    assert!(spend(&ledger, 2, usd("0.75"), NOON));
    let id = BudgetId::new("session/key_0123456789ab/01000000070707070707070707070707/month");
    assert_eq!(ledger.find(&id).unwrap().view(NOON).spent, usd("0.75"));
    let again = Ledger::new(ledger.balances());
    assert!(!spend(&again, 1, usd("0.75"), NOON));
}

#[test]
fn what_is_told_no_session_has_one_cap_a_day_for_each_key() {
    let ledger = Ledger::new(Balances::new());
    let spend = |key: &str, now| {
        let account = ledger.session(&KeyId::new(key), None, terms("1.00"), now);
        let held = ledger.reserve(&[account], usd("0.75"), now);
        held.map(|held| held.settle(usd("0.75"))).is_ok()
    };
    assert!(spend("key_a", NOON));
    assert!(!spend("key_a", NOON));
    assert!(spend("key_b", NOON));
    assert!(spend("key_a", NOON.plus(Duration::from_hours(24))));
    assert_eq!(ledger.sessions(), 0, "they take no session's place");
    assert_eq!(ledger.views(NOON).len(), 2);
    assert!(ledger.standing_views(NOON).is_empty());
}

#[test]
fn a_changed_limit_of_sessions_counts_at_once() {
    let ledger = Ledger::new(Balances::new());
    assert!(spend(&ledger, 1, usd("1.00"), NOON));
    let account = ledger.session(&key(), Some(session(1)), terms("3.00"), NOON);
    assert_eq!(account.view(NOON).left, usd("2.00"));
}

#[test]
fn more_sessions_than_are_kept_share_one_cap_and_none_is_free() {
    let ledger = Ledger::new(Balances::new());
    let admitted = (0..40_000)
        .filter(|n| spend(&ledger, *n, usd("1.00"), NOON))
        .count();
    assert_eq!(ledger.sessions(), 16_384);
    // One for each that is kept, and for the account that the others share in each of the 16 parts.
    assert_eq!(admitted, 16_384 + 16);
    let later = NOON.plus(Duration::from_hours(24));
    assert!(
        (0..40_000)
            .step_by(501)
            .all(|n| !spend(&ledger, n, usd("0.01"), later))
    );
}

#[test]
fn a_session_that_was_silent_for_long_makes_room_and_finds_its_spending_again() {
    let ledger = Ledger::new(Balances::new());
    (0..16_384).for_each(|n| assert!(spend(&ledger, n, usd("1.00"), NOON)));
    let later = NOON.plus(Duration::from_hours(8 * 24));
    assert!(spend(&ledger, 20_000, usd("1.00"), later));
    assert!(ledger.sessions() < 16_384);
    assert!(
        (0..16_384)
            .step_by(501)
            .all(|n| !spend(&ledger, n, usd("0.01"), later))
    );
}

#[test]
fn a_session_in_flight_is_not_forgotten() {
    let ledger = Ledger::new(Balances::new());
    let account = ledger.session(&key(), Some(session(1)), terms("1.00"), NOON);
    let held = ledger.reserve(&[account], usd("1.00"), NOON).unwrap();
    let later = NOON.plus(Duration::from_hours(8 * 24));
    for n in 2..20_000 {
        ledger.session(&key(), Some(session(n)), terms("1.00"), NOON);
        ledger.session(&key(), Some(session(n)), terms("1.00"), later);
    }
    held.settle(usd("1.00"));
    assert!(!spend(&ledger, 1, usd("0.01"), later));
}

#[test]
fn what_is_remembered_of_sessions_has_an_end() {
    let mut balances = Balances::new();
    for month in 0..12 {
        let start = NOON.plus(Duration::from_hours(30 * 24 * month));
        for n in 0..10 {
            let id = BudgetId::new(&format!("session/key/{month}-{n}/month"));
            balances.add(id, start, usd("1.00"));
        }
        balances.add(BudgetId::new("team/a/month"), start, usd("1.00"));
    }
    balances.prune();
    assert_eq!(balances.len(), 2 * 10 + 12);
}

#[test]
fn the_room_is_what_would_be_admitted() {
    let ledger = Ledger::new(Balances::new());
    let team = ledger.account(&super::team("10.00"));
    let user = ledger.account(&super::user("3.00"));
    let accounts = [team, user];
    let held = ledger.reserve(&accounts, usd("1.25"), NOON).unwrap();
    let room = ledger.room(&accounts, NOON).unwrap();
    assert_eq!(room, usd("1.75"));
    let more = room.saturating_add(Usd::from_nanos(1));
    assert!(ledger.reserve(&accounts, more, NOON).is_err());
    ledger.reserve(&accounts, room, NOON).unwrap().release();
    held.release();
}
