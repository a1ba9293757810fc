//! The end of the current segment, where records are appended; always behind the log's one mutex.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::LogError;
use super::fold::{Fold, Link};
use super::frame::{self, Kind};
use super::segment::{Segments, at};
use crate::audit::chain::{self, Seal};
use crate::audit::convert::read_charges;
use crate::audit::entry::Entry;
use crate::audit::row::Charge;
use crate::audit::wire::Malformed;
use crate::budget::Balances;
use crate::domain::Usd;

/// Requests in flight that one log keeps track of; more are refused.
const MOST_OPEN: usize = 1 << 17;

/// A row that is ready to be appended.
#[derive(Debug)]
pub struct Pending {
    pub request: Uuid,
    pub entry: Vec<u8>,
    pub charges: Vec<Charge>,
    pub cost: Usd,
    /// Told once the row is durable; dropped when it will not be.
    pub waiter: Option<oneshot::Sender<()>>,
}

/// The segment's end and what its records add up to.
pub struct Tail {
    file: Arc<File>,
    pub segment: u64,
    /// Bytes of the current segment.
    pub offset: u64,
    /// Sequence of the next record.
    pub seq: u64,
    fold: Fold,
    pub link: Link,
    scratch: Vec<u8>,
    pub waiters: Vec<oneshot::Sender<()>>,
    /// Whether anything was written since the last [`Tail::handle`].
    pub dirty: bool,
    /// The segment's end can no longer be trusted: nothing more is taken.
    pub broken: bool,
}

impl Tail {
    /// Begins a segment with a head. The caller makes it durable.
    ///
    /// # Errors
    /// When the segment cannot be made.
    pub fn create(
        segments: &Segments,
        segment: u64,
        seq: u64,
        fold: Fold,
        link: Link,
    ) -> Result<Self, LogError> {
        let mut tail = Self {
            file: Arc::new(segments.create(segment)?),
            segment,
            offset: 0,
            seq,
            fold,
            link,
            scratch: Vec::new(),
            waiters: Vec::new(),
            dirty: false,
            broken: false,
        };
        tail.head().map_err(at(&segments.path(segment)))?;
        Ok(tail)
    }

    fn head(&mut self) -> io::Result<()> {
        let mut head = Vec::new();
        self.fold.link = Some(self.link.clone());
        self.fold.encode(&mut head);
        self.append(Kind::Head, &[&head])
    }

    /// Goes on in a new, empty segment. On an error the old one stays current.
    pub fn switch(&mut self, file: File, segment: u64) -> io::Result<Arc<File>> {
        let old = (
            std::mem::replace(&mut self.file, Arc::new(file)),
            std::mem::replace(&mut self.segment, segment),
            std::mem::take(&mut self.offset),
        );
        match self.head() {
            Ok(()) => Ok(old.0),
            Err(error) => {
                (self.file, self.segment, self.offset) = old;
                Err(error)
            }
        }
    }

    /// The file as it stands, to be synced without holding the mutex.
    pub fn handle(&mut self) -> Arc<File> {
        self.dirty = false;
        Arc::clone(&self.file)
    }

    /// Appends one record, whole or not at all.
    fn append(&mut self, kind: Kind, parts: &[&[u8]]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("the segment's end is not sound"));
        }
        self.scratch.clear();
        frame::put(&mut self.scratch, self.seq, kind, parts)
            .ok_or_else(|| io::Error::other("a record past its bound"))?;
        if let Err(error) = (&*self.file).write_all(&self.scratch) {
            // A part of the record may stand there: without it, or never again.
            self.broken = self.file.set_len(self.offset).is_err();
            return Err(error);
        }
        self.offset += self.scratch.len() as u64;
        self.seq += 1;
        self.dirty = true;
        Ok(())
    }

    pub fn begin(&mut self, request: Uuid, entry: Vec<u8>) -> io::Result<()> {
        if self.fold.open.len() >= MOST_OPEN {
            return Err(io::Error::other("too many requests in flight"));
        }
        self.append(Kind::Begin, &[&entry])?;
        self.fold.open.insert(request, entry.into());
        Ok(())
    }

    /// Appends a row, links it to the chain and folds it in; hands it back where that failed.
    pub fn row(&mut self, mut pending: Pending) -> Result<(), (Pending, io::Error)> {
        let Link { boot, next, hash } = self.link.clone();
        let parts = [
            &boot.as_bytes()[..],
            &next.to_le_bytes(),
            &hash,
            &pending.entry,
        ];
        if let Err(error) = self.append(Kind::Row, &parts) {
            return Err((pending, error));
        }
        self.link.hash = chain::link(&hash, next, &pending.entry);
        self.link.next += 1;
        self.fold
            .close(pending.request, &pending.charges, pending.cost);
        self.waiters.extend(pending.waiter.take());
        Ok(())
    }

    /// Gives each request in flight its row, as lost, the oldest first.
    pub fn lose(&mut self) -> io::Result<()> {
        let mut open: Vec<Uuid> = self.fold.open.keys().copied().collect();
        // Ids are made in the order of time.
        open.sort_unstable();
        for request in open {
            let entry = self.fold.open.get(&request);
            let lost = entry.map(|entry| lost_row(entry)).transpose();
            let lost = lost.map_err(|malformed| io::Error::other(malformed.0))?;
            lost.map_or(Ok(()), |row| self.row(row).map_err(|(_, error)| error))?;
        }
        Ok(())
    }

    /// Appends an operator's action from the inbox, unless it was taken already.
    pub fn action(&mut self, id: Uuid, entry: &[u8]) -> io::Result<()> {
        if self.fold.actions.contains(&id) {
            return Ok(());
        }
        let pending = Pending {
            request: id,
            entry: entry.to_vec(),
            charges: Vec::new(),
            cost: Usd::ZERO,
            waiter: None,
        };
        self.row(pending).map_err(|(_, error)| error)?;
        self.fold.actions.insert(id);
        Ok(())
    }

    pub fn has_action(&self, id: Uuid) -> bool {
        self.fold.actions.contains(&id)
    }

    /// Forgets the actions whose files are gone: they cannot be handed in again.
    pub fn keep_actions(&mut self, standing: &HashSet<Uuid>) {
        self.fold.actions.retain(|id| standing.contains(id));
    }

    pub fn seal(&mut self, seal: &Seal) -> io::Result<()> {
        let mut bytes = Vec::new();
        seal.encode(&mut bytes);
        self.append(Kind::Seal, &[&bytes])
    }

    pub fn balances(&self) -> &Balances {
        &self.fold.balances
    }

    pub fn open(&self) -> &HashMap<Uuid, Box<[u8]>> {
        &self.fold.open
    }
}

fn lost_row(entry: &[u8]) -> Result<Pending, Malformed> {
    let row = Entry::decode(entry)?;
    Ok(Pending {
        request: row.request,
        charges: read_charges(&row.charges).ok_or(Malformed("charges that do not read"))?,
        cost: Usd::from_nanos(row.cost_nanos),
        entry: entry.to_vec(),
        waiter: None,
    })
}
