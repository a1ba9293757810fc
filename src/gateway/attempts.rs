//! Where the next attempt of a request goes, and whether there is one: the provider's addresses by weight and health,
//! then the team's fallback models. Nothing is tried again once a byte of an answer has been passed on.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use pingora::http::ResponseHeader;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::MOST_ATTEMPTS;
use super::ctx::{Ctx, Passage};
use super::upstream::{NoAddress, Upstream};
use crate::audit::{Label, Outcome, Try};
use crate::domain::Moment;
use crate::policy::RetryAfter;
use crate::provider::splice_model;

/// An attempt that ended with an answer which is not passed on, because there will be another attempt.
pub const ANOTHER: ErrorType = ErrorType::Custom("another attempt follows");
/// An answer that sends the caller elsewhere, where its request must not go unseen.
pub const ELSEWHERE: ErrorType = ErrorType::Custom("the provider answered with a redirect");
/// No attempt is made: every address has failed again and again.
pub const PAUSED: ErrorType = ErrorType::Custom("the provider is left alone for a while");
/// A request that the provider had for so long may have been served, whatever became of the connection.
const LONG: Duration = Duration::from_secs(5);
/// Before the same address is asked again, where it does not say when; doubled each time.
const BACKOFF: Duration = Duration::from_millis(200);

/// What has been tried of a request, and what is left to try.
#[derive(Default)]
pub struct Trail {
    /// Addresses of the provider that were tried with the model at hand.
    tried: Vec<usize>,
    /// The hosts behind them, of which the last may be being tried.
    hosts: Vec<SocketAddr>,
    /// A connection that was kept had been closed meanwhile, and so may have others been.
    stale: bool,
    /// Attempts left with the model at hand.
    left: u32,
    /// Models to try when those are used up.
    fallbacks: VecDeque<String>,
    /// Before the next attempt.
    wait: Duration,
    /// The fallback that is being tried.
    pub fallback: Option<Label>,
    /// How each attempt ended.
    pub tries: Vec<Try>,
    /// Until the provider is tried again, where it is left alone.
    pub paused: Option<RetryAfter>,
}

impl Trail {
    #[must_use]
    pub fn new(upstream: &Upstream, fallbacks: Vec<String>) -> Self {
        Self {
            left: upstream.attempts.get(),
            fallbacks: fallbacks.into(),
            ..Self::default()
        }
    }
}

/// The peer of the next attempt.
///
/// # Errors
/// When no address of the provider has ever resolved, or all are left alone.
pub async fn next(ctx: &mut Ctx) -> Result<HttpPeer> {
    let Some(passage) = &mut ctx.passage else {
        return Err(super::not_admitted());
    };
    let wait = std::mem::take(&mut passage.trail.wait);
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    if passage.trail.left == 0 && passage.fall_back() {
        let provider = passage.upstream.prices.as_str();
        let model = &passage.terms.model;
        let priced = ctx.snapshot.prices.find_at(provider, model, ctx.row.at);
        ctx.row.priced_as = Some(priced.model.clone());
    }
    passage.next_peer(Moment::now())
}

impl Passage {
    fn next_peer(&mut self, now: Moment) -> Result<HttpPeer> {
        let address = match self.upstream.pick(&self.trail.tried, now) {
            Ok(address) => address,
            Err(NoAddress::Unresolved) => return Err(upstream(ErrorType::ConnectNoRoute)),
            Err(NoAddress::Paused(wait)) => {
                self.trail.paused = Some(wait);
                return Err(upstream(PAUSED));
            }
        };
        let peer = self.upstream.peer(address, &self.trail.hosts);
        let mut peer = peer.ok_or_else(|| upstream(ErrorType::ConnectNoRoute))?;
        if self.trail.stale {
            // One that nobody has used, and that is not kept.
            peer.group_key = !peer.group_key;
            peer.options.idle_timeout = Some(Duration::ZERO);
        }
        self.attempts = self.attempts.saturating_add(1);
        self.trail.left = self.trail.left.saturating_sub(1);
        self.trail.tried.push(address);
        self.trail.hosts.extend(peer._address.as_inet().copied());
        self.address = address;
        self.sent = None;
        Ok(peer)
    }

    /// Puts the next fallback model into the body.
    fn fall_back(&mut self) -> bool {
        while let Some(model) = self.trail.fallbacks.pop_front() {
            let Some(body) = &self.body else {
                return false;
            };
            let Some(spliced) = splice_model(&body.bytes, &model) else {
                continue;
            };
            self.body = self.body.take().map(|body| body.holding(spliced));
            self.trail.fallback = Some(Label::clean(&model, Label::MODEL));
            self.trail.left = self.upstream.attempts.get();
            self.trail.tried.clear();
            self.trail.hosts.clear();
            self.terms.model = model;
            return true;
        }
        false
    }

