//! The log's own thread: makes records durable, changes segments, seals the chain, removes what every sink has drained.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use uuid::Uuid;

use super::segment::Segments;
use super::tail::Pending;
use super::{Durability, LogError, Position, Shared};
use crate::audit::convert;
use crate::audit::entry::Entry;
use crate::audit::inbox::{Inbox, Look, Waiting};
use crate::audit::witness::Witness;
use crate::domain::{Moment, Usd};

/// How often the slow chores are looked at.
const CHORES: Duration = Duration::from_secs(1);
/// The newest segments are never removed: a damaged head is made good from the one before it.
const ALWAYS_KEPT: usize = 2;
/// Readiness ends when this many times the reserve is left, long before anything is refused.
const SCARCE: u64 = 4;

/// Bytes of the segments before this one.
pub fn older_bytes(segments: &Segments, current: u64) -> Result<u64, LogError> {
    let numbers = segments.list()?;
    Ok(numbers
        .iter()
        .filter(|number| **number < current)
        .map(|number| segments.size(*number))
        .sum())
}

pub fn spawn(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("audit-log".to_owned())
        .spawn(move || {
            Keeper {
                sealed: 0,
                seal_at: Instant::now() + shared.options.seal_every,
                chores_at: Instant::now(),
                inbox: Inbox::of(shared.segments.dir()),
                shared,
            }
            .run();
        })
}

struct Keeper {
    shared: Arc<Shared>,
    /// Rows of this boot that the last seal covers.
    sealed: u64,
    seal_at: Instant,
    chores_at: Instant,
    inbox: Inbox,
}

impl Keeper {
    fn run(mut self) {
        loop {
            let pause = match self.shared.options.durability {
                Durability::Batched => self.shared.options.sync_every,
                // Woken by whoever waits; the pause only bounds how late a chore is.
                Durability::Strict => CHORES,
            };
            thread::park_timeout(pause);
            let closing = self.shared.closing.load(Ordering::Acquire);
            if closing {
                self.lose();
            }
            self.sync();
            self.turn();
            let now = Instant::now();
            if now >= self.chores_at || closing {
                self.chores_at = now + CHORES;
                self.chores();
            }
            if now >= self.seal_at || closing {
                self.seal_at = now + self.shared.options.seal_every;
                self.seal();
            }
            if closing {
                self.shared.closed.store(true, Ordering::Release);
                self.sync();
                self.shared.witnesses.iter().for_each(Witness::close);
                self.shared.synced.close();
                self.shared.lock.lock().take();
                return;
            }
        }
    }

    /// Nobody is left who could end what is in flight. Where rows still wait in memory the next start does it.
    fn lose(&self) {
        let mut tail = self.shared.tail.lock();
        self.shared.drain(&mut tail);
        if self.shared.queued.load(Ordering::Acquire) == 0
            && let Err(error) = tail.lose()
        {
            tracing::error!(%error, "requests in flight have no row before the next start");
        }
    }

    /// One `fdatasync` for everything written since the last, without holding anybody up.
    fn sync(&self) {
        let (file, position, waiters) = {
            let mut tail = self.shared.tail.lock();
            self.shared.drain(&mut tail);
            if !tail.dirty {
                return;
            }
            let position = Position {
                segment: tail.segment,
                offset: tail.offset,
            };
            (tail.handle(), position, std::mem::take(&mut tail.waiters))
        };
        match file.sync_data() {
            Ok(()) => {
                self.shared.synced.advance(position);
                for waiter in waiters {
                    // A request that hung up does not wait any more.
                    let _told = waiter.send(());
                }
            }
            Err(error) => self.give_up("sync", &error),
        }
    }

    /// After a failed sync nobody knows what the disk holds: nothing more is taken until a restart has read it back.
    fn give_up(&self, what: &str, error: &io::Error) {
        tracing::error!(%error, what, "the audit log cannot be written any more");
        self.shared.tail.lock().broken = true;
    }

    /// Goes on in a new segment once the current one is large enough.
    fn turn(&self) {
        let current = {
            let tail = self.shared.tail.lock();
            if tail.broken || tail.offset < self.shared.options.segment_bytes {
                return;
            }
            tail.segment
        };
        // Made outside the lock: only the head is written while requests wait.
        let file = match self.shared.segments.create(current + 1) {
            Ok(file) => file,
            Err(error) => {
                tracing::error!(%error, "no new audit segment; the old one goes on");
                return;
            }
        };
        let mut tail = self.shared.tail.lock();
        let (bytes, waiters) = (tail.offset, std::mem::take(&mut tail.waiters));
        match tail.switch(file, current + 1) {
            Ok(old) => {
                drop(tail);
                self.shared.older_bytes.fetch_add(bytes, Ordering::Relaxed);
                match old.sync_data() {
                    // Those that waited for the old segment have what they waited for; the next sync shows the new one.
                    Ok(()) => waiters.into_iter().for_each(|waiter| {
                        let _told = waiter.send(());
                    }),
                    Err(error) => self.give_up("sync of a full segment", &error),
                }
                self.sync();
            }
            Err(error) => {
                tail.waiters.extend(waiters);
                drop(tail);
                tracing::error!(%error, "no new audit segment; the old one goes on");
                // An empty file without a head would be taken for one at the next start.
                let _removed = fs::remove_file(self.shared.segments.path(current + 1));
            }
        }
    }

