//! Passes an answer on while it is read for its usage. Bytes leave as they came, event by event.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    ALT_SVC, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, TRAILER, TRANSFER_ENCODING,
};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType};

use super::cache::Keeper;
use super::ctx::{Ctx, Passage};
use super::cut::Watch;
use super::leftover::Leftover;
use super::listing::Listing;
use super::respond;
use super::restore::{Counts, StreamRestorer};
use super::unpack::{Broken, Unpacker};
use crate::domain::{Category, Usage};
use crate::provider::{Meter, MeterInput, Metered, UsageStripper};

/// Says what bound of output tokens the request went out with, where that is not the client's own.
const CLAMPED: &str = "tollgate-clamped";
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
    unpacker: Option<Unpacker>,
    meter: Option<Meter>,
    stripper: Option<UsageStripper>,
    restorer: Option<StreamRestorer>,
    listing: Option<Listing>,
    keeper: Option<Keeper>,
    /// Placeholders that cannot be put back, by category: the answer is in an encoding that nobody here reads.
    unrestored: BTreeMap<Category, u64>,
    /// Present where the answer may bring placeholders of earlier turns.
    leftover: Option<Leftover>,
    /// Present where the stream is to end once its reservation is used up.
    watch: Option<Watch>,
}

impl Relay {
    fn new(passage: &mut Passage, head: &ResponseHeader) -> Self {
        let served = head.status.is_success();
        let metered = served && passage.hold.is_some();
        let coding = Coding::of(head);
        let unreadable = matches!(coding, Some(Coding::Unknown));
        let kind = head.headers.get(CONTENT_TYPE);
        let input = match kind.map(http::HeaderValue::as_bytes) {
            _ if unreadable => MeterInput::Unreadable,
            Some(kind) if is_event_stream(kind) => MeterInput::Sse,
            _ => MeterInput::Json,
        };
        let strips = passage.terms.usage_injected && served && input == MeterInput::Sse;
        let restores = served && !passage.restorations.is_empty();
        let listing = passage.listing.take().filter(|_| served);
        let read = !served
            || metered
            || strips
            || restores
            || listing.is_some()
            || passage.ticket.is_some();
        let known = std::mem::take(&mut passage.restorations);
        let (restores, unrestored) = if unreadable && read {
            (false, known.categories())
        } else {
            (restores, BTreeMap::new())
        };
        let watch = passage
            .cut_at
            .filter(|_| served && input == MeterInput::Sse)
            .map(|reserved| Watch::new(passage, reserved));
        Self {
            status: head.status.as_u16(),
            first_byte: None,
            bytes: 0,
            ended: false,
            keeper: passage
                .ticket
                .take()
                .filter(|_| head.status == 200 && !unreadable && passage.trail.fallback.is_none())
                .map(|ticket| Keeper::new(ticket, head.headers.get(CONTENT_TYPE).cloned())),
            listing,
            unrestored,
            leftover: passage.leftover.take().filter(|_| served && !unreadable),
            unpacker: match coding {
                Some(Coding::Known(unpacker)) if read => Some(*unpacker),
                _ => None,
            },
            meter: metered.then(|| Meter::new(passage.endpoint, input, passage.terms.demand)),
            stripper: strips.then(UsageStripper::default),
            restorer: restores.then(|| {
                StreamRestorer::new(passage.endpoint, input == MeterInput::Sse, known)
                    .into_network(passage.restores_into_network)
            }),
            watch,
        }
    }

    /// Reads the next bytes and replaces them by what the client may see.
    fn pass(
        &mut self,
        body: &mut Option<Bytes>,
        end: bool,
        started: Instant,
    ) -> Result<(), Broken> {
        if let Some(unpacker) = &mut self.unpacker {
            let mut plain = Vec::new();
            if let Some(packed) = body.as_ref() {
                plain = unpacker.push(packed)?;
            }
            if end {
                plain.extend(unpacker.finish()?);
                self.unpacker = None;
            }
            *body = Some(Bytes::from(plain));
        }
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
        if let (Some(leftover), Some(bytes)) = (&mut self.leftover, body.as_ref()) {
            let restorer = self.restorer.as_ref();
            leftover.push(bytes, |one| restorer.is_some_and(|known| known.knows(one)));
        }
        if let Some(listing) = &mut self.listing {
            if let Some(bytes) = body.as_ref() {
                listing.push(bytes);
            }
            *body = Some(if end { listing.finish() } else { Bytes::new() });
        }
        if let Some(watch) = &mut self.watch {
            watch.pass(body, end);
        }
        if let (Some(keeper), Some(bytes)) = (&mut self.keeper, body.as_ref()) {
            keeper.push(bytes);
        }
        self.bytes += body.as_ref().map_or(0, |bytes| bytes.len() as u64);
        self.ended |= end;
        Ok(())
    }

