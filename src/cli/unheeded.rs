//! Settings that are read and checked, and that this version of the gateway does not act on yet. `tollgate check` warns
//! of each one that is set, so that nobody relies on a limit that is not there. Whoever wires one up removes it here.

use crate::config::Settings;
use crate::directory::{Organisation, Team};

/// What a configuration sets in vain.
#[must_use]
pub fn of_settings(settings: &Settings) -> Vec<String> {
    let mut named = Vec::new();
    let mut note = |is_set: bool, key: String| {
        if is_set {
            named.push(key);
        }
    };
    for provider in &settings.providers {
        let key = |key: &str| format!("[provider.{}] {key}", provider.name);
        note(provider.ca.is_some(), key("ca"));
        let weights = &provider.addresses;
        note(
            weights
                .iter()
                .any(|address| address.weight != weights[0].weight),
            key("addresses: weight"),
        );
    }
    note(
        settings.models.aliases.iter().next().is_some(),
        "[models.aliases]".to_owned(),
    );
    named
}

/// What a directory file sets in vain.
#[must_use]
pub fn of_organisation(organisation: &Organisation) -> Vec<String> {
    organisation.teams.iter().flat_map(of_team).collect()
}

fn of_team(team: &Team) -> Vec<String> {
    let policy = &team.policy;
    let whole = [
        (policy.default_model.is_some(), "default_model"),
        (!policy.fallback_models.is_empty(), "fallback_models"),
    ];
    let set = whole.iter().filter(|(is_set, _)| *is_set);
    set.map(|(_, key)| format!("team {}: {key}", team.name))
        .collect()
}
