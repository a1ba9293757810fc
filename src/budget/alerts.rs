//! What somebody should hear of: thresholds passed, first refusals, overruns. The engine only puts them in a queue.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::spec::BudgetId;
use crate::domain::{Moment, Usd};

/// Something that happened to a budget, said once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub budget: BudgetId,
    /// When the period began that it happened in.
    pub period: Moment,
    pub kind: EventKind,
    pub spent: Usd,
    pub limit: Usd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Spending reached this percentage of the limit; once per window.
    Threshold { percent: u8 },
    /// The first request of the window was refused for this budget.
    Refused,
    /// An actual cost above its reservation went past the limit by this much.
    Overrun { beyond: Usd },
}

impl EventKind {
    /// The word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Threshold { .. } => "threshold",
            Self::Refused => "refused",
            Self::Overrun { .. } => "overrun",
        }
    }
}

/// Events that nobody has fetched yet; bounded, the oldest stay.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    waiting: Mutex<VecDeque<Event>>,
    dropped: AtomicU64,
}

impl EventQueue {
    const BOUND: usize = 4096;

    pub fn push(&self, event: Event) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < Self::BOUND {
            waiting.push_back(event);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn drain(&self) -> Vec<Event> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.drain(..).collect()
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The thresholds of one period: those that have not been reported, and those that have.
#[derive(Debug, Default)]
pub(super) struct Thresholds {
    /// Ascending.
    waiting: Vec<u8>,
    told: Vec<u8>,
}

impl Thresholds {
    /// Those of `percents` that `spent` has not reached: what a period begins with is old news.
    pub fn ahead_of(spent: Usd, limit: Usd, percents: &[u8]) -> Self {
        let mut thresholds = Self::default();
        thresholds.follow(percents);
        thresholds.reached(spent, limit);
        thresholds
    }

    /// Follows a changed list. What was reported once in this period is not reported again.
    pub fn follow(&mut self, percents: &[u8]) {
        self.waiting = percents.to_vec();
        self.waiting.retain(|percent| !self.told.contains(percent));
        self.waiting.sort_unstable();
        self.waiting.dedup();
    }

    /// Takes out the thresholds that `spent` has reached.
    pub fn reached(&mut self, spent: Usd, limit: Usd) -> Vec<u8> {
        let ahead = self
            .waiting
            .partition_point(|percent| limit.percent(u64::from(*percent)) <= spent);
        let reached: Vec<u8> = self.waiting.drain(..ahead).collect();
        self.told.extend(&reached);
        reached
    }

    /// How much may be spent until the next threshold; `None` when none is left.
    pub fn room(&self, spent: Usd, limit: Usd) -> Option<Usd> {
        let next = self.waiting.first()?;
        Some(limit.percent(u64::from(*next)).left_after(spent))
    }
}
