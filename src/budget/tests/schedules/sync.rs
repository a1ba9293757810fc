//! A model checker's primitives in place of the standard library's.

pub(super) use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(super) use shuttle::sync::{Mutex, MutexGuard};
