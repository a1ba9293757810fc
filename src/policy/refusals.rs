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
    /// Outside the team's hours.
    Hours,
    /// Too many requests, tokens, or requests at once.
    Rate,
}

impl SettableRefusal {
    pub const ALL: [Self; 6] = [
        Self::Budget,
        Self::Secret,
        Self::Undecodable,
        Self::Model,
        Self::Hours,
        Self::Rate,
    ];

    /// The key in `[refusal]`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Secret => "secret",
            Self::Undecodable => "undecodable",
            Self::Model => "model",
            Self::Hours => "hours",
            Self::Rate => "rate",
        }
    }

    /// Where nothing else is set.
    #[must_use]
    pub const fn default_status(self) -> u16 {
        match self {
            Self::Budget => 402,
            Self::Secret | Self::Undecodable => 400,
            Self::Model | Self::Hours => 403,
            Self::Rate => 429,
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

/// Clients that try again and again after 402 and 403, stop at 400, and show its text, as measured:
/// Codex, and aider, which speaks through litellm or, to `OpenAI`'s API, through `OpenAI`'s own library.
const RETRYING_CLIENTS: [&str; 3] = ["codex*", "litellm*", "OpenAI/Python*"];

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
    /// What holds where the configuration names no client: each known client stops after one attempt.
    #[must_use]
    pub fn known_clients() -> Vec<ClientStatuses> {
        let stopped = [
            SettableRefusal::Budget,
            SettableRefusal::Model,
            SettableRefusal::Hours,
        ];
        let statuses: BTreeMap<_, _> = stopped.into_iter().map(|refusal| (refusal, 400)).collect();
        RETRYING_CLIENTS
            .iter()
            .map(|agent| ClientStatuses::new(agent, statuses.clone()))
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
            [(SettableRefusal::Budget, 403)].into(),
            vec![
                ClientStatuses::new("Codex*", [(SettableRefusal::Budget, 400)].into()),
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
    }
}
