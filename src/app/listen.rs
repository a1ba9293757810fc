//! Runs Pingora's proxy on a runtime and a socket of our own: a bind that fails is an error and not a panic, port 0
//! works, and a stop waits for streams and no longer (Pingora's own server sleeps its whole grace period).

use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::thread::available_parallelism;

use pingora::apps::HttpServerOptions;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::ProxyServiceBuilder;
use pingora::server::configuration::ServerConf;
use pingora::server::{Fds, ListenFds};
use pingora::services::Service;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::StartError;
use crate::config::Settings;
use crate::gateway::Gateway;

/// Connections that may wait to be accepted.
const IDLE_UPSTREAM_CONNECTIONS: usize = 512;

/// Binds the data address and serves on it until `stopped` turns true.
pub fn start(
    gateway: Gateway,
    settings: &Settings,
    stopped: watch::Receiver<bool>,
) -> Result<(SocketAddr, JoinHandle<()>), StartError> {
    let wanted = settings.listen.data;
    let failed = |source| StartError::Listen {
        address: wanted,
        source,
    };
    let listener = TcpListener::bind(wanted).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;

    let threads = available_parallelism().map_or(1, usize::from);
    let conf = Arc::new(ServerConf {
        threads,
        max_retries: usize::from(crate::gateway::MOST_ATTEMPTS),
        upstream_keepalive_pool_size: IDLE_UPSTREAM_CONNECTIONS,
        ..ServerConf::default()
    });
    let mut options = HttpServerOptions::default();
    options.h2c = settings.listen.h2c;
    let mut service = ProxyServiceBuilder::new(&conf, gateway)
        .name("data")
        .server_options(options)
        .build();
    let name = address.to_string();
    match &settings.listen.tls {
        None => service.add_tcp(&name),
        Some(tls) => {
            let (cert, key) = (tls.cert.to_string_lossy(), tls.key.to_string_lossy());
            let mut tls = TlsSettings::intermediate(&cert, &key)
                .map_err(|error| StartError::Tls(error.to_string()))?;
            tls.enable_h2();
            service.add_tls_with_settings(&name, None, tls);
        }
    }
    let mut fds = Fds::new();
    fds.add(name, listener.into_raw_fd());
    let fds: ListenFds = Arc::new(parking_lot::Mutex::new(fds));
    let serving = async move { service.start_service(Some(fds), stopped, 1).await };
    Ok((address, tokio::spawn(serving)))
}
