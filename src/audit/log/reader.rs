//! Reading the segments in order: sinks follow what is durable, `audit verify` reads what stands.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use uuid::Uuid;

use super::LogError;
use super::fold::split_row;
use super::frame::{self, Frame, Kind, Read};
use super::recover::Damage;
use super::segment::{Segments, at};
use crate::audit::chain::{Hash, Seal, link};
use crate::audit::sink::SinkStatus;

/// Bytes read at once; more where a single record is longer.
const CHUNK: usize = 1 << 20;

/// A place between two records.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Position {
    pub segment: u64,
    pub offset: u64,
}

/// How far the log is durable.
#[derive(Clone)]
pub struct Synced(Arc<(Mutex<(Position, bool)>, Condvar)>);

impl Synced {
    pub fn new(position: Position) -> Self {
        Self(Arc::new((Mutex::new((position, false)), Condvar::new())))
    }

    pub fn advance(&self, position: Position) {
        let mut state = self.0.0.lock();
        state.0 = state.0.max(position);
        self.0.1.notify_all();
    }

    /// Nothing more will come.
    pub fn close(&self) {
        self.0.0.lock().1 = true;
        self.0.1.notify_all();
    }

    fn wait(&self, after: Position, timeout: Duration) -> (Position, bool) {
        let mut state = self.0.0.lock();
        if state.0 <= after && !state.1 {
            let _timed_out = self.0.1.wait_for(&mut state, timeout);
        }
        *state
    }
}

/// One sink as the log knows it.
struct Sink {
    name: &'static str,
    /// The oldest segment that it still needs.
    needs: AtomicU64,
    status: Mutex<SinkStatus>,
}

/// All sinks of a log.
#[derive(Clone, Default)]
pub struct Followers(Arc<Mutex<Vec<Arc<Sink>>>>);

impl Followers {
    /// The oldest segment that any of them still needs; `None` where nobody follows.
    pub fn drained(&self) -> Option<u64> {
        let list = self.0.lock();
        list.iter()
            .map(|sink| sink.needs.load(Ordering::Acquire))
            .min()
    }

    /// How each of them is doing.
    pub fn status(&self) -> Vec<(&'static str, SinkStatus)> {
        let list = self.0.lock();
        list.iter()
            .map(|sink| (sink.name, sink.status.lock().clone()))
            .collect()
    }
}

/// A row as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    pub boot: Uuid,
    /// Its number in the boot's chain, without gaps from 0.
    pub seq: u64,
    /// The hash of the row before it.
    pub before: Hash,
    pub hash: Hash,
    /// [`Entry`](crate::audit::entry::Entry) bytes.
    pub entry: Vec<u8>,
}

/// What a sink is handed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Row(StoredRow),
    Seal(Seal),
}

/// Items in the log's order, and the place after the last of them.
#[derive(Debug, Default)]
pub struct Batch {
    pub items: Vec<Item>,
    pub end: Position,
    /// Places that could not be read and were passed over.
    pub damage: Vec<Damage>,
}

/// Reads records from a place on.
#[derive(Debug)]
pub struct Reader {
    segments: Segments,
    position: Position,
    file: Option<(u64, File)>,
}

