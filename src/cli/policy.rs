//! `tollgate policy test`: what a saved request would become, without sending it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::setup::{ConfigArg, WrongConfiguration};
use crate::app::{self, AssembleError, Parts};
use crate::budget::{Balances, Ledger};
use crate::directory::InstallationKey;
use crate::domain::Name;
use crate::gateway::redact::{self, Redacted, Terms};
use crate::gateway::refusal::Refusal;
use crate::gateway::verdict;
use crate::live::{Snapshot, Team};
use crate::policy::RateLimiter;
use crate::scan::{Body, Report};

/// Try the policy on saved requests
#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    Test(TestArgs),
}

/// Show what a saved request body would become
///
/// Exit status 1 when it would be refused. Findings are named by place and category; the secrets themselves are not shown.
#[derive(Debug, Args)]
struct TestArgs {
    /// The request's body; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Whose policy; may be left out where there is one team
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Print the body as it would be sent, and nothing else
    #[arg(long, conflicts_with = "json")]
    body: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// What would happen.
struct Verdict {
    report: Report,
    outcome: Result<Option<Redacted>, Refusal>,
}

/// # Errors
/// When the configuration, the directory or the file cannot be read.
pub fn run(args: &PolicyArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let PolicyCommand::Test(args) = &args.command;
    let body = read(&args.file)?;
    let (snapshot, organisation) = snapshot(args)?;
    let (name, team) = team(&snapshot, args.team.as_deref())?;
    let verdict = verdict(&snapshot, &organisation, &name, &team, &body);
    if args.body {
        if let Ok(sent) = &verdict.outcome {
            out.write_all(sent.as_ref().map_or(&body[..], |redacted| &redacted.body))?;
        }
    } else if args.json {
        writeln!(out, "{}", json_of(&verdict, &name, &team))?;
    } else {
        print(&verdict, &name, &team, out)?;
    }
    Ok(match verdict.outcome {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

fn read(file: &Path) -> anyhow::Result<Bytes> {
    let mut body = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut body)?;
    } else {
        body = std::fs::read(file).with_context(|| file.display().to_string())?;
    }
    Ok(body.into())
}

/// Everything as the gateway would have it, but for the money that was spent.
fn snapshot(args: &TestArgs) -> anyhow::Result<(Snapshot, Name)> {
    let (settings, directory) = args.config.directory()?;
    let key = InstallationKey::open_or_create(&settings.state.dir)?;
    let ledger = Ledger::new(Balances::default());
    let rates = RateLimiter::default();
    let parts = Parts {
        ledger: &ledger,
        rates: &rates,
        key: &key,
    };
    let census = Arc::new(directory.load()?);
    let organisation = census.organisation.clone();
    let people = Arc::new(app::people(census, &settings, &parts));
    let snapshot =
        app::assemble(Arc::new(settings), people, &parts).map_err(|error| match error {
            AssembleError::Files(faults) => anyhow::Error::new(WrongConfiguration(faults)),
            other @ AssembleError::Scanner(_) => other.into(),
        })?;
    Ok((snapshot, organisation))
}

fn team(snapshot: &Snapshot, asked: Option<&str>) -> anyhow::Result<(Name, Arc<Team>)> {
    let teams = &snapshot.people.teams;
    let found = match asked {
        Some(name) => teams.get_key_value(&Name::new(name)),
        None if teams.len() == 1 => teams.iter().next(),
        None => bail!("name the team with --team"),
    };
    let (name, team) = found.context("there is no such team")?;
    Ok((name.clone(), Arc::clone(team)))
}

fn verdict(
    snapshot: &Snapshot,
    organisation: &Name,
    name: &Name,
    team: &Team,
    body: &Bytes,
) -> Verdict {
    let scanned = Body {
        bytes: body,
        content_type: Some("application/json"),
        content_encoding: None,
    };
    let mut report = snapshot.inspection.scan_request(scanned, name, team);
    redact::forget_placeholders(body, &mut report);
    let (_, refusal) = verdict::judge(team, &[(&report, None)]);
    let outcome = match (refusal, &report.undecodable) {
        (Some(refusal), _) => Err(refusal),
        (None, Some(why)) if snapshot.settings.scan.blocks_undecodable() => {
            Err(Refusal::Undecodable(why.to_string()))
        }
        (None, _) => {
            let placeholders = snapshot.inspection.placeholders(organisation);
            redact::apply(
                body,
                &report,
                &team.actions,
                &placeholders,
                Terms::from(&snapshot.settings.scan),
            )
        }
    };
    Verdict { report, outcome }
}

fn print(verdict: &Verdict, name: &Name, team: &Team, out: &mut dyn Write) -> anyhow::Result<()> {
    for finding in &verdict.report.findings {
        let action = team.actions.action(&finding.category).as_str();
        let (category, rule) = (&finding.category, &finding.rule);
        writeln!(out, "{action:<7}{category}  {}  ({rule})", finding.path)?;
    }
    match &verdict.outcome {
        Err(refusal) => {
            writeln!(
                out,
                "team {name}: refused ({}): {}",
                refusal.code(),
                refusal.public_message()
            )?;
        }
        Ok(Some(redacted)) => {
            let count: u64 = redacted.counts.values().sum();
            writeln!(
                out,
                "team {name}: sent with {count} placeholders, restored in the answer"
            )?;
        }
        Ok(None) => writeln!(out, "team {name}: sent as it is")?,
    }
    Ok(())
}

fn json_of(verdict: &Verdict, name: &Name, team: &Team) -> Value {
    let findings: Vec<Value> = verdict
        .report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "category": finding.category.as_str(),
                "rule": finding.rule.as_str(),
                "path": finding.path,
                "action": team.actions.action(&finding.category).as_str(),
                "fingerprint": finding.fingerprint.to_string(),
            })
        })
        .collect();
    let (decision, code, placeholders) = match &verdict.outcome {
        Err(refusal) => ("refused", refusal.code(), 0),
        Ok(Some(redacted)) => ("redacted", "", redacted.counts.values().sum()),
        Ok(None) if findings.is_empty() => ("allowed", "", 0u64),
        Ok(None) => ("alerted", "", 0),
    };
    json!({"team": name.as_str(), "decision": decision, "code": code, "placeholders": placeholders, "findings": findings})
}
