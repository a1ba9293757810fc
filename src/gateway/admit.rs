//! Says whether a request may pass, step by step, a cheap no before an expensive one; on yes, builds its passage.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, UPGRADE, USER_AGENT};
use pingora::proxy::Session;

use super::Gateway;
use super::body::{self, Gathered, UploadLimits};
use super::ctx::{Ctx, Passage, Terms};
use super::inspect::{self, Content};
use super::redact::{self, Redacted};
use super::refusal::Refusal;
use super::upstream::Upstream;
use crate::audit::{Begin, Decision, Label};
use crate::budget::{Account, CapReached, Cause, Reservation};
use crate::config::OnUndecodable;
use crate::domain::{Caller, Demand, Moment, Usd};
use crate::identity::{self, KeyError};
use crate::live::Team;
use crate::policy::Gate;
use crate::provider::{
    Ask, Dialect, Endpoint, Hints, Route, read_ask, route, splice_include_usage,
};
use crate::scan::Report;
use crate::scan::restore::Restorations;

/// Bytes of a request for each token that its limits count at first: code and prose have about four.
const BYTES_PER_TOKEN: u64 = 4;

/// The longest that a request waits for a lease that is being fetched.
const LEASE_TIME: Duration = Duration::from_millis(500);
const LEASE_STEP: Duration = Duration::from_millis(2);

/// What admission leads to where it does not refuse.
pub enum Admitted {
    /// To be forwarded: the context has its passage.
    Forward,
    /// To be answered here with an empty 200.
    Probe,
}

/// A caller with everything that is decided about it.
struct Standing {
    caller: Arc<Caller>,
    team: Arc<Team>,
    accounts: Arc<[Arc<Account>]>,
    gate: Arc<Gate>,
}

/// Where a request goes, owned: the session's head is borrowed no longer.
struct Destination {
    endpoint: Endpoint,
    upstream: Arc<Upstream>,
    path: String,
}

/// Walks a request through all decisions.
///
/// # Errors
/// The refusal with which the request ends.
pub async fn admit(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut Ctx,
) -> Result<Admitted, Refusal> {
    note_client(session, ctx);
    check_head(session, ctx)?;
    let routed = find_route(session, ctx);
    if let Ok(Route {
        endpoint: Endpoint::Probe,
        ..
    }) = routed
    {
        ctx.row.endpoint = Endpoint::Probe.as_str();
        return Ok(Admitted::Probe);
    }
    let destination = routed.map(|r| {
        (
            r.endpoint,
            r.dialect,
            r.provider.map(str::to_owned),
            r.upstream_path.to_owned(),
        )
    });
    let standing = identify(gateway, session, ctx)?;
    refuse_websocket(session)?;
    let (endpoint, dialect, prefix, path) = destination?;
    ctx.row.endpoint = endpoint.as_str();
    let upstream = find_upstream(ctx, dialect, prefix.as_deref())?;
    let destination = Destination {
        endpoint,
        upstream,
        path,
    };
    enter(session, &standing, &destination, ctx)?;
    if endpoint.billed() {
        check_spent(gateway, &standing, ctx).await?;
    }
    let passage = if endpoint.has_body() {
        with_body(gateway, session, ctx, &standing, destination).await?
    } else {
        without_body(session, ctx, &standing, destination).await?
    };
    dispatch(gateway, ctx, &standing, passage).await
}

fn note_client(session: &Session, ctx: &mut Ctx) {
    ctx.row.client = session
        .client_addr()
        .and_then(|addr| addr.as_inet())
        .map(|addr| canonical(addr.ip()));
}

fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

fn check_head(session: &Session, ctx: &Ctx) -> Result<(), Refusal> {
    let head = session.req_header();
    let size: usize = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let whole = (size + head.raw_path().len()) as u64;
    if whole > ctx.snapshot.settings.limits.headers {
        Err(Refusal::HeadersTooLarge)
    } else {
        Ok(())
    }
}

