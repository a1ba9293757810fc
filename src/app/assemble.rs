//! Builds a snapshot: reads the files that the settings name, resolves secrets, compiles the rules.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use http::HeaderValue;
use tracing::warn;

use super::marks::{Kind, Reading};
use crate::budget::{Account, Amendment, BudgetId, BudgetSpec, Ledger};
use crate::config::{Fault, Provider, Settings, Source};
use crate::directory::{self, Census, InstallationKey};
use crate::domain::{Caller, KeyId, Moment, Name, Secret};
use crate::gateway::address::Address;
use crate::gateway::cache::ResponseCache;
use crate::gateway::health::Check;
use crate::gateway::upstream::{Authorities, Upstream};
use crate::identity::Roster;
use crate::live::{Inspection, People, Snapshot, Team};
use crate::policy::{self, Gate, RateLimiter, Subject};
use crate::pricing::{PriceFault, PriceTable};
use crate::provider::Dialect;
use crate::scan::{BuildError, KnownValues, Limits, RuleFile, RuleSet, Scanner};

/// What outlives a snapshot.
pub struct Parts<'a> {
    pub ledger: &'a Ledger,
    pub rates: &'a RateLimiter,
    pub key: &'a InstallationKey,
}

/// Why a snapshot cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Files(Vec<Fault>),
    #[error(transparent)]
    Scanner(#[from] BuildError),
}

impl From<Fault> for AssembleError {
    fn from(fault: Fault) -> Self {
        Self::Files(vec![fault])
    }
}

/// Builds everything that a request needs from the settings, with these people.
///
/// # Errors
/// What is wrong with a file that the settings name.
pub fn assemble(
    settings: Arc<Settings>,
    people: Arc<People>,
    parts: &Parts<'_>,
    reading: &mut Reading,
) -> Result<Snapshot, AssembleError> {
    let mut upstreams: Vec<Arc<Upstream>> = Vec::with_capacity(settings.providers.len());
    for provider in &settings.providers {
        upstreams.push(Arc::new(upstream(provider, parts.rates, reading)?));
    }
    let prices = prices(&settings, reading)?;
    let rules = rules(&settings, reading)?;
    let values = known_values(&settings, reading)?;
    let inspection = inspection(rules, values, &people, &settings, parts.key)?;
    let cache = settings.cache.as_ref().map(ResponseCache::new);
    Ok(Snapshot {
        cache: cache.map(Arc::new),
        settings,
        inspects: people.census.clone(),
        people,
        inspection: Arc::new(inspection),
        prices: Arc::new(prices),
        upstreams: upstreams.into(),
    })
}

/// Joins the directory with the ledger: every key with the accounts that cover it.
pub fn people(census: Arc<Census>, settings: &Settings, parts: &Parts<'_>) -> People {
    let loss = settings.budget.on_store_loss;
    let accounts: Vec<(BudgetSpec, Arc<Account>)> = census
        .all_budgets(loss)
        .into_iter()
        .map(|spec| {
            let account = parts.ledger.account(&spec);
            (spec, account)
        })
        .collect();
    amend(&census, parts.ledger);
    let roster = Roster::new(census.roster.iter().cloned());
    let by_key: HashMap<KeyId, _> = roster
        .callers()
        .map(|caller| {
            let covers = |(spec, _): &&(BudgetSpec, Arc<Account>)| spec.scope.covers(caller);
            (
                caller.key.clone(),
                accounts
                    .iter()
                    .filter(covers)
                    .map(|(_, account)| Arc::clone(account))
                    .collect(),
            )
        })
        .collect();
    let gates = roster
        .callers()
        .map(|caller| {
            (
                caller.key.clone(),
                Arc::new(gate(&census, caller, parts.rates)),
            )
        })
        .collect();
    let teams = census
        .teams
        .iter()
        .map(|team| {
            let actions = settings.scan.actions.with(&team.policy.actions);
            (
                team.name.clone(),
                Arc::new(Team {
                    policy: team.policy.clone(),
                    actions,
                }),
            )
        })
        .collect();
    People {
        available: true,
        census: Some(census),
        roster,
        teams,
        accounts: by_key,
        gates,
    }
}

