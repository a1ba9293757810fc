//! Says whether a request may pass, step by step, a cheap no before an expensive one; on yes, builds its passage.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, UPGRADE};
use pingora::proxy::Session;

use super::cache::Kept;
use super::ctx::{Ctx, Passage};
use super::prepare::Prepared;
use super::refusal::Refusal;
use super::session::{Bounds, with_session};
use super::upstream::Upstream;
use super::{Gateway, hold, prepare};
use crate::audit::Begin;
use crate::budget::{Account, Reservation};
use crate::domain::{Caller, Usd};
use crate::identity::{self, KeyError};
use crate::live::Team;
use crate::policy::{Gate, Pass};
use crate::provider::{Astray, Dialect, Endpoint, Hints, Route, route};

/// Bytes of a request for each token that its limits count at first: code and prose have about four.
const BYTES_PER_TOKEN: u64 = 4;

/// What admission leads to where it does not refuse.
pub enum Admitted {
    /// To be forwarded: the context has its passage.
    Forward,
    /// To be answered here with an empty 200.
    Probe,
    /// To be answered here from the response cache.
    Kept(Arc<Kept>),
}

/// A caller with everything that is decided about it.
pub(super) struct Standing {
    pub(super) caller: Arc<Caller>,
    pub(super) team: Arc<Team>,
    pub(super) accounts: Arc<[Arc<Account>]>,
    pub(super) gate: Arc<Gate>,
}

/// Where a request goes, owned: the session's head is borrowed no longer.
pub(super) struct Destination {
    pub(super) endpoint: Endpoint,
    pub(super) upstream: Arc<Upstream>,
    pub(super) path: String,
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
    let routed = find_route(session, ctx);
    // After the route, so that it is refused in the caller's dialect.
    check_head(session, ctx)?;
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
    let standing = identify(gateway, session, ctx);
    // Whoever asks: only after this answer does Codex speak HTTP, where it stops at a refusal of its key.
    refuse_websocket(session)?;
    let standing = standing?;
    let (endpoint, dialect, prefix, path) = destination?;
    ctx.row.endpoint = endpoint.as_str();
    let upstream = find_upstream(ctx, dialect, prefix.as_deref())?;
    let destination = Destination {
        endpoint,
        upstream,
        path,
    };
    enter(gateway, session, &standing, &destination, ctx)?;
    if endpoint.billed() {
        hold::check_spent(gateway, &standing, ctx)?;
    }
    let passage = if endpoint.has_body() {
        match prepare::with_body(gateway, session, ctx, &standing, destination).await? {
            Prepared::Passage(passage) => passage,
            Prepared::Kept(kept) => return Ok(Admitted::Kept(kept)),
        }
    } else {
        prepare::without_body(session, ctx, &standing, destination).await?
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
            ctx.envelope = found.dialect.into();
            ctx.row.dialect = found.dialect.as_str();
            Ok(found)
        }
        Err(none) => {
            ctx.envelope = none.envelope;
            ctx.row.dialect = none.envelope.as_str();
            Err(Refusal::UnknownPath(none.why))
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
    let accounts = match team.policy.session_limit {
        None => Arc::clone(accounts),
        Some(limit) => {
            let bounds = Bounds {
                key: &caller.key,
                limit,
                on_store_loss: snapshot.settings.budget.on_store_loss,
            };
            with_session(gateway, headers, &bounds, accounts, ctx.row.at)
        }
    };
    Ok(Standing {
        gate: Arc::clone(gate),
        caller: Arc::clone(caller),
        team: Arc::clone(team),
        accounts,
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
        Some(_) => Refusal::UnknownPath(Astray::NoProvider),
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
/// body is read, so what its length suggests is taken until the answer is counted: of a length that will be read.
fn enter(
    gateway: &Gateway,
    session: &Session,
    standing: &Standing,
    destination: &Destination,
    ctx: &mut Ctx,
) -> Result<(), Refusal> {
    let length = session.req_header().headers.get(CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
    let length: u64 = length.unwrap_or(0);
    let tokens = if destination.endpoint.billed() {
        length.min(ctx.snapshot.settings.limits.body) / BYTES_PER_TOKEN
    } else {
        0
    };
    for gate in [&standing.gate, &destination.upstream.gate] {
        let passed = gate
            .check_hours(ctx.row.at)
            .and_then(|()| gate.enter(tokens, gateway.started.elapsed()));
        match passed {
            Ok(pass) => ctx.passes.push(pass),
            Err(denied) => {
                // What a provider has no room for must not use up the team's limits.
                ctx.passes.drain(..).for_each(Pass::cancel);
                return Err(Refusal::Limited(denied));
            }
        }
    }
    Ok(())
}

/// Writes the request's beginning to the log; only then may it leave.
async fn dispatch(
    gateway: &Gateway,
    ctx: &mut Ctx,
    standing: &Standing,
    mut passage: Box<Passage>,
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
        if let Some(hold) = passage.hold.take() {
            hold.release();
        }
        return Err(Refusal::AuditUnavailable);
    }
    ctx.passage = Some(passage);
    Ok(Admitted::Forward)
}
