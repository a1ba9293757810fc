//! The protocol against a real redis-server: the real script, the real engine, and everything that goes wrong between.

mod fleet;
mod restarts;
mod returning;
mod script;
mod server;
mod simulation;
mod topologies;
