//! What a request's thread does with the log: append, or leave the row where the keeper will append it.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use parking_lot::MutexGuard;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::tail::{Pending, Tail};
use super::{Committed, Durability, IMPATIENCE, LogError, OnFull, PATIENCE, QUEUE, Shared, Status};
use crate::audit::row::Charge;
use crate::domain::Usd;

impl Shared {
    /// Whether no request may be let out: the bound is reached, the disk almost full, or the log is closing.
    pub fn is_full(&self) -> bool {
        self.older_bytes.load(Relaxed) >= self.options.spool_bytes
            || self.low_space.load(Relaxed)
            || self.closing.load(Acquire)
    }

    /// Whether even rows must wait: the bound is passed by as much as those of requests in flight may need.
    pub fn is_over(&self) -> bool {
        self.older_bytes.load(Relaxed)
            >= self
                .options
                .spool_bytes
                .saturating_add(self.options.headroom)
    }

    /// The segment's end, or `None` where a disk that hangs keeps it: once that is known, nobody waits long for it.
    pub fn tail(&self) -> Option<MutexGuard<'_, Tail>> {
        let stalled = self.stalled.load(Relaxed);
        let patience = if stalled { IMPATIENCE } else { PATIENCE };
        let tail = self.tail.try_lock_for(patience);
        if tail.is_none() != stalled {
            self.stalled.store(tail.is_none(), Relaxed);
        }
        tail
    }

    /// Writes that a request is about to be forwarded; false where that failed, or rows before it could not be written.
    pub fn put_begin(
        &self,
        request: Uuid,
        entry: Vec<u8>,
        waiter: Option<oneshot::Sender<()>>,
    ) -> bool {
        let Some(mut tail) = self.tail() else {
            return false;
        };
        self.drain(&mut tail);
        if self.queued.load(Acquire) > 0 || tail.begin(request, entry).is_err() {
            return false;
        }
        tail.waiters.extend(waiter);
        true
    }

    /// What to hand out for a record, and whom to tell.
    pub fn promise(&self) -> (Committed, Option<oneshot::Sender<()>>) {
        match self.options.durability {
            Durability::Batched => (Committed(None), None),
            Durability::Strict => {
                let (sender, receiver) = oneshot::channel();
                (Committed(Some(receiver)), Some(sender))
            }
        }
    }

    /// Writes a row, or keeps it for the keeper where the disk does not take it now.
    pub fn put(
        &self,
        request: Uuid,
        entry: Vec<u8>,
        charges: Vec<Charge>,
        cost: Usd,
    ) -> Result<Committed, LogError> {
        let (committed, waiter) = self.promise();
        let pending = Pending {
            request,
            entry,
            charges,
            cost,
            waiter,
        };
        if self.closed.load(Acquire) {
            return Err(LogError::Unavailable);
        }
        let left = match self.tail() {
            Some(mut tail) if !self.is_over() => {
                self.drain(&mut tail);
                tail.row(pending).map_err(|(pending, _)| pending).err()
            }
            _ => Some(pending),
        };
        match left {
            None => {
                self.wake();
                Ok(committed)
            }
            Some(pending) => self.enqueue(pending).map(|()| committed),
        }
    }

    fn enqueue(&self, pending: Pending) -> Result<(), LogError> {
        let mut queue = self.queue.lock();
        if queue.len() >= QUEUE {
            self.shed.fetch_add(1, Relaxed);
            return match self.options.on_full {
                OnFull::Refuse => Err(LogError::Full),
                OnFull::Shed => Ok(()),
            };
        }
        queue.push_back(pending);
        self.queued.store(queue.len() as u64, Release);
        Ok(())
    }

    /// Writes the rows that had to wait, oldest first, as far as the disk and the bound take them; at the end, whatever
    /// the bound says.
    pub fn drain(&self, tail: &mut MutexGuard<'_, Tail>) {
        while self.queued.load(Acquire) > 0 && (!self.is_over() || self.closing.load(Acquire)) {
            let mut queue = self.queue.lock();
            let Some(pending) = queue.pop_front() else {
                break;
            };
            let failed = tail.row(pending).err();
            if let Some((pending, _)) = failed {
                queue.push_front(pending);
                return;
            }
            self.queued.store(queue.len() as u64, Release);
        }
    }

    /// Wakes the keeper where somebody waits for it.
    pub fn wake(&self) {
        if self.options.durability == Durability::Strict
            && let Some(keeper) = &*self.keeper.lock()
        {
            keeper.unpark();
        }
    }

    /// Asks the keeper to end.
    pub fn stop(&self) {
        self.closing.store(true, Release);
        if let Some(keeper) = &*self.keeper.lock() {
            keeper.unpark();
        }
    }

    pub fn status(&self) -> Status {
        let older = self.older_bytes.load(Relaxed);
        let tail = self.tail();
        let (current, rows, open, broken) = tail.as_ref().map_or((0, 0, 0, false), |tail| {
            (
                tail.offset,
                tail.link.next,
                tail.open().len() as u64,
                tail.broken,
            )
        });
        let spooled = older.saturating_add(current);
        let bound = self.options.spool_bytes;
        let queued = self.queued.load(Acquire);
        let unready = if self.closing.load(Acquire) {
            Some("the audit log is closing")
        } else if broken || tail.is_none() {
            Some("the audit log cannot be written")
        } else if queued > 0 {
            Some("the audit log's disk does not take records")
        } else if self.low_space.load(Relaxed) {
            Some("the audit log's disk is full but for its reserve: no request is let out")
        } else if self.scarce_space.load(Relaxed) {
            Some("the audit log's disk is almost full")
        } else if spooled > bound / 5 * 4 {
            Some("the audit log is over four fifths of its bound: a sink does not drain it")
        } else {
            None
        };
        Status {
            unready,
            spooled_bytes: spooled,
            spool_bound: bound,
            queued,
            shed: self.shed.load(Relaxed),
            rows,
            open,
        }
    }

    /// Rows shed that no row tells of yet, now taken as told; give them back with [`Shared::untell`].
    pub fn tell_shed(&self) -> u64 {
        let shed = self.shed.load(Acquire);
        shed.saturating_sub(self.shed_told.swap(shed, AcqRel))
    }

    pub fn untell(&self, count: u64) {
        self.shed_told.fetch_sub(count, AcqRel);
    }
}
