//! Near a cap, lowers a request's bound of output tokens so that its worst case fits what is left: where every budget in the
//! way wants that.

use super::admit::Standing;
use crate::budget::AtCap;
use crate::domain::{Demand, Moment, Usd};
use crate::provider::{Ask, Endpoint, OutputBound};

/// The least bound that is put in place of another: an answer of fewer tokens is of no use.
const ANSWER: u64 = 256;
/// Bytes that a bound may add to a body that has none.
const SPLICE: u64 = 64;

/// A lower bound, and the worst case that comes with it.
pub(super) struct Clamp {
    pub(super) bound: OutputBound,
    pub(super) most: u64,
    pub(super) demand: Demand,
    pub(super) quote: Usd,
}

impl Clamp {
    /// The highest bound under which `quote` fits all budgets. `None` where a budget in the way does not clamp, where no
    /// useful answer fits, or where other models would answer under bounds of their own.
    pub(super) fn fitting(
        standing: &Standing,
        endpoint: Endpoint,
        ask: &Ask,
        body: &[u8],
        quote: impl Fn(&Demand) -> Option<Usd>,
    ) -> Option<Self> {
        let left = left(standing, quote(&ask.demand)?)?;
        let bound = OutputBound::find(endpoint, body)?;
        if !ask.others.is_empty() {
            return None;
        }
        let input_bytes = ask.demand.input_bytes.saturating_add(SPLICE);
        let with = |most| Demand {
            output_tokens: Some(most),
            input_bytes,
            ..ask.demand
        };
        let fits = |most| quote(&with(most)).is_some_and(|quote| quote <= left);
        let most = highest(bound.least(ANSWER), ask.demand.output_tokens, fits)?;
        let demand = with(most);
        Some(Self {
            bound,
            most,
            demand,
            quote: quote(&demand)?,
        })
    }
}

/// What the budgets have left that this amount does not fit under; `None` where one of them does not clamp.
fn left(standing: &Standing, amount: Usd) -> Option<Usd> {
    let now = Moment::now();
    let mut least = Usd::MAX;
    for account in standing.accounts.iter() {
        let (spec, left) = (account.spec(), account.view(now).left);
        if spec.at_cap == AtCap::Block && left < amount {
            if !spec.clamp {
                return None;
            }
            least = least.min(left);
        }
    }
    Some(least)
}

/// The highest number from `least` to below `told` that fits, where all below one that fits do too.
fn highest(least: u64, told: Option<u64>, fits: impl Fn(u64) -> bool) -> Option<u64> {
    // No model writes more than this in one answer.
    let mut above = told.unwrap_or(1 << 24);
    if least >= above || !fits(least) {
        return None;
    }
    let mut found = least;
    while above - found > 1 {
        let middle = found + (above - found) / 2;
        if fits(middle) {
            found = middle;
        } else {
            above = middle;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::highest;

    #[test]
    fn the_highest_bound_that_fits_is_found() {
        for limit in [256, 257, 1000, 4095] {
            assert_eq!(highest(256, Some(4096), |most| most <= limit), Some(limit));
        }
        assert_eq!(highest(256, Some(4096), |_| true), Some(4095));
        assert_eq!(highest(256, Some(4096), |most| most <= 255), None);
        assert_eq!(highest(256, Some(256), |_| true), None, "nothing to lower");
        assert_eq!(highest(256, None, |most| most <= 9999), Some(9999));
    }
}
