//! Passes an answer on while it is read for its usage. Bytes leave as they came, event by event.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use pingora::http::ResponseHeader;

use super::cache::Keeper;
use super::ctx::{Ctx, Passage};
use super::listing::Listing;
use super::respond;
use super::restore::{Counts, StreamRestorer};
use crate::provider::{Meter, MeterInput, Metered, UsageStripper};

/// Says how many places of the request went out as placeholders.
const REDACTED: &str = "tollgate-redacted";
/// Names the model that answered, where it is one of the team's fallbacks.
const MODEL: &str = "tollgate-model";

/// An answer on its way to the client.
pub struct Relay {
    pub status: u16,
    /// From the request's head to the first byte of the answer's body.
    pub first_byte: Option<Duration>,
    pub bytes: u64,
    /// Whether the provider's answer came to the end of its body.
    pub ended: bool,
    meter: Option<Meter>,
    stripper: Option<UsageStripper>,
    restorer: Option<StreamRestorer>,
    listing: Option<Listing>,
    keeper: Option<Keeper>,
}

impl Relay {
    fn new(passage: &mut Passage, head: &ResponseHeader) -> Self {
        let served = head.status.is_success();
        let metered = served && passage.hold.is_some();
        let input = match head
            .headers
            .get(CONTENT_TYPE)
            .map(http::HeaderValue::as_bytes)
        {
            Some(kind) if kind.starts_with(b"text/event-stream") => MeterInput::Sse,
            _ => MeterInput::Json,
        };
        let strips = passage.terms.usage_injected && served && input == MeterInput::Sse;
        // Identity was asked for; what comes encoded all the same cannot be restored.
        let readable = head
            .headers
            .get(CONTENT_ENCODING)
            .is_none_or(|coding| coding == "identity");
        let restores = served && readable && !passage.restorations.is_empty();
        let known = std::mem::take(&mut passage.restorations);
        Self {
            status: head.status.as_u16(),
            first_byte: None,
            bytes: 0,
            ended: false,
            keeper: passage
                .ticket
                .take()
                .filter(|_| head.status == 200 && readable && passage.trail.fallback.is_none())
                .map(|ticket| Keeper::new(ticket, head.headers.get(CONTENT_TYPE).cloned())),
            listing: passage.listing.take().filter(|_| served),
            meter: metered.then(|| Meter::new(passage.endpoint, input, passage.terms.demand)),
            stripper: strips.then(UsageStripper::default),
            restorer: restores.then(|| {
                StreamRestorer::new(passage.endpoint, input == MeterInput::Sse, known)
                    .into_network(passage.restores_into_network)
            }),
        }
    }

    /// Reads the next bytes and replaces them by what the client may see.
    fn pass(&mut self, body: &mut Option<Bytes>, end: bool, started: Instant) {
        if let Some(bytes) = body.as_ref().filter(|bytes| !bytes.is_empty()) {
            self.first_byte.get_or_insert_with(|| started.elapsed());
            if let Some(meter) = &mut self.meter {
                meter.push(bytes);
            }
        }
        if let Some(stripper) = &mut self.stripper {
            let mut shown = Vec::with_capacity(body.as_ref().map_or(0, Bytes::len));
            if let Some(bytes) = body.as_ref() {
                stripper.push(bytes, &mut shown);
            }
            if end {
                stripper.finish(&mut shown);
            }
            *body = Some(Bytes::from(shown));
        }
        if let Some(restorer) = &mut self.restorer {
            let mut shown = Vec::with_capacity(body.as_ref().map_or(0, Bytes::len));
            if let Some(bytes) = body.as_ref() {
                restorer.push(bytes, &mut shown);
            }
            if end {
                restorer.finish(&mut shown);
            }
            *body = Some(Bytes::from(shown));
        }
        if let Some(listing) = &mut self.listing {
            if let Some(bytes) = body.as_ref() {
                listing.push(bytes);
            }
            *body = Some(if end { listing.finish() } else { Bytes::new() });
        }
        if let (Some(keeper), Some(bytes)) = (&mut self.keeper, body.as_ref()) {
            keeper.push(bytes);
        }
        self.bytes += body.as_ref().map_or(0, |bytes| bytes.len() as u64);
        self.ended |= end;
    }

    /// The answer to keep, if it is for the cache.
    pub fn keeper(&mut self) -> Option<Keeper> {
        self.keeper.take()
    }

    /// What was restored; `None` where there was nothing to restore.
    pub fn restored(&self) -> Option<&Counts> {
        self.restorer.as_ref().map(StreamRestorer::counts)
    }

    /// What the meter saw; `None` for an answer that is not billed.
    pub fn metered(&mut self) -> Option<Metered> {
        self.meter.take().map(Meter::finish)
    }
}

/// Begins to relay: called with the head of the provider's final answer.
///
/// # Errors
/// Never in practice: see [`respond::mark`].
pub fn begin(head: &mut ResponseHeader, ctx: &mut Ctx) -> pingora::Result<()> {
    if head.status.is_informational() {
        return Ok(());
    }
    respond::mark(head, ctx)?;
    ctx.row.status = head.status.as_u16();
    let Some(passage) = &mut ctx.passage else {
        return Ok(());
    };
    let relay = Relay::new(passage, head);
    if ctx.row.redactions > 0 {
        head.insert_header(REDACTED, ctx.row.redactions)?;
    }
    if let Some(model) = &passage.trail.fallback {
        head.insert_header(MODEL, model.as_str())?;
    }
    if relay.keeper.is_some() {
        head.insert_header(respond::CACHE, "miss")?;
    }
    if relay.listing.is_some() {
        head.remove_header(&CONTENT_ENCODING);
    }
    if (relay.stripper.is_some() || relay.restorer.is_some() || relay.listing.is_some())
        && head.headers.contains_key(CONTENT_LENGTH)
    {
        head.remove_header(&CONTENT_LENGTH);
        head.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    passage.relay = Some(relay);
    Ok(())
}

/// Passes the next piece of the answer's body.
pub fn pass(body: &mut Option<Bytes>, end: bool, ctx: &mut Ctx) {
    let started = ctx.started;
    if let Some(relay) = ctx
        .passage
        .as_mut()
        .and_then(|passage| passage.relay.as_mut())
    {
        relay.pass(body, end, started);
    }
}

/// Ends an answer whose last bytes came with trailers (HTTP/2 tells no end of the body then); gives back what was held.
pub fn end_with_trailers(ctx: &mut Ctx) -> Option<Bytes> {
    let mut held = None;
    pass(&mut held, true, ctx);
    held.filter(|bytes| !bytes.is_empty())
}
