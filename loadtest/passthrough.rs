//! A bare Pingora pass-through: what the gateway is measured against. `passthrough LISTEN UPSTREAM`

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::proxy::{ProxyHttp, ProxyServiceBuilder, Session};
use pingora::server::configuration::ServerConf;
use pingora::services::Service;
use pingora::upstreams::peer::HttpPeer;
use tokio::sync::watch;

struct PassThrough {
    upstream: String,
}

#[async_trait]
impl ProxyHttp for PassThrough {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _ctx: &mut (),
    ) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(
            self.upstream.as_str(),
            false,
            String::new(),
        )))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (args.next(), args.next()) else {
        return Err("usage: passthrough LISTEN UPSTREAM".into());
    };
    let conf = Arc::new(ServerConf {
        threads: std::thread::available_parallelism()?.get(),
        upstream_keepalive_pool_size: 512,
        ..ServerConf::default()
    });
    let mut service = ProxyServiceBuilder::new(&conf, PassThrough { upstream }).build();
    service.add_tcp(&listen);
    let runtime = tokio::runtime::Runtime::new()?;
    let (_running, stop) = watch::channel(false);
    runtime.block_on(service.start_service(None, stop, 1));
    Ok(())
}
