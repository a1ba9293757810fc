//! What a team may do, as the directory says.

use std::num::NonZeroU32;

use super::{CategoryActions, Hours, ModelList};
use crate::domain::Usd;

/// Limits besides money, of a team, a user or a key. Absent: no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub requests_per_minute: Option<NonZeroU32>,
    pub tokens_per_minute: Option<NonZeroU32>,
    /// Requests at once.
    pub concurrent: Option<NonZeroU32>,
}

/// What a team may do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TeamPolicy {
    pub models: ModelList,
    pub limits: Limits,
    /// Over the gateway's own actions: see [`super::Actions::with`].
    pub actions: CategoryActions,
    /// Whether placeholders are put back into tool calls that send them over the network.
    pub restore_in_network_commands: bool,
    /// Names that must not leave: projects, customers.
    pub entities: Vec<String>,
    /// When the team may work; absent: always.
    pub hours: Option<Hours>,
    /// Used where a request names no model.
    pub default_model: Option<String>,
    /// Tried in this order when the asked model's provider fails before its first byte. Each must be allowed too.
    pub fallback_models: Vec<String>,
    /// What one session of an agent may spend in all; absent: no bound.
    pub session_limit: Option<Usd>,
}
