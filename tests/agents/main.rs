//! The agents that people use, as they are published, through the real program to the scripted provider: what they make
//! of a turn and of each refusal. `make test-clients` installs them and runs this where nothing but loopback is.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail by panicking"
)]

mod agent;
#[path = "../it/gateway.rs"]
#[expect(dead_code, reason = "shared with tests/it, which uses the rest")]
mod gateway;
#[path = "../it/provider.rs"]
#[expect(dead_code, reason = "shared with tests/it, which uses the rest")]
mod provider;
#[path = "../it/refusals.rs"]
mod refusals;
mod refused;
mod script;
mod turns;
