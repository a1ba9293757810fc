//! What the program uses: typed, complete, with every default applied. Not serialisable, on purpose.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::{Address, SecretRef};
pub use crate::budget::{Grace, OnStoreLoss};
use crate::domain::{Name, Usd};
use crate::policy::{self, Actions, Aliases, BreakerTerms, RefusalStatuses};
pub use crate::pricing::QuoteMode;
pub use crate::provider::Dialect;
pub use crate::scan::Family;

/// Everything that `tollgate.toml` says.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: Listen,
    pub state: State,
    pub limits: Limits,
    /// In the order of the file: the first of a dialect serves its unprefixed paths.
    pub providers: Vec<Provider>,
    pub scan: Scan,
    pub budget: Budget,
    pub prices: Prices,
    pub models: Models,
    /// Absent: no answer is kept.
    pub cache: Option<Cache>,
    /// Absent: one node.
    pub redis: Option<Redis>,
    pub audit: Audit,
    pub refusal: RefusalStatuses,
}

impl Settings {
    /// What of these settings a gateway that started with `started` takes over only when it starts anew.
    #[must_use]
    pub fn wait_for_restart(&self, started: &Self) -> Vec<&'static str> {
        let pairs = [
            ("[listen]", !self.listen.is_like(&started.listen)),
            ("[state]", self.state != started.state),
            (
                "[limits] buffered",
                self.limits.buffered != started.limits.buffered,
            ),
            (
                "[limits] idle_timeout",
                self.limits.idle_timeout != started.limits.idle_timeout,
            ),
            ("[redis]", self.redis != started.redis),
            ("[audit]", self.audit != started.audit),
        ];
        let waiting = pairs.into_iter().filter(|(_, differs)| *differs);
        waiting.map(|(what, _)| what).collect()
    }
}

/// `[listen]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where agents point. Port 0 takes a free one.
    pub data: SocketAddr,
    /// Health, metrics, budgets; loopback unless told otherwise.
    pub admin: SocketAddr,
    /// Absent: plain HTTP.
    pub tls: Option<Tls>,
    /// HTTP/2 without TLS on the data address; HTTP/1.1 works either way.
    pub h2c: bool,
}

/// The certificate of the data address: PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Listen {
    /// Whether a gateway that started with the other one serves this one too: with another certificate at most.
    fn is_like(&self, started: &Self) -> bool {
        let without = |listen: &Self| Self {
            tls: None,
            ..listen.clone()
        };
        self.tls.is_some() == started.tls.is_some() && without(self) == without(started)
    }
}

/// `[state]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Segment log, databases, installation key.
    pub dir: PathBuf,
}

/// `[limits]`; sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of one request's body.
    pub body: u64,
    /// Of all bodies held at once.
    pub buffered: u64,
    /// Of one request's headers together.
    pub headers: u64,
    pub upload_timeout: Duration,
    /// How long a client may take for one piece of its answer.
    pub stall_timeout: Duration,
    /// How long a client's connection may wait for a whole request head; over HTTP/2, with no request in flight.
    pub idle_timeout: Duration,
    /// How long SIGTERM waits for streams.
    pub drain_timeout: Duration,
}

/// `[provider.NAME]`
#[derive(Clone, Debug)]
pub struct Provider {
    pub name: Name,
    pub dialect: Dialect,
    /// At least one; tried by weight, a failed one is followed by another.
    pub addresses: Vec<WeightedAddress>,
    pub credential: SecretRef,
    /// A private certificate authority for its addresses; absent: the system's.
    pub ca: Option<PathBuf>,
    pub http: HttpVersion,
    pub timeouts: Timeouts,
    /// Most addresses tried for one request, the first included.
    pub attempts: NonZeroU32,
    /// Requests and tokens per minute, and requests at once.
    pub limits: policy::Limits,
    pub on_disconnect: OnDisconnect,
    /// Whether chat streams that do not ask for their usage are made to; some providers refuse the field.
    pub asks_usage: bool,
    /// Whose prices of the table are meant: the provider's own name, unless told otherwise.
    pub prices: String,
    /// The longest that a `retry-after` is waited for before another attempt.
    pub retry_wait: Duration,
    /// When an address that keeps failing is left alone.
    pub breaker: BreakerTerms,
    pub health: Health,
}

/// How a provider's addresses are looked at in the background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub check: HealthCheck,
    pub interval: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    Off,
    /// Whether a connection can be made, over TLS where the address is so.
    Tcp,
    /// Whether a GET of this path is answered with less than 500.
    Http(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedAddress {
    pub address: Address,
    pub weight: NonZeroU32,
}

/// What is spoken to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1.
    One,
    /// HTTP/2 and nothing else.
    Two,
}

