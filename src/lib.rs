//! Tollgate, the egress gateway for AI coding agents. docs/ARCHITECTURE.md has the map.

pub mod admin;
pub mod app;
pub mod audit;
pub mod budget;
pub mod cli;
pub mod config;
pub mod directory;
pub mod document;
pub mod domain;
pub mod gateway;
pub mod identity;
mod keyed;
pub mod ledger_store;
pub mod live;
pub mod metrics;
pub mod policy;
pub mod pricing;
pub mod provider;
pub mod scan;
