//! Forwards: which address, with which key, and a head that carries nothing of the caller's credentials or hops.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderValue;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT,
    HOST, HeaderName, PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use http::uri::PathAndQuery;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::{HttpPeer, PeerOptions};

use super::address::{Address, Fitness};
use super::health::Check;
use crate::config::{HttpVersion, OnDisconnect, Timeouts};
use crate::domain::{Moment, Name, Secret};
use crate::policy::{BreakerTerms, Gate, RetryAfter};
use crate::provider::Dialect;

/// A provider as requests use it: everything that does not depend on the request is ready.
pub struct Upstream {
    pub name: Name,
    pub dialect: Dialect,
    pub addresses: Vec<Arc<Address>>,
    /// The header that carries the provider's key; absent when no credential could be had.
    pub credential: Option<(&'static str, Secret<HeaderValue>)>,
    pub http: HttpVersion,
    pub timeouts: Timeouts,
    /// Most connections tried for one request.
    pub attempts: NonZeroU32,
    pub on_disconnect: OnDisconnect,
    /// Whether chat streams that do not ask for their usage are made to.
    pub asks_usage: bool,
    /// Its limits besides money.
    pub gate: Arc<Gate>,
    /// Whose prices of the table are meant.
    pub prices: String,
    /// The longest that is waited for before another attempt at the same address.
    pub retry_wait: Duration,
    pub breaker: BreakerTerms,
    /// Whose certificates its addresses may show; absent: the system's authorities.
    pub authorities: Option<Authorities>,
    /// How its addresses are looked at, one for each; none where that is off.
    pub checks: Vec<Check>,
    pub check_interval: Duration,
    /// In which order the addresses take their turns.
    pub turns: Vec<usize>,
    /// The next turn.
    pub next: AtomicUsize,
}

/// Why no address can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAddress {
    /// No name has ever resolved.
    Unresolved,
    /// All have failed again and again; the first is tried again after this.
    Paused(RetryAfter),
}

impl Upstream {
    /// The address of the next attempt: by weight; one that was not tried before one that was, one that is well before one
    /// that is not.
    ///
    /// # Errors
    /// When there is none.
    pub fn pick(&self, tried: &[usize], now: Moment) -> Result<usize, NoAddress> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let mut paused: Option<RetryAfter> = None;
        for least in [Fitness::Well, Fitness::Untried, Fitness::Resolved] {
            for step in 0..self.turns.len() {
                let index = self.turns[start.wrapping_add(step) % self.turns.len()];
                let address = &self.addresses[index];
                if address.fitness(tried.contains(&index)) < least {
                    continue;
                }
                match address.breaker.enter(self.breaker, now) {
                    Ok(()) => return Ok(index),
                    Err(wait) => paused = Some(paused.map_or(wait, |least| least.min(wait))),
                }
            }
        }
        Err(paused.map_or(NoAddress::Unresolved, NoAddress::Paused))
    }

    /// Whether there is an address that these are not, and that may be tried.
    pub fn has_another(&self, tried: &[usize]) -> bool {
        self.addresses.iter().enumerate().any(|(index, address)| {
            !address.breaker.is_open()
                && address.fitness(tried.contains(&index)) >= Fitness::Untried
        })
    }

    /// The peer at an address: a host that was not tried before one that was.
    pub fn peer(&self, index: usize, tried: &[SocketAddr]) -> Option<HttpPeer> {
        let mut peer = self.addresses.get(index)?.peer(tried, &self.timeouts)?;
        if self.http == HttpVersion::Two {
            // Were HTTP/1.1 allowed too, Pingora would ask for nothing else after one malformed answer, until a restart.
            peer.options.set_http_version(2, 2);
        }
        if let Some(authorities) = &self.authorities {
            authorities.trusted_by(&mut peer.options);
            // Connections of providers that trust others are not shared.
            peer.group_key = authorities.group;
        }
        Some(peer)
    }

    pub fn succeeded(&self, index: usize) {
        self.addresses[index].breaker.succeeded();
    }

    /// No connection to this host of an address was made. While the name has another, that speaks against it only once.
    pub fn unreachable(&self, index: usize, host: Option<SocketAddr>, now: Moment) {
        if host.is_none_or(|host| self.addresses[index].put_back(host)) {
            self.failed(index, now);
        }
    }

    pub fn failed(&self, index: usize, now: Moment) {
        let address = &self.addresses[index];
        if address.breaker.failed(self.breaker, now) {
            tracing::warn!(provider = %self.name, address = %address.label, "left alone for a while after failures in a row");
        }
    }
}

/// The certificates that a provider's own must lead to.
pub struct Authorities {
    #[cfg(feature = "openssl")]
    certificates: Arc<pingora::protocols::tls::CaType>,
    /// The same for the same certificates.
    group: u64,
}

