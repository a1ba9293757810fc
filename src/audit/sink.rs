//! How a sink is doing: the same words for SQLite and ClickHouse.

use super::log::Position;

/// How a sink is doing: for readiness and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkStatus {
    /// Rows written since the start.
    pub rows: u64,
    /// How far the sink has come.
    pub position: Position,
    /// Attempts that failed since the start.
    pub failures: u64,
    /// Why the last attempt failed; `None` while all is well.
    pub failing: Option<String>,
    /// Places in the log that could not be read.
    pub damage: u64,
    /// Rows that the store will never take, put into the sink's own file instead.
    pub rejected: u64,
}
