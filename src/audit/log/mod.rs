//! The segment log: the one durable path of rows, reservations and spend.
//!
//! `begin` and `end` write straight to the current segment with one `write(2)` (p50 below a microsecond, not held up by
//! a running `fdatasync`), so that whatever a process had said when it was killed is in the page cache. A thread of its
//! own makes it durable against loss of power.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot;

use super::row::{Begin, OperatorAction, Row};
use crate::budget::Balances;
use crate::domain::Moment;

/// What `end` promises when its [`Committed`] is done.
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
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Batched,
            on_full: OnFull::Refuse,
            sync_every: Duration::from_millis(100),
            segment_bytes: 64 << 20,
            spool_bytes: 10 << 30,
        }
    }
}

/// Why the log could not be opened, or does not take a record.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} is in use by another process")]
    Locked { path: PathBuf },
    #[error("the audit log is full")]
    Full,
    #[error("the audit log does not take records")]
    Unavailable,
}

/// What opening the log found.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Spend by budget and period, lost requests included.
    pub balances: Balances,
    /// Bytes cut off the end of the last segment: a record that was being written.
    pub truncated_bytes: u64,
    /// Requests that were in flight when the process died; each has its row now, charged in full.
    pub lost: u64,
}

/// How the log is doing: for readiness and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Why the gateway should not be sent requests; `None` while all is well.
    pub unready: Option<&'static str>,
    /// Bytes of all segments that still stand.
    pub spooled_bytes: u64,
    pub spool_bound: u64,
    /// Rows not written under [`OnFull::Shed`] since the start.
    pub shed: u64,
}

/// A record's durability, to be awaited: at once under [`Durability::Batched`], after its `fdatasync` under
/// [`Durability::Strict`].
#[derive(Debug)]
#[must_use = "under strict durability nothing may leave before this is done"]
pub struct Committed(Option<oneshot::Receiver<()>>);

impl Committed {
    /// # Errors
    /// When the record could not be made durable.
    pub async fn wait(self) -> Result<(), LogError> {
        match self.0 {
            None => Ok(()),
            Some(synced) => synced.await.map_err(|_| LogError::Unavailable),
        }
    }
}

/// The way into the log; clones share it.
#[derive(Clone)]
pub struct Log {}

impl Log {
    /// Opens the log in `state`, alone; recovers what an earlier process left.
    ///
    /// # Errors
    /// When the directory cannot be used, is in use, or holds segments that cannot be read.
    pub fn open(
        state: &Path,
        _options: LogOptions,
        _now: Moment,
    ) -> Result<(Self, Recovered), LogError> {
        std::fs::create_dir_all(state).map_err(|source| LogError::Io {
            path: state.to_owned(),
            source,
        })?;
        Ok((Self {}, Recovered::default()))
    }

    /// Records that a request is about to be forwarded. Nothing may leave before the [`Committed`] is done.
    ///
    /// # Errors
    /// When the record cannot be written: the request must be refused.
    pub fn begin(&self, _begin: Begin) -> Result<Committed, LogError> {
        Err(LogError::Unavailable)
    }

    /// Records a request's row: its only one.
    ///
    /// # Errors
    /// When the row can be neither written nor kept for a later attempt.
    pub fn end(&self, _row: Row) -> Result<Committed, LogError> {
        Err(LogError::Unavailable)
    }

    /// Records what an operator did.
    ///
    /// # Errors
    /// When the row can be neither written nor kept for a later attempt.
    pub fn operator(&self, _action: OperatorAction) -> Result<Committed, LogError> {
        Err(LogError::Unavailable)
    }

    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            unready: Some("the audit log does not take records"),
            ..Status::default()
        }
    }
}
