//! The audit: one durable log of records, and what reads it.
//!
//! An adapter: it does the I/O for the budgets' journal and for the rows that the gateway hands in. It decides nothing
//! about a request and never sees a body.

pub mod chain;
pub mod clickhouse;
mod convert;
pub mod entry;
pub mod export;
pub mod inbox;
pub mod label;
pub mod log;
mod log_source;
pub mod query;
pub mod reconcile;
pub mod record;
pub mod row;
mod sink;
pub mod sqlite;
#[cfg(test)]
pub mod testing;
pub mod verify;
mod wire;
pub mod witness;

pub use label::Label;
pub use log::{
    Committed, Durability, Log, LogError, LogOptions, OnFull, Recovered, Standing, Status, standing,
};
pub use log_source::LogSource;
pub use row::{Begin, Charge, Decision, Found, OperatorAction, Outcome, Row, Try};
pub use sink::SinkStatus;
pub use witness::SealTo;
