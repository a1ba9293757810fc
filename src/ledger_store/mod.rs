//! Leases in Redis: carries the budget engine's messages to the store and back, beside the way of requests.
//!
//! It decides nothing about money. lease.lua is the store's half of the protocol, `crate::budget` the node's.

mod boots;
mod courier;
mod store;
mod wire;

pub use boots::{Boots, BootsError, Journal};
pub use courier::{Courier, FleetError, Traffic, TrafficView};
pub use store::{Settings, Store, StoreError};
pub use wire::{Envelope, SCRIPT, Unintelligible, read_reply};

#[cfg(test)]
mod tests;
