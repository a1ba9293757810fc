//! The composition root: builds everything from the configuration, owns the background tasks, and stops them in order.

mod alerts;
mod assemble;
mod audit_log;
mod fleet;
mod front;
mod listen;
mod marks;
pub mod tls;
pub mod warehouse;
mod watch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch as channel;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use fleet::Fleet;
use listen::Workers;
use marks::{Kind, Marks};
use tls::Shown;

pub use assemble::{AssembleError, Parts, assemble, people, scanner};
pub use marks::Reading;

use crate::admin::Admin;
use crate::audit::clickhouse::ClickHouseSink;
use crate::audit::sqlite::SqliteSink;
use crate::audit::{Label, Log, LogError, OperatorAction, inbox};
use crate::budget::Ledger;
use crate::config::{self, Fault, Settings, Source};
use crate::directory::{Census, Directory, DirectoryError, InstallationKey, KeyFileError};
use crate::domain::Moment;
use crate::gateway::Gateway;
use crate::gateway::body::BodyRoom;
use crate::gateway::hold::Lines;
use crate::ledger_store::FleetError;
use crate::live::{Live, People, Snapshot};
use crate::metrics::Metrics;
use crate::policy::RateLimiter;

/// How often a drain looks whether the last request has ended.
const DRAIN_STEP: Duration = Duration::from_millis(20);

