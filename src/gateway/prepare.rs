//! Prepares a passage: the body gathered and read, its model checked, inspected, paid for, and as it will be sent.

use std::time::Instant;

use http::header::CONTENT_ENCODING;
use pingora::proxy::Session;

use super::admit::{Destination, Standing};
use super::body::{self, Gathered, UploadLimits};
use super::ctx::{Ctx, Passage, Terms};
use super::refusal::Refusal;
use super::{Gateway, header, hold, verdict};
use crate::audit::Label;
use crate::domain::Demand;
use crate::provider::{Ask, read_ask, splice_include_usage};
use crate::scan::restore::Restorations;

pub(super) async fn without_body(
    session: &mut Session,
    ctx: &mut Ctx,
    standing: &Standing,
    destination: Destination,
) -> Result<Passage, Refusal> {
    verdict::reach(session, ctx, standing, &destination, None).await?;
    Ok(passage(
        destination,
        None,
        false,
        Terms {
            model: String::new(),
            demand: Demand::default(),
            usage_injected: false,
        },
    ))
}

pub(super) async fn with_body(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut Ctx,
    standing: &Standing,
    destination: Destination,
) -> Result<Passage, Refusal> {
    let limits = UploadLimits {
        body: ctx.snapshot.settings.limits.body,
        time: ctx.snapshot.settings.limits.upload_timeout,
    };
    let gathered = body::gather(session, limits, &gateway.room).await?;
    let began = Instant::now();
    ctx.row.bytes_in = gathered.bytes.len() as u64;
    let encoding = header(session, &CONTENT_ENCODING);
    let plain = plain_body(ctx, &gathered, encoding.as_deref())?;
    let mut ask = read_ask(destination.endpoint, &plain)
        .map_err(|error| Refusal::InvalidBody(error.to_string()))?;
    ctx.row.stream = ask.stream;
    ctx.row.price_revision = Label::clean(ctx.snapshot.prices.revision(), 32);
    check_model(ctx, standing, &ask)?;
    let redacted = verdict::reach(session, ctx, standing, &destination, Some(&plain)).await?;
    if let Some(redacted) = &redacted {
        // A placeholder may be longer than what it stands for, and what is billed is what is sent.
        let longer = redacted.body.len().saturating_sub(plain.len());
        ask.demand.input_bytes = ask.demand.input_bytes.saturating_add(longer as u64);
    }
    let hold = if destination.endpoint.billed() {
        Some(hold::reserve(gateway, ctx, standing, &destination, &ask).await?)
    } else {
        None
    };
    let (going, restorations) = match redacted {
        Some(redacted) => (
            Some(bytes::Bytes::from(redacted.body)),
            redacted.restorations,
        ),
        None => (None, Restorations::default()),
    };
    let spliced = if ask.usage_requested {
        None
    } else {
        splice_include_usage(going.as_ref().unwrap_or(&plain))
    };
    let terms = Terms {
        model: ask.model,
        demand: ask.demand,
        usage_injected: spliced.is_some(),
    };
    // Only the body as it came still has the content encoding that it came with.
    let (bytes, encoded) = match spliced.or(going) {
        Some(changed) => (changed, false),
        None => (gathered.bytes.clone(), encoding.is_some()),
    };
    let body = Some(gathered.holding(bytes));
    let mut passage = passage(destination, body, encoded, terms);
    passage.hold = hold;
    passage.restorations = restorations;
    ctx.row.overhead = began.elapsed();
    Ok(passage)
}

fn passage(
    destination: Destination,
    body: Option<Gathered>,
    encoded: bool,
    terms: Terms,
) -> Passage {
    Passage {
        endpoint: destination.endpoint,
        upstream: destination.upstream,
        path: destination.path,
        body,
        encoded,
        hold: None,
        attempts: 0,
        address: 0,
        sent: false,
        restorations: Restorations::default(),
        restores_into_network: false,
        relay: None,
        terms,
    }
}

/// The body with its content encodings undone: what is asked about and inspected. What cannot be undone is refused,
/// since nothing could be said about it.
fn plain_body(
    ctx: &Ctx,
    gathered: &Gathered,
    encodings: Option<&str>,
) -> Result<bytes::Bytes, Refusal> {
    let unpacked = ctx
        .snapshot
        .inspection
        .unpack(encodings.unwrap_or_default(), &gathered.bytes)
        .map_err(|why| Refusal::Undecodable(why.to_string()))?;
    Ok(unpacked.map_or_else(|| gathered.bytes.clone(), bytes::Bytes::from))
}

fn check_model(ctx: &mut Ctx, standing: &Standing, ask: &Ask) -> Result<(), Refusal> {
    let model = Label::clean(&ask.model, Label::MODEL);
    ctx.row.model = model.clone();
    if standing.team.policy.models.allows(&ask.model) {
        return check_others(ctx, standing, ask);
    }
    // The body has not been scanned yet, and a name that no price table has may be anything: neither shown nor kept.
    if ctx.snapshot.prices.find("", &ask.model).known {
        return Err(Refusal::ModelNotAllowed {
            model: Some(model.to_string()),
        });
    }
    ctx.row.model = Label::withheld();
    Err(Refusal::ModelNotAllowed { model: None })
}

/// Models that may answer or advise besides the first pass the same list. One that the provider chooses passes only where
/// every model does.
fn check_others(ctx: &Ctx, standing: &Standing, ask: &Ask) -> Result<(), Refusal> {
    for other in &ask.others {
        let name = other.name.as_deref().unwrap_or("");
        if !standing.team.policy.models.allows(name) {
            let known = ctx.snapshot.prices.find("", name).known;
            let model = known.then(|| Label::clean(name, Label::MODEL).to_string());
            return Err(Refusal::ModelNotAllowed { model });
        }
    }
    Ok(())
}
