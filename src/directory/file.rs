//! `directory.toml`: teams, users and budgets as an operator writes them, with every mistake told at its place.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use jiff::civil::{Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::organisation::{Budget, Organisation, Team, User};
use crate::budget::{AtCap, BudgetSpec, Scope, Window, Zone, read_on_store_loss};
use crate::document::{Fault, Table, Value};
use crate::domain::{Name, Usd};
use crate::policy::{Hours, Limits, ModelList, TeamPolicy, read_actions, time_of_day};

/// Reads the text of a directory file.
///
/// # Errors
/// Every mistake in it.
pub fn parse(name: &str, text: &str) -> Result<Organisation, Vec<Fault>> {
    crate::document::read(name, text, organisation)
}

fn organisation(top: &mut Table<'_>) -> Organisation {
    let name = top.required("organisation", Name::new("?"), |v| v.name());
    let mut budgets = budgets(top, &Scope::Organisation(name.clone()));
    let mut names = BTreeSet::new();
    let teams = top.each("team", |t| {
        let name = own_name(t, &mut names, |name| format!("a second team `{name}`"));
        team(t, name, &mut budgets)
    });
    Organisation {
        name,
        teams,
        budgets,
    }
}

/// The name of a team or user, which `others` have not; what is none is no second one either.
fn own_name(
    t: &mut Table<'_>,
    others: &mut BTreeSet<Name>,
    second: impl FnOnce(&Name) -> String,
) -> Name {
    let Some(name) = t.need("name").and_then(|v| v.name()) else {
        return Name::new("?");
    };
    if !others.insert(name.clone()) {
        t.fault(second(&name));
    }
    name
}

fn team(t: &mut Table<'_>, name: Name, all: &mut Vec<Budget>) -> Team {
    let policy = policy(t);
    all.extend(budgets(t, &Scope::Team(name.clone())));
    let mut names = BTreeSet::new();
    let users = t.each("user", |t| {
        let second = |user: &Name| format!("a second user `{user}` of team `{name}`");
        let user = own_name(t, &mut names, second);
        let scope = Scope::User {
            team: name.clone(),
            user: user.clone(),
        };
        all.extend(budgets(t, &scope));
        User {
            name: user,
            limits: limits(t),
        }
    });
    Team {
        name,
        policy,
        users,
    }
}

fn policy(t: &mut Table<'_>) -> TeamPolicy {
    let models = match t.get("models") {
        None => ModelList::all(),
        Some(value) => ModelList::only(value.list_of(|each| model(&each)).unwrap_or_default()),
    };
    let allowed = |value: Value<'_>| {
        let text = model(&value)?;
        if !models.allows(text) {
            value.fault(format!("\"{text}\" is not among the team's `models`"));
        }
        Some(text.to_owned())
    };
    TeamPolicy {
        limits: limits(t),
        actions: t.section("actions", read_actions),
        restore_in_network_commands: t.or("restore_in_network_commands", false, |v| v.flag()),
        entities: t.or("entities", Vec::new(), |v| v.list_of(|each| entity(&each))),
        hours: t.section_if("hours", hours),
        default_model: t.get("default_model").and_then(allowed),
        fallback_models: t.or("fallback_models", Vec::new(), |v| v.list_of(allowed)),
        session_limit: t.get("session_limit").and_then(|v| v.amount()),
        models,
    }
}

/// A model's name or a glob.
fn model<'t>(value: &Value<'t>) -> Option<&'t str> {
    value.parsed(|text| {
        let fits = text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(text)
        } else {
            Err("is not a model's name: printable characters without spaces".to_owned())
        }
    })
}

/// Shorter names would be found in every other word.
fn entity(value: &Value<'_>) -> Option<String> {
    value.parsed(|text| {
        let fits = (3..=256).contains(&text.trim().len());
        if fits {
            Ok(text.trim().to_owned())
        } else {
            Err("an entity has 3 to 256 characters".to_owned())
        }
    })
}

fn limits(t: &mut Table<'_>) -> Limits {
    let mut read = |key| {
        t.get(key)
            .and_then(|v| v.number::<u32>(1..=u64::from(u32::MAX)))
            .and_then(NonZeroU32::new)
    };
    Limits {
        requests_per_minute: read("requests_per_minute"),
        tokens_per_minute: read("tokens_per_minute"),
        concurrent: read("concurrent"),
    }
}

fn hours(t: &mut Table<'_>) -> Hours {
    let zone = |text: &str| {
        TimeZoneDatabase::bundled().get(text).map_err(|_| {
            format!("\"{text}\" is not a time zone; write a name such as \"Europe/Berlin\"")
        })
    };
    let every_day: Vec<_> = Hours::DAYS.iter().map(|(_, day)| *day).collect();
    let days = t.or("days", every_day, |v| days(&v));
    let from = t.required("from", Time::midnight(), |v| v.parsed(time_of_day));
    let to = t.required("to", Time::midnight(), |v| v.parsed(time_of_day));
    Hours::new(
        t.or("zone", TimeZone::UTC, |v| v.parsed(zone)),
        days,
        from,
        to,
    )
}

fn days(value: &Value<'_>) -> Option<Vec<Weekday>> {
    let days = value.list()?;
    if days.is_empty() {
        value.fault("is empty: the team could never work");
    }
    Some(
        days.iter()
            .filter_map(|day| day.choice(&Hours::DAYS))
            .collect(),
    )
}

fn budgets(t: &mut Table<'_>, scope: &Scope) -> Vec<Budget> {
    let mut windows = BTreeSet::new();
    let known = Window::ALL.map(|window| (window.as_str(), window));
    t.each("budget", |t| {
        let window = t.need("window").and_then(|v| v.choice(&known));
        let budget = budget(t, scope, window.unwrap_or(Window::Month));
        if window.is_some_and(|window| !windows.insert(window)) {
            t.fault(format!("a second budget {}", budget.spec.id));
        }
        budget
    })
}

fn budget(t: &mut Table<'_>, scope: &Scope, window: Window) -> Budget {
    let limit = t.required("limit", Usd::ZERO, |v| v.amount());
    let zone = t.or("zone", Zone::utc(), |v| {
        v.parsed(|text| Zone::named(text).map_err(|error| error.to_string()))
    });
    let base = BudgetSpec::new(scope.clone(), window, zone, limit);
    let mut alert_at = t.or("alert_at", base.alert_at.clone(), |v| {
        v.list_of(|each| each.number::<u8>(1..=100))
    });
    alert_at.sort_unstable();
    alert_at.dedup();
    let on_store_loss = t.get("on_store_loss").and_then(|v| read_on_store_loss(&v));
    let spec = BudgetSpec {
        at_cap: t.or("at_cap", base.at_cap, |v| {
            v.choice(&[("block", AtCap::Block), ("alert", AtCap::Alert)])
        }),
        alert_at,
        on_store_loss: on_store_loss.unwrap_or_default(),
        clamp: t.or("clamp", false, |v| v.flag()),
        cut: t.or("cut", false, |v| v.flag()),
        ..base
    };
    Budget {
        spec,
        on_store_loss,
    }
}
