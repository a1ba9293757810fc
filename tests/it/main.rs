//! The real program in front of a scripted provider, driven from outside. One module for each promise.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail by panicking"
)]

mod attempts;
mod audit;
mod bill;
mod bodies;
mod budgets;
mod cache;
mod canary;
mod clients;
mod crash;
mod damage;
mod encoded;
#[path = "../facade/engine.rs"]
mod engine;
mod fleet;
mod gateway;
mod http2;
mod keys;
mod lifecycle;
mod limits;
mod models;
mod near_cap;
mod odd;
mod provider;
mod raw;
mod redact;
mod redact_bounds;
mod redact_everywhere;
mod redact_odd;
mod redis;
mod refusals;
mod reload;
mod routes;
mod scan_files;
mod sdk;
mod secrets;
mod soak;
mod space;
mod staged;
mod streams;
mod tls;
mod upstreams;
mod warehouse;
mod wire;