impl Authorities {
    /// Reads a file of PEM certificates.
    ///
    /// # Errors
    /// When there is no certificate in it.
    #[cfg(feature = "openssl")]
    pub fn read(pem: &[u8]) -> Result<Self, &'static str> {
        use std::hash::{DefaultHasher, Hasher};
        let found = pingora::tls::x509::X509::stack_from_pem(pem).unwrap_or_default();
        if found.is_empty() {
            return Err("holds no certificate in PEM");
        }
        let mut group = DefaultHasher::new();
        group.write(pem);
        Ok(Self {
            certificates: Arc::new(found.into_boxed_slice()),
            group: group.finish(),
        })
    }

    /// # Errors
    /// Always: this build has no TLS.
    #[cfg(not(feature = "openssl"))]
    pub fn read(_pem: &[u8]) -> Result<Self, &'static str> {
        Err("is of no use: this build has no TLS")
    }

    pub fn trusted_by(&self, options: &mut PeerOptions) {
        #[cfg(feature = "openssl")]
        {
            options.ca = Some(Arc::clone(&self.certificates));
        }
        #[cfg(not(feature = "openssl"))]
        let _without_tls = options;
    }
}

/// What of the request's head differs for one upstream.
pub struct Head<'a> {
    pub upstream: &'a Upstream,
    pub address: &'a Address,
    /// The path and query after the gateway's own prefix.
    pub path: &'a str,
    /// `None` for a request without a body.
    pub length: Option<usize>,
    /// Whether the body that is sent still has the content encoding that the client gave it.
    pub encoded: bool,
    pub request_id: &'a HeaderValue,
}

/// Headers that are for the gateway alone: keys, the account and project that they belong to, what proxies before it say of the
/// network inside, and what would have a server take the request for another one than was looked at.
const NOT_SENT: [&str; 15] = [
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "openai-organization",
    "openai-project",
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-method-override",
];
/// And all that begin so.
const NOT_SENT_PREFIXES: [&str; 2] = ["x-forwarded-", "tollgate-"];

/// Turns the caller's head into the provider's: own host and key in, and what the body was read as; the caller's
/// credentials, cookies, framing and way through the network out.
/// All else stays as it came.
///
/// # Errors
/// When the provider has no credential or the path cannot be written: nothing is sent then.
pub fn rewrite(request: &mut RequestHeader, head: &Head<'_>) -> Result<(), Box<pingora::Error>> {
    // Of a body that no endpoint reads here, nothing leaves.
    let has_body = request.headers.contains_key(CONTENT_LENGTH)
        || request.headers.contains_key(TRANSFER_ENCODING);
    for name in NOT_SENT {
        request.remove_header(name);
    }
    let named = request.headers.keys().map(HeaderName::as_str);
    let hops = named.filter(|name| {
        NOT_SENT_PREFIXES
            .iter()
            .any(|first| name.starts_with(first))
    });
    for name in hops.map(str::to_owned).collect::<Vec<_>>() {
        request.remove_header(&name);
    }
    for name in [
        AUTHORIZATION,
        PROXY_AUTHORIZATION,
        COOKIE,
        EXPECT,
        TRANSFER_ENCODING,
        CONTENT_LENGTH,
        CONTENT_TYPE,
    ] {
        request.remove_header(&name);
    }
    if !head.encoded {
        request.remove_header(&CONTENT_ENCODING);
    }
    let Some((name, key)) = &head.upstream.credential else {
        return Err(pingora::Error::explain(
            pingora::ErrorType::InternalError,
            "the provider has no credential",
        ));
    };
    request.insert_header(*name, key.expose().clone())?;
    request.insert_header(HOST, head.address.authority.clone())?;
    // Restoring and metering read the answer: it must come as it is.
    request.insert_header(ACCEPT_ENCODING, "identity")?;
    request.insert_header("x-request-id", head.request_id.clone())?;
    if let Some(length) = head.length {
        request.insert_header(CONTENT_LENGTH, length)?;
        request.insert_header(CONTENT_TYPE, "application/json")?;
    } else if has_body {
        request.insert_header(CONTENT_LENGTH, 0)?;
    }
    request.set_uri(target(&head.address.path, head.path)?);
    Ok(())
}

fn target(prefix: &str, path: &str) -> Result<http::Uri, Box<pingora::Error>> {
    let whole: PathAndQuery = format!("{prefix}{path}").parse().map_err(|_| {
        pingora::Error::explain(
            pingora::ErrorType::InternalError,
            "the path cannot be written",
        )
    })?;
    Ok(http::Uri::from(whole))
}
