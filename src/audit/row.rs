//! What the audit keeps of a request: typed, bounded, and with no field that content could be put into.
//!
//! Outside text enters only as a [`Label`]; closed sets are `&'static str`, which no request can supply.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::label::Label;
use crate::budget::BudgetId;
use crate::domain::{Caller, Category, KeyId, Moment, Name, Provenance, Usage, Usd};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Forwarded as it came.
    Allowed,
    /// Forwarded as it came, with findings that policy only reports.
    Alerted,
    /// Forwarded with values replaced by placeholders.
    Redacted,
    /// Stopped for what it contained; nothing left.
    Blocked,
    /// Stopped for another reason: key, budget, rate, model, shape; nothing left.
    Refused,
    /// Forwarded, and the provider or the way to it failed.
    Failed,
    /// In flight when the process died: charged its whole reservation.
    Lost,
}

impl Decision {
    pub const ALL: [Self; 7] = [
        Self::Allowed,
        Self::Alerted,
        Self::Redacted,
        Self::Blocked,
        Self::Refused,
        Self::Failed,
        Self::Lost,
    ];

    /// The word in the audit and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Alerted => "alerted",
            Self::Redacted => "redacted",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

/// How many findings of a category a request had, and what policy did with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub category: Category,
    pub count: u32,
    /// The action's word: `alert`, `redact`, `block`.
    pub action: &'static str,
}

/// How one attempt to reach a provider ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider answered with this status.
    Status(u16),
    /// It never answered: `connect`, `broken`, `timeout`.
    Failed(&'static str),
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Try {
    /// The address, as the configuration names it.
    pub address: Arc<str>,
    /// The model, where it is one of the team's fallbacks.
    pub fallback: Option<Label>,
    pub outcome: Outcome,
}

/// A budget that a request is charged to, and the start of the period it falls into.
pub type Charge = (BudgetId, Moment);

/// The audit's one row of a request. [`Row::new`] gives a refused one with nothing known; fill in what is.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// UUID v7: also the `X-Request-Id` of the answer.
    pub request: Uuid,
    /// When the request's head had been read.
    pub at: Moment,
    pub organisation: Option<Name>,
    pub team: Option<Name>,
    pub user: Option<Name>,
    pub key: Option<KeyId>,
    pub provider: Option<Name>,
    /// `anthropic`, `openai`, or empty where the route was not known.
    pub dialect: &'static str,
    pub endpoint: &'static str,
    /// The model as the client named it. Its text has been scanned: [`Label::withheld`] where something was found.
    pub model: Label,
    /// The price table's name of the model, which is what metrics are labelled with.
    pub priced_as: Option<Name>,
    pub stream: bool,
    pub decision: Decision,
    /// The refusal's code, or empty.
    pub code: &'static str,
    /// The status that the client was answered with; 0 where it got none.
    pub status: u16,
    pub findings: Vec<Found>,
    pub redactions: u32,
    pub restorations: u32,
    pub usage: Usage,
    pub provenance: Provenance,
    pub cost: Usd,
    pub reserved: Usd,
    pub price_revision: Label,
    /// Budgets that `cost` was charged to.
    pub charges: Vec<Charge>,
    /// From the request's head to the answer's last byte.
    pub latency: Duration,
    /// From the request's head to the answer's first body byte.
    pub first_byte: Option<Duration>,
    /// Of `latency`, what the gateway itself took before the request was forwarded.
    pub overhead: Duration,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub client: Option<IpAddr>,
    /// Scanned like the model.
    pub user_agent: Label,
    /// Upstream connections that were tried.
    pub attempts: u8,
    /// The address that answered, as the configuration names it.
    pub upstream: Label,
    /// The model that answered, as the provider names it; where it does not, the one that was asked of it.
    pub served: Label,
    /// Every attempt, in order.
    pub tries: Vec<Try>,
    /// Whether the answer came from the response cache.
    pub cached: bool,
    /// The provider's own id of the request, from the head of its answer: what its support asks for.
    pub upstream_request: Label,
}

impl Row {
    /// A refused request of which only its id and time are known.
    #[must_use]
    pub fn new(request: Uuid, at: Moment) -> Self {
        Self {
            request,
            at,
            organisation: None,
            team: None,
            user: None,
            key: None,
            provider: None,
            dialect: "",
            endpoint: "",
            model: Label::default(),
            priced_as: None,
            stream: false,
            decision: Decision::Refused,
            code: "",
            status: 0,
            findings: Vec::new(),
            redactions: 0,
            restorations: 0,
            usage: Usage::default(),
            provenance: Provenance::default(),
            cost: Usd::ZERO,
            reserved: Usd::ZERO,
            price_revision: Label::default(),
            charges: Vec::new(),
            latency: Duration::ZERO,
            first_byte: None,
            overhead: Duration::ZERO,
            bytes_in: 0,
            bytes_out: 0,
            client: None,
            user_agent: Label::default(),
            attempts: 0,
            upstream: Label::default(),
            served: Label::default(),
            tries: Vec::new(),
            cached: false,
            upstream_request: Label::default(),
        }
    }
}

/// What is known of a request when it is about to be forwarded: what its row will say if the process dies before the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Begin {
    pub request: Uuid,
    pub at: Moment,
    pub caller: Caller,
    pub provider: Name,
    pub dialect: &'static str,
    pub endpoint: &'static str,
    pub model: Label,
    pub priced_as: Name,
    pub stream: bool,
    pub findings: Vec<Found>,
    pub redactions: u32,
    pub reserved: Usd,
    pub price_revision: Label,
    pub charges: Vec<Charge>,
    pub bytes_in: u64,
    pub client: Option<IpAddr>,
    pub user_agent: Label,
}

impl Begin {
    /// The row of a request that never came to its end: lost, and charged its whole reservation.
    #[must_use]
    pub fn lost(self) -> Row {
        Row {
            organisation: Some(self.caller.organisation),
            team: Some(self.caller.team),
            user: self.caller.user,
            key: Some(self.caller.key),
            provider: Some(self.provider),
            dialect: self.dialect,
            endpoint: self.endpoint,
            model: self.model,
            priced_as: Some(self.priced_as),
            stream: self.stream,
            decision: Decision::Lost,
            findings: self.findings,
            redactions: self.redactions,
            cost: self.reserved,
            reserved: self.reserved,
            price_revision: self.price_revision,
            charges: self.charges,
            bytes_in: self.bytes_in,
            client: self.client,
            user_agent: self.user_agent,
            ..Row::new(self.request, self.at)
        }
    }
}

/// Something an operator did, or the gateway at an operator's word: a row of the audit like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorAction {
    /// Names the action.
    pub id: Uuid,
    pub at: Moment,
    pub organisation: Option<Name>,
    /// The team concerned, if one is.
    pub team: Option<Name>,
    /// Who did it: a login, or `signal` for a SIGHUP.
    pub who: Label,
    /// `key.created`, `budget.changed`, `config.reloaded`, `rules.swapped`.
    pub what: &'static str,
    /// What it was done to: a key's id, a budget's id, a file's name.
    pub subject: Label,
    /// What changed, as `field: before -> after`; never a secret.
    pub change: Label,
}
