//! The words every other module speaks: money, usage, names, callers, secrets, time.
//!
//! Floor 0: the standard library only. Nothing here decides anything or does I/O.

pub mod caller;
pub mod category;
pub mod demand;
pub mod ids;
pub mod json;
pub mod money;
pub mod secret;
pub mod time;
pub mod usage;

pub use caller::Caller;
pub use category::Category;
pub use demand::{CacheWrites, Demand};
pub use ids::{KeyId, Name};
pub use money::Usd;
pub use secret::Secret;
pub use time::Moment;
pub use usage::{Provenance, SearchTool, ServiceTier, Usage};