/// Why a gateway does not start. Configuration faults are for exit status 78.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{}", list(.0))]
    Configuration(Vec<Fault>),
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    #[error(transparent)]
    Key(#[from] KeyFileError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("[redis]: {0}")]
    Fleet(#[from] FleetError),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("the audit's sink does not start: {0}")]
    Sink(std::io::Error),
    #[error("ClickHouse's password: {0}")]
    ClickHouse(#[from] config::SecretError),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

fn list(faults: &[Fault]) -> String {
    faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A running gateway.
pub struct App {
    pub data: SocketAddr,
    pub admin: SocketAddr,
    config: PathBuf,
    /// What it started with.
    started: Arc<Settings>,
    shared: Arc<Shared>,
    /// Turned on when no new connection is to be taken.
    stop: channel::Sender<bool>,
    draining: Arc<AtomicBool>,
    workers: Workers,
    /// Each goes on until it is ended.
    tasks: JoinSet<()>,
    sink: SqliteSink,
    fleet: Option<Fleet>,
    /// Where the fleet's rows go, if anywhere.
    clickhouse: Option<ClickHouseSink>,
}

/// What the background tasks share.
pub struct Shared {
    pub live: Arc<Live>,
    pub ledger: Arc<Ledger>,
    /// Outlives every reload: a new limit does not forgive what was taken.
    pub rates: Arc<RateLimiter>,
    pub log: Log,
    pub metrics: Arc<Metrics>,
    pub key: InstallationKey,
    /// Held by whoever compiles a scanner: for seconds.
    pub compiling: Mutex<()>,
    /// Held by whoever joins people with the ledger, until they are seated: for moments, so that a revocation need not wait.
    pub changing: Mutex<()>,
    /// What the files were that the snapshot was made of.
    marks: Mutex<Marks>,
    /// The certificate that clients see, where the gateway listens with TLS.
    shown: Option<Arc<Shown>>,
}

impl Shared {
    /// Replaces the snapshot by one from the files as they are now, with the people as they are now. The marks of the
    /// files before, and now.
    fn rebuild(&self, path: &Path) -> Result<(Marks, Marks), StartError> {
        let _alone = self.compiling.lock();
        let source = configuration(path)?;
        let settings = Arc::new(settings(path, &source)?);
        let mut reading = Reading::new(&self.key);
        reading.took(Kind::Configuration, &source);
        let before = self.live.load();
        let people = Arc::clone(&before.people);
        let shown = match &self.shown {
            Some(shown) => certificate(&settings, &mut reading)?.zip(Some(shown)),
            None => None,
        };
        let snapshot = assemble(settings, people, &self.parts(), &mut reading)?;
        if let Some((new, shown)) = shown {
            shown.replace(&new);
        }
        let marks = reading.marks();
        adopt_names(&snapshot, &before);
        self.replace(snapshot);
        let before = std::mem::replace(&mut *self.marks.lock(), marks.clone());
        Ok((before, marks))
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            ledger: &self.ledger,
            rates: &self.rates,
            key: &self.key,
        }
    }

    /// Seats the people of the directory as it is now.
    fn seat(&self, census: Arc<Census>) {
        let _alone = self.changing.lock();
        let settings = &self.live.load().settings;
        let people = assemble::people(census, settings, &self.parts());
        self.live.seat(&Arc::new(people));
    }

    /// Replaces the snapshot by one that took its time, with the people that were seated in the meantime.
    fn replace(&self, snapshot: Snapshot) {
        let _alone = self.changing.lock();
        let now = self.live.load();
        let people = match &now.people.census {
            Some(census) => {
                let census = Arc::clone(census);
                Arc::new(assemble::people(census, &snapshot.settings, &self.parts()))
            }
            None => Arc::clone(&now.people),
        };
        self.live.replace(Snapshot { people, ..snapshot });
    }
}

fn configuration(path: &Path) -> Result<Source, StartError> {
    Source::read(path).map_err(|fault| StartError::Configuration(vec![fault]))
}

fn settings(path: &Path, source: &Source) -> Result<Settings, StartError> {
    let base = path.parent().unwrap_or(Path::new(""));
    config::parse(&source.name, &source.text, base).map_err(StartError::Configuration)
}

/// The certificate and key that the settings name.
fn certificate(settings: &Settings, reading: &mut Reading) -> Result<Option<Shown>, StartError> {
    let Some(tls) = &settings.listen.tls else {
        return Ok(None);
    };
    let shown = Shown::read(tls, |source| reading.took(Kind::Certificate, source));
    let shown = shown.map_err(|fault| StartError::Configuration(vec![fault]))?;
    Ok(Some(shown))
}

/// Names that have resolved once stay resolved over a reload.
fn adopt_names(new: &Snapshot, old: &Snapshot) {
    let addresses = |snapshot: &Snapshot| -> Vec<_> {
        let upstreams = snapshot.upstreams.iter();
        upstreams
            .flat_map(|upstream| upstream.addresses.clone())
            .collect()
    };
    for address in addresses(new) {
        for known in addresses(old) {
            address.adopt(&known);
        }
    }
}

impl App {
    /// Starts a gateway from its configuration file; requests are served when this returns.
    ///
    /// # Errors
    /// All faults of the configuration, or what else stands in the way.
    pub async fn start(path: &Path) -> Result<Self, StartError> {
        let source = configuration(path)?;
        let settings = settings(path, &source)?;
        let key = InstallationKey::open_or_create(&settings.state.dir)?;
        let directory = Directory::open(&settings.state.dir)?;
        // Before the log is opened, which takes what is left for it.
        inbox::settle(&settings.state.dir, |moments| directory.was_done(moments))?;
        let (log, recovered) = audit_log::open(&settings)?;
        let (ledger, courier) = fleet::ledger(&settings, recovered.balances)?;
        let rates = Arc::new(RateLimiter::default());
        let parts = Parts {
            ledger: &ledger,
            rates: &rates,
            key: &key,
        };
        let mut reading = Reading::new(&key);
        reading.took(Kind::Configuration, &source);
        let shown = certificate(&settings, &mut reading)?.map(Arc::new);
        let settings = Arc::new(settings);
        let people = assemble::people(Arc::new(directory.load()?), &settings, &parts);
        let people = Arc::new(people);
        let snapshot = assemble(Arc::clone(&settings), people, &parts, &mut reading)?;
        let shared = Arc::new(Shared {
            live: Arc::new(Live::new(snapshot)),
            ledger,
            rates,
            log,
            metrics: Arc::new(Metrics::new()?),
            key,
            compiling: Mutex::new(()),
            changing: Mutex::new(()),
            marks: Mutex::new(reading.marks()),
            shown,
        });
        let fleet = match courier {
            None => None,
            Some(courier) => Some(Fleet::start(courier).await),
        };
        Self::listen(path, &settings, shared, directory, fleet).await
    }

    async fn listen(
        path: &Path,
        settings: &Arc<Settings>,
        shared: Arc<Shared>,
        directory: Directory,
        fleet: Option<Fleet>,
    ) -> Result<Self, StartError> {
        let (stop, stopped) = channel::channel(false);
        let draining = Arc::new(AtomicBool::new(false));
        let admin = bind(settings.listen.admin).await?;
        let admin_address = admin
            .local_addr()
            .map_err(|source| failed(settings.listen.admin, source))?;
        watch::resolve_all(&shared.live.load().upstreams).await;
        let gateway = gateway(settings, &shared);
        let (data_address, workers) =
            listen::start(&gateway, settings, shared.shown.as_ref(), &stopped)?;
        let audit = &settings.audit;
        let sink = SqliteSink::start(&shared.log, &settings.state.dir, audit.retention)
            .map_err(StartError::Sink)?;
        let clickhouse = match &audit.clickhouse {
            None => None,
            Some(named) => {
                let server = warehouse::server(named)?;
                let started = ClickHouseSink::start(&shared.log, &settings.state.dir, server);
                Some(started.map_err(StartError::Sink)?)
            }
        };
        let shown = Admin {
            live: Arc::clone(&shared.live),
            ledger: Arc::clone(&shared.ledger),
            log: shared.log.clone(),
            metrics: Arc::clone(&shared.metrics),
            traffic: fleet.as_ref().map(|fleet| Arc::clone(&fleet.traffic)),
            is_leased: fleet.as_ref().map(|fleet| Arc::clone(&fleet.is_leased)),
            draining: Arc::clone(&draining),
        };
        let serving = async move {
            if let Err(error) = shown.serve(admin).await {
                warn!(%error, "the admin listener ended");
            }
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(serving);
        tasks.spawn(watch::directory(directory, Arc::clone(&shared)));
        tasks.spawn(watch::entities(Arc::clone(&shared)));
        tasks.spawn(watch::resolve(Arc::clone(&shared.live)));
        tasks.spawn(watch::budgets(Arc::clone(&shared)));
        tasks.spawn(alerts::watch(Arc::clone(&shared)));
        tasks.spawn(watch::health(Arc::clone(&shared.live)));
        info!(data = %data_address, admin = %admin_address, "listening");
        Ok(Self {
            data: data_address,
            admin: admin_address,
            config: path.to_owned(),
            started: Arc::clone(settings),
            shared,
            stop,
            draining,
            workers,
            tasks,
            sink,
            fleet,
            clickhouse,
        })
    }

    /// Waits until a background task ends, which none should: without it a revoked key might work on. Every key is refused
    /// from then on; whoever started the gateway drains it and starts it anew.
    pub async fn broken(&mut self) {
        let ended = self.tasks.join_next().await;
        let why = ended.and_then(Result::err).map(|why| why.to_string());
        error!(why, "a background task ended: every key is refused");
        self.shared.live.seat(&Arc::new(People::unavailable()));
    }

    /// Reads the configuration, rules and prices again; keeps the old ones when the new ones are wrong.
    pub async fn reload(&self) {
        let (shared, path) = (Arc::clone(&self.shared), self.config.clone());
        // Compiling rules takes up to a second: not on a worker that serves requests.
        let rebuilt = tokio::task::spawn_blocking(move || shared.rebuild(&path)).await;
        let result = match rebuilt {
            Ok(Ok((before, now))) => {
                watch::resolve_all(&self.shared.live.load().upstreams).await;
                info!("configuration reloaded");
                self.note_reload(&before, &now);
                "ok"
            }
            Ok(Err(error)) => {
                warn!(%error, "the new configuration is wrong; the old one stays");
                self.note("config.reloaded", "failed: the old one stays");
                "failed"
            }
            Err(error) => {
                warn!(%error, "the reload broke off; the old configuration stays");
                self.note("config.reloaded", "failed: the old one stays");
                "failed"
            }
        };
        let reloads = &self.shared.metrics.reloads;
        reloads.with_label_values(&["configuration", result]).inc();
    }

    /// Says what a reload changed; another rule set is an action of its own.
    fn note_reload(&self, before: &Marks, now: &Marks) {
        let mut change = vec!["ok".to_owned()];
        change.extend(before.changes(now));
        let waiting = self
            .shared
            .live
            .load()
            .settings
            .wait_for_restart(&self.started);
        if !waiting.is_empty() {
            let waiting = waiting.join(", ");
            warn!(
                settings = waiting,
                "these changes take effect only at a restart"
            );
            change.push(format!("only at a restart: {waiting}"));
        }
        self.note("config.reloaded", &change.join("; "));
        if let Some(change) = before.change(now, Kind::Rules) {
            self.note("rules.swapped", &change);
        }
    }

    /// A reload at an operator's word is a row of the audit, whether it took effect or not.
    fn note(&self, what: &'static str, change: &str) {
        let action = OperatorAction {
            id: uuid::Uuid::now_v7(),
            at: Moment::now(),
            organisation: None,
            team: None,
            who: Label::clean("signal", 64),
            what,
            subject: Label::clean(&self.config.display().to_string(), 128),
            change: Label::clean(change, 512),
        };
        if let Err(error) = self.shared.log.operator(action) {
            warn!(%error, "the audit did not take the reload");
        }
    }

    /// Takes no new connection, waits for the requests in flight up to the configured time, then closes the books.
    pub async fn drain(mut self) {
        self.draining.store(true, Ordering::Relaxed);
        let time = self.shared.live.load().settings.limits.drain_timeout;
        let in_flight = &self.shared.metrics.in_flight;
        info!(
            in_flight = in_flight.get(),
            seconds = time.as_secs(),
            "draining"
        );
        // Nobody listening any more is what is wanted.
        let _told = self.stop.send(true);
        let until = Instant::now() + time;
        while in_flight.get() > 0 && Instant::now() < until {
            tokio::time::sleep(DRAIN_STEP).await;
        }
        let cut = in_flight.get();
        if cut > 0 {
            warn!(cut, "the time to drain is over");
        }
        self.workers.end();
        self.tasks.abort_all();
        if let Some(fleet) = self.fleet {
            fleet.finish().await;
        }
        alerts::tell(&self.shared);
        self.shared.log.close();
        self.sink.join();
        if let Some(clickhouse) = &self.clickhouse {
            clickhouse.join();
        }
        info!("stopped");
    }
}

fn gateway(settings: &Settings, shared: &Shared) -> Gateway {
    Gateway {
        live: Arc::clone(&shared.live),
        ledger: Arc::clone(&shared.ledger),
        log: shared.log.clone(),
        metrics: Arc::clone(&shared.metrics),
        room: BodyRoom::new(settings.limits.buffered),
        started: Instant::now(),
        lines: Arc::new(Lines::default()),
        key_pepper: shared.key.virtual_keys(),
        session_pepper: shared.key.derive("sessions"),
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| failed(address, source))
}

fn failed(address: SocketAddr, source: std::io::Error) -> StartError {
    StartError::Listen { address, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_background_task_that_ends_ends_the_gateway_and_refuses_every_key() {
        let dir = tempfile::tempdir().unwrap();
        let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
        let text = format!(
            "[listen]\ndata = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[state]\ndir = \"state\"\n\
             [scan]\nrules = []\n[prices]\nfile = \"{}\"\n[provider.p]\ndialect = \"openai\"\n\
             addresses = [\"http://127.0.0.1:1\"]\ncredential = \"env:TOLLGATE_TEST_NO_SUCH_KEY\"\n",
            conf.join("prices.toml").display()
        );
        let path = dir.path().join("tollgate.toml");
        std::fs::write(&path, text).unwrap();
        let mut app = App::start(&path).await.unwrap();
        let soon = Duration::from_millis(500);
        let early = tokio::time::timeout(soon, app.broken()).await;
        assert!(early.is_err(), "while all goes well");
        assert!(app.shared.live.load().people.available);
        app.tasks.spawn(async { panic!("as a watcher might") });
        app.broken().await;
        assert!(!app.shared.live.load().people.available);
        app.drain().await;
    }
}
