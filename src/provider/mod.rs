//! What Tollgate knows of the providers' APIs: paths, requests, usage, event streams and error bodies.
//!
//! An engine: bytes in, facts out. Both dialects are read here and nowhere else; nothing here knows a price, a policy or
//! a connection.

pub mod ask;
pub mod ending;
pub mod json;
pub mod meter;
pub mod model_name;
pub mod models;
pub mod output_bound;
pub mod refusal;
pub mod route;
pub mod slots;
pub mod sse;
pub mod usage_chunk;

pub use ask::{Ask, AskError, OtherModel, read_ask};
pub use ending::StreamEnding;
pub use meter::{Meter, MeterInput, Metered, SoFar};
pub use model_name::splice_model;
pub use models::{
    LONGEST_LIST, Page, asked_alone, empty_list, for_whole_list, path_of_one, shown_models,
};
pub use output_bound::OutputBound;
pub use refusal::{Envelope, RefusalKind, refusal_body};
pub use route::{Astray, Dialect, Endpoint, Hints, NoRoute, Route, route};
pub use usage_chunk::{UsageStripper, splice_include_usage};
