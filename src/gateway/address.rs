//! One address of a provider: a name, the hosts that it stands for, and how they fare.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use pingora::upstreams::peer::HttpPeer;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::{self, Timeouts};
use crate::policy::Breaker;

/// For a look at a host that could not be reached.
const LOOK: Duration = Duration::from_secs(1);

/// How fit an address is for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fitness {
    Unresolved,
    Resolved,
    Untried,
    Well,
}

/// What a name has resolved to: hosts that could not be reached last.
#[derive(Clone, Debug, Default)]
struct Hosts {
    all: Vec<SocketAddr>,
    down: Vec<SocketAddr>,
}

/// One address of a provider. Its name is resolved in the background, so no request waits for DNS.
pub struct Address {
    pub host: String,
    pub port: u16,
    pub tls: bool,
    /// Put before the request's path; empty or `/…` without a slash at its end.
    pub path: String,
    pub authority: HeaderValue,
    /// Host and port, for the audit and for logs.
    pub label: Arc<str>,
    hosts: ArcSwap<Hosts>,
    pub(super) breaker: Breaker,
    /// Looks in a row that it did not stand.
    missed: AtomicU32,
}

/// So many looks in a row must fail before an address counts as ill.
const MISSES: u32 = 2;

impl Address {
    /// An address of the configuration; a literal needs no resolver.
    #[must_use]
    pub fn new(address: &config::Address) -> Self {
        let literal: Option<IpAddr> = address.host.parse().ok();
        let hosts = Hosts {
            all: Vec::from_iter(literal.map(|ip| SocketAddr::new(ip, address.port))),
            down: Vec::new(),
        };
        Self {
            host: address.host.clone(),
            port: address.port,
            tls: address.tls,
            path: address.path.clone(),
            authority: authority(address),
            label: address.authority().into(),
            hosts: ArcSwap::from_pointee(hosts),
            breaker: Breaker::default(),
            missed: AtomicU32::new(0),
        }
    }

    /// Takes over what another address of the same host has resolved to, and how it stood.
    pub fn adopt(&self, other: &Self) {
        if self.host == other.host && self.port == other.port {
            self.hosts.store(other.hosts.load_full());
            self.breaker.adopt(&other.breaker);
            let missed = other.missed.load(Ordering::Relaxed);
            self.missed.store(missed, Ordering::Relaxed);
        }
    }

    pub(super) fn fitness(&self, tried: bool) -> Fitness {
        if self.hosts.load().all.is_empty() {
            Fitness::Unresolved
        } else if tried {
            Fitness::Resolved
        } else if self.missed.load(Ordering::Relaxed) >= MISSES {
            Fitness::Untried
        } else {
            Fitness::Well
        }
    }

    /// Notes whether it answered when it was looked at. Says whether that is news.
    pub fn observe(&self, answered: bool) -> bool {
        if answered {
            return self.missed.swap(0, Ordering::Relaxed) >= MISSES;
        }
        self.missed
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1)
            == MISSES
    }

    /// The host that is asked first.
    pub fn first(&self) -> Option<SocketAddr> {
        self.hosts.load().all.first().copied()
    }

    /// Asks the resolver again and keeps the old answer when it has none. Hosts that could not be reached are looked at.
    pub async fn resolve(&self) {
        let Ok(found) = tokio::net::lookup_host((self.host.as_str(), self.port)).await else {
            return;
        };
        let mut all: Vec<SocketAddr> = found.collect();
        if all.is_empty() {
            return;
        }
        let known = self.hosts.load_full();
        let known = known.down.iter().copied();
        let down = unreachable(known.filter(|host| all.contains(host))).await;
        all.sort_by_key(|host| down.contains(host));
        self.hosts.store(Arc::new(Hosts { all, down }));
    }

    /// Asks this host last from now on. Says whether that speaks against the address: not where it was so already and
    /// another is left.
    pub(super) fn put_back(&self, host: SocketAddr) -> bool {
        let hosts = self.hosts.load();
        if hosts.down.contains(&host) {
            return hosts.down.len() >= hosts.all.len();
        }
        let mut next = Hosts::clone(&hosts);
        next.down.push(host);
        next.all.sort_by_key(|host| next.down.contains(host));
        // Where another request was faster, this one's news are old or come again.
        self.hosts.compare_and_swap(&hosts, Arc::new(next));
        true
    }

    /// The peer to connect to: of the hosts the first that was not tried. `None` while the name has never resolved.
    pub(super) fn peer(&self, tried: &[SocketAddr], timeouts: &Timeouts) -> Option<HttpPeer> {
        let hosts = self.hosts.load();
        let fresh = hosts.all.iter().find(|host| !tried.contains(host));
        let address = *fresh.or(hosts.all.first())?;
        let mut peer = HttpPeer::new(address, self.tls, self.host.clone());
        peer.options.connection_timeout = Some(timeouts.connect);
        peer.options.total_connection_timeout = Some(timeouts.connect);
        peer.options.read_timeout = Some(timeouts.read);
        peer.options.write_timeout = Some(timeouts.write);
        peer.options.idle_timeout = Some(timeouts.idle);
        Some(peer)
    }
}

