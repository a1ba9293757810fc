//! What all leases of a node share: who the node is, whether the store is there, how many nodes there are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Wake;
use super::message::Boot;
use crate::domain::{Moment, Usd};

/// How a node takes part in a fleet. The defaults are the documented behaviour.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    pub boot: Boot,
    /// Spending is reported at least this often.
    pub report_every: Duration,
    /// An ask without an answer is said again after this.
    pub retry_after: Duration,
    /// A lease without news shows itself this often.
    pub keep_alive: Duration,
    /// After this long without a request, a lease is given back but for a small rest.
    pub idle_after: Duration,
    /// The store is away once nothing was heard of it for this long.
    pub away_after: Duration,
    /// How soon to ask again where the fleet has nothing left.
    pub exhausted_pause: Duration,
    /// A cap is not called reached for so long while other nodes hold a rest of it that they may not need.
    pub return_time: Duration,
    /// Nodes assumed until the store has been heard.
    pub nodes: u32,
}

impl FleetOptions {
    #[must_use]
    pub fn new(boot: Boot) -> Self {
        Self {
            boot,
            report_every: Duration::from_secs(1),
            retry_after: Duration::from_secs(2),
            keep_alive: Duration::from_secs(5),
            idle_after: Duration::from_secs(30),
            away_after: Duration::from_secs(5),
            exhausted_pause: Duration::from_millis(250),
            return_time: Duration::from_secs(3),
            nodes: 8,
        }
    }
}

/// What the carrier of the messages learns about the store and the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreNews {
    /// It answers, and this many nodes live.
    Heard { nodes: u32 },
    /// It may have lost something (another server, or restarted): everything is reported at once.
    Doubted,
    /// Former boots of this node have had their last word.
    TotalKnown,
    /// This node stops: leases are returned and closed.
    Draining,
}

/// The node's part in the fleet. Touched in the background and by refusals, not by requests that find money.
pub(in crate::budget) struct Fleet {
    options: FleetOptions,
    wake: Wake,
    state: Mutex<State>,
    round_trips: AtomicU64,
    turns: AtomicU64,
    asks: AtomicU64,
}

#[derive(Debug)]
struct State {
    heard_at: Option<Moment>,
    era: u64,
    nodes: u32,
    draining: bool,
    total_known: bool,
}

/// What a lease must know of the world at one moment.
#[derive(Clone, Copy, Debug)]
pub(in crate::budget) struct World<'a> {
    pub now: Moment,
    pub options: &'a FleetOptions,
    pub nodes: u32,
    /// Whether the store has not been heard for long.
    pub away: bool,
    pub draining: bool,
    /// Grows when the store may have lost something: every lease reports at once.
    pub era: u64,
    /// Whether former boots of this node have had their last word, so that what it spent in all is no surprise to the store.
    pub total_known: bool,
    asks: &'a AtomicU64,
}

impl World<'_> {
    /// The number of a new ask: higher than any that this process has given, so that a budget which is let go and comes
    /// back does not repeat one that the store has granted.
    pub fn next_seq(&self) -> u64 {
        self.asks.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Numbers of the fleet's budgets on this node, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetView {
    /// Lent to this node and not returned, spent or not.
    pub leased: Usd,
    /// Spent under the present leases.
    pub spent: Usd,
    /// Grace in force because the store is away.
    pub grace: Usd,
    /// Requests refused by a budget that the operator did not set to alert.
    pub refused: u64,
    /// Of these, refused for want of a lease while the store was away.
    pub refused_away: u64,
    /// Leases that still speak to the store.
    pub leases: u64,
    /// Of these, told to wait or not answered yet: a node that starts is ready once there are none, or the store is away.
    pub fresh: u64,
    /// Budgets whose key in the store holds foreign data.
    pub foreign: u64,
    /// Asks answered since the start.
    pub round_trips: u64,
    /// Since the store was last heard; `None`: never.
    pub silence: Option<Duration>,
    pub nodes: u32,
    pub away: bool,
}

impl Fleet {
    pub fn new(options: FleetOptions, wake: Wake) -> Self {
        let nodes = options.nodes;
        Self {
            options,
            wake,
            state: Mutex::new(State {
                heard_at: None,
                era: 0,
                nodes,
                draining: false,
                total_known: false,
            }),
            round_trips: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            asks: AtomicU64::new(0),
        }
    }

    pub fn world(&self, now: Moment) -> World<'_> {
        let state = self.state();
        let options = &self.options;
        // A clock that went back must not make old news fresh.
        let silent =
            |at: Moment| now.since(at) >= options.away_after || at.since(now) >= options.away_after;
        World {
            now,
            options,
            nodes: state.nodes,
            away: state.heard_at.is_none_or(silent),
            draining: state.draining,
            era: state.era,
            total_known: state.total_known,
            asks: &self.asks,
        }
    }

    pub fn wake(&self) {
        (self.wake)();
    }

    pub fn boot(&self) -> &Boot {
        &self.options.boot
    }

    /// A number that is another one each time: where to begin, so that nobody is always last.
    pub fn turn(&self) -> usize {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        usize::try_from(turn.wrapping_mul(0x9E37_79B9) >> 8).unwrap_or(0)
    }

    pub fn hear(&self, news: StoreNews, now: Moment) {
        let mut state = self.state();
        match news {
            StoreNews::Heard { nodes } => {
                state.heard_at = Some(now);
                state.nodes = nodes.max(1);
            }
            StoreNews::Doubted => state.era += 1,
            StoreNews::TotalKnown => state.total_known = true,
            StoreNews::Draining => state.draining = true,
        }
    }

    /// An ask was answered.
    pub fn answered(&self, now: Moment) {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        self.state().heard_at = Some(now);
    }

    /// The numbers that do not belong to a single lease.
    pub fn view(&self, now: Moment) -> FleetView {
        let world = self.world(now);
        let heard_at = self.state().heard_at;
        FleetView {
            round_trips: self.round_trips.load(Ordering::Relaxed),
            silence: heard_at.map(|at| now.since(at)),
            nodes: world.nodes,
            away: world.away,
            ..FleetView::default()
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet")
            .field("options", &self.options)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
