//! In which order several things of different weight take their turns.

use std::num::NonZeroU32;

/// The longest order that is worked out; weights that need a longer one are rounded.
const LONGEST: u64 = 10_000;

/// An order in which each of `weights` comes as often as its weight says, as evenly spread as can be: 5, 1, 1 is
/// a a b a c a a. The heaviest is first; of equal ones the first.
#[must_use]
pub fn turns(weights: &[NonZeroU32]) -> Vec<usize> {
    let divisor = weights
        .iter()
        .fold(0, |divisor, weight| gcd(divisor, u64::from(weight.get())));
    let exact: u64 = weights
        .iter()
        .map(|weight| u64::from(weight.get()) / divisor.max(1))
        .sum();
    let divisor = divisor.max(1) * exact.div_ceil(LONGEST).max(1);
    let weights: Vec<i64> = weights
        .iter()
        .map(|weight| {
            i64::from(weight.get())
                .saturating_div(i64::try_from(divisor).unwrap_or(i64::MAX))
                .max(1)
        })
        .collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0; weights.len()];
    let mut order = Vec::new();
    for _ in 0..total {
        for (credit, weight) in credit.iter_mut().zip(&weights) {
            *credit += weight;
        }
        let Some(next) = (0..credit.len()).rev().max_by_key(|index| credit[*index]) else {
            break;
        };
        credit[next] -= total;
        order.push(next);
    }
    order
}

const fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 {
        one
    } else {
        gcd(other, one % other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(weights: &[u32]) -> Vec<usize> {
        let weights: Vec<_> = weights
            .iter()
            .filter_map(|weight| NonZeroU32::new(*weight))
            .collect();
        turns(&weights)
    }

    #[test]
    fn turns_are_spread_by_weight() {
        assert_eq!(order(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(order(&[7, 7, 7]), [0, 1, 2]);
        assert_eq!(order(&[1, 3]), [1, 0, 1, 1]);
        assert_eq!(order(&[1000]), [0]);
        assert!(order(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn each_comes_as_often_as_it_weighs(weights in prop::collection::vec(1u32..=1000, 1..12)) {
            let order = order(&weights);
            prop_assert!(order.len() <= usize::try_from(LONGEST).unwrap() + weights.len());
            let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            for (index, weight) in weights.iter().enumerate() {
                let times = order.iter().filter(|turn| **turn == index).count() as u64;
                prop_assert!(times > 0);
                prop_assert!((times * total).abs_diff(u64::from(*weight) * order.len() as u64) <= total * 13);
            }
        }
    }
}
