//! The counters of one budget in one period, spread over cache lines so that many cores can spend at once.
//!
//! Money moves between four places: `free` (may be reserved), held (reserved; kept by nobody but the holders), `spent`,
//! and `debt` (what was committed beyond the allowance). At rest `free + held + spent = allowance + debt`, and a
//! reservation only ever takes from `free`, so committed money passes the allowance by debt alone: an overrun or a
//! lowered limit. Who finds its own shard dry takes from the others under the lock, so the last cent can be used and
//! nobody is refused because a neighbour was looking. While there is debt every taker goes through the lock, and pays first.

use std::sync::PoisonError;

use super::sync::{AtomicBool, AtomicU64, Mutex, Ordering};

/// A value alone on its cache lines (two: processors fetch them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

#[derive(Debug, Default)]
struct Shard {
    free: AtomicU64,
    spent: AtomicU64,
    /// Once `spent` of this shard is here, somebody must add up all shards (see `alerts`).
    alarm: AtomicU64,
    /// Once `free` of this shard is below this, more should be fetched (see `lease`).
    low: AtomicU64,
}

#[derive(Debug)]
struct Books {
    allowance: u64,
    debt: u128,
}

/// All amounts are nano-dollars.
#[derive(Debug)]
pub(super) struct Pool {
    shards: Box<[Line<Shard>]>,
    /// Set while there may be debt: nobody may take without the lock.
    strict: Line<AtomicBool>,
    books: Line<Mutex<Books>>,
}

/// The counters added up. Exact at rest; while others spend, off by what is just moving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub allowance: u64,
    pub free: u64,
    pub held: u64,
    pub spent: u64,
}

/// What asking for money came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Refused,
    Yes,
    /// Yes, and little is left here.
    Low,
}

/// What one charge did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charged {
    /// By how much the charge passed the allowance: money that nobody had granted.
    pub beyond: u64,
    /// Whether this shard has reached its alarm.
    pub alarm: bool,
}

impl Pool {
    /// Counters of `shards` shards (at least one) where `spent` is spent already.
    pub fn new(shards: usize, allowance: u64, spent: u64) -> Self {
        let pool = Self {
            shards: (0..shards.max(1)).map(|_| Line::default()).collect(),
            strict: Line(AtomicBool::new(false)),
            books: Line(Mutex::new(Books {
                allowance: 0,
                debt: 0,
            })),
        };
        pool.set_allowance(allowance);
        pool.charge(0, 0, spent);
        pool
    }

    /// Moves `amount` from free to held, or refuses.
    pub fn take(&self, shard: usize, amount: u64) -> Taken {
        if let Some(left) = self.take_here(shard, amount) {
            return self.taken(shard, left);
        }
        let mut books = self.lock();
        self.pay_debt(&mut books);
        if books.debt > 0 {
            return Taken::Refused;
        }
        let got = self.gather(shard, amount, true);
        if got < amount {
            self.shard(shard).put(got);
            return Taken::Refused;
        }
        self.shard(shard).put(got - amount);
        self.taken(shard, got - amount)
    }

    /// Moves `amount` to held whether it is free or not; what is not becomes debt, and is returned.
    pub fn take_anyway(&self, shard: usize, amount: u64) -> u64 {
        if self.take_here(shard, amount).is_some() {
            return 0;
        }
        self.owe(shard, amount, &mut self.lock())
    }

    /// Moves `amount` from held to free.
    pub fn give_back(&self, shard: usize, amount: u64) {
        if amount == 0 {
            return;
        }
        if !self.is_strict() {
            self.shard(shard).put(amount);
            return;
        }
        let mut books = self.lock();
        self.shard(shard).put(amount);
        self.pay_debt(&mut books);
    }

    /// Turns `held` into `actual` spent: the rest is free again; more than was held is taken anyway.
    pub fn charge(&self, shard: usize, held: u64, actual: u64) -> Charged {
        let beyond = match actual.checked_sub(held) {
            Some(more) if more > 0 => self.take_anyway(shard, more),
            _ => 0,
        };
        let here = self.shard(shard);
        let spent = saturating_fetch_add(&here.spent, actual);
        self.give_back(shard, held.saturating_sub(actual));
        Charged {
            beyond,
            alarm: spent >= here.alarm.load(Ordering::Relaxed),
        }
    }

    /// Puts the allowance at `allowance`: more pays debt and is free, less is taken from what is free, else owed.
    pub fn set_allowance(&self, allowance: u64) {
        self.move_allowance(allowance, &mut self.lock());
    }

    /// Lowers the allowance by what is free, at most `most`, in whole multiples of `unit`; returns by how much.
    pub fn withdraw(&self, most: u64, unit: u64) -> u64 {
        let mut books = self.lock();
        self.pay_debt(&mut books);
        if books.debt > 0 {
            return 0;
        }
        let got = self.gather(0, most, false);
        let taken = got - got % unit.max(1);
        self.shard(0).put(got - taken);
        books.allowance = books.allowance.saturating_sub(taken);
        taken
    }

