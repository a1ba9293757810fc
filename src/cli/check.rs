//! `tollgate check`: every mistake of every configuration file at once.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::EXIT_CONFIG;
use super::setup::ConfigArg;
use crate::app::{self, tls};
use crate::config::{self, Fault, SecretRef, Settings, Source};
use crate::directory::{Organisation, parse_file};
use crate::domain::{Category, Name, Secret};
use crate::gateway::upstream::Authorities;
use crate::pricing::PriceTable;
use crate::scan::{BuildError, Family, KnownValues, RuleFile, RuleSet};

/// Validate every configuration file and report all mistakes at once
///
/// Reads the configuration, the rules, prices and known values that it names, and the directory file. Mistakes end with
/// exit status 78; warnings, such as a provider's key that is not in this environment, do not.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Directory files; without any, directory.toml beside the configuration, if there is one
    #[arg(value_name = "DIRECTORY_FILE")]
    directories: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// What was found.
#[derive(Default)]
struct Findings {
    faults: Vec<Fault>,
    warnings: Vec<String>,
    /// The files that were read.
    files: Vec<String>,
}

/// # Errors
/// When the result cannot be written.
pub fn run(args: &CheckArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let found = check(args);
    let wrong = !found.faults.is_empty();
    if args.json {
        writeln!(out, "{}", json_of(&found))?;
    } else {
        for fault in &found.faults {
            writeln!(out, "{fault}")?;
        }
        for warning in &found.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        match found.faults.len() {
            0 => writeln!(out, "{} files, no mistakes", found.files.len())?,
            1 => writeln!(out, "1 mistake")?,
            many => writeln!(out, "{many} mistakes")?,
        }
    }
    Ok(if wrong {
        ExitCode::from(EXIT_CONFIG)
    } else {
        ExitCode::SUCCESS
    })
}

fn json_of(found: &Findings) -> Value {
    let fault = |fault: &Fault| json!({ "file": fault.file, "line": fault.line, "column": fault.column, "message": fault.message });
    json!({
        "files": found.files,
        "faults": found.faults.iter().map(fault).collect::<Vec<_>>(),
        "warnings": found.warnings,
    })
}

fn check(args: &CheckArgs) -> Findings {
    let mut found = Findings::default();
    let path = &args.config.config;
    found.files.push(path.display().to_string());
    let settings = config::load(path)
        .map_err(|faults| found.faults.extend(faults))
        .ok();
    let categories = settings.as_ref().and_then(|one| named(one, &mut found));
    let mut teams = Vec::new();
    for path in directories(args) {
        let Some(organisation) = directory(&path, &mut found) else {
            continue;
        };
        for team in organisation.teams {
            let place = format!("{}: team {}", path.display(), team.name);
            unknown_categories(
                team.policy.actions.keys(),
                categories.as_deref(),
                &place,
                &mut found,
            );
            teams.push(team.name);
        }
    }
    if let Some(settings) = &settings {
        cached_teams(settings, &teams, &mut found);
    }
    found
}

/// Checks what the configuration names, and answers which categories there are.
fn named(settings: &Settings, found: &mut Findings) -> Option<Vec<Category>> {
    let known = known_values(settings, found);
    let categories = rules(settings, known, found);
    prices(settings, found);
    files(settings, found);
    secrets(settings, found);
    let named = settings.scan.actions.named().map(|(category, _)| category);
    unknown_categories(named, categories.as_deref(), "[scan.actions]", found);
    categories
}

/// The files that were asked for, else the one beside the configuration, where there is one.
fn directories(args: &CheckArgs) -> Vec<PathBuf> {
    if !args.directories.is_empty() {
        return args.directories.clone();
    }
    let beside = args
        .config
        .config
        .parent()
        .unwrap_or(Path::new(""))
        .join("directory.toml");
    if beside.exists() {
        vec![beside]
    } else {
        Vec::new()
    }
}

fn directory(path: &Path, found: &mut Findings) -> Option<Organisation> {
    let source = read(path, found)?;
    parse_file(&source.name, &source.text)
        .map_err(|faults| found.faults.extend(faults))
        .ok()
}

fn read(path: &Path, found: &mut Findings) -> Option<Source> {
    let source = Source::read(path)
        .map_err(|fault| found.faults.push(fault))
        .ok()?;
    found.files.push(source.name.clone());
    Some(source)
}

/// Checks the rules of all families, and answers which categories there are.
fn rules(settings: &Settings, known: KnownValues, found: &mut Findings) -> Option<Vec<Category>> {
    let sources = settings
        .rule_sources()
        .map_err(|faults| found.faults.extend(faults))
        .ok()?;
    found
        .files
        .extend(sources.iter().map(|source| source.name.clone()));
    let files: Vec<RuleFile<'_>> = sources
        .iter()
        .map(|source| RuleFile {
            name: &source.name,
            text: &source.text,
        })
        .collect();
    let parsed = RuleSet::parse(&files, &Family::ALL)
        .and_then(|all| Ok((all, RuleSet::parse(&files, &settings.scan.families)?)));
    match parsed {
        Ok((all, in_force)) => {
            compile(in_force, known, settings, found);
            let rules = all.rules().iter();
            Some(rules.map(|rule| rule.category.clone()).collect())
        }
        Err(faults) => {
            found.faults.extend(faults.into_iter().map(Fault::from));
            None
        }
    }
}