fn find_route<'a>(session: &'a Session, ctx: &mut Ctx) -> Result<Route<'a>, Refusal> {
    let head = session.req_header();
    let hints = Hints {
        anthropic_version: head.headers.contains_key("anthropic-version"),
        x_api_key: head.headers.contains_key("x-api-key"),
    };
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    match route(head.method.as_str(), path, hints) {
        Ok(found) => {
            ctx.dialect = found.dialect;
            ctx.row.dialect = found.dialect.as_str();
            Ok(found)
        }
        Err(none) => {
            ctx.dialect = none.dialect;
            ctx.row.dialect = none.dialect.as_str();
            Err(Refusal::UnknownPath)
        }
    }
}

fn identify(gateway: &Gateway, session: &Session, ctx: &mut Ctx) -> Result<Standing, Refusal> {
    let headers = &session.req_header().headers;
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &http::HeaderValue| value.to_str().ok())
    };
    let key = identity::present(text("x-api-key"), text("authorization")).map_err(Refusal::Key)?;
    let snapshot = &ctx.snapshot;
    if !snapshot.people.available {
        return Err(Refusal::Key(KeyError::Unavailable));
    }
    let caller = snapshot
        .people
        .roster
        .find(&key.hash(&gateway.key_pepper), ctx.row.at)
        .map_err(Refusal::Key)?;
    ctx.row.organisation = Some(caller.organisation.clone());
    ctx.row.team = Some(caller.team.clone());
    ctx.row.user.clone_from(&caller.user);
    ctx.row.key = Some(caller.key.clone());
    let team = snapshot
        .people
        .teams
        .get(&caller.team)
        .ok_or(Refusal::Key(KeyError::Unknown))?;
    let accounts = snapshot
        .people
        .accounts
        .get(&caller.key)
        .ok_or(Refusal::Key(KeyError::Unknown))?;
    let gate = snapshot
        .people
        .gates
        .get(&caller.key)
        .ok_or(Refusal::Key(KeyError::Unknown))?;
    Ok(Standing {
        gate: Arc::clone(gate),
        caller: Arc::clone(caller),
        team: Arc::clone(team),
        accounts: Arc::clone(accounts),
    })
}

fn refuse_websocket(session: &Session) -> Result<(), Refusal> {
    let wanted = session
        .req_header()
        .headers
        .get(UPGRADE)
        .is_some_and(|value| {
            value
                .to_str()
                .is_ok_and(|text| text.to_ascii_lowercase().contains("websocket"))
        });
    if wanted {
        Err(Refusal::WebSocket)
    } else {
        Ok(())
    }
}

fn find_upstream(
    ctx: &mut Ctx,
    dialect: Dialect,
    prefix: Option<&str>,
) -> Result<Arc<Upstream>, Refusal> {
    let found = ctx.snapshot.upstream(dialect, prefix).ok_or(match prefix {
        Some(_) => Refusal::UnknownPath,
        None => Refusal::NoProvider {
            dialect: dialect.as_str(),
        },
    })?;
    ctx.row.provider = Some(found.name.clone());
    if found.credential.is_none() {
        return Err(Refusal::NoCredential {
            provider: found.name.clone(),
        });
    }
    Ok(Arc::clone(found))
}

