//! Everything that an operator can change, in one immutable [`Snapshot`] behind one `ArcSwap`: loaded once for each
//! request, so that no request sees half of a change.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::budget::Account;
use crate::config::Settings;
use crate::directory::Census;
use crate::domain::{Category, KeyId, Name, Secret};
use crate::gateway::cache::ResponseCache;
use crate::gateway::upstream::Upstream;
use crate::identity::Roster;
use crate::policy::{Action, Actions, Gate, TeamPolicy};
use crate::pricing::PriceTable;
use crate::provider::Dialect;
use crate::scan::redact::Placeholders;
use crate::scan::{
    Body, KnownValues, Report, RuleSet, Scanner, Seen, Undecodable, Unpacked, Workspace,
};

/// Scan workspaces that are kept for reuse; more requests at once make their own and drop them.
const KEPT_WORKSPACES: usize = 64;

/// The state of the world for one request.
#[derive(Clone)]
pub struct Snapshot {
    pub settings: Arc<Settings>,
    pub people: Arc<People>,
    pub inspection: Arc<Inspection>,
    /// The directory whose entities the inspection looks for: the people may be newer.
    pub inspects: Option<Arc<Census>>,
    pub prices: Arc<PriceTable>,
    pub upstreams: Arc<[Arc<Upstream>]>,
    /// Answers of teams that asked for it; empty after a reload.
    pub cache: Option<Arc<ResponseCache>>,
}

/// What the directory says, joined with the ledger.
pub struct People {
    /// False while the directory cannot be read: every key is refused then.
    pub available: bool,
    /// What the directory said, for a reload of the configuration.
    pub census: Option<Arc<Census>>,
    pub roster: Roster,
    pub teams: HashMap<Name, Arc<Team>>,
    /// The budgets that cover each key.
    pub accounts: HashMap<KeyId, Arc<[Arc<Account>]>>,
    /// The limits of each key besides money: of its team, its user and its own.
    pub gates: HashMap<KeyId, Arc<Gate>>,
}

impl People {
    /// Nobody: the directory cannot be read.
    #[must_use]
    pub fn unavailable() -> Self {
        Self {
            available: false,
            census: None,
            roster: Roster::new([]),
            teams: HashMap::new(),
            accounts: HashMap::new(),
            gates: HashMap::new(),
        }
    }
}

/// A team as requests need it.
pub struct Team {
    pub policy: TeamPolicy,
    /// The team's actions over the shipped and the configured ones.
    pub actions: Actions,
}

impl Snapshot {
    /// The provider of a path's prefix, or the first one that speaks the dialect.
    #[must_use]
    pub fn upstream(&self, dialect: Dialect, prefix: Option<&str>) -> Option<&Arc<Upstream>> {
        self.upstreams
            .iter()
            .filter(|upstream| upstream.dialect == dialect)
            .find(|upstream| prefix.is_none_or(|prefix| upstream.name.as_str() == prefix))
    }
}

/// A scanner with what it remembers: all of it goes when the rules are swapped.
pub struct Inspection {
    scanner: Scanner,
    /// What this scanner knows besides the rules and the teams' names.
    values: KnownValues,
    /// What placeholders are made under.
    placeholder_key: Secret<[u8; 32]>,
    idle: Mutex<Vec<Workspace>>,
    /// What this scanner found clean.
    seen: Seen,
}

impl Inspection {
    #[must_use]
    pub fn new(scanner: Scanner, values: KnownValues, placeholder_key: Secret<[u8; 32]>) -> Self {
        Self {
            scanner,
            values,
            placeholder_key,
            idle: Mutex::new(Vec::new()),
            seen: Seen::new(),
        }
    }

    pub fn rules(&self) -> &RuleSet {
        self.scanner.rules()
    }

    pub fn values(&self) -> &KnownValues {
        &self.values
    }

    /// Whether anything is found as this category.
    pub fn knows(&self, category: &Category) -> bool {
        self.scanner.knows(category)
    }

    /// The maker of an organisation's placeholders.
    #[must_use]
    pub fn placeholders(&self, organisation: &Name) -> Placeholders {
        Placeholders::new(&self.placeholder_key, organisation)
    }

    /// Undoes a body's content encodings; see [`Scanner::unpack`].
    ///
    /// # Errors
    /// As there.
    pub fn unpack(
        &self,
        encodings: &str,
        body: &[u8],
        most: usize,
    ) -> Result<Option<Unpacked>, Undecodable> {
        self.scanner.unpack(encodings, body, most)
    }

    /// Scans one body with a workspace of its own.
    pub fn scan(&self, body: Body<'_>, team: Option<&Name>) -> Report {
        self.with_workspace(|workspace| self.scanner.scan(workspace, body, team))
    }

    /// Scans a team's request: what of it was clean before is left out, and what is to be redacted is found wherever it
    /// stands; see [`Scanner::scan_turn`].
    pub fn scan_request(&self, body: Body<'_>, name: &Name, team: &Team) -> Report {
        let redacted = |category: &Category| team.actions.action(category) == Action::Redact;
        let (scanner, seen) = (&self.scanner, &self.seen);
        self.with_workspace(|workspace| {
            scanner.scan_turn(workspace, body, Some(name), &redacted, seen)
        })
    }

    fn with_workspace(&self, scan: impl FnOnce(&mut Workspace) -> Report) -> Report {
        let kept = self.idle.lock().pop();
        let mut workspace = kept.unwrap_or_else(|| self.scanner.workspace());
        let report = scan(&mut workspace);
        let mut idle = self.idle.lock();
        if idle.len() < KEPT_WORKSPACES {
            idle.push(workspace);
        }
        report
    }

    /// Scans a piece of plain text.
    pub fn scan_text(&self, text: &str, team: Option<&Name>) -> Report {
        self.scan(
            Body {
                bytes: text.as_bytes(),
                content_type: Some("text/plain"),
                content_encoding: None,
            },
            team,
        )
    }
}

/// The current snapshot, and the way to change it.
pub struct Live(ArcSwap<Snapshot>);

impl Live {
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self(ArcSwap::from_pointee(snapshot))
    }

    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Replaces the people only; all else stays as it is at that moment.
    pub fn seat(&self, people: &Arc<People>) {
        self.0.rcu(|now| Snapshot {
            people: Arc::clone(people),
            ..Snapshot::clone(now)
        });
    }

    /// Replaces everything, after a reload.
    pub fn replace(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }
}
