//! All keys of the directory, by their keyed hash.

use std::collections::HashMap;
use std::sync::Arc;

use super::{KeyError, KeyHash};
use crate::domain::{Caller, Moment};

/// A stored key: whose it is, and whether it still counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Built once; a request only counts a reference.
    pub caller: Arc<Caller>,
    pub revoked: bool,
    pub expires: Option<Moment>,
}

/// Whom a key names. A lookup compares keyed hashes, so its timing tells nothing about any key's text.
#[derive(Debug, Default)]
pub struct Roster(HashMap<KeyHash, Entry>);

impl Roster {
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = (KeyHash, Entry)>) -> Self {
        Self(entries.into_iter().collect())
    }

    /// The caller whose key hashes to this.
    ///
    /// # Errors
    /// When there is none, or the key no longer counts.
    pub fn find(&self, hash: &KeyHash, now: Moment) -> Result<&Arc<Caller>, KeyError> {
        let entry = self.0.get(hash).ok_or(KeyError::Unknown)?;
        if entry.revoked {
            return Err(KeyError::Revoked);
        }
        if entry.expires.is_some_and(|end| end <= now) {
            return Err(KeyError::Expired);
        }
        Ok(&entry.caller)
    }

    /// Every caller: to resolve budgets and limits when a snapshot is built.
    pub fn callers(&self) -> impl Iterator<Item = &Arc<Caller>> {
        self.0.values().map(|entry| &entry.caller)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{KeyId, Name};

    #[test]
    fn only_a_key_that_counts_names_its_caller() {
        let caller = Arc::new(Caller {
            key: KeyId::new("key_a"),
            organisation: Name::new("acme"),
            team: Name::new("payments"),
            user: None,
        });
        let entry = |revoked, expires: Option<i64>| Entry {
            caller: Arc::clone(&caller),
            revoked,
            expires: expires.map(Moment::from_seconds),
        };
        let hash = |byte| KeyHash::from_bytes([byte; 32]);
        let roster = Roster::new([
            (hash(1), entry(false, None)),
            (hash(2), entry(true, None)),
            (hash(3), entry(false, Some(100))),
        ]);
        let now = Moment::from_seconds(100);
        assert_eq!(roster.find(&hash(1), now), Ok(&caller));
        assert_eq!(roster.find(&hash(2), now), Err(KeyError::Revoked));
        assert_eq!(roster.find(&hash(3), now), Err(KeyError::Expired));
        assert_eq!(roster.find(&hash(3), Moment::from_seconds(99)), Ok(&caller));
        assert_eq!(roster.find(&hash(4), now), Err(KeyError::Unknown));
    }
}
