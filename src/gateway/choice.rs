//! The models that a request goes to, if the team may use them. Nothing of a body has been scanned when this is decided.

use super::refusal::Refusal;
use crate::audit::Label;
use crate::live::{Snapshot, Team};
use crate::policy::NoModel;
use crate::provider::Ask;

/// The model that a request goes to, and those that are tried after it.
pub struct Chosen {
    pub model: String,
    /// Whether the body names another one, or none.
    pub renamed: bool,
    pub fallbacks: Vec<String>,
}

/// What the request means by its model: an alias is resolved, the team's default stands in for none; never another one in
/// its place. Models that may answer or advise besides it pass the same list; one that the provider chooses passes only
/// where every model does.
///
/// # Errors
/// A refusal of the request that names none, or one that the team may not use.
pub fn choose(snapshot: &Snapshot, team: &Team, ask: &Ask) -> Result<Chosen, Refusal> {
    let asked = ask.model.as_deref();
    let aliases = &snapshot.settings.models.aliases;
    let choice = team.policy.choose(aliases, asked);
    let choice = choice.map_err(|none| match none {
        NoModel::Unnamed => Refusal::InvalidBody(
            "`model` is missing, and your team has no default model".to_owned(),
        ),
        NoModel::NotAllowed(model) => not_allowed(snapshot, model, asked != Some(model)),
    })?;
    let names = ask.others.iter().map(|other| other.name.as_deref());
    let mut names = names.map(Option::unwrap_or_default);
    if let Some(other) = names.find(|name| !team.policy.models.allows(name)) {
        return Err(not_allowed(snapshot, other, false));
    }
    Ok(Chosen {
        model: choice.model.to_owned(),
        renamed: choice.renamed,
        fallbacks: choice.fallbacks.into_iter().map(str::to_owned).collect(),
    })
}

/// The model that a name means, if the team may use it.
///
/// # Errors
/// A refusal where it may not.
pub fn named(snapshot: &Snapshot, team: &Team, asked: &str) -> Result<String, Refusal> {
    let model = snapshot.settings.models.aliases.resolve(asked);
    if team.policy.models.allows(model) {
        Ok(model.to_owned())
    } else {
        Err(not_allowed(snapshot, model, asked != model))
    }
}

/// The refusal of a model, which shows its name where the operator wrote it or a table has it.
fn not_allowed(snapshot: &Snapshot, model: &str, configured: bool) -> Refusal {
    let shown = configured || is_known(snapshot, model);
    Refusal::ModelNotAllowed {
        model: shown.then(|| Label::clean(model, Label::MODEL).to_string()),
    }
}

/// Whether a table or the operator has this name. Another one may be anything: neither shown nor kept before it is scanned.
pub(super) fn is_known(snapshot: &Snapshot, model: &str) -> bool {
    let aliases = &snapshot.settings.models.aliases;
    aliases.resolve(model) != model || snapshot.prices.find("", model).known
}
