//! Prepares a passage: the body gathered and read, its model checked, inspected, paid for, and as it will be sent.

use std::sync::Arc;
use std::time::Instant;

use http::header::CONTENT_ENCODING;
use pingora::proxy::Session;

use super::admit::{Destination, Standing};
use super::attempts::Trail;
use super::body::{self, Gathered, UploadLimits};
use super::cache::{Kept, Ticket};
use super::choice::{self, Chosen};
use super::ctx::{Ctx, Passage, Terms};
use super::hold::{self, Held};
use super::leftover::Leftover;
use super::listing::Listing;
use super::redact::Redacted;
use super::refusal::Refusal;
use super::{Gateway, inspect, verdict};
use crate::audit::Label;
use crate::config::OnUndecodable;
use crate::domain::Demand;
use crate::provider::{
    Ask, Endpoint, asked_alone, for_whole_list, path_of_one, read_ask, splice_include_usage,
    splice_model,
};
use crate::scan::restore::Restorations;

/// The usual sender of numbers is named, with its remedy.
const TOKEN_IDS: &str =
    "its input is token ids; send the text itself (LangChain: check_embedding_ctx_length=False)";

pub(super) async fn without_body(
    session: &mut Session,
    ctx: &mut Ctx,
    standing: &Standing,
    mut destination: Destination,
) -> Result<Box<Passage>, Refusal> {
    verdict::reach(session, ctx, standing, &destination, None).await?;
    let listing = match asked_alone(&destination.path).map(str::to_owned) {
        Some(model) => {
            show_one(ctx, standing, &mut destination, &model)?;
            None
        }
        None => show_list(ctx, standing, &mut destination),
    };
    let terms = Terms {
        model: String::new(),
        demand: Demand::default(),
        usage_injected: false,
    };
    let mut passage = passage(destination, None, false, terms);
    passage.listing = listing;
    Ok(passage)
}

/// Asks about one model, which the team may use; an alias means its model here as well.
fn show_one(
    ctx: &mut Ctx,
    standing: &Standing,
    destination: &mut Destination,
    asked: &str,
) -> Result<(), Refusal> {
    // The path has been scanned by now.
    let shown = ctx.row.findings.is_empty() || choice::is_known(&ctx.snapshot, asked);
    ctx.row.model = if shown {
        Label::clean(asked, Label::MODEL)
    } else {
        Label::withheld()
    };
    let model = choice::named(&ctx.snapshot, &standing.team, asked)?;
    if model != asked {
        destination.path = path_of_one(&model);
    }
    Ok(())
}

/// Asks for the list; where it is filtered, for all of it at once.
fn show_list(ctx: &Ctx, standing: &Standing, destination: &mut Destination) -> Option<Listing> {
    let aliases = &ctx.snapshot.settings.models.aliases;
    let models = &standing.team.policy.models;
    let dialect = destination.upstream.dialect;
    let listing = Listing::new(dialect, models, aliases)?;
    let (path, page) = for_whole_list(&destination.path, dialect);
    destination.path = path;
    Some(listing.of(page))
}