/// Of one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    /// Between two reads of an answer, and before its first byte.
    pub read: Duration,
    pub write: Duration,
    /// How long an unused connection is kept.
    pub idle: Duration,
}

/// What a request costs whose client left, where the provider's final count is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisconnect {
    /// What is known, or an upper estimate of what was streamed.
    Estimate,
    /// Its whole reservation.
    ChargeReservation,
}

/// `[scan]`
#[derive(Clone, Debug)]
pub struct Scan {
    /// Globs of rule files, made absolute or relative to the working directory already.
    pub rules: Vec<PathBuf>,
    pub families: Vec<Family>,
    pub on_undecodable: OnUndecodable,
    /// The action of each category, before a team's own.
    pub actions: Actions,
    /// What happens to a finding that is to be redacted and cannot be rewritten in place.
    pub on_unredactable: OnUnredactable,
    /// The most different placeholders in one request; one with more secrets is refused.
    pub placeholders: usize,
    /// Files whose values must never leave.
    pub known_values: Vec<PathBuf>,
}

impl Scan {
    /// Whether a body that cannot be decoded is refused.
    #[must_use]
    pub fn blocks_undecodable(&self) -> bool {
        self.on_undecodable == OnUndecodable::Block
    }
}

/// What happens to a body that cannot be decoded for inspection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUndecodable {
    Block,
    /// Scan its raw bytes, forward and mark it.
    Scan,
}

/// What happens to a request with a finding that is to be redacted and cannot be rewritten in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnredactable {
    Block,
    /// Forward it as it is, and record it.
    Alert,
}

impl OnUnredactable {
    /// The words of the configuration.
    pub const WORDS: [(&'static str, Self); 2] = [("block", Self::Block), ("alert", Self::Alert)];
}

/// `[budget]`
#[derive(Clone, Debug)]
pub struct Budget {
    pub quote: QuoteMode,
    pub on_store_loss: OnStoreLoss,
    pub unknown_model: UnknownModel,
    pub opaque: Opaque,
}

/// Dollars per million tokens of a model that the price table does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownModel {
    pub input: Usd,
    pub output: Usd,
}

/// A request whose input it does not show (`previous_response_id`, file ids, URLs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opaque {
    /// Reserved at the model's whole context window.
    Window,
    Refuse,
}

/// `[prices]`
#[derive(Clone, Debug)]
pub struct Prices {
    pub file: PathBuf,
    /// Negotiated rates, laid over the table in this order.
    pub overlays: Vec<PathBuf>,
}

/// `[models]`
#[derive(Clone, Debug, Default)]
pub struct Models {
    pub aliases: Aliases,
}

/// `[cache]`
#[derive(Clone, Debug)]
pub struct Cache {
    /// The teams whose answers are kept, each for itself.
    pub teams: Vec<Name>,
    /// Bytes of all answers together.
    pub size: u64,
    /// Bytes of the longest answer that is kept.
    pub entry: u64,
    pub age: Duration,
}

/// `[redis]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// `redis://`, `redis+cluster://`, `redis+sentinel://`, or `rediss` with TLS; without user and password.
    pub url: String,
    pub user: Option<String>,
    pub password: Option<SecretRef>,
    /// Before every key.
    pub prefix: String,
    pub timeout: Duration,
}

/// `[audit]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    pub durability: Durability,
    pub on_full: OnFull,
    /// How long rows are kept.
    pub retention: Duration,
    /// The longest that a batched record waits for its sync to disk.
    pub flush_interval: Duration,
    /// The size at which a segment is closed.
    pub segment: u64,
    /// The most that waits for the sinks on disk.
    pub spool: u64,
    /// A file to which every seal is appended as well.
    pub seal_file: Option<PathBuf>,
    /// A server to which every seal is sent as well.
    pub seal_url: Option<String>,
    pub clickhouse: Option<ClickHouse>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Synced in groups, shortly after: a power cut may lose the last moments, a crash of the process nothing.
    Batched,
    /// A request is forwarded only when its record is on disk.
    Strict,
}

/// When the spool is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// Requests are refused.
    Refuse,
    /// Rows are dropped, and counted.
    Shed,
}

/// `[audit.clickhouse]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickHouse {
    pub url: String,
    pub database: String,
    pub user: String,
    pub password: Option<SecretRef>,
    /// How long the server may take for an answer.
    pub timeout: Duration,
}
