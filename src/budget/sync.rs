//! The primitives under the counters, in one place, so that the schedule tests can put a model checker's in their stead.

pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(super) use std::sync::{Mutex, MutexGuard};
