//! The connection to Redis: one server, one found by sentinels, or a cluster. The only file that names its client library.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError,
    Script, TlsMode, Value,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::wire::{Envelope, SCRIPT, read_reply};
use crate::budget::{Ask, BudgetId, Micros, Reply};
use crate::domain::{Moment, Secret, Usd};

/// Where the store is.
#[derive(Clone)]
pub struct Settings {
    /// `redis://host:6379/0`, `rediss://…` with TLS; several after commas with `redis+cluster://a,b` or
    /// `redis+sentinel://a,b/name-of-the-service`, where `rediss+…` is with TLS.
    pub url: String,
    pub user: Option<String>,
    pub password: Option<Secret<String>>,
    /// Before every key.
    pub prefix: String,
    /// The longest that one answer is waited for. No request ever waits for it.
    pub response_timeout: Duration,
    pub connect_timeout: Duration,
}

impl Settings {
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            user: None,
            password: None,
            prefix: "tollgate".to_owned(),
            response_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(1),
        }
    }
}

/// What can go wrong with the store. Nothing of it concerns a request.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Without the text that the library has for it: that may hold the address with its password.
    #[error("not an address of Redis: {0}")]
    Address(&'static str),
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("no answer in time")]
    Late,
    #[error("the store's answer is not one of the lease script")]
    Unintelligible,
}

impl StoreError {
    /// What kind of fault this is, without anything that an address or an answer may hold.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Redis(error) => match error.code() {
                // What Redis says of long commands where a password is missing, before it breaks the connection off.
                Some("ERR")
                    if error
                        .detail()
                        .is_some_and(|why| why.contains("unauthenticated")) =>
                {
                    format!("{} (NOAUTH)", error.category())
                }
                Some(code) => format!("{} ({code})", error.category()),
                None => error.category().to_owned(),
            },
            other => other.to_string(),
        }
    }
}

/// What a node learns where it shows itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Which process answers.
    pub server: String,
    /// How many nodes live.
    pub nodes: u32,
    /// Since when it is not known to have lost anything, in its own words; empty where it does not say.
    pub since: String,
}

impl Served {
    /// Whether something may have been lost between the one and the other.
    pub fn is_doubtful_after(&self, before: &Self) -> bool {
        self.server != before.server || (self.since != before.since && !before.since.is_empty())
    }
}

/// A connection that comes back by itself.
pub struct Store {
    link: Link,
    envelope: Envelope,
    lease: Script,
    presence: Script,
    suspended: Script,
    patience: Duration,
}

enum Link {
    One(ConnectionManager),
    /// The master may be another one after every break, so it is asked for anew.
    Sentinel {
        finder: Box<Mutex<SentinelClient>>,
        master: Mutex<Option<MultiplexedConnection>>,
        config: AsyncConnectionConfig,
    },
    Cluster {
        client: Box<ClusterClient>,
        connection: Mutex<Option<ClusterConnection>>,
    },
}

impl Store {
    /// Prepares the connection; the store need not be there yet.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn new(settings: &Settings) -> Result<Self, StoreError> {
        let link = Link::new(settings)?;
        let cluster = matches!(link, Link::Cluster { .. });
        Ok(Self {
            link,
            envelope: Envelope::new(&settings.prefix, cluster),
            lease: Script::new(SCRIPT),
            presence: Script::new(include_str!("presence.lua")),
            suspended: Script::new(include_str!("suspended.lua")),
            patience: settings.response_timeout + settings.connect_timeout,
        })
    }

    /// Changes how asks are wrapped: for tests with shorter times.
    #[cfg(test)]
    pub fn envelope_mut(&mut self) -> &mut Envelope {
        &mut self.envelope
    }

    /// Says one ask, and returns the reply.
    pub async fn say(&self, ask: &Ask, now: Moment) -> Result<Reply, StoreError> {
        let mut invocation = self.lease.prepare_invoke();
        for key in self.envelope.keys(ask) {
            invocation.key(key);
        }
        for argument in self.envelope.arguments(ask, now) {
            invocation.arg(argument);
        }
        let value = self.invoke(&invocation).await?;
        read_reply(&value).map_err(|_| StoreError::Unintelligible)
    }

    /// What the silent leases of one budget hold: money that nobody can spend until their nodes have had their last word.
    pub async fn suspended(&self, budget: &BudgetId, start: Moment) -> Result<Usd, StoreError> {
        let mut invocation = self.suspended.prepare_invoke();
        invocation
            .key(self.envelope.key(budget, start))
            .arg(self.envelope.now_ms.unwrap_or(0));
        let value = self.invoke(&invocation).await?;
        let text: String =
            redis::from_redis_value(value).map_err(|_| StoreError::Unintelligible)?;
        let micros = text.parse().ok().and_then(Micros::new);
        Ok(micros.ok_or(StoreError::Unintelligible)?.usd())
    }

    /// Shows this node, and returns by whom it is served.
    pub async fn show(&self, node: &str) -> Result<Served, StoreError> {
        let mut invocation = self.presence.prepare_invoke();
        invocation
            .key(format!("{}:nodes", self.envelope.prefix))
            .arg(node)
            .arg(self.envelope.liveness_ms);
        if let Some(server) = self.envelope.server_key() {
            invocation.key(server);
        }
        let value = self.invoke(&invocation).await?;
        let (server, nodes, since) =
            redis::from_redis_value(value).map_err(|_| StoreError::Unintelligible)?;
        Ok(Served {
            server,
            nodes,
            since,
        })
    }

    async fn invoke(&self, script: &redis::ScriptInvocation<'_>) -> Result<Value, StoreError> {
        timeout(self.patience, self.link.invoke(script))
            .await
            .unwrap_or(Err(StoreError::Late))
    }
}