/// Those of the hosts that still take no connection. They are looked at together: one of several must not use up the time that
/// a name has.
async fn unreachable(hosts: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut looks: JoinSet<Option<SocketAddr>> = hosts
        .map(|host| async move {
            let connected = timeout(LOOK, TcpStream::connect(host)).await;
            (!matches!(connected, Ok(Ok(_)))).then_some(host)
        })
        .collect();
    let mut down = Vec::new();
    while let Some(looked) = looks.join_next().await {
        down.extend(looked.ok().flatten());
    }
    down
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

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};

    fn address(hosts: &[&str]) -> Address {
        let settings = config::Address {
            host: "provider.test".to_owned(),
            port: 80,
            tls: false,
            path: String::new(),
        };
        let address = Address::new(&settings);
        let all = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let down = Vec::new();
        address.hosts.store(Arc::new(Hosts { all, down }));
        address
    }

    #[test]
    fn a_host_that_cannot_be_reached_is_asked_last_and_speaks_against_its_name_once() {
        let hosts = ["10.0.0.1:80", "10.0.0.2:80"];
        let [one, two] = hosts.map(|host| host.parse().unwrap());
        let address = address(&hosts);
        assert!(address.put_back(one));
        assert_eq!(address.first(), Some(two));
        for _ in 0..30 {
            assert!(!address.put_back(one));
        }
        assert!(address.put_back(two));
        assert!(address.put_back(one) && address.put_back(two));
        assert_eq!(address.first(), Some(two));
    }

    /// Over HTTP/2, Pingora drops what a provider answers before it has the whole request.
    #[test]
    fn a_provider_is_asked_over_http_1_unless_it_is_told_otherwise() {
        let mut settings = config::Address {
            host: "127.0.0.1".to_owned(),
            port: 443,
            tls: true,
            path: String::new(),
        };
        let second = Duration::from_secs(1);
        let timeouts = Timeouts {
            connect: second,
            read: second,
            write: second,
            idle: second,
        };
        for tls in [true, false] {
            settings.tls = tls;
            let peer = Address::new(&settings).peer(&[], &timeouts).unwrap();
            assert_eq!(peer.options.alpn.get_max_http_version(), 1);
        }
    }

    /// More hosts than fit one after the other into the time that a name has to resolve.
    #[tokio::test]
    async fn hosts_that_came_back_are_found_however_many_did_not() {
        let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let back = open.local_addr().unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        full.bind(&any.into()).unwrap();
        full.listen(0).unwrap();
        let lost = full.local_addr().unwrap().as_socket().unwrap();
        // Once its queue is full, who connects waits.
        let connect = || std::net::TcpStream::connect_timeout(&lost, LOOK / 4);
        let waiting: Vec<_> = (0..9).map_while(|_| connect().ok()).collect();
        assert!(waiting.len() < 9);
        let looked = unreachable(std::iter::repeat_n(lost, 20).chain([back]));
        let down = timeout(LOOK * 5, looked).await.unwrap();
        assert_eq!(down, [lost; 20]);
    }
}