    fn chores(&mut self) {
        self.look_at_space();
        self.tell_shed();
        self.take_actions();
        if let Err(error) = self.remove_drained() {
            tracing::warn!(%error, "audit segments could not be removed");
        }
    }

    /// Writes the actions that other processes left, each once: its file goes when its rows are durable, and until then
    /// the log remembers them, over a crash too.
    fn take_actions(&mut self) {
        let Look { waiting, standing } = self.inbox.look();
        let mut tail = self.shared.tail.lock();
        self.shared.drain(&mut tail);
        if let Some(standing) = standing {
            tail.keep_actions(&standing);
        }
        if self.shared.queued.load(Ordering::Acquire) == 0 {
            for action in waiting.iter().flat_map(|file| &file.actions) {
                if let Err(error) = tail.action(action.id, &action.entry) {
                    tracing::warn!(%error, "operators' actions wait in the inbox");
                    break;
                }
            }
        }
        let has_rows = |file: &Waiting| file.actions.iter().all(|a| tail.has_action(a.id));
        let taken: Vec<Waiting> = waiting.into_iter().filter(has_rows).collect();
        drop(tail);
        if taken.is_empty() {
            return;
        }
        self.sync();
        if !self.shared.tail.lock().broken {
            self.inbox.remove(taken);
        }
    }

    fn look_at_space(&self) {
        match rustix::fs::statvfs(self.shared.segments.dir()) {
            Ok(space) => {
                let free = space.f_bavail.saturating_mul(space.f_frsize);
                let reserve = self.shared.options.reserve;
                let scarce = free < reserve.saturating_mul(SCARCE);
                self.shared
                    .low_space
                    .store(free < reserve, Ordering::Relaxed);
                self.shared.scarce_space.store(scarce, Ordering::Relaxed);
            }
            Err(error) => tracing::warn!(%error, "free space of the audit log is not known"),
        }
    }

    /// A row that says how many rows are missing, once rows can be written again.
    fn tell_shed(&self) {
        let closing = self.shared.closing.load(Ordering::Acquire);
        if self.shared.queued.load(Ordering::Acquire) > 0 || (self.shared.is_over() && !closing) {
            return;
        }
        let count = self.shared.tell_shed();
        if count == 0 {
            return;
        }
        let id = Uuid::now_v7();
        let mut entry = Vec::new();
        Entry {
            kind: convert::SHED.into(),
            request: id,
            at: Moment::now().micros().unsigned_abs(),
            actor: "tollgate".into(),
            action: "rows.shed".into(),
            change: format!("count={count}").into(),
            ..Entry::default()
        }
        .encode(&mut entry);
        let pending = Pending {
            request: id,
            entry,
            charges: Vec::new(),
            cost: Usd::ZERO,
            waiter: None,
        };
        if self.shared.tail.lock().row(pending).is_err() {
            self.shared.untell(count);
        }
    }

    fn seal(&mut self) {
        let mut tail = self.shared.tail.lock();
        if tail.link.next == self.sealed {
            return;
        }
        let seal = self.shared.signer.seal(
            self.shared.boot,
            tail.link.next - 1,
            tail.link.hash,
            Moment::now(),
        );
        match tail.seal(&seal) {
            Ok(()) => self.sealed = tail.link.next,
            Err(error) => tracing::error!(%error, "the audit's chain could not be sealed"),
        }
        drop(tail);
        self.shared
            .witnesses
            .iter()
            .for_each(|witness| witness.tell(&seal));
    }

    /// Removes segments that every follower has drained and that are old enough; under pressure, young ones too.
    fn remove_drained(&self) -> Result<(), LogError> {
        let current = self.shared.tail.lock().segment;
        let drained = self.shared.followers.drained().unwrap_or(current);
        let mut numbers = self.shared.segments.list()?;
        numbers.truncate(numbers.len().saturating_sub(ALWAYS_KEPT));
        let pressed = self.shared.older_bytes.load(Ordering::Relaxed)
            > self.shared.options.spool_bytes / 5 * 3;
        for number in numbers.into_iter().filter(|number| *number < drained) {
            let path = self.shared.segments.path(number);
            let age = fs::metadata(&path)
                .and_then(|meta| meta.modified())
                .ok()
                .and_then(|written| SystemTime::now().duration_since(written).ok());
            if pressed || age.is_some_and(|age| age >= self.shared.options.keep) {
                fs::remove_file(&path).map_err(super::at(&path))?;
            }
        }
        let older = older_bytes(&self.shared.segments, current)?;
        self.shared.older_bytes.store(older, Ordering::Relaxed);
        Ok(())
    }
}
