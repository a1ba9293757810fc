//! The segment log: the one durable path of rows, reservations and spend.
//!
//! `begin` and `end` write straight to the current segment with one `write(2)` (a microsecond, and not held up by a
//! running `fdatasync`: benches/audit.rs measures both), so whatever a process had said when it was killed is in the
//! page cache. A thread of its own, the keeper, makes it durable against loss of power, and does all that is slow.

mod fold;
mod frame;
mod keeper;
#[cfg(test)]
mod kill;
mod options;
mod reader;
mod recover;
mod salvage;
mod segment;
mod shared;
#[cfg(test)]
mod space_tests;
mod standing;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::chain::Signer;
use super::convert;
use super::entry::Entry;
use super::inbox;
use super::row::{Begin, OperatorAction, Row};
use super::sink::SinkStatus;
use super::witness::Witness;
use crate::budget::Balances;
use crate::domain::Moment;

pub use fold::Link;
pub use options::{Durability, LogOptions, OnFull};
pub use reader::{Batch, Follower, Item, Position, Reader, StoredRow};
pub use recover::Damage;
use segment::{Lock, Segments, at};
pub use standing::{Standing, standing};
use tail::{Pending, Tail};

/// How long a request waits for the segment's end. Others hold it for microseconds: only a disk that hangs takes longer.
const PATIENCE: Duration = Duration::from_millis(200);
/// The same once somebody has waited that long in vain.
const IMPATIENCE: Duration = Duration::from_millis(2);
/// Rows kept in memory while they cannot be written.
const QUEUE: usize = 1 << 16;

/// Why the log could not be opened, or does not take a record.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is in use by another process", path.display())]
    Locked { path: PathBuf },
    #[error("{} at byte {offset}: {reason}", path.display())]
    Corrupt {
        path: PathBuf,
        offset: u64,
        reason: &'static str,
    },
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
    /// Places in older records that could not be read.
    pub damage: Vec<Damage>,
    /// Records whose sequence is missing.
    pub missing: u64,
    /// Rows that the log lost and SQLite had: they count as if they stood in the log.
    pub salvaged: u64,
}

/// How the log is doing: for readiness and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Why the gateway should not be sent requests; `None` while all is well.
    pub unready: Option<&'static str>,
    /// Bytes of all segments that still stand.
    pub spooled_bytes: u64,
    pub spool_bound: u64,
    /// Rows waiting in memory because they could not be written.
    pub queued: u64,
    /// Rows that could not be kept at all since the start.
    pub shed: u64,
    /// Rows written since the start.
    pub rows: u64,
    /// Requests in flight.
    pub open: u64,
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

/// What the log's handles, its keeper and its readers share.
struct Shared {
    segments: Segments,
    options: LogOptions,
    boot: Uuid,
    signer: Signer,
    tail: Mutex<Tail>,
    queue: Mutex<VecDeque<Pending>>,
    /// Length of `queue`, to be read without its lock.
    queued: AtomicU64,
    shed: AtomicU64,
    /// Of `shed`, those that a row tells of already.
    shed_told: AtomicU64,
    /// Bytes of the segments before the current one.
    older_bytes: AtomicU64,
    synced: reader::Synced,
    followers: reader::Followers,
    /// The file system is almost full: nothing is let in.
    low_space: AtomicBool,
    /// The file system will be almost full soon.
    scarce_space: AtomicBool,
    witnesses: Vec<Witness>,
    /// Somebody has waited for the segment's end in vain.
    stalled: AtomicBool,
    /// No more requests are let in.
    closing: AtomicBool,
    /// Nothing is taken any more.
    closed: AtomicBool,
    /// Whom to wake under strict durability.
    keeper: Mutex<Option<Thread>>,
    /// Given back once the keeper has ended.
    lock: Mutex<Option<Lock>>,
}

/// Stops the keeper when the last handle is gone.
struct Owner {
    shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

/// The way into the log; clones share it.
#[derive(Clone)]
pub struct Log(Arc<Owner>);

impl Log {
    /// Opens the log in `state`, alone; recovers what an earlier process left.
    ///
    /// # Errors
    /// When the directory cannot be used, is in use, or holds segments that cannot be read.
    pub fn open(
        state: &Path,
        options: LogOptions,
        now: Moment,
    ) -> Result<(Self, Recovered), LogError> {
        let segments = Segments::of(state);
        let lock = segments.lock()?;
        // Now, and not by the first command, which may run as another user.
        inbox::make(state).map_err(at(&segments.dir().join("inbox")))?;
        let signer = Signer::open(state).map_err(at(&state.join("audit.key")))?;
        let mut before = recover::recover(&segments, now)?;
        match salvage::salvage(state, &mut before) {
            Ok(count) => before.salvaged = count,
            Err(error) => tracing::error!(%error,
                "rows that the audit log may have lost could not be looked for in SQLite"),
        }
        let boot = Uuid::now_v7();
        let (tail, recovered) = start(&segments, before, boot, now)?;
        let witnesses: std::io::Result<Vec<Witness>> =
            options.seal_to.iter().map(Witness::start).collect();
        let witnesses = witnesses.map_err(at(state))?;
        let shared = Arc::new(Shared {
            older_bytes: AtomicU64::new(keeper::older_bytes(&segments, tail.segment)?),
            synced: reader::Synced::new(Position {
                segment: tail.segment,
                offset: tail.offset,
            }),
            segments,
            options,
            boot,
            signer,
            tail: Mutex::new(tail),
            queue: Mutex::default(),
            queued: AtomicU64::new(0),
            shed: AtomicU64::new(0),
            shed_told: AtomicU64::new(0),
            followers: reader::Followers::default(),
            low_space: AtomicBool::new(false),
            scarce_space: AtomicBool::new(false),
            witnesses,
            stalled: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            keeper: Mutex::default(),
            lock: Mutex::new(Some(lock)),
        });
        let keeper = keeper::spawn(Arc::clone(&shared)).map_err(at(state))?;
        *shared.keeper.lock() = Some(keeper.thread().clone());
        let owner = Owner {
            shared,
            keeper: Mutex::new(Some(keeper)),
        };
        Ok((Self(Arc::new(owner)), recovered))
    }

