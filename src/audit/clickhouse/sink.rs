//! The thread that follows the log into ClickHouse.
//!
//! A range of the log is sealed (its borders are written to a file) before it is first sent, and sent again, row for
//! row the same, until the server has said yes. Each part carries a deduplication token that names its rows, so an
//! answer that was lost on its way doubles nothing. Rows never change, so a token never stands for other data; and no row
//! is sent under a second token once the server may have taken it under a first (see `cursor`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clickhouse::Client;
use clickhouse::error::Error;
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use super::cursor::{Cursor, Piece};
use super::{Failure, Server, rows, version};
use crate::audit::chain::Seal;
use crate::audit::export;
use crate::audit::log::{Batch, Follower, Item, Log, LogError, Position, StoredRow};
use crate::audit::record::Record;
use crate::audit::sqlite::Month;

/// Rows of one range: far below the block size, so a part is taken whole or not at all.
const ROWS: usize = 20_000;
const IDLE: Duration = Duration::from_millis(500);

/// How fast a sink goes, and how long it waits after failures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// One insert in this time at most, unless a range is full: many small parts make a server slow.
    pub between: Duration,
    /// After the first failure, then doubled.
    pub first_wait: Duration,
    pub longest_wait: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            between: Duration::from_secs(1),
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(30),
        }
    }
}