/// Lets go of the budgets that the directory has no more; answers how many are still in use.
pub fn forget_budgets(census: &Census, ledger: &Ledger) -> usize {
    let wanted: HashSet<&BudgetId> = census
        .budgets
        .iter()
        .map(|budget| &budget.spec.id)
        .collect();
    ledger.retain(|id| wanted.contains(id))
}

/// Whether two states of the directory have the same entities, so that the same scanner serves both.
pub fn same_entities(one: &Census, other: &Census) -> bool {
    let entities = |census: &Census| -> Vec<(Name, Vec<String>)> {
        let of = |team: &directory::Team| (team.name.clone(), team.policy.entities.clone());
        census
            .teams
            .iter()
            .map(of)
            .filter(|(_, entities)| !entities.is_empty())
            .collect()
    };
    entities(one) == entities(other)
}

/// Puts what operators granted and corrected into the ledger, which forgets it with the process.
fn amend(census: &Census, ledger: &Ledger) {
    let mut by_budget: HashMap<&BudgetId, Vec<(Moment, Amendment)>> = HashMap::new();
    for amended in &census.amendments {
        let totals = by_budget.entry(&amended.budget).or_default();
        totals.push((amended.period, amended.totals));
    }
    for (budget, totals) in by_budget {
        if let Err(error) = ledger.amend(budget, totals) {
            warn!(%budget, %error, "an operator's change of a budget was not taken");
        }
    }
}

/// What a caller must pass besides its budgets.
fn gate(census: &Census, caller: &Caller, rates: &RateLimiter) -> Gate {
    let team = census.teams.iter().find(|team| team.name == caller.team);
    let hours = team.and_then(|team| team.policy.hours.clone());
    rates.gate(&census.limits_of(caller), hours)
}

/// A provider ready for requests. Without its credential it is known and refuses, so that the others go on.
fn upstream(
    provider: &Provider,
    rates: &RateLimiter,
    reading: &mut Reading,
) -> Result<Upstream, AssembleError> {
    let of = Subject::Provider(provider.name.clone());
    let key = provider
        .credential
        .resolve_here()
        .map_err(|error| error.to_string());
    let credential = key.and_then(|key| header(provider.dialect, &key));
    if let Err(error) = &credential {
        warn!(provider = %provider.name, %error, "requests to this provider are refused");
    }
    let authorities = authorities(provider, reading)?;
    let weighted = provider.addresses.iter();
    let addresses: Vec<Arc<Address>> = weighted
        .clone()
        .map(|weighted| Arc::new(Address::new(&weighted.address)))
        .collect();
    let check =
        |address: &Arc<Address>| Check::new(&provider.health.check, address, authorities.as_ref());
    let weights: Vec<_> = weighted.map(|weighted| weighted.weight).collect();
    Ok(Upstream {
        gate: Arc::new(rates.gate(&[(of, provider.limits)], None)),
        name: provider.name.clone(),
        dialect: provider.dialect,
        checks: addresses.iter().filter_map(check).collect(),
        check_interval: provider.health.interval,
        addresses,
        credential: credential.ok(),
        http: provider.http,
        timeouts: provider.timeouts,
        attempts: provider.attempts,
        on_disconnect: provider.on_disconnect,
        asks_usage: provider.asks_usage,
        prices: provider.prices.clone(),
        retry_wait: provider.retry_wait,
        breaker: provider.breaker,
        authorities,
        turns: policy::turns(&weights),
        next: AtomicUsize::new(0),
    })
}

/// The provider's own authorities, where it names a file of them.
fn authorities(
    provider: &Provider,
    reading: &mut Reading,
) -> Result<Option<Authorities>, AssembleError> {
    let Some(path) = &provider.ca else {
        return Ok(None);
    };
    let source = Source::read(path)?;
    reading.took(Kind::Authorities, &source);
    let read = Authorities::read(source.text.as_bytes());
    let read = read.map_err(|why| Fault::of_file(&source.name, why.to_owned()))?;
    Ok(Some(read))
}

