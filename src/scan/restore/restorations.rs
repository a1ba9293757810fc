//! The way back of one request: which placeholder stands for which text.

use std::collections::BTreeMap;
use std::ops::Range;

use memchr::memmem;

use crate::domain::{Category, Secret};
use crate::scan::redact::placeholder::PREFIX;

/// What the placeholders of one request stand for. Made from that request alone and gone with it, so nobody's placeholder
/// can ever become another's value.
#[derive(Default)]
pub struct Restorations {
    /// Sorted by placeholder, so that a beginning of one can be told.
    entries: Vec<Entry>,
}

struct Entry {
    placeholder: String,
    value: Secret<String>,
    category: Category,
}

/// One placeholder in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Its bytes.
    pub at: Range<usize>,
    /// Which entry it is.
    pub entry: usize,
}

/// Placeholders on their way to [`Restorations`].
#[derive(Default)]
pub struct Collected(BTreeMap<String, (Secret<String>, Category)>);

impl Collected {
    /// Notes what a placeholder stands for; `false` when it already stands for another text (a collision of 80 bits).
    pub fn add(&mut self, placeholder: &str, value: &str, category: &Category) -> bool {
        if let Some((known, _)) = self.0.get(placeholder) {
            return known.expose() == value;
        }
        let entry = (Secret::new(value.to_owned()), category.clone());
        self.0.insert(placeholder.to_owned(), entry);
        true
    }

    /// How many different placeholders there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The finished map.
    #[must_use]
    pub fn finish(self) -> Restorations {
        let entries = self
            .0
            .into_iter()
            .map(|(placeholder, (value, category))| Entry {
                placeholder,
                value,
                category,
            });
        Restorations {
            entries: entries.collect(),
        }
    }
}

impl Restorations {
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many entries there are of each category.
    #[must_use]
    pub fn categories(&self) -> BTreeMap<Category, u64> {
        let mut counts = BTreeMap::new();
        for entry in &self.entries {
            *counts.entry(entry.category.clone()).or_default() += 1;
        }
        counts
    }

    /// What an entry's placeholder stands for.
    #[must_use]
    pub fn value(&self, entry: usize) -> &Secret<String> {
        &self.entries[entry].value
    }

    /// What an entry was found as.
    #[must_use]
    pub fn category(&self, entry: usize) -> &Category {
        &self.entries[entry].category
    }

    /// Finds every placeholder in `text`, in order. Tells where the beginning of another one stands at the very end (the
    /// text's length where there is none): whether it is one, only the bytes to come can say.
    pub fn find(&self, text: &[u8], mut each: impl FnMut(Match)) -> usize {
        if self.entries.is_empty() {
            return text.len();
        }
        let mut from = 0;
        while let Some(found) = memmem::find(&text[from..], PREFIX) {
            let at = from + found;
            match self.at(&text[at..]) {
                Standing::Whole { entry, length } => {
                    each(Match {
                        at: at..at + length,
                        entry,
                    });
                    from = at + length;
                }
                Standing::Beginning => return at,
                Standing::None => from = at + 1,
            }
        }
        let tail = [&PREFIX[..2], &PREFIX[..1]]
            .into_iter()
            .find(|part| text[from..].ends_with(part));
        text.len() - tail.map_or(0, <[u8]>::len)
    }

    fn at(&self, text: &[u8]) -> Standing {
        // All entries that `text` begins with sort at or before it; the longest sorts last. No placeholder is the beginning
        // of another (they differ in their last 16 characters, and a category has no capitals), so the last is the only one.
        let after = self
            .entries
            .partition_point(|entry| entry.placeholder.as_bytes() <= text);
        if let Some(entry) = after.checked_sub(1) {
            let placeholder = self.entries[entry].placeholder.as_bytes();
            if text.starts_with(placeholder) {
                return Standing::Whole {
                    entry,
                    length: placeholder.len(),
                };
            }
        }
        match self.entries.get(after) {
            Some(next) if next.placeholder.as_bytes().starts_with(text) => Standing::Beginning,
            _ => Standing::None,
        }
    }
}

