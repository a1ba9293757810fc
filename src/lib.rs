//! Tollgate, the egress gateway for AI coding agents. docs/ARCHITECTURE.md has the map.

pub mod cli;
pub mod domain;
