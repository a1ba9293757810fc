//! Tells HTTP/1 from HTTP/2 on a connection without TLS. Pingora waits for the 24 bytes that begin HTTP/2 on every such
//! connection, and for ever: a shorter request (`OPTIONS / HTTP/1.0`, as load balancers send) would never be answered. And
//! bounds the time that a connection waits for the head of a request, which Pingora does for each read of it alone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::gateway::Gateway;

/// What a client of HTTP/2 says first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a new connection may say nothing: as long as Pingora lets one wait for its next request.
const SILENCE: Duration = Duration::from_mins(1);

/// The proxy behind a listener.
pub struct Front {
    /// Set up to speak HTTP/2 on every connection without TLS.
    http2: Arc<HttpProxy<Gateway>>,
    http1: Arc<Http1>,
}

impl Front {
    /// `proxy` has `h2c` in its options where a connection without TLS may speak HTTP/2. A connection that has no whole head
    /// of a request after `idle` closes.
    pub fn new(proxy: HttpProxy<Gateway>, idle: Duration) -> Self {
        let mut options = proxy.server_options.clone().unwrap_or_default();
        options.h2c = false;
        let http2 = Arc::new(proxy);
        let http1 = Arc::new(Http1 {
            proxy: Arc::clone(&http2),
            options,
            idle,
        });
        Self { http2, http1 }
    }
}

#[async_trait]
impl ServerApp for Front {
    async fn process_new(
        self: &Arc<Self>,
        mut stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let h2c = self.http2.server_options().is_some_and(|o| o.h2c);
        let asked = h2c && stream.get_ssl_digest().is_none();
        if asked && timeout(SILENCE, begins_http2(&mut stream)).await.ok()?? {
            self.http2.process_new(stream, shutdown).await
        } else {
            self.http1.process_new(stream, shutdown).await
        }
    }

    async fn cleanup(&self) {
        self.http2.http_cleanup().await;
    }
}

/// Looks at no more bytes than it takes to know. `None` when the client is gone before.
async fn begins_http2(stream: &mut Stream) -> Option<bool> {
    let mut head = [0; PREFACE.len()];
    for length in 1..=PREFACE.len() {
        let (seen, expected) = (head.get_mut(..length)?, PREFACE.get(..length)?);
        if !stream.try_peek(seen).await.ok()? || seen != expected {
            return Some(false);
        }
    }
    Some(true)
}

/// The same proxy, for connections that do not begin as HTTP/2, or agreed on it with TLS.
struct Http1 {
    proxy: Arc<HttpProxy<Gateway>>,
    options: HttpServerOptions,
    idle: Duration,
}

#[async_trait]
impl HttpServerApp for Http1 {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if session.is_http2() {
            return self.proxy.process_new_http(session, shutdown).await;
        }
        // Pingora drops what is left with a session once it has read a head.
        let (unread, read) = oneshot::channel::<()>();
        session.set_connection_user_context(Some(Box::new(unread)));
        let mut served = self.proxy.process_new_http(session, shutdown);
        tokio::select! {
            biased;
            reused = &mut served => return reused,
            in_time = timeout(self.idle, read) => if in_time.is_err() {
                return None;
            },
        }
        served.await
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}
