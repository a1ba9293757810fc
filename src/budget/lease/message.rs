//! What a node and the store say to each other about one budget in one period. Everything is cumulative per lease, so a
//! message that is lost, late, doubled or out of order does no harm.

use std::fmt;
use std::sync::Arc;

use crate::budget::spec::BudgetId;
use crate::budget::terms::Amendment;
use crate::budget::window::Span;
use crate::domain::Usd;

/// Whole micro-dollars: the store counts in doubles, which are exact only below 2^53 of anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(u64);

impl Micros {
    pub const ZERO: Self = Self(0);
    /// The largest number that the store can count to: about nine thousand million dollars.
    pub const MAX: Self = Self((1 << 53) - 1);
    pub(super) const NANOS: u64 = 1000;

    /// `None` above [`Micros::MAX`].
    #[must_use]
    pub fn new(micros: u64) -> Option<Self> {
        (micros <= Self::MAX.0).then_some(Self(micros))
    }

    /// Rounded down, and held at the most: for what may be spent.
    #[must_use]
    pub fn floor(usd: Usd) -> Self {
        Self((usd.nanos() / Self::NANOS).min(Self::MAX.0))
    }

    /// Rounded up, and held at the most: for what is spent.
    #[must_use]
    pub fn ceil(usd: Usd) -> Self {
        Self(usd.nanos().div_ceil(Self::NANOS).min(Self::MAX.0))
    }

    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    #[must_use]
    pub fn usd(self) -> Usd {
        Usd::from_nanos(self.0.saturating_mul(Self::NANOS))
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0).min(Self::MAX.0))
    }

    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What operators granted and corrected in a period, as the store counts it. Totals: they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub granted: Micros,
    pub charged: Micros,
    pub credited: Micros,
}

impl From<Amendment> for Changes {
    fn from(amendment: Amendment) -> Self {
        Self {
            granted: Micros::floor(amendment.granted),
            charged: Micros::ceil(amendment.charged),
            credited: Micros::floor(amendment.credited),
        }
    }
}

/// One life of one node: `node` stays through restarts, `boot` is new with every start and never comes again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Boot {
    pub node: Arc<str>,
    pub boot: Arc<str>,
}

impl Boot {
    /// `None` unless both are 1 to 64 letters, digits, `-`, `_` or `.`.
    #[must_use]
    pub fn new(node: &str, boot: &str) -> Option<Self> {
        let plain = |text: &str| {
            (1..=64).contains(&text.len())
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        (plain(node) && plain(boot)).then(|| Self {
            node: Arc::from(node),
            boot: Arc::from(boot),
        })
    }
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Report, return, ask for more.
    Beat,
    /// The last word of a lease: what it has not spent goes back.
    Close,
}

/// A message to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub budget: BudgetId,
    pub span: Span,
    pub boot: Boot,
    /// Counts the leases of this boot on this budget and period; above nothing only where somebody closed one too early.
    pub generation: u32,
    /// Grows from ask to ask over all leases of this boot; a repeated ask keeps its own.
    pub seq: u64,
    pub purpose: Purpose,
    pub granted: Micros,
    pub spent: Micros,
    pub returned: Micros,
    /// Spent by this node in this period over all its boots, as far as its journal knows; heals a store that forgot.
    pub node_total: Micros,
    pub want: Micros,
    /// The smallest grant that would help.
    pub least: Micros,
    /// Without what operators granted and corrected.
    pub limit: Micros,
    /// The newest version of the limit wins.
    pub limit_version: u64,
    /// What operators changed at this node; the store adds up what it hears of all nodes.
    pub changes: Changes,
    /// One grant is at most this part of what is free: one over this number.
    pub share: u32,
    /// Percent of the cap at which one node, and one only, is told.
    pub alert_at: Vec<u8>,
}

impl Ask {
    /// The name of the lease in the store.
    #[must_use]
    pub fn lease(&self) -> String {
        let Self {
            boot, generation, ..
        } = self;
        format!("{}:{}:{generation}", boot.node, boot.boot)
    }
}

/// What the store says of an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done as asked, or as far as there was money.
    Ok,
    /// An ask that it had seen: nothing granted anew.
    Duplicate,
    /// The store lost something lately and waits for all nodes to report before it grants.
    Warming,
    /// Nothing is left to grant.
    Exhausted,
    /// The lease is closed and can never spend again.
    Closed,
}

/// The store's answer. Amounts are totals, as it knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: Status,
    pub granted: Micros,
    pub returned: Micros,
    /// Spent and lent out over all leases.
    pub used: Micros,
    /// What may be spent in all: the limit with all changes.
    pub cap: Micros,
    pub spent: Micros,
    /// Whether some node lately asked for more than it got.
    pub short: bool,
    /// What this node has spent beyond what it was lent, over all its lives: so much of its grace is gone.
    pub overdrawn: Micros,
    pub limit: Micros,
    /// Of all nodes.
    pub changes: Changes,
    /// The thresholds that this lease was chosen to report.
    pub alerts: Vec<u8>,
}

/// What came back for an ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Answer(Answer),
    /// The key holds something that is not ours, or of another version: nothing was changed.
    Foreign,
}

impl Ask {
    /// The last word of a former boot of this node: it spent this much, and the rest of its lease goes back. To be said only
    /// once that boot is surely dead and `spent` covers everything that it ever admitted.
    #[must_use]
    pub fn last_word(boot: Boot, budget: BudgetId, span: Span, spent: Usd, limit: Usd) -> Self {
        Self {
            budget,
            span,
            boot,
            generation: 0,
            seq: 0,
            purpose: Purpose::Close,
            granted: Micros::ZERO,
            spent: Micros::ceil(spent),
            returned: Micros::ZERO,
            node_total: Micros::ZERO,
            want: Micros::ZERO,
            least: Micros::ZERO,
            limit: Micros::floor(limit),
            limit_version: 0,
            changes: Changes::default(),
            share: 2,
            alert_at: Vec::new(),
        }
    }
}
