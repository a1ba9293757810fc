//! Sees the placeholders that an answer brings and nothing here can restore: they stand for secrets of an earlier turn, which
//! the provider kept and this request did not bring again.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::Category;
use crate::scan::redact::placeholder::{LONGEST, category_of, each_in};

/// The most that are told apart in one answer.
const MOST: usize = 1_000;

/// Follows one answer as the client gets it.
#[derive(Default)]
pub struct Leftover {
    /// What was seen last: a placeholder may go on in the next piece.
    tail: Vec<u8>,
    seen: BTreeSet<Box<[u8]>>,
}

impl Leftover {
    /// Sees the next bytes; `restored` says which placeholders this request brought.
    pub fn push(&mut self, bytes: &[u8], restored: impl Fn(&[u8]) -> bool) {
        self.tail.extend_from_slice(bytes);
        for placeholder in each_in(&self.tail) {
            // An answer says most things twice, once in pieces and once whole.
            if self.seen.len() < MOST && !self.seen.contains(placeholder) && !restored(placeholder)
            {
                self.seen.insert(placeholder.into());
            }
        }
        let done = self.tail.len().saturating_sub(LONGEST);
        self.tail.drain(..done);
    }

    /// How many there were, by category.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Category, u64> {
        let mut counts = BTreeMap::new();
        for category in self.seen.iter().filter_map(|one| category_of(one)) {
            *counts.entry(category).or_default() += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_once_wherever_the_answer_is_cut() {
        let one = b"TG_jwt_AAAABBBBCCCCDDDD";
        let answer = b"x TG_jwt_AAAABBBBCCCCDDDD TG_a_b_AAAABBBBCCCCDDDD and TG_jwt_AAAABBBBCCCCDDDD TG_jwt_AAAABBBBCCCCDDDE";
        for cut in 0..answer.len() {
            let mut leftover = Leftover::default();
            leftover.push(&answer[..cut], |_| false);
            leftover.push(&answer[cut..], |_| false);
            let expected = [("a_b", 1), ("jwt", 2)].map(|(name, n)| (Category::new(name), n));
            assert_eq!(leftover.counts(), BTreeMap::from(expected), "{cut}");
        }
        let mut leftover = Leftover::default();
        leftover.push(answer, |placeholder| placeholder == one);
        assert_eq!(leftover.counts()[&Category::new("jwt")], 1);
    }
}
