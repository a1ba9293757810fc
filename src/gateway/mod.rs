//! The proxy: Pingora's hooks, each calling the step that is named like it. The only place that knows Pingora.
//!
//! `request_filter` admits (identify, route, gather, ask, inspect, reserve) · `upstream_peer` and
//! `upstream_request_filter` forward · `response_filter` and `response_body_filter` relay · `logging` closes.

pub mod address;
pub mod admit;
mod attempts;
pub mod body;
mod broken;
pub mod cache;
pub mod choice;
mod clamp;
pub mod close;
pub mod ctx;
mod cut;
pub mod health;
pub mod hold;
pub mod inspect;
mod leftover;
mod listing;
mod prepare;
pub mod redact;
pub mod refusal;
pub mod relay;
pub mod respond;
pub mod restore;
mod session;
mod unpack;
pub mod upstream;
pub mod verdict;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use crate::audit::Log;
use crate::budget::Ledger;
use crate::domain::{Moment, Secret};
use crate::live::Live;
use crate::metrics::Metrics;
use admit::Admitted;
use ctx::Ctx;

/// A request is tried at most so often: the addresses of its provider, and stale pooled connections.
pub const MOST_ATTEMPTS: u8 = 10;
/// Time for the rest of a refused upload to be read, so that its connection can be used again.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Everything that requests share.
#[derive(Clone)]
pub struct Gateway {
    pub live: Arc<Live>,
    pub ledger: Arc<Ledger>,
    pub log: Log,
    pub metrics: Arc<Metrics>,
    pub room: body::BodyRoom,
    /// What limits per minute count from.
    pub started: Instant,
    /// Where requests wait for a lease.
    pub lines: Arc<hold::Lines>,
    /// The key under which virtual keys are hashed.
    pub key_pepper: Secret<[u8; 32]>,
    /// The key under which names of sessions are digested.
    pub session_pepper: Secret<[u8; 32]>,
}

#[async_trait]
impl ProxyHttp for Gateway {
    /// In a box: Pingora moves it several times on its way.
    type CTX = Box<Ctx>;

    fn new_ctx(&self) -> Box<Ctx> {
        Box::new(Ctx::new(self.live.load(), Arc::clone(&self.metrics)))
    }

