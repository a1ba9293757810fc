//! What a caller may do: which models, when, how fast, and what happens to a finding of a category.
//!
//! Pure: time is handed in, nothing is read or logged, and no status code is decided but the operator's own table of
//! them. It knows neither keys (`identity`) nor money (`budget`).

mod action;
mod breaker;
mod concurrency;
mod gate;
mod glob;
mod hours;
mod models;
mod rate;
mod refusals;
mod registry;
mod team;
mod turns;

pub use action::{Action, Actions, CategoryActions, read_actions};
pub use breaker::{Breaker, BreakerTerms};
pub use concurrency::{Concurrency, Full, Slot};
pub use gate::{Denied, Gate, Pass};
pub use glob::Glob;
pub use hours::{Closed, Hours, time_of_day};
pub use models::{Aliases, Choice, ModelList, NoModel};
pub use rate::{Pace, RateLimiter, RetryAfter};
pub use refusals::{ClientStatuses, RefusalStatuses, SettableRefusal};
pub use registry::Subject;
pub use team::{Limits, TeamPolicy};
pub use turns::turns;