pub(super) async fn with_body(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut Ctx,
    standing: &Standing,
    destination: Destination,
) -> Result<Prepared, Refusal> {
    let mut gathered = body::gather(session, upload_limits(ctx), &gateway.room).await?;
    let began = Instant::now();
    ctx.row.bytes_in = gathered.bytes.len() as u64;
    let (plain, encoded) = plain_body(session, ctx, &gathered).await?;
    gathered.widen(&gateway.room, plain.len())?;
    let mut ask = read_ask(destination.endpoint, &plain)
        .map_err(|error| Refusal::InvalidBody(error.to_string()))?;
    ctx.row.stream = ask.stream;
    ctx.row.price_revision = Label::clean(ctx.snapshot.prices.revision(), 128);
    let chosen = choose_model(ctx, standing, destination.endpoint, &mut ask)?;
    let redacted = verdict::reach(session, ctx, standing, &destination, Some(&plain)).await?;
    check_text(ctx, &ask)?;
    if let Some(redacted) = &redacted {
        // A placeholder may be longer than what it stands for, and what is billed is what is sent.
        gathered.widen(&gateway.room, redacted.body.len())?;
        let longer = redacted.body.len().saturating_sub(plain.len());
        ask.demand.input_bytes = ask.demand.input_bytes.saturating_add(longer as u64);
    }
    let ticket = match kept(
        session,
        ctx,
        standing,
        &destination,
        &Wanted {
            ask: &ask,
            chosen: &chosen,
            plain: &plain,
            redacted: redacted.is_some(),
        },
    ) {
        Cached::Hit(kept) => return Ok(Prepared::Kept(kept)),
        Cached::Miss(ticket) => Some(ticket),
        Cached::Apart => None,
    };
    let held = if destination.endpoint.billed() {
        let body = redacted.as_ref().map_or(&plain[..], |one| &one.body[..]);
        let ask = &mut ask;
        Some(hold::reserve(gateway, ctx, standing, &destination, ask, &chosen, body).await?)
    } else {
        None
    };
    let read = ReadBody {
        gathered,
        plain,
        encoded,
        redacted,
    };
    let mut passage = outgoing(destination, read, &ask, chosen, held.as_ref())?;
    passage.ticket = ticket;
    passage.restores_into_network = standing.team.policy.restore_in_network_commands;
    let keeps = passage.endpoint == Endpoint::Responses && ask.demand.opaque;
    if keeps && standing.team.actions.redacts() {
        passage.leftover = Some(Leftover::default());
    }
    if let Some(held) = held {
        held.give_to(&mut passage);
    }
    ctx.row.overhead = began.elapsed();
    Ok(Prepared::Passage(passage))
}

/// Refuses input that is the numbers of tokens, or marks it, as the configuration says of what cannot be decoded.
fn check_text(ctx: &mut Ctx, ask: &Ask) -> Result<(), Refusal> {
    ctx.undecodable |= ask.token_ids;
    if ask.token_ids && ctx.snapshot.settings.scan.on_undecodable == OnUndecodable::Block {
        return Err(Refusal::Undecodable(TOKEN_IDS.to_owned()));
    }
    Ok(())
}

/// A body that has been read and inspected.
struct ReadBody {
    gathered: Gathered,
    /// With its content encodings undone.
    plain: bytes::Bytes,
    /// Whether it leaves with those that it came with, where nothing else changes it.
    encoded: bool,
    /// With placeholders, where something was to be redacted.
    redacted: Option<Redacted>,
}

/// The passage of a request whose body is put as it will be sent.
fn outgoing(
    destination: Destination,
    read: ReadBody,
    ask: &Ask,
    chosen: Chosen,
    held: Option<&Held>,
) -> Result<Box<Passage>, Refusal> {
    let (going, restorations) = match read.redacted {
        Some(redacted) => (
            Some(bytes::Bytes::from(redacted.body)),
            redacted.restorations,
        ),
        None => (None, Restorations::default()),
    };
    let body = going.as_ref().unwrap_or(&read.plain);
    let going = held.and_then(|held| held.clamp(body)).or(going);
    let wants_usage = destination.upstream.asks_usage && !ask.usage_requested;
    let changed = spliced(&read.plain, going, wants_usage, &chosen)?;
    let terms = Terms {
        model: chosen.model,
        demand: ask.demand,
        usage_injected: changed.usage_injected,
    };
    // Only the body as it came still has the content encoding that it came with; a fallback's name is put into plain text.
    let (bytes, encoded) = match changed.body {
        Some(changed) => (changed, false),
        None if read.encoded && chosen.fallbacks.is_empty() => (read.gathered.bytes.clone(), true),
        None => (read.plain, false),
    };
    let body = Some(read.gathered.holding(bytes));
    let mut passage = passage(destination, body, encoded, terms);
    passage.trail = Trail::new(&passage.upstream, chosen.fallbacks);
    passage.restorations = restorations;
    Ok(passage)
}

/// What a request has become once its body is read.
pub(super) enum Prepared {
    Passage(Box<Passage>),
    /// It is answered from the response cache.
    Kept(Arc<Kept>),
}

/// What the response cache says of a request.
enum Cached {
    Hit(Arc<Kept>),
    Miss(Ticket),
    /// It is not for the cache.
    Apart,
}

/// What the cache needs to know of a request.
struct Wanted<'a> {
    ask: &'a Ask,
    chosen: &'a Chosen,
    plain: &'a bytes::Bytes,
    redacted: bool,
}

