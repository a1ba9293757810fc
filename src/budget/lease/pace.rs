//! How fast a node spends from one budget, and so how much should lie ready for it.

use std::time::Duration;

use super::World;
use super::message::Micros;
use crate::domain::{Moment, Usd};

/// Recent spending, in nano-dollars.
#[derive(Debug, Default)]
pub(super) struct Pace {
    looked_at: Moment,
    spent: u64,
    /// Per second, smoothed.
    burn: u64,
    /// The most that was held at a look, lately.
    peak: u64,
    /// The largest reservation that found little, lately.
    biggest: u64,
    busy_at: Moment,
}

impl Pace {
    /// The shortest stretch that a rate is taken over.
    const STRETCH: Duration = Duration::from_millis(200);

    pub fn look(&mut self, world: &World, spent: u64, held: u64, hungry: Option<Usd>) {
        let now = world.now;
        self.peak = self.peak.max(held);
        if let Some(amount) = hungry {
            self.biggest = self.biggest.max(amount.nanos());
        }
        if spent > self.spent || held > 0 || hungry.is_some() {
            self.busy_at = now;
        }
        let stretch = now.since(self.looked_at);
        if stretch < Self::STRETCH && now >= self.looked_at {
            return;
        }
        let grown = u128::from(spent.saturating_sub(self.spent));
        let micros = stretch.as_micros().max(1);
        let rate = u64::try_from(grown * 1_000_000 / micros).unwrap_or(u64::MAX);
        self.burn = (self.burn / 4 * 3).saturating_add(rate / 4).max(rate / 2);
        self.peak = held.max(self.peak / 8 * 7);
        self.spent = spent;
        self.looked_at = now;
        if self.is_idle(world) {
            self.biggest = 0;
        }
    }

    /// Whether nothing happened for long enough that money is better elsewhere.
    pub fn is_idle(&self, world: &World) -> bool {
        world.now.since(self.busy_at) >= world.options.idle_after
    }

    /// What should lie ready: some seconds of spending, and room for what was held at once. While the fleet is short, what is
    /// spent until the store was asked again.
    pub fn target(&self, short: bool) -> u64 {
        if short {
            return (self.burn / 4).max(self.biggest);
        }
        self.burn
            .saturating_mul(4)
            .max(self.peak)
            .max(self.biggest.saturating_mul(4))
    }

    /// The smallest grant that lets the largest waiting request through.
    pub fn least(&self, free: u64) -> Micros {
        Micros::ceil(Usd::from_nanos(
            self.biggest.saturating_sub(free).max(Micros::NANOS),
        ))
    }
}