/// Compiles what the gateway would: the matcher refuses patterns that read well.
fn compile(rules: RuleSet, known: KnownValues, settings: &Settings, found: &mut Findings) {
    match app::scanner(rules, known, settings, &Secret::new([0; 32])) {
        Ok(_) => {}
        Err(BuildError::Rules(faults)) => {
            found.faults.extend(faults.into_iter().map(Fault::from));
        }
        Err(error @ BuildError::Matcher(_)) => {
            found
                .faults
                .push(Fault::of_file(&found.files[0], error.to_string()));
        }
    }
}

fn prices(settings: &Settings, found: &mut Findings) {
    let Some(mut all) = price_file(&settings.prices.file, None, found) else {
        for overlay in &settings.prices.overlays {
            price_file(overlay, None, found);
        }
        return;
    };
    for overlay in &settings.prices.overlays {
        all = price_file(overlay, Some(&all), found).unwrap_or(all);
    }
    for (alias, model) in settings.models.aliases.iter() {
        let mut providers = settings.providers.iter();
        if !providers.any(|provider| all.find(&provider.prices, model).known) {
            found.warnings.push(format!(
                "[models.aliases] {alias}: no price table has the model `{model}`; it is priced as an unknown one"
            ));
        }
    }
}

/// A price table, or with a list what that becomes under it.
fn price_file(path: &Path, list: Option<&PriceTable>, found: &mut Findings) -> Option<PriceTable> {
    let source = read(path, found)?;
    let parsed = match list {
        Some(list) => list.clone().overlaid(&source.name, &source.text),
        None => PriceTable::parse(&source.name, &source.text),
    };
    parsed
        .map_err(|faults| found.faults.extend(faults.into_iter().map(Fault::from)))
        .ok()
}

/// Teams of the cache that the directory files do not have.
fn cached_teams(settings: &Settings, teams: &[Name], found: &mut Findings) {
    let cached = settings.cache.iter().flat_map(|cache| &cache.teams);
    for name in cached.filter(|name| !teams.is_empty() && !teams.contains(name)) {
        let hint = did_you_mean(name.as_str(), teams.iter().map(Name::as_str));
        found.warnings.push(format!(
            "[cache] teams: no directory file has a team `{name}`{hint}"
        ));
    }
}

fn did_you_mean<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    crate::document::nearest(name, known)
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default()
}

/// The files of known values, and what of them the gateway would not look for.
fn known_values(settings: &Settings, found: &mut Findings) -> KnownValues {
    let mut known = KnownValues::new();
    for path in &settings.scan.known_values {
        let Some(source) = read(path, found) else {
            continue;
        };
        let left = known.add_file(&source.text);
        if !left.is_empty() {
            found.warnings.push(format!("{}: {left}", source.name));
        }
    }
    known
}

/// Authorities, and the gateway's certificate and key.
fn files(settings: &Settings, found: &mut Findings) {
    for path in settings.providers.iter().filter_map(|one| one.ca.as_ref()) {
        if let Some(source) = read(path, found)
            && let Err(why) = Authorities::read(source.text.as_bytes())
        {
            let fault = Fault::of_file(&path.display().to_string(), why.to_owned());
            found.faults.push(fault);
        }
    }
    if let Some(pair) = &settings.listen.tls {
        let files = [&pair.cert, &pair.key].map(|path| path.display().to_string());
        found.files.extend(files);
        found.faults.extend(tls::Shown::read(pair, |_| {}).err());
    }
}

/// A secret that cannot be had here is a warning: the environment of a check is often not that of the gateway.
fn secrets(settings: &Settings, found: &mut Findings) {
    let mut look = |whose: String, secret: &SecretRef, without: &str| {
        if let Err(error) = secret.resolve_here() {
            found.warnings.push(format!("{whose}: {error}; {without}"));
        }
    };
    for provider in &settings.providers {
        let whose = format!("provider {}", provider.name);
        look(
            whose,
            &provider.credential,
            "the gateway would refuse requests to it",
        );
    }
    if let Some(password) = settings
        .redis
        .as_ref()
        .and_then(|redis| redis.password.as_ref())
    {
        look(
            "[redis]".to_owned(),
            password,
            "the gateway would not start",
        );
    }
    if let Some(password) = settings
        .audit
        .clickhouse
        .as_ref()
        .and_then(|store| store.password.as_ref())
    {
        look(
            "[audit.clickhouse]".to_owned(),
            password,
            "the gateway would not start",
        );
    }
    if !settings.listen.admin.ip().is_loopback() {
        found.warnings.push(format!(
            "[listen] admin = {}: budgets and metrics can be read by whoever reaches it",
            settings.listen.admin
        ));
    }
}

/// Categories that no rule has: their action would never apply. `known_value` and `entity` come from lists, not rules.
fn unknown_categories<'c>(
    named: impl Iterator<Item = &'c Category>,
    known: Option<&[Category]>,
    place: &str,
    found: &mut Findings,
) {
    let Some(known) = known else { return };
    for category in named.filter(|category| !known.contains(category)) {
        if !matches!(category.as_str(), "known_value" | "entity") {
            let hint = did_you_mean(category.as_str(), known.iter().map(Category::as_str));
            found.warnings.push(format!(
                "{place}: no rule has the category `{category}`{hint}"
            ));
        }
    }
}