/// What a text begins with.
enum Standing {
    Whole {
        entry: usize,
        length: usize,
    },
    /// It is the beginning of a placeholder, and ends before that does.
    Beginning,
    None,
}

#[cfg(test)]
pub(in crate::scan) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn of(pairs: &[(&str, &str)]) -> Restorations {
        let mut collected = Collected::default();
        for (placeholder, value) in pairs {
            assert!(collected.add(placeholder, value, &Category::new("token")));
        }
        collected.finish()
    }

    /// Two that share a beginning, one whose category is another's beginning, one whose end looks like a prefix.
    pub const PAIRS: [(&str, &str); 4] = [
        ("TG_key_AAAAAAAAAAAAAAA2", "one \"quoted\"\\"),
        ("TG_key_AAAAAAAAAAAAAAA3", "two\nlines\u{2028}é😀"),
        ("TG_key_a_AAAAAAAAAAAAAATG", "three"),
        ("TG_a_TGTGTGTGTGTGTGTG", "TG_key_AAAAAAAAAAAAAAA2"),
    ];

    fn found(restorations: &Restorations, text: &str) -> (Vec<String>, usize) {
        let mut all = Vec::new();
        let tail = restorations.find(text.as_bytes(), |one| {
            all.push(format!(
                "{:?}={}",
                one.at,
                restorations.value(one.entry).expose()
            ));
        });
        (all, tail)
    }

    #[test]
    fn placeholders_are_found_and_others_left_alone() {
        let known = of(&PAIRS);
        let text = "xTG_key_AAAAAAAAAAAAAAA2TG_key_a_AAAAAAAAAAAAAATG_a TG_key_AAAAAAAAAAAAAAA4 TG_other_AAAAAAAAAAAAAAAA";
        let (all, tail) = found(&known, text);
        assert_eq!(all, ["1..24=one \"quoted\"\\", "24..49=three"]);
        assert_eq!(tail, text.len());
        assert_eq!(found(&Restorations::default(), "TG_"), (vec![], 3));
    }

    #[test]
    fn only_what_may_become_a_placeholder_counts_as_a_beginning() {
        let known = of(&PAIRS);
        for (text, tail) in [
            ("a T", 2),
            ("aTG", 1),
            ("TG_", 0),
            ("TTG_ke", 1),
            ("TG_k_", 5),
            ("TG_key_B", 8),
            ("TG", 0),
            ("Tg", 2),
            ("TG_a_TG", 0),
        ] {
            assert_eq!(found(&known, text), (vec![], tail), "{text}");
        }
    }

    #[test]
    fn a_placeholder_never_stands_for_two_texts() {
        let mut collected = Collected::default();
        let category = Category::new("token");
        assert!(collected.add("TG_a_AAAAAAAAAAAAAAAA", "x", &category));
        assert!(collected.add("TG_a_AAAAAAAAAAAAAAAA", "x", &category));
        assert!(!collected.add("TG_a_AAAAAAAAAAAAAAAA", "y", &category));
        assert_eq!(collected.len(), 1);
    }

    proptest! {
        #[test]
        fn a_cut_text_shows_the_same_placeholders(parts in proptest::collection::vec(0usize..8, 0..12), cut in 0usize..200) {
            let known = of(&PAIRS);
            let words = [PAIRS[0].0, PAIRS[1].0, PAIRS[2].0, PAIRS[3].0, "T", "TG_key_", "_", "é"];
            let text: String = parts.iter().map(|part| words[*part]).collect();
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let mut whole = Vec::new();
            known.find(bytes, |one| whole.push(one));
            let mut pieces = Vec::new();
            let tail = known.find(&bytes[..cut], |one| pieces.push(one));
            known.find(&bytes[tail..], |one| {
                pieces.push(Match { at: one.at.start + tail..one.at.end + tail, entry: one.entry });
            });
            prop_assert_eq!(whole, pieces);
        }
    }
}