impl Link {
    fn new(settings: &Settings) -> Result<Self, StoreError> {
        let (scheme, rest) = settings
            .url
            .split_once("://")
            .ok_or(StoreError::Address("it has no scheme, such as redis://"))?;
        let tls = scheme.starts_with("rediss");
        match scheme {
            "redis" | "rediss" | "redis+unix" | "unix" => Self::one(settings),
            "redis+cluster" | "rediss+cluster" => Self::cluster(settings, tls, rest),
            "redis+sentinel" | "rediss+sentinel" => Self::sentinel(settings, tls, rest),
            _ => Err(StoreError::Address(
                "its scheme is none of redis, rediss, redis+cluster, rediss+cluster, redis+sentinel, rediss+sentinel",
            )),
        }
    }

    fn one(settings: &Settings) -> Result<Self, StoreError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(2)
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(Duration::from_millis(500))
            .set_response_timeout(Some(settings.response_timeout))
            .set_connection_timeout(Some(settings.connect_timeout));
        let client = Client::open(connection_info(settings, &settings.url)?)?;
        Ok(Self::One(ConnectionManager::new_lazy_with_config(
            client, config,
        )?))
    }

    fn cluster(settings: &Settings, tls: bool, rest: &str) -> Result<Self, StoreError> {
        let scheme = if tls { "rediss" } else { "redis" };
        let hosts = rest.split('/').next().unwrap_or(rest).split(',');
        let nodes = hosts
            .map(|host| connection_info(settings, &format!("{scheme}://{host}")))
            .collect::<Result<Vec<_>, _>>()?;
        let client = ClusterClientBuilder::new(nodes)
            .connection_timeout(settings.connect_timeout)
            .response_timeout(settings.response_timeout)
            .retries(1)
            .build()?;
        Ok(Self::Cluster {
            client: Box::new(client),
            connection: Mutex::new(None),
        })
    }

    fn sentinel(settings: &Settings, tls: bool, rest: &str) -> Result<Self, StoreError> {
        let (hosts, service) = rest
            .split_once('/')
            .filter(|(_, service)| !service.is_empty())
            .ok_or(StoreError::Address(
                "it does not name the sentinels' service",
            ))?;
        let addresses = hosts
            .split(',')
            .map(|host| sentinel_address(host, tls))
            .collect::<Result<Vec<ConnectionAddr>, StoreError>>()?;
        let mut builder =
            SentinelClientBuilder::new(addresses, service, SentinelServerType::Master)?;
        if tls {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure);
        }
        if let Some(user) = &settings.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &settings.password {
            builder = builder.set_client_to_redis_password(password.expose());
        }
        Ok(Self::Sentinel {
            finder: Box::new(Mutex::new(builder.build()?)),
            master: Mutex::new(None),
            config: AsyncConnectionConfig::new()
                .set_connection_timeout(Some(settings.connect_timeout))
                .set_response_timeout(Some(settings.response_timeout)),
        })
    }

    async fn invoke(&self, script: &redis::ScriptInvocation<'_>) -> Result<Value, StoreError> {
        match self {
            Self::One(manager) => Ok(script.invoke_async(&mut manager.clone()).await?),
            Self::Sentinel {
                finder,
                master,
                config,
            } => {
                let mut connection = found_master(finder, master, config).await?;
                let answer = script.invoke_async(&mut connection).await;
                if answer.as_ref().is_err_and(is_broken) {
                    *master.lock().await = None;
                }
                Ok(answer?)
            }
            Self::Cluster { client, connection } => {
                let mut link = joined_cluster(client, connection).await?;
                Ok(script.invoke_async(&mut link).await?)
            }
        }
    }
}

async fn found_master(
    finder: &Mutex<SentinelClient>,
    master: &Mutex<Option<MultiplexedConnection>>,
    config: &AsyncConnectionConfig,
) -> Result<MultiplexedConnection, StoreError> {
    let mut master = master.lock().await;
    if let Some(connection) = &*master {
        return Ok(connection.clone());
    }
    let mut finder = finder.lock().await;
    let connection = finder.get_async_connection_with_config(config).await?;
    *master = Some(connection.clone());
    Ok(connection)
}

async fn joined_cluster(
    client: &ClusterClient,
    connection: &Mutex<Option<ClusterConnection>>,
) -> Result<ClusterConnection, StoreError> {
    let mut connection = connection.lock().await;
    if let Some(joined) = &*connection {
        return Ok(joined.clone());
    }
    let joined = client.get_async_connection().await?;
    *connection = Some(joined.clone());
    Ok(joined)
}

/// Whether another connection is needed: this one is gone, or leads to what is no master any more.
fn is_broken(error: &RedisError) -> bool {
    error.is_connection_dropped()
        || error.is_io_error()
        || error.is_unrecoverable_error()
        || error.code() == Some("READONLY")
}

fn connection_info(settings: &Settings, url: &str) -> Result<ConnectionInfo, StoreError> {
    let bad = |_| StoreError::Address("write redis://host:6379");
    let info = url.into_connection_info().map_err(bad)?;
    let mut login = info.redis_settings().clone();
    if let Some(user) = &settings.user {
        login = login.set_username(user);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password.expose());
    }
    Ok(info.set_redis_settings(login))
}

fn sentinel_address(host: &str, tls: bool) -> Result<ConnectionAddr, StoreError> {
    let scheme = if tls { "rediss" } else { "redis" };
    let bad = |_| StoreError::Address("a sentinel is written host:26379");
    let info = format!("{scheme}://{host}")
        .into_connection_info()
        .map_err(bad)?;
    Ok(info.addr().clone())
}
