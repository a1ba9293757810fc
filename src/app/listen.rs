//! Runs Pingora's proxy on threads and a socket of our own: a bind that fails is an error and not a panic, port 0 works,
//! and a stop waits for streams and no longer (Pingora's own server sleeps its whole grace period).
//!
//! Each thread has a runtime, a listening socket and connections to the providers of its own, so that a request never wakes
//! another thread: not for its body, not for an idle connection that it takes from a pool. The kernel deals connections to
//! the sockets (`SO_REUSEPORT`); one socket for all would leave a burst of them to whichever thread wakes first.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle, available_parallelism};

use pingora::apps::HttpServerOptions;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{Fds, ListenFds};
use pingora::services::Service as _;
use pingora::services::listening::Service;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tracing::error;

use super::StartError;
use super::front::Front;
use super::tls::{self, Shown};
use crate::config::Settings;
use crate::gateway::Gateway;

/// Connections to providers that each thread keeps for the next request; more than are idle at once in a steady load.
const IDLE_UPSTREAM_CONNECTIONS: usize = 64;
/// Buffers of a client's connection. A larger read is made past the buffer, straight to where the body is gathered.
const BUFFERS: L4BufferSettings = L4BufferSettings {
    read: Some(8 << 10),
    write: Some(4 << 10),
};
/// A list of headers counts 32 bytes for each of them, beside its name and value (RFC 9113, section 6.5.2).
const HEADER_LIST: u64 = 64 << 10;
/// Long scans beside each thread at a time; more wait for one another, and not for the processor.
const LONG_SCANS: usize = 4;

/// The threads that serve.
pub struct Workers {
    ended: watch::Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Cuts off what is still served, and waits until every request has given back what it held.
    pub fn end(self) {
        drop(self.ended);
        for thread in self.threads {
            // A panic has been told where it happened; what the thread held is given back either way.
            let _ended = thread.join();
        }
    }
}

/// Binds the data address and serves on it until `stopped` turns true: no connection is taken from then on.
pub fn start(
    gateway: &Gateway,
    settings: &Settings,
    shown: Option<&Arc<Shown>>,
    stopped: &watch::Receiver<bool>,
) -> Result<(SocketAddr, Workers), StartError> {
    let wanted = settings.listen.data;
    let failed = |source| StartError::Listen {
        address: wanted,
        source,
    };
    let count = available_parallelism().map_or(1, usize::from);
    let (address, listeners) = bind(wanted, count).map_err(failed)?;
    let (sender, ended) = watch::channel(());
    let mut threads = Vec::with_capacity(count);
    for (number, listener) in listeners.into_iter().enumerate() {
        // Before the runtime: one that is not used must not be dropped where another runs.
        let service = service(gateway.clone(), settings, shown, address)?;
        let worker = Worker {
            runtime: Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(LONG_SCANS)
                .build()
                .map_err(failed)?,
            service,
            fds: fds(listener, address),
            stopped: stopped.clone(),
            ended: ended.clone(),
        };
        let thread = thread::Builder::new().name(format!("data-{number}"));
        threads.push(thread.spawn(|| worker.serve()).map_err(failed)?);
    }
    let workers = Workers {
        ended: sender,
        threads,
    };
    Ok((address, workers))
}

/// A thread that serves.
struct Worker {
    runtime: Runtime,
    service: Service<Front>,
    fds: ListenFds,
    stopped: watch::Receiver<bool>,
    ended: watch::Receiver<()>,
}

impl Worker {
    fn serve(self) {
        let Self {
            runtime,
            mut service,
            fds,
            stopped,
            mut ended,
        } = self;
        runtime.block_on(async move {
            let mut told = stopped.clone();
            service.start_service(Some(fds), stopped, 1).await;
            if !*told.borrow_and_update() {
                error!("a data thread takes no more connections");
            }
            // Those that are open are served until the end, which is an error here: its sender is gone.
            let _gone = ended.changed().await;
        });
        runtime.shutdown_background();
    }
}

/// So many sockets that listen on one address. The first has it for itself until it listens, so that no other process
/// comes to share it.
fn bind(wanted: SocketAddr, count: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let first = TcpListener::bind(wanted)?;
    first.set_nonblocking(true)?;
    SockRef::from(&first).set_reuse_port(true)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..count {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        // Pingora listens on it with a backlog of its own.
        socket.listen(1)?;
        listeners.push(socket.into());
    }
    Ok((address, listeners))
}

/// The socket under the name by which Pingora asks for it.
fn fds(listener: TcpListener, address: SocketAddr) -> ListenFds {
    let mut fds = Fds::new();
    fds.add(address.to_string(), listener.into_raw_fd());
    Arc::new(parking_lot::Mutex::new(fds))
}

fn service(
    gateway: Gateway,
    settings: &Settings,
    shown: Option<&Arc<Shown>>,
    address: SocketAddr,
) -> Result<Service<Front>, StartError> {
    let conf = Arc::new(ServerConf {
        max_retries: usize::from(crate::gateway::MOST_ATTEMPTS),
        upstream_keepalive_pool_size: IDLE_UPSTREAM_CONNECTIONS,
        ..ServerConf::default()
    });
    let mut options = HttpServerOptions::default();
    options.h2c = settings.listen.h2c;
    let idle = settings.limits.idle_timeout;
    options.h2_idle_timeout = Some(idle);
    let mut h2_options = default_h2_options();
    h2_options.max_header_list_size(header_list(settings.limits.headers));
    let mut proxy = http_proxy(&conf, gateway);
    proxy.server_options = Some(options);
    proxy.h2_options = Some(h2_options);
    let mut service = Service::new("data".to_owned(), Front::new(proxy, idle));
    let mut listener = ListenerConfig::tcp(address.to_string()).l4_buffer(BUFFERS);
    if let Some(shown) = shown {
        listener = listener.tls(tls::settings(shown)?);
    }
    service.add_listener(listener);
    Ok(service)
}

/// What HTTP/2 takes of headers: more than the limit, so that what is over it is refused in the client's dialect, with a row.
fn header_list(limit: u64) -> u32 {
    let most = limit.saturating_mul(2).saturating_add(HEADER_LIST);
    u32::try_from(most).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sockets_have_one_address_and_nobody_else_gets_it() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (address, listeners) = bind(any, 3).unwrap();
        let addresses = listeners.iter().map(|one| one.local_addr().unwrap());
        assert_eq!(addresses.collect::<Vec<_>>(), [address; 3]);
        let taken = bind(address, 3).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }
}
