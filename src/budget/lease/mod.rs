//! A node's lease on one budget in one period: how much of the cap this node may spend without asking.
//!
//! Pure: moments and answers in, asks out. What makes it safe is the order of things, not any clock: what is returned is
//! taken from the pool before the store hears of it, and what is granted enters the pool only with an answer.
//! It does not know how messages travel. docs: the reasoning is in docs/adr on leased budgets.

mod fleet;
mod message;
mod pace;
mod position;

pub(super) use fleet::{Fleet, World};
pub use fleet::{FleetOptions, FleetView, StoreNews};
pub use message::{Answer, Ask, Boot, Changes, Micros, Purpose, Reply, Status};
pub(super) use position::FleetPosition;

use std::sync::Arc;
use std::time::Duration;

use self::pace::Pace;
use self::position::Bounds;
use super::pool::{Pool, Standing};
use super::spec::{BudgetId, OnStoreLoss};
use super::terms::Amendment;
use super::window::Span;
use crate::domain::{Moment, Usd};

/// Where a lease is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The store has never answered.
    Fresh,
    Live,
    /// The store's key holds foreign data.
    Foreign,
    Closed,
}

/// What the lease is for and on which terms, as of now.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    pub id: &'a BudgetId,
    pub span: Span,
    /// Whether the budget is no more.
    pub retired: bool,
    pub limit: Usd,
    pub limit_version: u64,
    /// What operators granted and corrected at this node.
    pub amendment: Amendment,
    /// The limit with that.
    pub cap: Usd,
    /// Whether spending needs money from the lease at all; without, it only reports.
    pub hard: bool,
    pub on_store_loss: OnStoreLoss,
    pub alert_at: &'a [u8],
    /// Whether there are many of its kind that soon rest for good, as sessions do: nothing lies ready for one that rests.
    pub passing: bool,
}

