//! The thread that follows the log into SQLite. Rows and cursor are committed together, so a crash neither loses nor
//! doubles a row; while SQLite does not take rows they wait in the log, and the status says why.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;

use super::{Month, cursor, insert, insertion, months, open, set_cursor};
use crate::audit::chain::Seal;
use crate::audit::log::{Batch, Follower, Item, Log, LogError, Position};
use crate::audit::record::Record;
use crate::domain::Moment;

/// Rows in one transaction.
const ROWS: usize = 500;
/// How long the sink sleeps at most when there is nothing to do.
const IDLE: Duration = Duration::from_millis(500);
/// How long it lets rows gather after a small batch: one transaction for many rows costs far less than one for each few.
const GATHER: Duration = Duration::from_millis(50);
/// How long it waits after a failure, doubled up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Files of months kept open; a row of an older month opens its file again.
const OPEN_FILES: usize = 3;

/// A running sink.
pub struct SqliteSink {
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteSink {
    /// Starts to follow the log into month files in `state`. Files of months that ended before `retention` go.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(log: &Log, state: &Path, retention: Duration) -> io::Result<Self> {
        let sink = Sink {
            state: state.to_owned(),
            follower: log.follow("sqlite"),
            files: HashMap::new(),
            position: Position::default(),
            retention,
            swept: None,
        };
        let thread = thread::Builder::new()
            .name("audit-sqlite".to_owned())
            .spawn(move || sink.run())?;
        Ok(Self {
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Waits until everything that the closed log holds is in SQLite, or an attempt that began after the log was closed has
    /// failed: the rows wait for the next start. Close the log first.
    pub fn join(&self) {
        if let Some(thread) = self.thread.lock().take() {
            // A panic ended the sink between two transactions: the next start goes on from its cursor.
            let _ended = thread.join();
        }
    }
}

/// Why a batch could not be written.
#[derive(Debug, thiserror::Error)]
enum SinkError {
    #[error("{}: {source}", path.display())]
    Sqlite {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("a row of the log does not read: {0}")]
    Row(&'static str),
    #[error("{} was removed or replaced while it was written", path.display())]
    Replaced { path: PathBuf },
}

/// A month's file that is open, and which file that is: rows written to one that somebody removed would go nowhere.
struct Open {
    db: Connection,
    identity: Option<(u64, u64)>,
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

struct Sink {
    state: PathBuf,
    follower: Follower,
    files: HashMap<Month, Open>,
    /// Where the next batch begins.
    position: Position,
    retention: Duration,
    swept: Option<Instant>,
}

impl Sink {
    fn run(mut self) {
        let mut wait = FIRST_WAIT;
        let mut found = false;
        loop {
            let last = self.follower.is_closed();
            let step = if found {
                self.step()
            } else {
                self.find_cursor().map(|()| Some(ROWS))
            };
            match step {
                Ok(Some(items)) => {
                    found = true;
                    wait = FIRST_WAIT;
                    self.follower.status().failing = None;
                    if items > 0 && items < ROWS / 2 && !self.follower.is_closed() {
                        thread::sleep(GATHER);
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "audit rows wait in the log: SQLite does not take them");
                    self.fail(&error);
                    // Whatever was open may be stale, broken or put away: read again from the last commit that stands.
                    self.files.clear();
                    found = false;
                    if last {
                        return;
                    }
                    self.follower.sleep(wait);
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    fn fail(&self, error: &SinkError) {
        let mut status = self.follower.status();
        status.failures += 1;
        status.failing = Some(error.to_string());
    }

    /// The newest of all files' cursors is where the last transaction ended.
    fn find_cursor(&mut self) -> Result<(), SinkError> {
        let path = self.state.clone();
        let list = months(&path).map_err(|source| SinkError::Io { path, source })?;
        let mut newest = Position::default();
        for month in list {
            let path = month.path(&self.state);
            let at = open(&path)
                .and_then(|db| cursor(&db))
                .map_err(|source| SinkError::Sqlite { path, source })?;
            newest = newest.max(at.unwrap_or_default());
        }
        if newest > self.follower.end() {
            // The log begins anew, or lost its end: what it holds now is read from the start; rows that are there
            // already are not written twice.
            tracing::warn!("SQLite is ahead of the audit log: it is read from its beginning");
            newest = Position::default();
        }
        self.position = newest;
        self.follower.seek(newest);
        Ok(())
    }

    /// Writes one batch; the number of its items, or `None` once the log is closed and all is written.
    fn step(&mut self) -> Result<Option<usize>, SinkError> {
        let Some(batch) = self.follower.next(ROWS, IDLE)? else {
            return Ok(None);
        };
        self.tell(&batch);
        if batch.end != self.position {
            self.write(&batch)?;
            self.position = batch.end;
            self.follower.drained(batch.end);
            self.follower.status().position = batch.end;
        }
        self.sweep();
        Ok(Some(batch.items.len()))
    }

    fn tell(&self, batch: &Batch) {
        for damage in &batch.damage {
            tracing::error!(path = %damage.path.display(), offset = damage.offset, bytes = damage.bytes,
                "a place in the audit log does not read; the rows around it are kept");
            self.follower.status().damage += 1;
        }
    }

    /// One transaction for each run of rows of one month; the cursor goes with the last.
    fn write(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let ready: Vec<(Month, Ready<'_>)> =
            batch.items.iter().map(ready).collect::<Result<_, _>>()?;
        let mut rest = &ready[..];
        // A batch of nothing that is kept still moves the cursor.
        let fallback = Month::of(Moment::now().micros().unsigned_abs());
        loop {
            let month = rest.first().map_or(fallback, |(month, _)| *month);
            let run = rest.iter().take_while(|(known, _)| *known == month).count();
            let (now, later) = rest.split_at(run);
            let end = later.is_empty().then_some(batch.end);
            self.write_run(month, now, end)?;
            if later.is_empty() {
                return Ok(());
            }
            rest = later;
        }
    }

    fn write_run(
        &mut self,
        month: Month,
        items: &[(Month, Ready<'_>)],
        end: Option<Position>,
    ) -> Result<(), SinkError> {
        let path = month.path(&self.state);
        let db = self.file(month, &path)?;
        let written =
            write_items(db, items, end).map_err(|source| SinkError::Sqlite { path, source })?;
        self.follower.status().rows += written;
        Ok(())
    }

    fn file(&mut self, month: Month, path: &Path) -> Result<&mut Connection, SinkError> {
        let failed = |source| SinkError::Sqlite {
            path: path.to_owned(),
            source,
        };
        match self.files.get(&month) {
            Some(open) if open.identity != identity(path) => {
                let path = path.to_owned();
                return Err(SinkError::Replaced { path });
            }
            Some(_) => {}
            None => {
                if self.files.len() >= OPEN_FILES {
                    self.files.clear();
                }
                let db = open(path).map_err(failed)?;
                let identity = identity(path);
                self.files.insert(month, Open { db, identity });
            }
        }
        // Just put there; the error is what SQLite says of a connection that is none.
        let found = self.files.get_mut(&month);
        found
            .map(|open| &mut open.db)
            .ok_or_else(|| failed(rusqlite::Error::InvalidQuery))
    }

    /// Once an hour, unlinks the files of months whose last row is older than the retention.
    fn sweep(&mut self) {
        const HOUR: Duration = Duration::from_hours(1);
        if self.swept.is_some_and(|at| at.elapsed() < HOUR) {
            return;
        }
        self.swept = Some(Instant::now());
        let now = Moment::now().micros().unsigned_abs();
        let kept = u64::try_from(self.retention.as_micros()).unwrap_or(u64::MAX);
        let oldest = Month::of(now.saturating_sub(kept));
        for month in months(&self.state).unwrap_or_default() {
            if month < oldest {
                self.files.remove(&month);
                let path = month.path(&self.state);
                for suffix in ["-wal", "-shm", ""] {
                    let mut name = path.clone().into_os_string();
                    name.push(suffix);
                    // The write-ahead log's files are seldom there.
                    let _removed = fs::remove_file(&name);
                }
                tracing::info!(path = %path.display(), "audit rows past their retention removed");
            }
        }
    }
}

/// An item that has been read.
#[expect(
    clippy::large_enum_variant,
    reason = "rows are the rule, and a box for each would cost more than the room"
)]
enum Ready<'a> {
    Row(Record<'a>),
    Seal(&'a Seal),
}

/// Reads an item, once, and says into which month it goes.
fn ready(item: &Item) -> Result<(Month, Ready<'_>), SinkError> {
    match item {
        Item::Row(row) => {
            let record = Record::read(row).map_err(|malformed| SinkError::Row(malformed.0))?;
            Ok((Month::of(record.entry.at), Ready::Row(record)))
        }
        Item::Seal(seal) => {
            let month = Month::of(seal.at.micros().unsigned_abs());
            Ok((month, Ready::Seal(seal)))
        }
    }
}

/// One transaction; how many rows were in it.
fn write_items(
    db: &mut Connection,
    items: &[(Month, Ready<'_>)],
    end: Option<Position>,
) -> rusqlite::Result<u64> {
    let mut written = 0;
    let transaction = db.transaction()?;
    {
        let mut rows = transaction.prepare_cached(&insertion())?;
        let mut seals = transaction
            .prepare_cached("INSERT INTO seals VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")?;
        for (_, item) in items {
            match item {
                Ready::Row(record) => {
                    insert(&mut rows, record)?;
                    written += 1;
                }
                Ready::Seal(seal) => {
                    seals.execute((
                        seal.boot.as_bytes(),
                        seal.seq.cast_signed(),
                        seal.hash,
                        seal.at.micros(),
                        seal.signature,
                    ))?;
                }
            }
        }
    }
    if let Some(end) = end {
        set_cursor(&transaction, end)?;
    }
    transaction.commit()?;
    Ok(written)
}