    /// The counters added up.
    pub fn standing(&self) -> Standing {
        let books = self.lock();
        let spent = self.spent();
        let free = self
            .shards
            .iter()
            .map(|line| u128::from(line.0.free.load(Ordering::SeqCst)))
            .sum::<u128>();
        let committed = (u128::from(books.allowance) + books.debt).saturating_sub(free);
        Standing {
            allowance: books.allowance,
            free: clamped(free.saturating_sub(books.debt)),
            held: clamped(committed.saturating_sub(u128::from(spent))),
            spent,
        }
    }

    /// Spent in all shards.
    pub fn spent(&self) -> u64 {
        self.shards.iter().fold(0, |sum: u64, line| {
            sum.saturating_add(line.0.spent.load(Ordering::SeqCst))
        })
    }

    /// Sets every shard's alarm to ring once it has spent its part of `room` more.
    pub fn set_alarms(&self, room: u64) {
        let part = (room / self.shards.len() as u64).max(1);
        for line in &self.shards {
            let spent = line.0.spent.load(Ordering::SeqCst);
            line.0
                .alarm
                .store(spent.saturating_add(part), Ordering::Relaxed);
        }
    }

    fn move_allowance(&self, allowance: u64, books: &mut Books) {
        let old = std::mem::replace(&mut books.allowance, allowance);
        if let Some(more) = allowance.checked_sub(old) {
            let paid = u64::try_from(books.debt).unwrap_or(u64::MAX).min(more);
            books.debt -= u128::from(paid);
            self.spread(more - paid);
            self.pay_debt(books);
        } else {
            self.owe(0, old - allowance, books);
        }
    }

    /// Sets where each shard calls for more, so that they do once less than about `low` is free in all.
    pub fn set_low(&self, low: u64) {
        let part = low / self.shards.len() as u64;
        for line in &self.shards {
            line.0.low.store(part, Ordering::Relaxed);
        }
    }

    /// The way without the lock: from one shard, and only if nothing is owed. Returns what is left there. Debt that comes
    /// between the look and the taking finds this request before it: they overlap, so either order is true.
    fn take_here(&self, shard: usize, amount: u64) -> Option<u64> {
        if self.is_strict() {
            return None;
        }
        self.shard(shard).take(amount)
    }

    fn taken(&self, shard: usize, left: u64) -> Taken {
        if left < self.shard(shard).low.load(Ordering::Relaxed) {
            Taken::Low
        } else {
            Taken::Yes
        }
    }

    /// Takes `amount` from what is free anywhere; the rest is debt. Returns the rest.
    fn owe(&self, shard: usize, amount: u64, books: &mut Books) -> u64 {
        self.strict.0.store(true, Ordering::SeqCst);
        let missing = amount - self.gather(shard, amount, false);
        books.debt += u128::from(missing);
        self.pay_debt(books);
        missing
    }

    /// Pays debt from what is free, and opens the quick way again once nothing is owed.
    fn pay_debt(&self, books: &mut Books) {
        let owed = u64::try_from(books.debt).unwrap_or(u64::MAX);
        books.debt -= u128::from(self.gather(0, owed, false));
        self.strict.0.store(books.debt > 0, Ordering::SeqCst);
    }

    /// Takes up to `want` out of the shards, beginning with `first`; with `more`, up to half of what each neighbour has, so
    /// that the next request finds something at home.
    fn gather(&self, first: usize, want: u64, more: bool) -> u64 {
        let mut got = 0_u64;
        for step in 0..self.shards.len() {
            let missing = want.saturating_sub(got);
            if missing == 0 {
                break;
            }
            let some = self
                .shard(first + step)
                .take_some(missing, more && step > 0);
            got = got.saturating_add(some);
        }
        got
    }

    /// Adds `amount` to the shards in equal parts.
    fn spread(&self, amount: u64) {
        let shards = self.shards.len() as u64;
        for line in &self.shards {
            line.0.put(amount / shards);
        }
        self.shard(0).put(amount % shards);
    }

    fn is_strict(&self) -> bool {
        self.strict.0.load(Ordering::SeqCst)
    }

    fn shard(&self, index: usize) -> &Shard {
        &self.shards[index % self.shards.len()].0
    }

    fn lock(&self) -> super::sync::MutexGuard<'_, Books> {
        self.books.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Returns what is left.
    fn take(&self, amount: u64) -> Option<u64> {
        self.free
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |free| {
                free.checked_sub(amount)
            })
            .map(|before| before - amount)
            .ok()
    }

    /// Takes `most`, or half of what is here where that is more and `half` says so, or all that is here.
    fn take_some(&self, most: u64, half: bool) -> u64 {
        let part = |free: u64| {
            let wish = if half { most.max(free / 2) } else { most };
            wish.min(free)
        };
        self.free
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |free| {
                Some(free - part(free))
            })
            .map_or(0, part)
    }

    fn put(&self, amount: u64) {
        if amount > 0 {
            saturating_fetch_add(&self.free, amount);
        }
    }
}

/// Adds, and returns the sum.
fn saturating_fetch_add(counter: &AtomicU64, amount: u64) -> u64 {
    counter
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |value| {
            Some(value.saturating_add(amount))
        })
        .map_or(u64::MAX, |before| before.saturating_add(amount))
}

fn clamped(amount: u128) -> u64 {
    u64::try_from(amount).unwrap_or(u64::MAX)
}
