//! Bounds what one agent session may spend, where the team has such a limit.

use std::sync::Arc;

use http::HeaderMap;

use super::Gateway;
use crate::budget::{Account, SessionId, SessionTerms};
use crate::config::OnStoreLoss;
use crate::domain::{KeyId, Moment, Usd};
use crate::identity::session_digest;

/// Where agents name their session: Claude Code, Codex (two spellings), opencode. The first that is there counts.
const HEADERS: [&str; 4] = [
    "x-claude-code-session-id",
    "session-id",
    "session_id",
    "x-session-id",
];

/// Whose session, and what it may spend.
pub(super) struct Bounds<'a> {
    pub key: &'a KeyId,
    pub limit: Usd,
    pub on_store_loss: OnStoreLoss,
}

/// The caller's budgets with that of the session. What names no session counts as one session a day of its key: a client
/// is not unbounded because it says less.
pub(super) fn with_session(
    gateway: &Gateway,
    headers: &HeaderMap,
    bounds: &Bounds<'_>,
    accounts: &[Arc<Account>],
    now: Moment,
) -> Arc<[Arc<Account>]> {
    let name = HEADERS
        .iter()
        .filter_map(|name| headers.get(*name))
        .map(http::HeaderValue::as_bytes)
        .find(|name| !name.is_empty());
    let digest = |name| session_digest(&gateway.session_pepper, bounds.key, name);
    let session = name.map(|name| SessionId(digest(name)));
    let terms = SessionTerms {
        limit: bounds.limit,
        on_store_loss: bounds.on_store_loss,
    };
    let account = gateway.ledger.session(bounds.key, session, terms, now);
    accounts.iter().cloned().chain([account]).collect()
}