impl Terms<'_> {
    /// Whether nothing more is to be spent here.
    fn is_over(&self, world: &World) -> bool {
        self.retired || self.span.end.is_some_and(|end| end <= world.now)
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            limit: Micros::floor(self.limit),
            version: self.limit_version,
            changes: self.amendment.into(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Lease {
    generation: u32,
    /// Nano-dollars that the pool counts as spent and another lease has answered for.
    base: u64,
    granted: Micros,
    returned: Micros,
    /// Of the last ask. It stays until that is answered: a repeated ask must not be granted twice.
    seq: u64,
    asked_at: Option<Moment>,
    answered: bool,
    answered_seq: u64,
    reported: Micros,
    /// What the store is known to have heard of as returned.
    told_returned: Micros,
    /// What was last told of the cap.
    told: Bounds,
    phase: Phase,
    /// Nano-dollars lent to ourselves while the store is away.
    grace: u64,
    /// How much of the grace has been spent in this period: each outage has what the former ones left of it.
    grace_used: u64,
    /// Whether that counts the former lives of this node too. Without, there is no grace: a node that dies in each outage,
    /// or again and again in one, would have it anew each time.
    grace_known: bool,
    /// What the newest answer said.
    last: Option<Status>,
    fleet: Option<FleetPosition>,
    fleet_short: bool,
    /// Since when the store has had nothing to lend.
    exhausted_at: Option<Moment>,
    /// The state of the store that this lease has reported to (see [`World::era`]).
    era: u64,
    pace: Pace,
}

impl Lease {
    /// A lease of a period where `base` nano-dollars were spent before this boot; `untouched` where this node has spent
    /// nothing in it.
    pub fn new(base: u64, untouched: bool) -> Self {
        Self {
            generation: 0,
            base,
            granted: Micros::ZERO,
            returned: Micros::ZERO,
            seq: 0,
            asked_at: None,
            answered: true,
            answered_seq: 0,
            reported: Micros::ZERO,
            told_returned: Micros::ZERO,
            told: Bounds::default(),
            phase: Phase::Fresh,
            grace: 0,
            grace_used: 0,
            grace_known: untouched,
            last: None,
            fleet: None,
            fleet_short: false,
            exhausted_at: None,
            era: 0,
            pace: Pace::default(),
        }
    }

    /// Brings the pool's allowance to what the lease and the grace give.
    pub fn fit(&mut self, pool: &Pool, terms: &Terms, world: &World) {
        if !self.is_away(world) {
            self.end_grace(pool);
        } else if self.grace == 0 {
            self.grace = match terms.on_store_loss {
                OnStoreLoss::Deny => 0,
                OnStoreLoss::Grace(_) if !self.grace_known => 0,
                OnStoreLoss::Grace(grace) => {
                    let share = grace.of(terms.cap).nanos() / u64::from(world.nodes.max(1));
                    share.saturating_sub(self.grace_used)
                }
                OnStoreLoss::Allow => u64::MAX,
            };
        }
        let leased = self.granted.minus(self.returned).usd().nanos();
        let allowance = self.base.saturating_add(leased).saturating_add(self.grace);
        pool.set_allowance(if terms.hard { allowance } else { u64::MAX });
    }

    /// Takes the grace back, and remembers how much of it is gone.
    fn end_grace(&mut self, pool: &Pool) {
        if self.grace == 0 {
            return;
        }
        let standing = pool.standing();
        let leased = self.granted.minus(self.returned).usd().nanos();
        let committed = standing.spent.saturating_add(standing.held);
        let beyond = committed.saturating_sub(self.base.saturating_add(leased));
        self.grace_used = self.grace_used.saturating_add(beyond.min(self.grace));
        self.grace = 0;
    }

    /// What to tell or ask the store now, if anything. `hungry` is the largest amount that lately found too little.
    pub fn ask(
        &mut self,
        pool: &Pool,
        terms: &Terms,
        world: &World,
        hungry: Option<Usd>,
    ) -> Option<Ask> {
        if self.phase == Phase::Closed || self.is_stillborn(pool, terms, world) {
            return None;
        }
        self.fit(pool, terms, world);
        let standing = pool.standing();
        let spent = standing.spent.saturating_sub(self.base);
        self.pace.look(world, spent, standing.held, hungry);
        if !self.answered && self.since_ask(world) < world.options.retry_after {
            return None;
        }
        let target = self.target(terms, world);
        let standing = self.give_up(pool, standing, target, terms, world);
        pool.set_low(if terms.hard { target / 2 } else { 0 });
        let spent = Micros::ceil(Usd::from_nanos(spent));
        let want = self.want(standing, target, terms, hungry.is_some());
        let empty = !terms.hard || standing.free < Micros::NANOS;
        let purpose = if world.draining && standing.held == 0 && empty {
            Purpose::Close
        } else {
            Purpose::Beat
        };
        let shows = !terms.passing || self.granted.minus(self.returned) > spent;
        let changed = self.told != terms.bounds();
        if !changed && !self.is_due(spent, want, purpose, shows, world) {
            return None;
        }
        Some(self.message(standing, spent, want, purpose, terms, world))
    }

    /// Whether the period is over, or the node stops, and this lease never came to anything.
    fn is_stillborn(&mut self, pool: &Pool, terms: &Terms, world: &World) -> bool {
        let over = terms.is_over(world);
        let standing = pool.standing();
        let unused = standing.held == 0 && standing.spent <= self.base;
        let stillborn = self.asked_at.is_none() && unused && (over || world.draining);
        if stillborn && world.draining {
            self.phase = Phase::Closed;
        }
        stillborn
    }

    /// Takes in what the store said, and returns whether to ask for more at once. An answer to another lease, or one that
    /// makes no sense, changes nothing.
    pub fn answer(
        &mut self,
        pool: &Pool,
        ask: &Ask,
        reply: &Reply,
        terms: &Terms,
        world: &World,
    ) -> bool {
        if ask.generation != self.generation || self.phase == Phase::Closed {
            return false;
        }
        if ask.seq == self.seq {
            self.answered = true;
        }
        match reply {
            Reply::Foreign => self.phase = Phase::Foreign,
            Reply::Answer(answer) if !self.is_plausible(answer, pool, terms) => {
                self.phase = Phase::Foreign;
            }
            Reply::Answer(answer) => self.take_in(pool, ask, answer, world),
        }
        self.fit(pool, terms, world);
        let low = pool.standing().free < self.target(terms, world) / 2;
        low && self.phase == Phase::Live && !self.is_refused() && !self.is_away(world)
    }

    /// Whether nothing is left to be said: all reported, all returned.
    pub fn is_settled(&self, pool: &Pool) -> bool {
        let standing = pool.standing();
        let spent = Micros::ceil(Usd::from_nanos(standing.spent.saturating_sub(self.base)));
        standing.held == 0 && self.reported >= spent && self.granted.minus(self.returned) <= spent
    }

    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether the store is known to have nothing for this budget, or cannot be asked.
    pub fn is_away(&self, world: &World) -> bool {
        world.away || matches!(self.phase, Phase::Fresh | Phase::Foreign)
    }

    /// Whether money is wanted and the store has not lent any yet: it never answered, or waits for others.
    pub fn is_fresh(&self) -> bool {
        match self.phase {
            Phase::Fresh => self.asked_at.is_some(),
            Phase::Live => self.last == Some(Status::Warming),
            Phase::Foreign | Phase::Closed => false,
        }
    }

    pub fn is_foreign(&self) -> bool {
        self.phase == Phase::Foreign
    }

    pub fn fleet(&self) -> Option<FleetPosition> {
        self.fleet
    }

    /// Whether others hold this much of the cap unspent, and had no time yet to return what they do not need: they learn
    /// within a second that it is missed.
    pub fn may_come_back(&self, amount: Usd, world: &World) -> bool {
        let Some(fleet) = self.fleet else {
            return false;
        };
        let unspent = fleet.used.left_after(fleet.spent);
        let own = self.leased().left_after(fleet.reported);
        // A clock that went back does not make it wait for longer.
        let between = |at: Moment| world.now.since(at).max(at.since(world.now));
        let recent = |at| between(at) < world.options.return_time;
        unspent.left_after(own) >= amount && self.exhausted_at.is_none_or(recent)
    }

    /// What this node was lent and has not returned.
    pub fn leased(&self) -> Usd {
        self.granted.minus(self.returned).usd()
    }

    pub fn grace(&self) -> Usd {
        Usd::from_nanos(self.grace)
    }

    /// Spent under this lease.
    pub fn spent(&self, pool: &Pool) -> Usd {
        Usd::from_nanos(pool.spent().saturating_sub(self.base))
    }

    fn take_in(&mut self, pool: &Pool, ask: &Ask, answer: &Answer, world: &World) {
        // Before what was overdrawn is booked as granted.
        self.end_grace(pool);
        if answer.granted > self.granted {
            self.exhausted_at = None;
        } else if answer.status == Status::Exhausted {
            self.exhausted_at.get_or_insert(world.now);
        }
        self.granted = self.granted.max(answer.granted);
        self.returned = self.returned.max(answer.returned);
        self.grace_used = self.grace_used.max(answer.overdrawn.usd().nanos());
        self.grace_known |= ask.node_total > Micros::ZERO;
        self.phase = Phase::Live;
        if ask.seq >= self.answered_seq {
            self.answered_seq = ask.seq;
            self.reported = self.reported.max(ask.spent);
            self.told_returned = self.told_returned.max(ask.returned);
            self.last = Some(answer.status);
            self.fleet_short = answer.short;
            self.fleet = Some(FleetPosition::told(ask, answer));
        }
        if answer.status != Status::Closed {
            return;
        }
        if ask.purpose == Purpose::Close || world.draining {
            self.phase = Phase::Closed;
        } else {
            // Somebody closed a lease that lives. What it spent is told; the next one begins where it ended.
            *self = Self {
                generation: self.generation.saturating_add(1),
                pace: std::mem::take(&mut self.pace),
                grace_used: self.grace_used,
                fleet: self.fleet,
                ..Self::new(pool.spent(), self.grace_known)
            };
        }
    }

    /// No store lends one lease more than the cap and what went past it: such an answer is not ours to spend.
    fn is_plausible(&self, answer: &Answer, pool: &Pool, terms: &Terms) -> bool {
        let spent = Micros::ceil(self.spent(pool));
        let most = Micros::floor(terms.cap).max(answer.cap).plus(spent);
        answer.granted <= self.granted || answer.granted.minus(answer.returned) <= most
    }

    /// How much should lie ready here.
    fn target(&self, terms: &Terms, world: &World) -> u64 {
        if terms.is_over(world) || world.draining || !terms.hard {
            return 0;
        }
        let cap = self.fleet.map_or(terms.cap, |fleet| fleet.cap).nanos();
        let short = self.fleet_short || self.last == Some(Status::Exhausted);
        let floor = if short || terms.passing {
            0
        } else {
            cap / (16 * u64::from(world.nodes.max(1)))
        };
        self.pace.target(short).max(floor).min(cap)
    }

    /// Returns what is not needed, taking it from the pool first.
    fn give_up(
        &mut self,
        pool: &Pool,
        standing: Standing,
        target: u64,
        terms: &Terms,
        world: &World,
    ) -> Standing {
        // More is spent and lent than a lowered cap allows: nobody keeps what lies ready.
        let over_cap = self.fleet.is_some_and(|fleet| fleet.used > fleet.cap);
        let eager = target == 0 || self.fleet_short || self.pace.is_idle(world);
        let keep = match (over_cap, eager) {
            (true, _) => 0,
            (false, true) => target,
            (false, false) => target.saturating_mul(4),
        };
        if !terms.hard || self.grace > 0 || standing.free <= keep {
            return standing;
        }
        let taken = pool.withdraw(standing.free - keep, Micros::NANOS);
        self.returned = self.returned.plus(Micros::floor(Usd::from_nanos(taken)));
        pool.standing()
    }

    fn want(&self, standing: Standing, target: u64, terms: &Terms, hungry: bool) -> Micros {
        let low = standing.free < target / 2 || (hungry && standing.free < target);
        if !terms.hard || self.grace == u64::MAX || !low {
            return Micros::ZERO;
        }
        Micros::ceil(Usd::from_nanos(target.saturating_sub(standing.free)))
    }

    /// `shows`: whether it is worth a message that this lease lives.
    fn is_due(
        &self,
        spent: Micros,
        want: Micros,
        purpose: Purpose,
        shows: bool,
        world: &World,
    ) -> bool {
        let options = world.options;
        let since = self.since_ask(world);
        let pause = if self.is_refused() {
            options.exhausted_pause
        } else {
            Duration::ZERO
        };
        let returns = self.returned > self.told_returned;
        let news = spent > self.reported || returns || !self.answered;
        self.asked_at.is_none()
            || self.era != world.era
            || purpose == Purpose::Close
            || (want > Micros::ZERO && since >= pause)
            || (returns && self.fleet_short)
            || (news && since >= options.report_every)
            || (shows && since >= options.keep_alive)
    }

    fn message(
        &mut self,
        standing: Standing,
        spent: Micros,
        want: Micros,
        purpose: Purpose,
        terms: &Terms,
        world: &World,
    ) -> Ask {
        if self.answered {
            self.seq = world.next_seq();
        }
        self.answered = false;
        self.asked_at = Some(world.now);
        self.era = world.era;
        self.told = terms.bounds();
        Ask {
            budget: terms.id.clone(),
            span: terms.span,
            boot: world.options.boot.clone(),
            generation: self.generation,
            seq: self.seq,
            purpose,
            granted: self.granted,
            spent,
            returned: self.returned,
            node_total: if world.total_known {
                Micros::floor(Usd::from_nanos(standing.spent))
            } else {
                Micros::ZERO
            },
            want,
            least: self.pace.least(standing.free).min(want),
            limit: self.told.limit,
            limit_version: self.told.version,
            changes: self.told.changes,
            share: world.nodes.saturating_mul(2).max(2),
            alert_at: terms.alert_at.to_vec(),
        }
    }

    /// Whether the store grants nothing for now, so that asking again at once is useless.
    fn is_refused(&self) -> bool {
        matches!(self.last, Some(Status::Exhausted | Status::Warming))
    }

    fn since_ask(&self, world: &World) -> Duration {
        // A clock that went back must not silence a lease.
        match self.asked_at {
            Some(at) if at <= world.now => world.now.since(at),
            _ => Duration::MAX,
        }
    }
}

/// Wakes whoever carries the messages; called on the way of a request, so it must not block.
pub(super) type Wake = Arc<dyn Fn() + Send + Sync>;
