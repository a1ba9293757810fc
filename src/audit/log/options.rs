//! What an operator may set.

use std::time::Duration;

use crate::audit::witness::SealTo;

/// What `end` promises when its [`Committed`](super::Committed) is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Written: survives the death of the process. Power loss may take the last `sync_every`.
    #[default]
    Batched,
    /// On the disk: survives loss of power.
    Strict,
}

/// What happens when no more can be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// No audit, no egress.
    #[default]
    Refuse,
    /// Requests pass, their rows are counted and a row says how many are missing.
    Shed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    pub durability: Durability,
    pub on_full: OnFull,
    /// The longest that written records wait to be made durable under [`Durability::Batched`].
    pub sync_every: Duration,
    /// A segment is closed once it is this large.
    pub segment_bytes: u64,
    /// The most that all segments together may hold before `on_full` speaks.
    pub spool_bytes: u64,
    /// How long a segment stays after every sink has drained it: a store that answered may still lose what it had not
    /// synced, and the newest segments are what `audit verify` compares the sinks with.
    pub keep: Duration,
    /// How often the chain is sealed while there are new rows.
    pub seal_every: Duration,
    /// Who else is told of every seal.
    pub seal_to: Vec<SealTo>,
    /// Free space on the disk below which no request is let in any more, so that those in flight still get their rows.
    /// Readiness ends at four times as much.
    pub reserve: u64,
    /// How far past the bound the rows of requests that were let in before may go.
    pub headroom: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Batched,
            on_full: OnFull::Refuse,
            sync_every: Duration::from_millis(100),
            segment_bytes: 64 << 20,
            spool_bytes: 10 << 30,
            keep: Duration::from_hours(1),
            seal_every: Duration::from_mins(2),
            seal_to: Vec::new(),
            reserve: 64 << 20,
            headroom: 64 << 20,
        }
    }
}
