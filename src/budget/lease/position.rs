//! What a node and the store tell each other of the cap, and where the fleet stands.

use super::message::{Answer, Ask, Changes, Micros};
use crate::budget::terms::Amendment;
use crate::domain::Usd;

/// What the cap is made of, as this node tells the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub limit: Micros,
    pub version: u64,
    pub changes: Changes,
}

/// The fleet's position as the store last told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetPosition {
    pub used: Usd,
    pub cap: Usd,
    pub spent: Usd,
    /// What this lease had reported as spent in that.
    pub reported: Usd,
    limit: Usd,
    changes: Changes,
    /// What this node had told of its own in that.
    told: Bounds,
}

impl FleetPosition {
    /// What the store answered to this.
    pub(super) fn told(ask: &Ask, answer: &Answer) -> Self {
        Self {
            used: answer.used.usd(),
            cap: answer.cap.usd(),
            spent: answer.spent.usd(),
            reported: ask.spent.usd(),
            limit: answer.limit.usd(),
            changes: answer.changes,
            told: Bounds {
                limit: ask.limit,
                version: ask.limit_version,
                changes: ask.changes,
            },
        }
    }

    /// The limit that holds; `own` is newer where the store has not heard of it yet.
    pub fn limit(&self, own: Usd, version: u64) -> Usd {
        if version > self.told.version {
            own
        } else {
            self.limit
        }
    }

    /// What operators changed at all nodes, with what this one has not told yet.
    pub fn amendment(&self, own: Amendment) -> Amendment {
        let (all, told) = (self.changes, self.told.changes);
        let with = |all: Micros, own: Usd, told: Micros| {
            all.usd().saturating_add(own.left_after(told.usd()))
        };
        Amendment {
            granted: with(all.granted, own.granted, told.granted),
            charged: with(all.charged, own.charged, told.charged),
            credited: with(all.credited, own.credited, told.credited),
        }
    }
}
