//! What a request carries from phase to phase. What phase N needs is a field that phase N−1 must fill.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;
use uuid::Uuid;

use super::attempts::Trail;
use super::body::Gathered;
use super::cache::Ticket;
use super::leftover::Leftover;
use super::listing::Listing;
use super::refusal::Refusal;
use super::relay::Relay;
use super::upstream::{Head, Upstream};
use crate::audit::Row;
use crate::budget::Reservation;
use crate::domain::{Moment, Usd};
use crate::live::Snapshot;
use crate::metrics::Metrics;
use crate::policy::Pass;
use crate::provider::{Endpoint, Envelope};
use crate::scan::restore::Restorations;

/// One request, from its head to its row.
pub struct Ctx {
    pub started: Instant,
    /// Everything an operator can change, as it was when the request came: never half of a change.
    pub snapshot: Arc<Snapshot>,
    /// The form in which a refusal is written.
    pub envelope: Envelope,
    pub request_id: HeaderValue,
    /// The audit row as far as it is known.
    pub row: Row,
    /// Why the request was refused, or why its upstream failed.
    pub refusal: Option<Refusal>,
    /// Set by `admit` alone: without it nothing is forwarded.
    pub passage: Option<Box<Passage>>,
    /// The last bytes of a stream that is ended here: what Pingora has not written yet, and the events that end it.
    pub farewell: Option<Bytes>,
    /// Whether a part of the body could not be decoded for inspection.
    pub undecodable: bool,
    /// Its places among the requests at once, and its tokens of the minute, as estimated until they are settled.
    pub passes: Vec<Pass>,
    pub(super) _in_flight: InFlight,
}

/// An admitted request on its way.
pub struct Passage {
    pub endpoint: Endpoint,
    pub upstream: Arc<Upstream>,
    /// Path and query for the provider.
    pub path: String,
    /// The body as it is to be sent; absent for endpoints without one.
    pub body: Option<Gathered>,
    /// Whether `body` still has the content encoding that the client gave it.
    pub encoded: bool,
    /// What it may cost; absent where nothing is billed. Dropped unsettled, it charges in full.
    pub hold: Option<Reservation>,
    /// Connections tried so far.
    pub attempts: u8,
    /// How they ended, and what is left to try.
    pub trail: Trail,
    /// Which of the provider's addresses this attempt goes to.
    pub address: usize,
    /// When the body was handed over in this attempt; absent again where it did not leave.
    pub sent: Option<Instant>,
    /// Whether the provider broke off without an answer after it had the request for so long that it may have served it.
    pub may_be_billed: bool,
    /// What the placeholders in `body` stand for; taken by the relay.
    pub restorations: Restorations,
    /// Whether they are put back into tool calls that send them over the network.
    pub restores_into_network: bool,
    /// Present where the answer may bring placeholders of earlier turns that the provider keeps; taken by the relay.
    pub leftover: Option<Leftover>,
    /// For the list of models, what the team may see of it; taken by the relay.
    pub listing: Option<Listing>,
    /// The right to keep the answer for the same request of the team; taken by the relay.
    pub ticket: Option<Ticket>,
    /// Present once the answer's head has come.
    pub relay: Option<Box<Relay>>,
    /// What the answer is read for.
    pub terms: Terms,
    /// The bound of output tokens that was put in place of the client's, so that an answer fits a budget.
    pub clamped: Option<u64>,
    /// What may be used up before the stream is ended, where a budget wants that.
    pub cut_at: Option<Usd>,
}

/// What the meter and the price need to know of the question.
#[derive(Clone, Debug)]
pub struct Terms {
    pub model: String,
    pub demand: crate::domain::Demand,
    /// Whether the usage chunk of this chat stream is ours, to be taken out again.
    pub usage_injected: bool,
}

impl Passage {
    /// What this attempt's head is made of.
    #[must_use]
    pub fn head<'a>(&'a self, request_id: &'a HeaderValue) -> Head<'a> {
        Head {
            upstream: &self.upstream,
            address: &self.upstream.addresses[self.address],
            path: &self.path,
            length: self.body.as_ref().map(|body| body.bytes.len()),
            encoded: self.encoded,
            request_id,
        }
    }

    /// The body, once for each attempt.
    pub fn hand_over(&mut self) -> Option<Bytes> {
        if self.sent.is_some() {
            return None;
        }
        self.sent = Some(Instant::now());
        self.body.as_ref().map(|body| body.bytes.clone())
    }

    /// Of the body so many bytes left, where that is known (not over HTTP/2): one that is not whole was never sent, since
    /// nobody can serve it. Over HTTP/2 an upload that broke tells it (`broken::in_upload`).
    pub fn left_with(&mut self, bytes: Option<usize>) {
        let body = self.body.as_ref().map(|body| body.bytes.len());
        if bytes.zip(body).is_some_and(|(left, whole)| left < whole) {
            self.sent = None;
        }
    }
}

impl Ctx {
    pub fn new(snapshot: Arc<Snapshot>, metrics: Arc<Metrics>) -> Self {
        let request = Uuid::now_v7();
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let id = request.as_hyphenated().encode_lower(&mut text);
        Self {
            started: Instant::now(),
            snapshot,
            envelope: Envelope::Neutral,
            request_id: HeaderValue::from_str(id)
                .unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            row: Row::new(request, Moment::now()),
            refusal: None,
            passage: None,
            farewell: None,
            undecodable: false,
            passes: Vec::new(),
            _in_flight: InFlight::new(metrics),
        }
    }
}

/// Counts requests in flight, for draining and for the gauge.
pub(super) struct InFlight(Arc<Metrics>);

impl InFlight {
    fn new(metrics: Arc<Metrics>) -> Self {
        metrics.in_flight.inc();
        Self(metrics)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}