/// Asks the cache. A request in which something was redacted is not for it: its answer may repeat a placeholder.
fn kept(
    session: &Session,
    ctx: &Ctx,
    standing: &Standing,
    destination: &Destination,
    wanted: &Wanted<'_>,
) -> Cached {
    let Some(cache) = ctx.snapshot.cache.as_ref().filter(|_| !wanted.redacted) else {
        return Cached::Apart;
    };
    let named = if wanted.chosen.renamed {
        splice_model(wanted.plain, &wanted.chosen.model)
    } else {
        Some(wanted.plain.clone())
    };
    let headers = &session.req_header().headers;
    let key = named.and_then(|body| cache.key(standing, destination, headers, wanted.ask, &body));
    match key.map(|key| (cache.get(&key), key)) {
        None => Cached::Apart,
        Some((Some(kept), _)) => Cached::Hit(kept),
        Some((None, key)) => Cached::Miss(Ticket {
            cache: Arc::clone(cache),
            key,
        }),
    }
}

fn passage(
    destination: Destination,
    body: Option<Gathered>,
    encoded: bool,
    terms: Terms,
) -> Box<Passage> {
    Box::new(Passage {
        trail: Trail::new(&destination.upstream, Vec::new()),
        endpoint: destination.endpoint,
        upstream: destination.upstream,
        path: destination.path,
        body,
        encoded,
        hold: None,
        attempts: 0,
        address: 0,
        sent: None,
        may_be_billed: false,
        restorations: Restorations::default(),
        restores_into_network: false,
        leftover: None,
        listing: None,
        ticket: None,
        relay: None,
        terms,
        clamped: None,
        cut_at: None,
    })
}

/// All content encodings that the head tells, in order, however many headers it takes for that.
fn encodings(session: &Session) -> Option<String> {
    let told = session.req_header().headers.get_all(CONTENT_ENCODING);
    let told: Vec<_> = told
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}

fn upload_limits(ctx: &Ctx) -> UploadLimits {
    let limits = &ctx.snapshot.settings.limits;
    UploadLimits {
        body: limits.body,
        time: limits.upload_timeout,
    }
}

/// The body with its content encodings undone, which is asked about and inspected; and whether it may leave with those that
/// it came with.
async fn plain_body(
    session: &Session,
    ctx: &Ctx,
    gathered: &Gathered,
) -> Result<(bytes::Bytes, bool), Refusal> {
    let Some(encodings) = encodings(session) else {
        return Ok((gathered.bytes.clone(), false));
    };
    let most = ctx.snapshot.settings.limits.body;
    let inspection = &ctx.snapshot.inspection;
    let plain = inspect::unpack(inspection, encodings, &gathered.bytes, most).await?;
    Ok((plain.bytes, plain.passes))
}

/// Chooses the request's model, and notes what it asked for: once it has been scanned, unless its name is known.
fn choose_model(
    ctx: &mut Ctx,
    standing: &Standing,
    endpoint: Endpoint,
    ask: &mut Ask,
) -> Result<Chosen, Refusal> {
    let asked = ask.model.as_deref().unwrap_or("");
    ctx.row.model = Label::clean(asked, Label::MODEL);
    let chosen = choice::choose(&ctx.snapshot, &standing.team, ask);
    if chosen.is_err() && !asked.is_empty() && !choice::is_known(&ctx.snapshot, asked) {
        ctx.row.model = Label::withheld();
    }
    let chosen = chosen?;
    if chosen.renamed {
        ask.rename(endpoint, &chosen.model);
    }
    Ok(chosen)
}

/// A body after what the gateway has to change in it.
struct Changed {
    /// Absent where nothing had to be changed.
    body: Option<bytes::Bytes>,
    usage_injected: bool,
}

/// Puts the chosen model and the wish for usage into the body: of the plain one, or the one in which secrets were
/// replaced.
fn spliced(
    plain: &bytes::Bytes,
    redacted: Option<bytes::Bytes>,
    wants_usage: bool,
    chosen: &Chosen,
) -> Result<Changed, Refusal> {
    let mut body = redacted;
    if chosen.renamed {
        let renamed = splice_model(body.as_ref().unwrap_or(plain), &chosen.model);
        // It was read as an object with at most one name: there is a place.
        body = Some(renamed.ok_or(Refusal::Internal)?);
    }
    let told = if wants_usage {
        splice_include_usage(body.as_ref().unwrap_or(plain))
    } else {
        None
    };
    Ok(Changed {
        usage_injected: told.is_some(),
        body: told.or(body),
    })
}