    /// Whether what the client gets may be longer or shorter than what came.
    const fn rewrites(&self) -> bool {
        self.unpacker.is_some()
            || self.stripper.is_some()
            || self.restorer.is_some()
            || self.listing.is_some()
            || self.watch.is_some()
    }

    /// What could not be restored, by category: of this request, or, where `knows` the category, of earlier ones.
    pub fn unrestored(&self, knows: impl Fn(&Category) -> bool) -> BTreeMap<Category, u64> {
        let mut unrestored = self.unrestored.clone();
        let left = self.leftover.iter().flat_map(Leftover::counts);
        unrestored.extend(left.filter(|(category, _)| knows(category)));
        unrestored
    }

    /// The answer to keep, if it is for the cache.
    pub fn keeper(&mut self) -> Option<Keeper> {
        let whole = !self.is_cut();
        self.keeper.take().filter(|_| whole)
    }

    /// What was restored; `None` where there was nothing to restore.
    pub fn restored(&self) -> Option<&Counts> {
        self.restorer.as_ref().map(StreamRestorer::counts)
    }

    /// The watch over the reservation, and the meter that it asks.
    pub(super) fn watched(&mut self) -> Option<(&mut Watch, &Meter)> {
        self.watch.as_mut().zip(self.meter.as_ref())
    }

    /// What stripper and restorer hold back until they see more.
    fn flush(&mut self) -> Vec<u8> {
        let mut held = Vec::new();
        if let Some(stripper) = &mut self.stripper {
            stripper.finish(&mut held);
        }
        if let Some(restorer) = &mut self.restorer {
            restorer.push(&std::mem::take(&mut held), &mut held);
            restorer.finish(&mut held);
        }
        held
    }

    /// Ends the answer here: gives the bytes that do so.
    pub(super) fn farewell(&mut self, usage: &Usage) -> Bytes {
        let held = self.flush();
        let last = match &mut self.watch {
            Some(watch) => watch.end(&held, usage),
            None => Bytes::new(),
        };
        self.bytes += last.len() as u64;
        self.ended = true;
        last
    }

    /// Gives what is held back, as it is: the provider broke off, and nothing will decide it any more.
    pub(super) fn held_back(&mut self) -> Bytes {
        let mut held = Some(Bytes::from(self.flush()));
        if let Some(watch) = &mut self.watch {
            watch.pass(&mut held, true);
        }
        let held = held.unwrap_or_default();
        self.bytes += held.len() as u64;
        held
    }

    /// Whether the answer was ended here and not by its provider.
    pub fn is_cut(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::has_cut)
    }

    /// What the meter saw; `None` for an answer that is not billed.
    pub fn metered(&mut self) -> Option<Metered> {
        self.meter.take().map(Meter::finish)
    }
}

/// Whether a media type, which may be written in capitals, is that of server-sent events.
fn is_event_stream(kind: &[u8]) -> bool {
    const NAME: &[u8] = b"text/event-stream";
    kind.get(..NAME.len())
        .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
}

/// The content encoding of an answer. Identity was asked for, and not every provider (or what stands before it) listens.
enum Coding {
    Known(Box<Unpacker>),
    Unknown,
}

impl Coding {
    /// `None` where there is nothing to undo.
    fn of(head: &ResponseHeader) -> Option<Self> {
        let coding = head.headers.get(CONTENT_ENCODING)?;
        let names = coding.to_str().unwrap_or("?").split(',').map(str::trim);
        let says = |name: &&str| !name.is_empty() && !name.eq_ignore_ascii_case("identity");
        let mut names = names.filter(says);
        let name = names.next()?;
        let one = Unpacker::of(name).filter(|_| names.next().is_none());
        Some(one.map_or(Self::Unknown, |one| Self::Known(Box::new(one))))
    }
}

