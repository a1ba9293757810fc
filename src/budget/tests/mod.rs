//! The ledger's promises, as tests.

mod interleavings;
mod lease;
mod ledger;
mod schedules;
mod sessions;
mod window;

use super::{BudgetSpec, Scope, Window, Zone};
use crate::domain::{Moment, Name, Usd};

/// 2026-11-21T12:00:00Z, a Saturday.
pub(super) const NOON: Moment = Moment::from_seconds(1_795_262_400);

pub(super) fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

/// A monthly hard cap of one team, in UTC.
pub(super) fn team(limit: &str) -> BudgetSpec {
    let scope = Scope::Team(Name::new("payments"));
    BudgetSpec::new(scope, Window::Month, Zone::utc(), usd(limit))
}

/// A daily hard cap of one user, in UTC.
pub(super) fn user(limit: &str) -> BudgetSpec {
    let scope = Scope::User {
        team: Name::new("payments"),
        user: Name::new("ada"),
    };
    BudgetSpec::new(scope, Window::Day, Zone::utc(), usd(limit))
}
