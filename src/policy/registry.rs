//! Shared counters by subject, made when first asked for and kept: a reload must not forgive what was taken.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::domain::{KeyId, Name};

/// Who or what a limit counts. All of them are configured things, so there is a bounded number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    Team(Name),
    User { team: Name, user: Name },
    Key(KeyId),
    Provider(Name),
}

impl Subject {
    /// The kind of subject: a closed set, fit for a message or a label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Team(_) => "team",
            Self::User { .. } => "user",
            Self::Key(_) => "key",
            Self::Provider(_) => "provider",
        }
    }
}

const SHARDS: usize = 16;

/// One `T` for each subject.
#[derive(Debug)]
pub(super) struct Registry<T> {
    hasher: RandomState,
    shards: [RwLock<HashMap<Subject, Arc<T>>>; SHARDS],
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| RwLock::default()),
        }
    }
}

impl<T: Default> Registry<T> {
    pub(super) fn of(&self, subject: &Subject) -> Arc<T> {
        let hash = self.hasher.hash_one(subject) % SHARDS as u64;
        let shard = usize::try_from(hash).unwrap_or(0);
        let shard = &self.shards[shard];
        if let Some(found) = shard.read().get(subject) {
            return Arc::clone(found);
        }
        Arc::clone(shard.write().entry(subject.clone()).or_default())
    }
}