/// Passes the limits of the caller and of the provider. How many tokens the request will use is not known before its
/// body is read, so what its length suggests is taken until the answer is counted.
fn enter(
    session: &Session,
    standing: &Standing,
    destination: &Destination,
    ctx: &mut Ctx,
) -> Result<(), Refusal> {
    let length = session.req_header().headers.get(CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let tokens = if destination.endpoint.billed() {
        length.unwrap_or(0) / BYTES_PER_TOKEN
    } else {
        0
    };
    for gate in [&standing.gate, &destination.upstream.gate] {
        let pass = gate.enter(tokens, ctx.row.at).map_err(Refusal::Limited)?;
        ctx.passes.push(pass);
    }
    Ok(())
}

/// A cap that is spent already refuses before the body is read: not even the least amount fits.
async fn check_spent(gateway: &Gateway, standing: &Standing, ctx: &Ctx) -> Result<(), Refusal> {
    let least = Usd::from_nanos(1);
    let held = hold(gateway, standing, least, ctx.row.at).await;
    held.map(Reservation::release)
        .map_err(|reached| Refusal::Budget {
            reached,
            asked: None,
        })
}

/// Holds an amount on every budget of the caller, or on none. A node of a fleet whose lease is used up is given a moment:
/// the next one is being fetched. Whoever is admitted at once waits for nothing.
async fn hold(
    gateway: &Gateway,
    standing: &Standing,
    amount: Usd,
    at: Moment,
) -> Result<Reservation, CapReached> {
    let until = Instant::now() + LEASE_TIME;
    loop {
        match gateway.ledger.reserve(&standing.accounts, amount, at) {
            Err(reached) if reached.cause == Cause::Lease && Instant::now() < until => {
                tokio::time::sleep(LEASE_STEP).await;
            }
            decided => return decided,
        }
    }
}

async fn without_body(
    session: &mut Session,
    ctx: &mut Ctx,
    standing: &Standing,
    destination: Destination,
) -> Result<Passage, Refusal> {
    inspect_all(session, ctx, standing, &destination, None).await?;
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

async fn with_body(
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
    let redacted = inspect_all(session, ctx, standing, &destination, Some(&plain)).await?;
    if let Some(redacted) = &redacted {
        // A placeholder may be longer than what it stands for, and what is billed is what is sent.
        let longer = redacted.body.len().saturating_sub(plain.len());
        ask.demand.input_bytes = ask.demand.input_bytes.saturating_add(longer as u64);
    }
    let hold = if destination.endpoint.billed() {
        Some(reserve(gateway, ctx, standing, &destination, &ask).await?)
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

fn header(session: &Session, name: &http::HeaderName) -> Option<String> {
    session
        .req_header()
        .headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
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

/// Scans head and body; on a block the request ends here, and nothing has left. Gives the body back where it was redacted.
async fn inspect_all(
    session: &Session,
    ctx: &mut Ctx,
    standing: &Standing,
    destination: &Destination,
    plain: Option<&bytes::Bytes>,
) -> Result<Option<Redacted>, Refusal> {
    let inspection = Arc::clone(&ctx.snapshot.inspection);
    let text = inspect::head_text(&destination.path, &session.req_header().headers);
    let head = inspection.scan_text(&text, Some(&standing.caller.team));
    let kind = header(session, &CONTENT_TYPE);
    let mut reports = vec![(head, Some("$head"))];
    if let Some(bytes) = plain {
        let content = Content {
            bytes,
            content_type: kind.as_deref(),
            content_encoding: None,
        };
        let mut report = inspect::scan(&inspection, &content, &standing.caller.team).await?;
        redact::forget_placeholders(bytes, &mut report);
        reports.push((report, None));
    }
    keep_agent(
        session,
        ctx,
        reports
            .first()
            .is_some_and(|(head, _)| head.findings.is_empty()),
    );
    if reports.iter().any(|(report, _)| {
        report
            .findings
            .iter()
            .any(|finding| finding.path == "$.model")
    }) {
        ctx.row.model = Label::withheld();
    }
    let borrowed: Vec<_> = reports
        .iter()
        .map(|(report, place)| (report, *place))
        .collect();
    let (found, refusal) = inspect::judge(&standing.team, &borrowed);
    ctx.row.decision = if found.is_empty() {
        Decision::Allowed
    } else {
        Decision::Alerted
    };
    ctx.row.findings = found;
    let undecodable = reports
        .iter()
        .find_map(|(report, _)| report.undecodable.as_ref());
    match (refusal, undecodable) {
        (Some(refusal), _) => Err(refusal),
        (None, Some(why)) if ctx.snapshot.settings.scan.on_undecodable == OnUndecodable::Block => {
            Err(Refusal::Undecodable(why.to_string()))
        }
        (None, _) => redact_all(ctx, standing, &reports, plain),
    }
}

/// Redacts the body where policy says so; what cannot be rewritten is refused, or as the configuration says.
fn redact_all(
    ctx: &mut Ctx,
    standing: &Standing,
    reports: &[(Report, Option<&'static str>)],
    plain: Option<&bytes::Bytes>,
) -> Result<Option<Redacted>, Refusal> {
    let terms = redact::Terms::default();
    let actions = &standing.team.actions;
    let mut redacted = None;
    for (report, place) in reports {
        match (place, plain) {
            (None, Some(body)) => {
                let organisation = &standing.caller.organisation;
                let placeholders = ctx.snapshot.inspection.placeholders(organisation);
                redacted = redact::apply(body, report, actions, &placeholders, terms)?;
            }
            _ => redact::apply_to_head(report, actions, terms)?,
        }
    }
    if let Some(redacted) = &redacted {
        let count: u64 = redacted.counts.values().sum();
        ctx.row.redactions = u32::try_from(count).unwrap_or(u32::MAX);
        ctx.row.decision = Decision::Redacted;
    }
    Ok(redacted)
}

/// A user agent is kept once the head has been scanned and nothing was found in it.
fn keep_agent(session: &Session, ctx: &mut Ctx, clean: bool) {
    if let Some(agent) = header(session, &USER_AGENT) {
        ctx.row.user_agent = if clean {
            Label::clean(&agent, Label::USER_AGENT)
        } else {
            Label::withheld()
        };
    }
}

/// Holds the worst case of the request on every budget of its caller, or on none.
async fn reserve(
    gateway: &Gateway,
    ctx: &mut Ctx,
    standing: &Standing,
    destination: &Destination,
    ask: &Ask,
) -> Result<Reservation, Refusal> {
    let snapshot = Arc::clone(&ctx.snapshot);
    let priced =
        snapshot
            .prices
            .find_at(destination.upstream.name.as_str(), &ask.model, ctx.row.at);
    if !priced.known {
        gateway
            .metrics
            .unknown_model
            .with_label_values(&[destination.upstream.name.as_str()])
            .inc();
    }
    ctx.row.priced_as = Some(priced.model.clone());
    let mode = snapshot.settings.budget.quote;
    let mut quote = priced.price.quote(&ask.demand, mode);
    for other in &ask.others {
        let name = other.name.as_deref().unwrap_or("");
        let priced = snapshot
            .prices
            .find_at(destination.upstream.name.as_str(), name, ctx.row.at);
        let extra = priced.price.quote(&other.demand, mode);
        quote = quote
            .zip(extra)
            .and_then(|(sum, extra)| sum.checked_add(extra));
    }
    let quote = quote.ok_or(Refusal::Unbounded)?;
    let hold = hold(gateway, standing, quote, ctx.row.at)
        .await
        .map_err(|reached| Refusal::Budget {
            reached,
            asked: Some(quote),
        })?;
    ctx.row.charges = hold
        .charges()
        .map(|(budget, period)| (budget.clone(), period))
        .collect();
    Ok(hold)
}

/// Writes the request's beginning to the log; only then may it leave.
async fn dispatch(
    gateway: &Gateway,
    ctx: &mut Ctx,
    standing: &Standing,
    passage: Passage,
) -> Result<Admitted, Refusal> {
    let row = &ctx.row;
    let begin = Begin {
        request: row.request,
        at: row.at,
        caller: Caller::clone(&standing.caller),
        provider: passage.upstream.name.clone(),
        dialect: row.dialect,
        endpoint: row.endpoint,
        model: row.model.clone(),
        priced_as: row
            .priced_as
            .clone()
            .unwrap_or_else(|| passage.upstream.name.clone()),
        stream: row.stream,
        findings: row.findings.clone(),
        redactions: row.redactions,
        reserved: passage.hold.as_ref().map_or(Usd::ZERO, Reservation::amount),
        price_revision: row.price_revision.clone(),
        charges: row.charges.clone(),
        bytes_in: row.bytes_in,
        client: row.client,
        user_agent: row.user_agent.clone(),
    };
    let committed = match gateway.log.begin(begin) {
        Ok(committed) => committed.wait().await,
        Err(error) => Err(error),
    };
    if let Err(error) = committed {
        gateway.metrics.audit_failures.inc();
        tracing::error!(%error, "the audit log did not take the beginning of a request");
        if let Some(hold) = passage.hold {
            hold.release();
        }
        return Err(Refusal::AuditUnavailable);
    }
    ctx.passage = Some(passage);
    Ok(Admitted::Forward)
}