    fn init_downstream_modules(&self, _modules: &mut pingora::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Box<Ctx>) -> Result<bool> {
        let limits = &ctx.snapshot.settings.limits;
        let old = is_http_1_0(session);
        let client = session.as_downstream_mut();
        client.set_total_drain_timeout(Some(DRAIN_TIME));
        client.set_write_timeout(Some(limits.stall_timeout));
        // HTTP/1.0 knows no answers before the answer.
        client.set_ignore_info_resp(old);
        let answered = match admit::admit(self, session, ctx).await {
            Ok(Admitted::Forward) => return Ok(false),
            Ok(Admitted::Probe) => respond::answer_probe(session, ctx).await,
            Ok(Admitted::Kept(kept)) => respond::answer_kept(session, ctx, &kept).await,
            Err(refusal) => respond::refuse(session, ctx, refusal).await,
        };
        if answered.is_err() {
            // The client is gone; the row says all the same what was decided.
            session.set_keepalive(None);
        }
        Ok(true)
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        ctx: &mut Box<Ctx>,
    ) -> Result<Box<HttpPeer>> {
        attempts::next(ctx).await.map(Box::new)
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Box<Ctx>,
    ) -> Result<()> {
        let passage = ctx.passage.as_ref().ok_or_else(not_admitted)?;
        upstream::rewrite(request, &passage.head(&ctx.request_id))
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        ctx: &mut Box<Ctx>,
    ) -> Result<()> {
        let passage = ctx.passage.as_mut().ok_or_else(not_admitted)?;
        *body = passage.hand_over();
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Box<Ctx>,
    ) -> Result<()> {
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked for it: `admit` refuses who does.
            return Err(Error::new_up(ErrorType::InvalidHTTPHeader));
        }
        let passage = ctx.passage.as_mut().ok_or_else(not_admitted)?;
        if head.status.is_informational() {
            return Ok(());
        }
        let again = passage.answered(head, Moment::now());
        if head.status.is_redirection() {
            return Err(Error::new_up(attempts::ELSEWHERE));
        }
        if attempts::is_failure(head) {
            self.note_failure(ctx, "status");
        }
        if again {
            return Err(Error::new_up(attempts::ANOTHER));
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Box<Ctx>,
    ) -> Result<()> {
        relay::begin(head, ctx)?;
        if is_http_1_0(session) && head.remove_header(&TRANSFER_ENCODING).is_some() {
            // Its end is the end of the connection.
            session.set_keepalive(None);
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Box<Ctx>,
    ) -> Result<Option<Duration>> {
        relay::pass(body, end_of_stream, ctx)?;
        cut::end_if_used_up(session, body.as_ref(), end_of_stream, ctx)?;
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        _session: &mut Session,
        _trailers: &mut HeaderMap,
        ctx: &mut Box<Ctx>,
    ) -> Result<Option<Bytes>> {
        relay::end_with_trailers(ctx)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Box<Ctx>,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let again = ctx.passage.as_mut().is_some_and(|passage| {
            passage.not_connected(Moment::now());
            passage.may_try_again()
        });
        error.set_retry(again);
        self.note_failure(ctx, "connect");
        error
    }

    /// The body is held whole, so a request may be sent again as long as nothing of an answer has been passed on: on a
    /// pooled connection that the provider had closed meanwhile. A fresh connection that breaks may have done its work, and
    /// so may one that breaks late.
    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Box<Ctx>,
        client_reused: bool,
    ) -> Box<Error> {
        if error.etype() == &attempts::ANOTHER {
            error.set_retry(true);
            return error;
        }
        if error.etype() == &attempts::ELSEWHERE {
            error.set_retry(false);
            self.note_failure(ctx, "status");
            return error;
        }
        let by_provider = error.esource() == &ErrorSource::Upstream;
        let unanswered = session.response_written().is_none() && by_provider;
        let passage = ctx.passage.as_mut().filter(|_| unanswered);
        let again = passage.is_some_and(|passage| {
            passage.left_with(session.upstream_body_bytes_sent());
            if broken::in_upload(&error) {
                passage.sent = None;
            }
            let stale = client_reused && broken::may_be_stale(&error);
            passage.broken(broken::how(&error), stale, Moment::now());
            passage.may_try_again()
        });
        if again && broken::was_refused(&error) {
            error.set_retry(true);
        } else if again {
            error.retry.decide_reuse(client_reused);
        } else {
            error.set_retry(false);
        }
        if by_provider {
            self.note_failure(ctx, broken::how(&error));
        }
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Box<Ctx>,
    ) -> FailToProxy {
        if let Some(last) = ctx.farewell.take() {
            self.metrics.cut.inc();
            return cut::say_farewell(session, last).await;
        }
        let answered = session
            .response_written()
            .is_some_and(|head| !head.status.is_informational());
        let code = match broken::refusal_of(error, ctx) {
            None => 0,
            Some(refusal) if answered => {
                ctx.row.code = refusal.code();
                let relay = ctx
                    .passage
                    .as_mut()
                    .and_then(|passage| passage.relay.as_mut());
                let held = relay.map(|relay| relay.held_back()).unwrap_or_default();
                if !held.is_empty() {
                    // The answer stays broken off; a client that is gone by now misses nothing.
                    let _written = session.write_response_body(Some(held), false).await;
                }
                0
            }
            Some(refusal) => {
                // Pingora closes this connection in any case: the client must be told, or its next request is lost.
                session.set_keepalive(None);
                // A client that is gone by now does not read it; the row says all the same what happened.
                let _sent = respond::refuse(session, ctx, refusal).await;
                ctx.row.status
            }
        };
        FailToProxy {
            error_code: code,
            can_reuse_downstream: false,
        }
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &Box<Ctx>, _error: &Error) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Box<Ctx>) {
        if error.is_none() {
            relay::end_without_body(ctx);
        }
        close::close(session, ctx, &self.log, &self.metrics).await;
    }
}

impl Gateway {
    fn note_failure(&self, ctx: &Ctx, kind: &'static str) {
        if let Some(passage) = &ctx.passage {
            self.metrics
                .upstream_failures
                .with_label_values(&[passage.upstream.name.as_str(), kind])
                .inc();
        }
    }
}

#[expect(
    clippy::unnecessary_box_returns,
    reason = "Pingora's results hold boxed errors"
)]
fn not_admitted() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "a request without a passage")
}

fn is_http_1_0(session: &Session) -> bool {
    session.req_header().version < Version::HTTP_11
}

pub(super) fn header(session: &Session, name: &http::HeaderName) -> Option<String> {
    session
        .req_header()
        .headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}
