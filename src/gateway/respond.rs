//! Writes the gateway's own answers: refusals in the caller's dialect, and the probe's empty 200.

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER, UPGRADE, USER_AGENT};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::body;
use super::cache::Kept;
use super::ctx::Ctx;
use super::refusal::Refusal;
use crate::audit::{Decision, Label};
use crate::provider::{Envelope, refusal_body};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Where Anthropic tells a request's id, and its SDKs look for it.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// The provider's own id of the request.
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("tollgate-upstream-request-id");
/// Whether an answer came from the response cache, where the team has one.
pub const CACHE: HeaderName = HeaderName::from_static("tollgate-cache");
/// What the vendors' SDKs and Claude Code read to know that asking again is of no use.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Refuses: one response, in the caller's dialect, with its reason in the row.
///
/// # Errors
/// When the client is gone.
pub async fn refuse(session: &mut Session, ctx: &mut Ctx, refusal: Refusal) -> pingora::Result<()> {
    let agent = agent(session);
    let status = status_for(agent, ctx, &refusal);
    let form = Form {
        status,
        envelope: ctx.envelope,
        hides_digits: digits::are_read_by(agent),
    };
    ctx.row.status = status;
    ctx.row.code = refusal.code();
    let (head, body) = written(&refusal, form, &ctx.request_id)?;
    if matches!(refusal, Refusal::UploadStalled | Refusal::UploadBroken) {
        session.set_keepalive(None);
    } else {
        body::drain_small(session).await;
    }
    ctx.row.bytes_out = body.len() as u64;
    ctx.refusal = Some(refusal);
    let is_head = session.req_header().method == http::Method::HEAD;
    session
        .write_response_header(Box::new(head), is_head)
        .await?;
    if !is_head {
        session
            .write_response_body(Some(Bytes::from(body)), true)
            .await?;
    }
    body::drain(session).await;
    Ok(())
}

/// What of a refusal depends on who asked.
#[derive(Clone, Copy)]
struct Form {
    status: u16,
    envelope: Envelope,
    hides_digits: bool,
}

/// A refusal as it is sent: head and body.
fn written(
    refusal: &Refusal,
    form: Form,
    id: &HeaderValue,
) -> pingora::Result<(ResponseHeader, Vec<u8>)> {
    let Form {
        status, envelope, ..
    } = form;
    let body = body_of(refusal, form, id.to_str().unwrap_or(""));
    let mut head = ResponseHeader::build(status, Some(9))?;
    head.insert_header(CONTENT_TYPE, envelope.content_type())?;
    head.insert_header(CONTENT_LENGTH, body.len())?;
    head.insert_header(REQUEST_ID, id.clone())?;
    if envelope == Envelope::Anthropic {
        head.insert_header(ANTHROPIC_REQUEST_ID, id.clone())?;
    }
    if refusal.is_final() {
        head.insert_header(SHOULD_RETRY, "false")?;
    }
    if let Some(seconds) = refusal.retry_after() {
        head.insert_header(RETRY_AFTER, seconds)?;
    }
    if *refusal == Refusal::WebSocket {
        head.insert_header(UPGRADE, "HTTP/1.1")?;
    }
    Ok((head, body))
}

fn body_of(refusal: &Refusal, form: Form, id: &str) -> Vec<u8> {
    let kind = refusal.kind(form.status);
    let message = refusal.public_message();
    if !form.hides_digits {
        return refusal_body(form.envelope, kind, &message, id);
    }
    let body = refusal_body(form.envelope, kind, &digits::hidden(&message), id);
    match std::str::from_utf8(&body) {
        Ok(json) if form.envelope != Envelope::Neutral => digits::escaped(json).into_bytes(),
        _ => body,
    }
}

fn agent(session: &Session) -> Option<&str> {
    let agent = session.req_header().headers.get(USER_AGENT)?;
    agent.to_str().ok()
}

/// The status of a refusal: the operator may have set another for its kind, or for this client.
fn status_for(agent: Option<&str>, ctx: &Ctx, refusal: &Refusal) -> u16 {
    let table = &ctx.snapshot.settings.refusal;
    refusal
        .settable()
        .map_or_else(|| refusal.status(), |kind| table.status(kind, agent))
}

/// Answers a client that only looks whether anything is there.
///
/// # Errors
/// When the client is gone.
pub async fn answer_probe(session: &mut Session, ctx: &mut Ctx) -> pingora::Result<()> {
    ctx.row.status = 200;
    let mut head = ResponseHeader::build(200, Some(3))?;
    head.insert_header(CONTENT_LENGTH, HeaderValue::from_static("0"))?;
    head.insert_header(REQUEST_ID, ctx.request_id.clone())?;
    session.write_response_header(Box::new(head), true).await
}

/// Answers with what the same request of the team was answered before.
///
/// # Errors
/// When the client is gone.
pub async fn answer_kept(session: &mut Session, ctx: &mut Ctx, kept: &Kept) -> pingora::Result<()> {
    ctx.row.status = 200;
    ctx.row.cached = true;
    ctx.row.served = kept.served.clone();
    ctx.row.bytes_out = kept.body.len() as u64;
    ctx.row.first_byte = Some(ctx.started.elapsed());
    let mut head = ResponseHeader::build(200, Some(6))?;
    if let Some(kind) = &kept.content_type {
        head.insert_header(CONTENT_TYPE, kind.clone())?;
    }
    head.insert_header(CONTENT_LENGTH, kept.body.len())?;
    head.insert_header(REQUEST_ID, ctx.request_id.clone())?;
    head.insert_header(CACHE, "hit")?;
    let body = Some(kept.body.clone());
    let mut written = session.write_response_header(Box::new(head), false).await;
    if written.is_ok() {
        written = session.write_response_body(body, true).await;
    }
    if written.is_err() {
        ctx.row.decision = Decision::Failed;
        ctx.row.code = "client_gone";
    }
    written
}

/// Marks a provider's answer with the request's id, and keeps the provider's own beside it.
///
/// # Errors
/// Never in practice: the ids are valid header values.
pub fn mark(head: &mut ResponseHeader, ctx: &mut Ctx) -> pingora::Result<()> {
    if let Some(theirs) = upstream_request_id(head, &ctx.request_id) {
        head.insert_header(UPSTREAM_REQUEST_ID, theirs.as_str())?;
        ctx.row.upstream_request = theirs;
    }
    head.insert_header(REQUEST_ID, ctx.request_id.clone())
}

/// The id that the provider gave the request; `None` where it tells none, or ours again.
fn upstream_request_id(head: &ResponseHeader, ours: &HeaderValue) -> Option<Label> {
    [ANTHROPIC_REQUEST_ID, REQUEST_ID]
        .iter()
        .filter_map(|name| head.headers.get(name))
        .filter(|id| *id != ours)
        .map(|id| Label::clean(&String::from_utf8_lossy(id.as_bytes()), Label::REQUEST_ID))
        .find(|id| !id.as_str().is_empty())
}

mod digits;

#[cfg(test)]
mod tests;