    /// Records that a request is about to be forwarded. Nothing may leave before the [`Committed`] is done.
    ///
    /// # Errors
    /// When the record cannot be written: the request must be refused.
    pub fn begin(&self, begin: Begin) -> Result<Committed, LogError> {
        let shared = &self.0.shared;
        let row = begin.lost();
        if shared.is_full() {
            return match shared.options.on_full {
                OnFull::Refuse => Err(LogError::Full),
                OnFull::Shed => Ok(Committed(None)),
            };
        }
        let mut entry = Vec::with_capacity(512);
        Entry::from(&row).encode(&mut entry);
        let (committed, waiter) = shared.promise();
        let written = shared.put_begin(row.request, entry, waiter);
        match (written, shared.options.on_full) {
            (true, _) => {
                shared.wake();
                Ok(committed)
            }
            (false, OnFull::Shed) => Ok(Committed(None)),
            (false, OnFull::Refuse) => Err(LogError::Unavailable),
        }
    }

    /// Records a request's row: its only one.
    ///
    /// # Errors
    /// When the row can be neither written nor kept for a later attempt.
    pub fn end(&self, row: Row) -> Result<Committed, LogError> {
        let mut entry = Vec::with_capacity(512);
        Entry::from(&row).encode(&mut entry);
        self.0.shared.put(row.request, entry, row.charges, row.cost)
    }

    /// Records what an operator did.
    ///
    /// # Errors
    /// When the row can be neither written nor kept for a later attempt.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a record is handed over, like the other two"
    )]
    pub fn operator(&self, action: OperatorAction) -> Result<Committed, LogError> {
        let mut entry = Vec::with_capacity(256);
        Entry::from(&action).encode(&mut entry);
        self.0
            .shared
            .put(action.id, entry, Vec::new(), crate::domain::Usd::ZERO)
    }

    #[must_use]
    pub fn status(&self) -> Status {
        self.0.shared.status()
    }

    /// How each sink and each witness of seals is doing, by its name.
    #[must_use]
    pub fn sinks(&self) -> Vec<(&'static str, SinkStatus)> {
        let shared = &self.0.shared;
        let witnesses = shared.witnesses.iter().map(Witness::status);
        shared
            .followers
            .status()
            .into_iter()
            .chain(witnesses)
            .collect()
    }

    /// A reader for a sink: it sees what is durable, and no segment is removed before it has drained it.
    #[must_use]
    pub fn follow(&self, name: &'static str) -> Follower {
        let shared = &self.0.shared;
        Follower::new(
            name,
            shared.segments.clone(),
            shared.synced.clone(),
            &shared.followers,
        )
    }

    /// Gives what is still in flight its row as lost, seals the chain, makes everything durable and gives the directory
    /// back. Records handed in later are refused. Whoever could still end a request must be gone: it would have two rows.
    pub fn close(&self) {
        self.0.shared.stop();
        if let Some(keeper) = self.0.keeper.lock().take() {
            // A keeper that panicked has left its word in the log already: everything synced is there.
            let _ended = keeper.join();
        }
    }
}

/// Opens this boot's first segment: its head, its first row, and a row for each request that was lost.
fn start(
    segments: &Segments,
    before: recover::Before,
    boot: Uuid,
    now: Moment,
) -> Result<(Tail, Recovered), LogError> {
    let mut recovered = Recovered {
        balances: Balances::default(),
        truncated_bytes: before.truncated_bytes,
        lost: before.fold.open.len() as u64,
        damage: before.damage,
        missing: before.missing,
        salvaged: before.salvaged,
    };
    let first = first_row(boot, now, before.fold.link.as_ref(), &recovered);
    let mut tail = Tail::create(
        segments,
        before.segment,
        before.seq,
        before.fold,
        Link::start(boot),
    )?;
    let path = segments.path(tail.segment);
    tail.row(first).map_err(|(_, error)| at(&path)(error))?;
    tail.lose().map_err(at(&path))?;
    tail.handle().sync_all().map_err(at(&path))?;
    recovered.balances = tail.balances().clone();
    Ok((tail, recovered))
}

/// Names the boot before this one and where its chain ended, so that a missing boot shows; and what recovery found.
fn first_row(boot: Uuid, now: Moment, before: Option<&Link>, found: &Recovered) -> Pending {
    let mut entry = Vec::new();
    let change = match before {
        None => String::new(),
        Some(link) => format!(
            "seq={} hash={} truncated={} damaged={} missing={} salvaged={} lost={}",
            link.next,
            super::chain::hex(&link.hash),
            found.truncated_bytes,
            found.damage.len(),
            found.missing,
            found.salvaged,
            found.lost,
        ),
    };
    Entry {
        kind: convert::START.into(),
        request: boot,
        at: now.micros().unsigned_abs(),
        actor: "tollgate".into(),
        action: "log.opened".into(),
        subject: before
            .map(|link| link.boot.to_string())
            .unwrap_or_default()
            .into(),
        change: change.into(),
        ..Entry::default()
    }
    .encode(&mut entry);
    Pending {
        request: boot,
        entry,
        charges: Vec::new(),
        cost: crate::domain::Usd::ZERO,
        waiter: None,
    }
}