/// A running sink.
pub struct ClickHouseSink {
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl ClickHouseSink {
    /// Starts to follow the log into `server`; `state` keeps how far it has come.
    ///
    /// # Errors
    /// When the cursor cannot be read or no thread can be started.
    pub fn start(log: &Log, state: &Path, server: Server) -> io::Result<Self> {
        Self::start_paced(log, state, server, Pace::default())
    }

    pub(super) fn start_paced(
        log: &Log,
        state: &Path,
        server: Server,
        pace: Pace,
    ) -> io::Result<Self> {
        let mut follower = log.follow("clickhouse");
        let file = state.join("clickhouse.cursor");
        let mut cursor = Cursor::read(&file)?;
        if cursor.drained > follower.end() {
            tracing::warn!("ClickHouse is ahead of the audit log: it is read from its beginning");
            cursor = Cursor::default();
        }
        follower.seek(cursor.drained);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let sink = Sink {
            client: server.client(),
            server,
            follower,
            cursor,
            file,
            rejected: state.join("clickhouse-rejected.ndjson"),
            runtime,
            pace,
            trusted: false,
        };
        let thread = thread::Builder::new()
            .name("audit-clickhouse".to_owned())
            .spawn(move || sink.run())?;
        Ok(Self {
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Waits until everything that the closed log holds is in ClickHouse, or the next attempt after the log was closed
    /// has failed: a server that is away does not hold up the end of the process, its rows wait for the next start.
    pub fn join(&self) {
        if let Some(thread) = self.thread.lock().take() {
            // A panic ended the sink between two ranges: the next start sends the sealed one again.
            let _ended = thread.join();
        }
    }
}

/// Why a range is not in ClickHouse yet.
#[derive(Debug, thiserror::Error)]
enum SinkError {
    #[error("ClickHouse: {0}")]
    Server(#[from] Error),
    #[error("ClickHouse takes no row of a range, so its table is not what it was: {0}")]
    Table(Error),
    #[error("ClickHouse {0} is too old to drop rows that come twice; {oldest} is the oldest that does", oldest = version::OLDEST)]
    TooOld(version::Version),
    #[error(
        "ClickHouse's table {0} would take rows twice: it has no non_replicated_deduplication_window any more"
    )]
    Doubles(String),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("a row of the log does not read: {0}")]
    Row(&'static str),
}

struct Sink {
    client: Client,
    server: Server,
    follower: Follower,
    cursor: Cursor,
    file: PathBuf,
    rejected: PathBuf,
    runtime: Runtime,
    pace: Pace,
    /// The server was asked whether it drops what comes twice, since the last failure.
    trusted: bool,
}

impl Sink {
    fn run(mut self) {
        let mut wait = self.pace.first_wait;
        loop {
            let started = Instant::now();
            match self.step() {
                Ok(Some(rows)) => {
                    wait = self.pace.first_wait;
                    self.follower.status().failing = None;
                    if rows < ROWS / 2 {
                        let left = self.pace.between.saturating_sub(started.elapsed());
                        self.follower.sleep(left);
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "audit rows wait in the log: ClickHouse does not take them");
                    self.fail(&error);
                    self.trusted = false;
                    self.follower.seek(self.cursor.drained);
                    if self.follower.is_closed() {
                        return;
                    }
                    let wished = match &error {
                        SinkError::Server(error) if Failure::of(error) == Failure::Again => wait,
                        _ => self.pace.longest_wait,
                    };
                    // Spread, so that a fleet does not come back all at once.
                    self.follower
                        .sleep(wished.mul_f64(0.5 + rand::random::<f64>() / 2.0));
                    wait = (wait * 2).min(self.pace.longest_wait);
                }
            }
        }
    }

    fn fail(&self, error: &SinkError) {
        let mut status = self.follower.status();
        status.failures += 1;
        status.failing = Some(error.to_string());
    }

    /// Seals and sends one range; the number of its rows, or `None` once the log is closed and all is sent.
    fn step(&mut self) -> Result<Option<usize>, SinkError> {
        let batch = match self.cursor.sealed {
            Some(end) => self.sealed(end)?,
            None => match self.follower.next(ROWS, IDLE)? {
                Some(batch) => batch,
                None => return Ok(None),
            },
        };
        if batch.end == self.cursor.drained {
            // Nothing is left of a sealed range.
            self.cursor.sealed = None;
            return Ok(Some(0));
        }
        if self.cursor.sealed.is_none() && !batch.items.is_empty() {
            self.cursor.sealed = Some(batch.end);
            self.save()?;
        }
        self.trust()?;
        self.send(&batch)?;
        self.cursor = Cursor::at(batch.end);
        self.save()?;
        self.follower.drained(batch.end);
        let mut status = self.follower.status();
        status.position = batch.end;
        status.damage += batch.damage.len() as u64;
        Ok(Some(batch.items.len()))
    }

    /// The sealed range as far as it stands. Where recovery cut its end off, or somebody put the log away, what is left is
    /// sealed anew, so that every attempt sends the same.
    fn sealed(&mut self, end: Position) -> Result<Batch, SinkError> {
        let batch = self.follower.until(end)?;
        if batch.end < end {
            tracing::warn!(
                segment = end.segment,
                offset = end.offset,
                "the audit log lost the end of what is being sent to ClickHouse: the rest is sent"
            );
            self.cursor.sealed = Some(batch.end);
            self.save()?;
        }
        Ok(batch)
    }

    fn save(&self) -> Result<(), SinkError> {
        self.cursor
            .write(&self.file)
            .map_err(|source| SinkError::Io {
                path: self.file.clone(),
                source,
            })
    }

    /// Nothing is sent to a server that would double what it is sent again.
    fn trust(&mut self) -> Result<(), SinkError> {
        if self.trusted {
            return Ok(());
        }
        let limit = self.server.timeout;
        let asked = async {
            if let Some(version) = version::too_old(&self.client).await? {
                return Err(SinkError::TooOld(version));
            }
            match version::doubling(&self.client, &self.server.database).await? {
                Some(table) => Err(SinkError::Doubles(table)),
                None => Ok(()),
            }
        };
        let asked = async { tokio::time::timeout(limit, asked).await };
        self.runtime
            .block_on(asked)
            .map_err(|_| SinkError::Server(Error::TimedOut))??;
        self.trusted = true;
        Ok(())
    }

    /// One insert for each month, so that a part lies in one partition and is taken whole.
    fn send(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let mut months: BTreeMap<Month, Vec<Record<'_>>> = BTreeMap::new();
        let mut seals: BTreeMap<Month, Vec<Seal>> = BTreeMap::new();
        for item in &batch.items {
            match item {
                Item::Row(row) => {
                    let record = read(row)?;
                    let month = Month::of(record.entry.at);
                    months.entry(month).or_default().push(record);
                }
                Item::Seal(seal) => {
                    let month = Month::of(seal.at.micros().unsigned_abs());
                    seals.entry(month).or_default().push(seal.clone());
                }
            }
        }
        for records in months.values() {
            self.send_part(records)?;
            self.follower.status().rows += records.len() as u64;
        }
        for list in seals.values() {
            if let (Some(first), Some(last)) = (list.first(), list.last()) {
                let token = format!(
                    "seals/{}.{}-{}.{}",
                    first.boot, first.seq, last.boot, last.seq
                );
                let body = rows::write_seals(list);
                self.runtime.block_on(self.insert("seals", &token, body))?;
            }
        }
        Ok(())
    }

    /// Sends rows of one month: whole, until the server cannot read them.
    fn send_part(&mut self, records: &[Record<'_>]) -> Result<(), SinkError> {
        let part = token(records);
        if self.cursor.left(&part).is_none() {
            let Err(error) = self.insert_rows(records) else {
                return Ok(());
            };
            if Failure::of(&error) != Failure::Rows || records.len() == 1 {
                return Err(error.into());
            }
            self.cut(&part, Piece::whole(records.len()))?;
        }
        self.send_pieces(&part, records)
    }

    /// Sends what the server has not taken of a part. Rows that it cannot read are looked for by halves and put aside, but
    /// only where most of the part were taken: a table that takes few is the table's fault.
    fn send_pieces(&mut self, part: &str, records: &[Record<'_>]) -> Result<(), SinkError> {
        let mut bad = Vec::new();
        while let Some((piece, rows)) = self.next_piece(part, bad.len(), records)? {
            match (self.insert_rows(rows), rows) {
                (Ok(()), _) => self.cursor.done(part, piece),
                (Err(error), _) if Failure::of(&error) != Failure::Rows => {
                    return Err(error.into());
                }
                (Err(error), [_]) if bad.len() >= records.len() / 2 => {
                    return Err(SinkError::Table(error));
                }
                (Err(_), [one]) => bad.push((piece, one)),
                (Err(_), _) => self.cut(part, piece)?,
            }
        }
        let rows: Vec<_> = bad.iter().map(|(_, one)| *one).collect();
        self.put_aside(&rows)?;
        for (piece, _) in bad {
            self.cursor.done(part, piece);
        }
        self.save()
    }

    /// What is left of a part behind so many pieces that this attempt has looked at.
    fn next_piece<'a, 'b>(
        &self,
        part: &str,
        behind: usize,
        records: &'a [Record<'b>],
    ) -> Result<Option<(Piece, &'a [Record<'b>])>, SinkError> {
        let left = self.cursor.left(part);
        let Some(piece) = left.and_then(|left| left.get(behind)) else {
            return Ok(None);
        };
        let rows = piece.of(records);
        let rows = rows.ok_or(SinkError::Row("a part was cut where it has no rows"))?;
        Ok(Some((*piece, rows)))
    }

    /// Before its halves are sent it is written down that the whole never will be.
    fn cut(&mut self, part: &str, piece: Piece) -> Result<(), SinkError> {
        self.cursor.cut(part, piece);
        self.save()
    }

    fn insert_rows(&self, records: &[Record<'_>]) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        self.runtime
            .block_on(self.insert("audit", &token(records), rows::write(records)))
    }

    async fn insert(&self, table: &str, token: &str, body: Vec<u8>) -> Result<(), Error> {
        let sql = format!(
            "INSERT INTO {} FORMAT RowBinaryWithNamesAndTypes",
            self.server.table(table)
        );
        let mut insert = self
            .client
            .insert_formatted_with(sql)
            .with_timeouts(Some(self.server.timeout), Some(self.server.timeout))
            // Each is the default of some version and not of another.
            .with_setting("async_insert", "0")
            .with_setting("insert_deduplicate", "1")
            // A column that the table has not must be an error: by default its values are dropped in silence.
            .with_setting("input_format_skip_unknown_fields", "0")
            .with_setting("input_format_with_types_use_header", "1")
            .with_setting("deduplicate_blocks_in_dependent_materialized_views", "1")
            .with_setting("insert_deduplication_token", token);
        insert.send(Bytes::from(body)).await?;
        insert.end().await
    }

    /// Rows that no server takes, for an operator to look at. A crash before the range is done writes them twice.
    fn put_aside(&self, bad: &[&Record<'_>]) -> Result<(), SinkError> {
        if bad.is_empty() {
            return Ok(());
        }
        let write = || -> io::Result<()> {
            let mut file = File::options()
                .create(true)
                .append(true)
                .open(&self.rejected)?;
            for record in bad {
                export::write_ndjson(record, &mut file)?;
            }
            file.sync_all()
        };
        write().map_err(|source| SinkError::Io {
            path: self.rejected.clone(),
            source,
        })?;
        tracing::error!(count = bad.len(), path = %self.rejected.display(), "rows that ClickHouse cannot read");
        self.follower.status().rejected += bad.len() as u64;
        Ok(())
    }
}

/// What names these rows, to the server and to the cursor.
fn token(records: &[Record<'_>]) -> String {
    let (Some(first), Some(last)) = (records.first(), records.last()) else {
        return "rows/none".to_owned();
    };
    format!(
        "rows/{}.{}-{}.{}/{}",
        first.boot,
        first.seq,
        last.boot,
        last.seq,
        records.len()
    )
}

fn read(row: &StoredRow) -> Result<Record<'_>, SinkError> {
    Record::read(row).map_err(|malformed| SinkError::Row(malformed.0))
}