    fn note(&mut self, outcome: Outcome) {
        self.trail.tries.push(Try {
            address: self.upstream.addresses[self.address].label.clone(),
            fallback: self.trail.fallback.clone(),
            outcome,
        });
    }

    /// Whether another attempt is allowed.
    #[must_use]
    pub fn may_try_again(&self) -> bool {
        self.attempts < MOST_ATTEMPTS
            && !self.may_be_billed
            && (self.trail.left > 0 || !self.trail.fallbacks.is_empty())
    }

    /// No connection was made. Another model would not be reached either.
    pub fn not_connected(&mut self, now: Moment) {
        self.note(Outcome::Failed("connect"));
        let host = self.trail.hosts.last().copied();
        self.upstream.unreachable(self.address, host, now);
        self.trail.fallbacks.clear();
    }

    /// The connection broke before an answer began. One from the pool may have been closed long before (`stale`), which shows
    /// at once: that says nothing of the address and is no attempt.
    pub fn broken(&mut self, how: &'static str, stale: bool, now: Moment) {
        self.note(Outcome::Failed(how));
        self.may_be_billed = self.sent.is_some_and(|at| at.elapsed() >= LONG);
        if stale && !self.may_be_billed {
            self.trail.left = self.trail.left.saturating_add(1);
            self.trail.stale = true;
            self.trail.tried.pop();
            self.trail.hosts.pop();
        } else {
            self.upstream.failed(self.address, now);
        }
    }

    /// An answer began. Says whether it is put aside for another attempt.
    ///
    /// A 500 may be the doing of the request: it is tried again, but does not speak against the address.
    pub fn answered(&mut self, head: &ResponseHeader, now: Moment) -> bool {
        let status = head.status.as_u16();
        self.note(Outcome::Status(status));
        match status {
            429 | 500 | 501 => {}
            502..=599 => self.upstream.failed(self.address, now),
            _ => self.upstream.succeeded(self.address),
        }
        is_failure(head) && !is_final(head) && self.may_try_again() && self.plan(head)
    }

    /// Says when the next attempt is made after this answer, if it may be.
    fn plan(&mut self, head: &ResponseHeader) -> bool {
        let trail = &mut self.trail;
        if trail.left > 0 && self.upstream.has_another(&trail.tried) {
            return true;
        }
        let turns = u32::try_from(trail.tried.len()).unwrap_or(u32::MAX);
        let backoff = BACKOFF.saturating_mul(1 << turns.saturating_sub(1).min(8));
        let wait = retry_after(head).unwrap_or(backoff);
        if trail.left > 0 && wait <= self.upstream.retry_wait {
            trail.wait = wait;
            return true;
        }
        trail.left = 0;
        !trail.fallbacks.is_empty()
    }
}

/// Whether the provider failed, and may not the next time.
pub fn is_failure(head: &ResponseHeader) -> bool {
    matches!(head.status.as_u16(), 429 | 500 | 502..=599)
}

/// Whether the provider says that asking again is of no use.
fn is_final(head: &ResponseHeader) -> bool {
    head.headers
        .get("x-should-retry")
        .is_some_and(|value| value == "false")
}

/// When the provider wants to be asked again; a date is far away.
fn retry_after(head: &ResponseHeader) -> Option<Duration> {
    let number = |name| {
        let text = head.headers.get(name)?.to_str().ok()?.trim();
        Some(text.parse::<u64>().ok())
    };
    if let Some(Some(millis)) = number("retry-after-ms") {
        return Some(Duration::from_millis(millis));
    }
    number("retry-after").map(|seconds| seconds.map_or(Duration::MAX, Duration::from_secs))
}

#[expect(
    clippy::unnecessary_box_returns,
    reason = "Pingora's results hold boxed errors"
)]
fn upstream(kind: ErrorType) -> Box<Error> {
    let mut error = Error::explain(kind, "no address can be tried");
    error.as_up();
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&'static str, &str)]) -> ResponseHeader {
        let mut head = ResponseHeader::build(529, None).unwrap();
        for (name, value) in headers {
            head.insert_header(*name, *value).unwrap();
        }
        head
    }

    #[test]
    fn a_provider_says_when_it_wants_to_be_asked_again() {
        for (headers, wait) in [
            (&[][..], None),
            (&[("retry-after", "3")], Some(Duration::from_secs(3))),
            (&[("retry-after", " 0 ")], Some(Duration::ZERO)),
            (
                &[("retry-after", "7"), ("retry-after-ms", "120")],
                Some(Duration::from_millis(120)),
            ),
            (
                &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")],
                Some(Duration::MAX),
            ),
            (&[("retry-after", "-1")], Some(Duration::MAX)),
        ] {
            assert_eq!(retry_after(&head(headers)), wait, "{headers:?}");
        }
    }
}
