//! Looks at a provider's addresses in the background, so that requests go to those that answer.

use std::time::Duration;

use http::HeaderValue;
use pingora::http::ResponseHeader;
use pingora::lb::Backend;
use pingora::lb::health_check::{HealthCheck, HttpHealthCheck, TcpHealthCheck};
use pingora::upstreams::peer::PeerOptions;
use pingora::{Error, ErrorType, Result};

use super::address::Address;
use super::upstream::Authorities;
use crate::config;

/// The longest that one look takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// How one address is looked at.
pub struct Check(Box<dyn HealthCheck + Send + Sync>);

impl Check {
    /// The check of an address; `None` where none is wanted, or its path cannot be asked for.
    pub fn new(
        wanted: &config::HealthCheck,
        address: &Address,
        authorities: Option<&Authorities>,
    ) -> Option<Self> {
        let name = if address.tls {
            address.host.as_str()
        } else {
            ""
        };
        let prepare = |options: &mut PeerOptions| {
            options.connection_timeout = Some(PATIENCE);
            options.read_timeout = Some(PATIENCE);
            if let Some(authorities) = authorities {
                authorities.trusted_by(options);
            }
        };
        match wanted {
            config::HealthCheck::Off => None,
            config::HealthCheck::Tcp => {
                let mut check = TcpHealthCheck::new_tls(name);
                prepare(&mut check.peer_template.options);
                Some(Self(check))
            }
            config::HealthCheck::Http(path) => {
                let mut check = HttpHealthCheck::new(name, address.tls);
                prepare(&mut check.peer_template.options);
                let path = format!("{}{path}", address.path);
                check.req.set_raw_path(path.as_bytes()).ok()?;
                let host: HeaderValue = address.authority.clone();
                check.req.insert_header("host", host).ok()?;
                check.validator = Some(Box::new(answers));
                Some(Self(Box::new(check)))
            }
        }
    }

    /// Looks once, and notes at the address what was seen. Says so where that is news.
    pub async fn look(&self, address: &Address) -> Option<bool> {
        let looked = tokio::time::timeout(PATIENCE, self.once(address)).await;
        let healthy = matches!(looked, Ok(Ok(())));
        address.observe(healthy).then_some(healthy)
    }

    async fn once(&self, address: &Address) -> Result<()> {
        let target = address
            .first()
            .ok_or_else(|| Error::new(ErrorType::ConnectNoRoute))?;
        self.0.check(&Backend::new(&target.to_string())?).await
    }
}

/// Whatever is not the server's own fault is an answer: a check carries no key.
fn answers(head: &ResponseHeader) -> Result<()> {
    if head.status.is_server_error() {
        Err(Error::new(ErrorType::HTTPStatus(head.status.as_u16())))
    } else {
        Ok(())
    }
}