impl Reader {
    /// Reads the log in a state directory from its oldest record.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self::new(Segments::of(state), Position::default())
    }

    fn new(segments: Segments, position: Position) -> Self {
        Self {
            segments,
            position,
            file: None,
        }
    }

    /// The next items, at most about `rows` of them, up to `limit` or, without one, to the end of what stands. An
    /// empty batch means that there is no more now.
    ///
    /// # Errors
    /// When a segment cannot be read at all.
    pub fn batch(&mut self, rows: usize, limit: Option<Position>) -> Result<Batch, LogError> {
        let mut batch = Batch::default();
        while batch.items.len() < rows {
            let Some((bytes, last)) = self.chunk(limit, CHUNK)? else {
                break;
            };
            self.take(&bytes, last, rows, limit, &mut batch)?;
        }
        batch.end = self.position;
        Ok(batch)
    }

    /// Bytes from the position on, and whether the segment ends with them. Goes on to the next segment at an end.
    fn chunk(
        &mut self,
        limit: Option<Position>,
        size: usize,
    ) -> Result<Option<(Vec<u8>, bool)>, LogError> {
        loop {
            let Some(end) = self.end(limit)? else {
                return Ok(None);
            };
            let left = end.saturating_sub(self.position.offset);
            if left > 0 {
                let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(size);
                let mut bytes = vec![0; wanted];
                let got = self.read(&mut bytes)?;
                bytes.truncate(got);
                return Ok(Some((bytes, got as u64 == left || got == 0)));
            }
            if !self.next_segment(limit)? {
                return Ok(None);
            }
        }
    }

    /// Where the current segment ends for now, at the limit at the latest; `None` where there is nothing to read.
    fn end(&mut self, limit: Option<Position>) -> Result<Option<u64>, LogError> {
        let path = self.segments.path(self.position.segment);
        if self.file.as_ref().map(|(number, _)| *number) != Some(self.position.segment) {
            match File::open(&path) {
                Ok(file) => self.file = Some((self.position.segment, file)),
                // The beginning of all (no segment is number 0), or a segment that somebody removed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return if self.next_segment(limit)? {
                        self.end(limit)
                    } else {
                        Ok(None)
                    };
                }
                Err(error) => return Err(at(&path)(error)),
            }
        }
        let Some((_, file)) = &self.file else {
            return Ok(None);
        };
        let length = file.metadata().map_err(at(&path))?.len();
        let limit = limit.filter(|limit| limit.segment == self.position.segment);
        Ok(Some(limit.map_or(length, |limit| length.min(limit.offset))))
    }

    fn next_segment(&mut self, limit: Option<Position>) -> Result<bool, LogError> {
        let numbers = self.segments.list()?;
        let next = numbers
            .into_iter()
            .find(|number| *number > self.position.segment)
            .filter(|number| limit.is_none_or(|limit| *number <= limit.segment));
        if let Some(segment) = next {
            self.position = Position { segment, offset: 0 };
        }
        Ok(next.is_some())
    }

    fn read(&self, bytes: &mut [u8]) -> Result<usize, LogError> {
        let path = self.segments.path(self.position.segment);
        let Some((_, file)) = &self.file else {
            return Ok(0);
        };
        let mut filled = 0;
        while filled < bytes.len() {
            let offset = self.position.offset + filled as u64;
            match file.read_at(&mut bytes[filled..], offset) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(at(&path)(error)),
            }
        }
        Ok(filled)
    }

    /// Takes whole records off `bytes`, which begin at the position.
    fn take(
        &mut self,
        bytes: &[u8],
        last: bool,
        rows: usize,
        limit: Option<Position>,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        let mut used = 0;
        while used < bytes.len() && batch.items.len() < rows {
            match frame::read(&bytes[used..]) {
                Read::Frame(frame) => {
                    let size = frame.size();
                    match item(&frame) {
                        Ok(item) => batch.items.extend(item),
                        Err(reason) => return Err(self.corrupt(used, reason)),
                    }
                    used += size;
                }
                Read::Short if !last && used > 0 => break,
                Read::Short | Read::Bad => {
                    self.position.offset += used as u64;
                    return self.pass_over(limit, batch);
                }
            }
        }
        self.position.offset += used as u64;
        Ok(())
    }

    /// Reads the rest of the segment to find the next whole record. Rare: a record longer than a chunk, or damage.
    fn pass_over(&mut self, limit: Option<Position>, batch: &mut Batch) -> Result<(), LogError> {
        let Some((rest, _)) = self.chunk(limit, usize::MAX)? else {
            return Ok(());
        };
        if let Read::Frame(frame) = frame::read(&rest) {
            match item(&frame) {
                Ok(item) => batch.items.extend(item),
                Err(reason) => return Err(self.corrupt(0, reason)),
            }
            self.position.offset += frame.size() as u64;
            return Ok(());
        }
        let next = frame::find(&rest, 1, None).unwrap_or(rest.len());
        batch.damage.push(Damage {
            path: self.segments.path(self.position.segment),
            offset: self.position.offset,
            bytes: next as u64,
        });
        self.position.offset += next as u64;
        Ok(())
    }

    fn corrupt(&self, used: usize, reason: &'static str) -> LogError {
        LogError::Corrupt {
            path: self.segments.path(self.position.segment),
            offset: self.position.offset + used as u64,
            reason,
        }
    }
}

