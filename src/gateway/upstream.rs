//! Forwards: which address, with which key, and a head that carries nothing of the caller's credentials or hops.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderValue;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, EXPECT, HOST,
    PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use http::uri::PathAndQuery;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;

use crate::config::{self, OnDisconnect, Timeouts};
use crate::domain::{Name, Secret};
use crate::policy::Gate;
use crate::provider::Dialect;

/// A provider as requests use it: everything that does not depend on the request is ready.
pub struct Upstream {
    pub name: Name,
    pub dialect: Dialect,
    pub addresses: Vec<Arc<Address>>,
    /// The header that carries the provider's key; absent when no credential could be had.
    pub credential: Option<(&'static str, Secret<HeaderValue>)>,
    pub timeouts: Timeouts,
    /// Most connections tried for one request.
    pub attempts: NonZeroU32,
    pub on_disconnect: OnDisconnect,
    /// How many requests it may have at once.
    pub gate: Arc<Gate>,
}

/// One address of a provider. Its name is resolved in the background, so no request waits for DNS.
pub struct Address {
    pub host: String,
    pub port: u16,
    pub tls: bool,
    /// Put before the request's path; empty or `/…` without a slash at its end.
    pub path: String,
    pub authority: HeaderValue,
    resolved: ArcSwap<Vec<SocketAddr>>,
}

impl Address {
    /// An address of the configuration; a literal needs no resolver.
    #[must_use]
    pub fn new(address: &config::Address) -> Self {
        let literal: Option<IpAddr> = address.host.parse().ok();
        let resolved = literal
            .map(|ip| vec![SocketAddr::new(ip, address.port)])
            .unwrap_or_default();
        Self {
            host: address.host.clone(),
            port: address.port,
            tls: address.tls,
            path: address.path.clone(),
            authority: authority(address),
            resolved: ArcSwap::from_pointee(resolved),
        }
    }

    /// Takes over what another address of the same host has resolved to.
    pub fn adopt(&self, other: &Self) {
        if self.host == other.host && self.port == other.port {
            self.resolved.store(other.resolved.load_full());
        }
    }

    /// Asks the resolver again and keeps the old answer when it has none.
    pub async fn resolve(&self) {
        if let Ok(found) = tokio::net::lookup_host((self.host.as_str(), self.port)).await {
            let found: Vec<SocketAddr> = found.collect();
            if !found.is_empty() {
                self.resolved.store(Arc::new(found));
            }
        }
    }

    /// The peer to connect to; `turn` spreads over the host's addresses. `None` while the name has never resolved.
    pub fn peer(&self, turn: usize, timeouts: &Timeouts) -> Option<HttpPeer> {
        let resolved = self.resolved.load();
        let address = *resolved.get(turn % resolved.len().max(1))?;
        let mut peer = HttpPeer::new(address, self.tls, self.host.clone());
        peer.options.connection_timeout = Some(timeouts.connect);
        peer.options.total_connection_timeout = Some(timeouts.connect);
        peer.options.read_timeout = Some(timeouts.read);
        peer.options.write_timeout = Some(timeouts.write);
        peer.options.idle_timeout = Some(timeouts.idle);
        if self.tls {
            peer.options.set_http_version(2, 1);
        }
        Some(peer)
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

/// Turns the caller's head into the provider's: own host and key in; the caller's credentials, cookies and framing out.
/// All else stays as it came.
///
/// # Errors
/// When the provider has no credential or the path cannot be written: nothing is sent then.
pub fn rewrite(request: &mut RequestHeader, head: &Head<'_>) -> Result<(), Box<pingora::Error>> {
    for name in ["x-api-key", "api-key", "x-goog-api-key"] {
        request.remove_header(name);
    }
    for name in [
        AUTHORIZATION,
        PROXY_AUTHORIZATION,
        COOKIE,
        EXPECT,
        TRANSFER_ENCODING,
        CONTENT_LENGTH,
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

/// The value of `Host`: the port only where it is not the scheme's own.
fn authority(address: &config::Address) -> HeaderValue {
    let host = if address.host.contains(':') {
        format!("[{}]", address.host)
    } else {
        address.host.clone()
    };
    let usual = if address.tls { 443 } else { 80 };
    let text = if address.port == usual {
        host
    } else {
        format!("{host}:{}", address.port)
    };
    // A host that passed the configuration's check is printable ASCII.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("invalid"))
}