fn header(
    dialect: Dialect,
    key: &Secret<String>,
) -> Result<(&'static str, Secret<HeaderValue>), String> {
    let (name, text) = match dialect {
        Dialect::Anthropic => ("x-api-key", key.expose().clone()),
        Dialect::OpenAi => ("authorization", format!("Bearer {}", key.expose())),
    };
    let mut value =
        HeaderValue::try_from(text).map_err(|_| "the credential is no header value".to_owned())?;
    value.set_sensitive(true);
    Ok((name, Secret::new(value)))
}

/// The price table with its overlays and the price of what it does not know.
fn prices(settings: &Settings, reading: &mut Reading) -> Result<PriceTable, AssembleError> {
    let faults = |faults: Vec<PriceFault>| {
        AssembleError::Files(faults.into_iter().map(Fault::from).collect())
    };
    let mut read =
        |path: &Path| Source::read(path).inspect(|source| reading.took(Kind::Prices, source));
    let list = read(&settings.prices.file)?;
    let mut table = PriceTable::parse(&list.name, &list.text).map_err(faults)?;
    for overlay in &settings.prices.overlays {
        let over = read(overlay)?;
        table = table.overlaid(&over.name, &over.text).map_err(faults)?;
    }
    let unknown = settings.budget.unknown_model;
    Ok(table.with_unknown(unknown.input, unknown.output))
}

/// The rules and values that are in force, with the names of these people's teams. No file is read: what an operator has
/// edited counts at a reload, and must not come in with another team.
///
/// # Errors
/// When the matcher takes none of it.
pub fn inspection_of(
    people: &People,
    now: &Snapshot,
    key: &InstallationKey,
) -> Result<Inspection, BuildError> {
    let (rules, values) = (now.inspection.rules(), now.inspection.values());
    inspection(rules.clone(), values.clone(), people, &now.settings, key)
}

fn inspection(
    rules: RuleSet,
    values: KnownValues,
    people: &People,
    settings: &Settings,
    key: &InstallationKey,
) -> Result<Inspection, BuildError> {
    let mut known = values.clone();
    for (name, team) in &people.teams {
        for entity in &team.policy.entities {
            known.add_entity(name, entity);
        }
    }
    let fingerprints = key.derive("fingerprints");
    let scanner = scanner(rules, known, settings, &fingerprints)?;
    Ok(Inspection::new(scanner, values, key.derive("placeholders")))
}

/// Compiles what is looked for.
///
/// # Errors
/// When the matcher takes none of it.
pub fn scanner(
    rules: RuleSet,
    known: KnownValues,
    settings: &Settings,
    fingerprints: &Secret<[u8; 32]>,
) -> Result<Scanner, BuildError> {
    Scanner::build(rules, known, fingerprints, limits(settings))
}

/// A report has to list more places than there may be placeholders: a secret may stand in many.
fn limits(settings: &Settings) -> Limits {
    let usual = Limits::default();
    Limits {
        findings: usual.findings.max(settings.scan.placeholders * 4),
        ..usual
    }
}

/// The rules of all files that the settings name.
fn rules(settings: &Settings, reading: &mut Reading) -> Result<RuleSet, AssembleError> {
    let sources = settings.rule_sources().map_err(AssembleError::Files)?;
    for source in &sources {
        reading.took(Kind::Rules, source);
    }
    reading.families(settings);
    let files: Vec<RuleFile<'_>> = sources
        .iter()
        .map(|Source { name, text }| RuleFile { name, text })
        .collect();
    RuleSet::parse(&files, &settings.scan.families)
        .map_err(|faults| AssembleError::Files(faults.into_iter().map(Fault::from).collect()))
}

/// What must never leave besides the teams' entities: the providers' keys, the values of the named files.
fn known_values(settings: &Settings, reading: &mut Reading) -> Result<KnownValues, AssembleError> {
    let mut known = KnownValues::new();
    for provider in &settings.providers {
        if let Ok(key) = provider.credential.resolve_here()
            && !known.add_value(&key)
        {
            warn!(provider = %provider.name, "its key is too short to be looked for in requests");
        }
    }
    for path in &settings.scan.known_values {
        let source = Source::read(path)?;
        reading.took(Kind::KnownValues, &source);
        let left = known.add_file(&source.text);
        if !left.is_empty() {
            warn!(file = source.name, "{left}");
        }
    }
    Ok(known)
}