/// What a record is to a sink: nothing, where it only matters to recovery.
fn item(frame: &Frame<'_>) -> Result<Option<Item>, &'static str> {
    match frame.kind {
        Kind::Head | Kind::Begin => Ok(None),
        Kind::Seal => Seal::decode(frame.payload)
            .map(|seal| Some(Item::Seal(seal)))
            .map_err(|malformed| malformed.0),
        Kind::Row => {
            let row = split_row(frame.payload).map_err(|malformed| malformed.0)?;
            Ok(Some(Item::Row(StoredRow {
                boot: row.boot,
                seq: row.seq,
                before: row.before,
                hash: link(&row.before, row.seq, row.entry),
                entry: row.entry.to_vec(),
            })))
        }
    }
}

/// A sink's reader: it waits for what becomes durable, and keeps the segments that it still needs from being removed.
pub struct Follower {
    reader: Reader,
    synced: Synced,
    sink: Arc<Sink>,
}

impl Follower {
    pub(super) fn new(
        name: &'static str,
        segments: Segments,
        synced: Synced,
        followers: &Followers,
    ) -> Self {
        let sink = Arc::new(Sink {
            name,
            needs: AtomicU64::new(0),
            status: Mutex::default(),
        });
        followers.0.lock().push(Arc::clone(&sink));
        Self {
            reader: Reader::new(segments, Position::default()),
            synced,
            sink,
        }
    }

    /// What the log shows of this sink.
    pub fn status(&self) -> MutexGuard<'_, SinkStatus> {
        self.sink.status.lock()
    }

    /// Goes to a place: where the sink's own cursor says that it had come.
    pub fn seek(&mut self, position: Position) {
        self.reader.position = position;
        self.drained(position);
    }

    /// How far the log is durable now.
    #[must_use]
    pub fn end(&self) -> Position {
        self.synced.0.0.lock().0
    }

    /// Everything before this place is safe in the sink.
    pub fn drained(&self, position: Position) {
        self.sink.needs.store(position.segment, Ordering::Release);
    }

    /// Whether the log is closed, so that nothing more will come.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.synced.0.0.lock().1
    }

    /// All items up to a place: those of a range that was read before. The batch ends before that place where the log does
    /// now: its end was cut off, or its segments are gone.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn until(&mut self, end: Position) -> Result<Batch, LogError> {
        let end = end.min(self.end());
        self.reader.batch(usize::MAX, Some(end))
    }

    /// Sleeps, but not past the end of the log.
    pub fn sleep(&self, time: Duration) {
        const SLICE: Duration = Duration::from_millis(50);
        let until = Instant::now() + time;
        while !self.is_closed() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(SLICE));
        }
    }

    /// The next durable items; waits at most `timeout` for the first. `None` once the log is closed and all is read.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn next(&mut self, rows: usize, timeout: Duration) -> Result<Option<Batch>, LogError> {
        let (limit, closed) = self.synced.wait(self.reader.position, timeout);
        let from = self.reader.position;
        let batch = self.reader.batch(rows, Some(limit))?;
        Ok((!closed || batch.end != from).then_some(batch))
    }
}
