//! What an operator says about one budget.

use std::fmt;
use std::sync::Arc;

use super::window::{Window, Zone};
use crate::document::Value;
use crate::domain::{Caller, KeyId, Name, Usd};

/// A budget's stable natural key, such as `team/payments/month`: what the journal, the audit and Redis call it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BudgetId(Arc<str>);

impl BudgetId {
    /// The longest text that [`BudgetId::parse`] takes, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// The id of the budget of `scope` over `window`.
    #[must_use]
    pub fn of(scope: &Scope, window: Window) -> Self {
        Self(Arc::from(format!("{scope}/{}", window.as_str())))
    }

    /// The id of this text, from where it has been checked already.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// Reads an id back, from a journal or a command line: printable ASCII without spaces, 1 to 256 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_BYTES).contains(&text.len());
        (fits && text.bytes().all(|b| b.is_ascii_graphic())).then(|| Self(Arc::from(text)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same id in memory of its own: clones of it do not touch the original's reference count.
    pub(super) fn detached(&self) -> Self {
        Self(Arc::from(self.as_str()))
    }
}

impl fmt::Display for BudgetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A session as the ledger knows it: a keyed digest of what the client called it, never the client's own text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 16]);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Whose spending a budget bounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    Organisation(Name),
    Team(Name),
    User { team: Name, user: Name },
    Key(KeyId),
    Session { key: KeyId, session: SessionId },
}

impl Scope {
    /// The kind of scope: a closed set, fit for a metric label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Organisation(_) => "organisation",
            Self::Team(_) => "team",
            Self::User { .. } => "user",
            Self::Key(_) => "key",
            Self::Session { .. } => "session",
        }
    }

    /// Whether a budget of this scope bounds what this caller spends. A session's account is found by its name.
    #[must_use]
    pub fn covers(&self, caller: &Caller) -> bool {
        match self {
            Self::Organisation(name) => *name == caller.organisation,
            Self::Team(name) => *name == caller.team,
            Self::User { team, user } => *team == caller.team && caller.user.as_ref() == Some(user),
            Self::Key(key) => *key == caller.key,
            Self::Session { .. } => false,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Organisation(name) | Self::Team(name) => write!(f, "{kind}/{name}"),
            Self::User { team, user } => write!(f, "{kind}/{team}/{user}"),
            Self::Key(key) => write!(f, "{kind}/{key}"),
            Self::Session { key, session } => write!(f, "{kind}/{key}/{session}"),
        }
    }
}

/// What happens where a request would pass the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtCap {
    /// It is refused: a hard cap.
    #[default]
    Block,
    /// It is admitted and counted; thresholds still report.
    Alert,
}

/// How far a fleet may go past a cap while its store is away, in all; each node has an equal share of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// Whole percent of the limit.
    Percent(u8),
    Amount(Usd),
}

impl Grace {
    /// The grace of a budget of this limit, for the whole fleet.
    #[must_use]
    pub fn of(self, limit: Usd) -> Usd {
        match self {
            Self::Percent(percent) => limit.percent(u64::from(percent)),
            Self::Amount(amount) => amount,
        }
    }

    /// Reads a share such as `2%`, up to 100 %, or dollars such as `10.00`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(percent) => percent
                .parse()
                .ok()
                .filter(|percent| *percent <= 100)
                .map(Self::Percent),
            None => Usd::parse(text).ok().map(Self::Amount),
        }
    }
}

/// As [`Grace::parse`] reads it.
impl fmt::Display for Grace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Amount(amount) => write!(f, "{amount}"),
        }
    }
}

/// What a node does once its lease is used up and the store does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStoreLoss {
    /// It refuses.
    Deny,
    /// It spends its share of the grace, then refuses.
    Grace(Grace),
    /// It admits everything, and counts it: the cap does not hold meanwhile.
    Allow,
}

impl OnStoreLoss {
    /// Reads `deny`, `allow`, or a grace.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "deny" => Some(Self::Deny),
            "allow" => Some(Self::Allow),
            grace => Grace::parse(grace).map(Self::Grace),
        }
    }
}

/// Reads `"deny"`, `"allow"`, `{ grace = "2%" }` or `{ grace = "10.00" }` from a configuration.
pub fn read_on_store_loss(value: &Value<'_>) -> Option<OnStoreLoss> {
    if value.is_text() {
        return value.choice(&[("deny", OnStoreLoss::Deny), ("allow", OnStoreLoss::Allow)]);
    }
    let grace = |text: &str| {
        Grace::parse(text).ok_or_else(|| {
            format!("\"{text}\" is neither a share such as \"2%\", up to 100%, nor dollars such as \"10.00\"")
        })
    };
    value.table(|t| {
        t.need("grace")
            .and_then(|v| v.parsed(grace))
            .map(OnStoreLoss::Grace)
    })?
}

/// As [`OnStoreLoss::parse`] reads it.
impl fmt::Display for OnStoreLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deny => f.write_str("deny"),
            Self::Allow => f.write_str("allow"),
            Self::Grace(grace) => write!(f, "{grace}"),
        }
    }
}

impl Default for OnStoreLoss {
    fn default() -> Self {
        Self::Grace(Grace::Percent(2))
    }
}

/// One budget as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetSpec {
    pub id: BudgetId,
    pub scope: Scope,
    pub window: Window,
    /// Whose midnight begins a day, week or month; [`Window::Total`] ignores it.
    pub zone: Zone,
    pub limit: Usd,
    pub at_cap: AtCap,
    /// Percent of the limit at which spending is reported, once per window.
    pub alert_at: Vec<u8>,
    pub on_store_loss: OnStoreLoss,
    /// Near the cap, lower a request's output bound so that its answer still fits. The gateway does it; the ledger only keeps the word.
    pub clamp: bool,
    /// End a stream where its reservation is used up. The gateway does it; the ledger only keeps the word.
    pub cut: bool,
    /// Grows with every change of the limit in the directory (a version, or micros of the change), so that a fleet follows the newest.
    pub revision: u64,
}

impl BudgetSpec {
    /// The thresholds where nothing else is said.
    pub const ALERT_AT: [u8; 3] = [50, 80, 100];

    /// A hard cap with the documented defaults.
    #[must_use]
    pub fn new(scope: Scope, window: Window, zone: Zone, limit: Usd) -> Self {
        Self {
            id: BudgetId::of(&scope, window),
            scope,
            window,
            zone,
            limit,
            at_cap: AtCap::Block,
            alert_at: Self::ALERT_AT.to_vec(),
            on_store_loss: OnStoreLoss::default(),
            clamp: false,
            cut: false,
            revision: 0,
        }
    }
}
