//! Which HTTP status a refusal has, for which client. Some clients retry 402 and 403 many times and stop at 400.

use std::collections::BTreeMap;

use super::Glob;

/// The refusals whose status an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SettableRefusal {
    /// A budget's cap is reached.
    Budget,
    /// A secret was found, and its action is `block`.
    Secret,
    /// The body cannot be inspected.
    Undecodable,
    /// The team may not use this model.
    Model,
    /// The cost cannot be bounded, or does not show.
    Cost,
    /// Outside the team's hours.
    Hours,
    /// Too many requests, tokens, or requests at once.
    Rate,
    /// The same, and the next one passes in more than a minute only.
    LongWait,
    /// No key, or one that is not known or not good any more.
    Key,
}

impl SettableRefusal {
    pub const ALL: [Self; 9] = [
        Self::Budget,
        Self::Secret,
        Self::Undecodable,
        Self::Model,
        Self::Cost,
        Self::Hours,
        Self::Rate,
        Self::LongWait,
        Self::Key,
    ];

    /// The key in `[refusal]`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Secret => "secret",
            Self::Undecodable => "undecodable",
            Self::Model => "model",
            Self::Cost => "cost",
            Self::Hours => "hours",
            Self::Rate => "rate",
            Self::LongWait => "long_wait",
            Self::Key => "key",
        }
    }

    /// Where nothing else is set.
    #[must_use]
    pub const fn default_status(self) -> u16 {
        match self {
            Self::Budget => 402,
            Self::Secret | Self::Undecodable | Self::Cost => 400,
            Self::Model | Self::Hours => 403,
            Self::Rate | Self::LongWait => 429,
            Self::Key => 401,
        }
    }
}

/// The statuses for clients whose `user-agent` fits a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientStatuses {
    user_agent: Glob,
    statuses: BTreeMap<SettableRefusal, u16>,
}

impl ClientStatuses {
    /// The pattern is compared without regard to case.
    #[must_use]
    pub fn new(user_agent: &str, statuses: BTreeMap<SettableRefusal, u16>) -> Self {
        Self {
            user_agent: Glob::new(&user_agent.to_ascii_lowercase()),
            statuses,
        }
    }
}

use SettableRefusal::{Budget, Cost, Hours, Key, LongWait, Model, Secret, Undecodable};

/// What stops each known client after one attempt and reaches its user, where the usual status does not. Measured with
/// the clients themselves (docs/CLIENTS.md); the reasons are in docs/adr/refusals-by-client.md.
const KNOWN_CLIENTS: [(&str, &[SettableRefusal], u16); 7] = [
    // Claude Code asks six times after 400, each time for less, and takes 403 for a failed login.
    (
        "claude-cli*",
        &[Secret, Undecodable, Cost, Model, Hours],
        451,
    ),
    // Codex asks six times after 401, 402 and 403, and waits in silence after 429.
    ("codex*", &[Budget, Model, Hours, LongWait, Key], 400),
    // aider, which speaks through litellm or, to `OpenAI`'s API, through `OpenAI`'s own library.
    ("litellm*", &[Budget, Model, Hours, LongWait], 400),
    ("OpenAI/Python*", &[Budget, Model, Hours, LongWait], 400),
    // Those wait in silence after 429, or ask again and again: opencode, Cline, and Continue, whose library has another
    // name of a few letters in each release.
    ("opencode*", &[LongWait], 400),
    ("ai-sdk/*", &[LongWait], 400),
    ("*/JS *", &[LongWait], 400),
];

/// The status of every settable refusal, in general and by client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalStatuses {
    general: BTreeMap<SettableRefusal, u16>,
    clients: Vec<ClientStatuses>,
}

impl Default for RefusalStatuses {
    fn default() -> Self {
        Self {
            general: BTreeMap::new(),
            clients: Self::known_clients(),
        }
    }
}

impl RefusalStatuses {
    /// What holds for clients of which the configuration says nothing: each known client stops after one attempt.
    #[must_use]
    pub fn known_clients() -> Vec<ClientStatuses> {
        KNOWN_CLIENTS
            .iter()
            .map(|(agent, refusals, status)| {
                let statuses = refusals.iter().map(|refusal| (*refusal, *status));
                ClientStatuses::new(agent, statuses.collect())
            })
            .collect()
    }

    #[must_use]
    pub const fn new(
        general: BTreeMap<SettableRefusal, u16>,
        clients: Vec<ClientStatuses>,
    ) -> Self {
        Self { general, clients }
    }

    /// The first client that fits and names the refusal decides; then the general table; then the built-in one.
    #[must_use]
    pub fn status(&self, refusal: SettableRefusal, user_agent: Option<&str>) -> u16 {
        let agent = user_agent.unwrap_or_default().to_ascii_lowercase();
        self.clients
            .iter()
            .filter(|client| client.user_agent.matches(&agent))
            .find_map(|client| client.statuses.get(&refusal))
            .or_else(|| self.general.get(&refusal))
            .copied()
            .unwrap_or(refusal.default_status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_decides_then_the_table_then_the_default() {
        let table = RefusalStatuses::new(
            [(Budget, 403)].into(),
            vec![
                ClientStatuses::new("Codex*", [(Budget, 400)].into()),
                ClientStatuses::new("*", [(SettableRefusal::Model, 404)].into()),
            ],
        );
        assert_eq!(
            table.status(SettableRefusal::Budget, Some("codex_exec/0.162")),
            400
        );
        assert_eq!(
            table.status(SettableRefusal::Model, Some("codex_exec/0.162")),
            404
        );
        assert_eq!(
            table.status(SettableRefusal::Budget, Some("claude-cli/2.1")),
            403
        );
        assert_eq!(table.status(SettableRefusal::Secret, None), 400);
        let default = RefusalStatuses::default();
        assert_eq!(default.status(SettableRefusal::Budget, None), 402);
        assert_eq!(
            default.status(SettableRefusal::Budget, Some("OpenAI/Python 2.8.0")),
            400
        );
        assert_eq!(
            default.status(SettableRefusal::Rate, Some("codex_exec/0.162")),
            429
        );
        assert_eq!(
            default.status(SettableRefusal::LongWait, Some("ls/JS 5.23.2")),
            400
        );
    }
}