/// What a provider says to those who are connected to it: the client is not.
const NOT_PASSED: [HeaderName; 4] = [ALT_SVC, SET_COOKIE, STRICT_TRANSPORT_SECURITY, TRAILER];

/// Takes out what is not the provider's to say: our own headers, and those of the connection to it.
fn forget_foreign(head: &mut ResponseHeader) {
    let connection = head.headers.get_all(CONNECTION).iter();
    let named = connection.filter_map(|value| value.to_str().ok());
    let named = named.flat_map(|names| names.split(',')).map(str::trim);
    let ours = head.headers.keys().map(HeaderName::as_str);
    let ours = ours.filter(|name| name.starts_with("tollgate-"));
    let foreign: Vec<String> = named.chain(ours).map(str::to_ascii_lowercase).collect();
    for name in NOT_PASSED {
        head.remove_header(&name);
    }
    // Pingora frames the body by these, whoever names them.
    let framing = |name: &&String| matches!(name.as_str(), "content-length" | "transfer-encoding");
    for name in foreign.iter().filter(|name| !framing(name)) {
        head.remove_header(name);
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
    forget_foreign(head);
    respond::mark(head, ctx)?;
    ctx.row.status = head.status.as_u16();
    let Some(passage) = &mut ctx.passage else {
        return Ok(());
    };
    let relay = Box::new(Relay::new(passage, head));
    if ctx.row.redactions > 0 {
        head.insert_header(REDACTED, ctx.row.redactions)?;
    }
    if let Some(model) = &passage.trail.fallback {
        head.insert_header(MODEL, model.as_str())?;
    }
    if relay.keeper.is_some() {
        head.insert_header(respond::CACHE, "miss")?;
    }
    if relay.unpacker.is_some() || relay.listing.is_some() {
        head.remove_header(&CONTENT_ENCODING);
    }
    if let Some(most) = passage.clamped {
        head.insert_header(CLAMPED, most)?;
    }
    let length = head.headers.get(CONTENT_LENGTH);
    let kind = head.headers.get(CONTENT_TYPE);
    // Events are written as they come; Pingora gathers what has a length.
    let streams = kind.is_some_and(|kind| is_event_stream(kind.as_bytes()));
    if (relay.rewrites() || streams) && length.is_some_and(|length| length != "0") {
        head.remove_header(&CONTENT_LENGTH);
        head.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    passage.relay = Some(relay);
    Ok(())
}

/// Passes the next piece of the answer's body.
///
/// # Errors
/// When the answer's content encoding is broken: nothing that follows can be told.
pub fn pass(body: &mut Option<Bytes>, end: bool, ctx: &mut Ctx) -> pingora::Result<()> {
    let started = ctx.started;
    let relay = ctx
        .passage
        .as_mut()
        .and_then(|passage| passage.relay.as_mut());
    match relay.map(|relay| relay.pass(body, end, started)) {
        None | Some(Ok(())) => Ok(()),
        Some(Err(Broken)) => {
            let mut error = Error::explain(ErrorType::ReadError, "a broken content encoding");
            error.as_up();
            Err(error)
        }
    }
}

/// Ends an answer that was its head alone, once it was passed on without an error: Pingora tells no end of a body then.
pub fn end_without_body(ctx: &mut Ctx) {
    let passage = ctx.passage.as_mut();
    if let Some(relay) = passage.and_then(|passage| passage.relay.as_mut()) {
        relay.ended |= relay.first_byte.is_none();
    }
}

/// Ends an answer whose last bytes came with trailers (HTTP/2 tells no end of the body then); gives back what was held.
///
/// # Errors
/// As [`pass`].
pub fn end_with_trailers(ctx: &mut Ctx) -> pingora::Result<Option<Bytes>> {
    let mut held = None;
    pass(&mut held, true, ctx)?;
    Ok(held.filter(|bytes| !bytes.is_empty()))
}
