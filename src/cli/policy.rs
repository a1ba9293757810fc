//! `tollgate policy test`: what a saved request would become, without sending it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::setup::{ConfigArg, WrongConfiguration, WrongUse};
use crate::app::{self, AssembleError, Parts};
use crate::audit::Decision;
use crate::budget::{Balances, Ledger};
use crate::directory::InstallationKey;
use crate::domain::Name;
use crate::gateway::choice;
use crate::gateway::redact::{self, Terms};
use crate::gateway::refusal::Refusal;
use crate::gateway::verdict;
use crate::live::{Snapshot, Team};
use crate::policy::RateLimiter;
use crate::provider::{Endpoint, read_ask, splice_model};
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
/// Its form, its models and what is found in it are judged as the gateway would; hours, rates and budgets are not asked. Exit
/// status 1 when it would be refused. Findings are named by place and category; the secrets themselves are not shown.
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
    outcome: Result<Sent, Refusal>,
}

/// A request as it would leave.
struct Sent {
    body: Bytes,
    placeholders: u64,
    /// The model that the team's policy puts in the place of the named one, or of none.
    renamed: Option<String>,
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
            out.write_all(&sent.body)?;
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
    let mut reading = app::Reading::new(&key);
    let snapshot = app::assemble(Arc::new(settings), people, &parts, &mut reading);
    let snapshot = snapshot.map_err(|error| match error {
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
        None => return Err(WrongUse("name the team with --team").into()),
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
    let outcome = named_model(snapshot, team, body).and_then(|renamed| {
        let (body, placeholders) = rewritten(snapshot, organisation, team, body, &report)?;
        let body = match &renamed {
            Some(model) => splice_model(&body, model).ok_or(Refusal::Internal)?,
            None => body,
        };
        Ok(Sent {
            body,
            placeholders,
            renamed,
        })
    });
    Verdict { report, outcome }
}

/// What the gateway decides before it looks into a body: its size and form, and every model that it names. The model to be
/// put into it, where policy has another name for it.
fn named_model(snapshot: &Snapshot, team: &Team, body: &[u8]) -> Result<Option<String>, Refusal> {
    let limit = snapshot.settings.limits.body;
    if body.len() as u64 > limit {
        return Err(Refusal::BodyTooLarge { limit });
    }
    // Where it is going decides what it may cost, never whether it can be read.
    let ask = read_ask(Endpoint::Messages, body)
        .map_err(|error| Refusal::InvalidBody(error.to_string()))?;
    let chosen = choice::choose(snapshot, team, &ask)?;
    Ok(chosen.renamed.then_some(chosen.model))
}

/// The body after what policy makes of the findings in it, and how many placeholders it has.
fn rewritten(
    snapshot: &Snapshot,
    organisation: &Name,
    team: &Team,
    body: &Bytes,
    report: &Report,
) -> Result<(Bytes, u64), Refusal> {
    let settings = &snapshot.settings.scan;
    if let (_, Some(refusal)) = verdict::judge(team, &[(report, None)]) {
        return Err(refusal);
    }
    if let Some(why) = &report.undecodable
        && settings.blocks_undecodable()
    {
        return Err(Refusal::Undecodable(why.to_string()));
    }
    let placeholders = snapshot.inspection.placeholders(organisation);
    let terms = Terms::from(settings);
    let redacted = redact::apply(body, report, &team.actions, &placeholders, terms)?;
    Ok(redacted.map_or_else(
        || (body.clone(), 0),
        |redacted| (redacted.body.into(), redacted.counts.values().sum()),
    ))
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
        Ok(sent) => writeln!(out, "team {name}: sent {}", manner(sent))?,
    }
    Ok(())
}

fn manner(sent: &Sent) -> String {
    let mut manner = Vec::new();
    if sent.placeholders > 0 {
        let count = sent.placeholders;
        manner.push(format!("with {count} placeholders, restored in the answer"));
    }
    if let Some(model) = &sent.renamed {
        manner.push(format!("to the model `{model}`"));
    }
    if manner.is_empty() {
        manner.push("as it is".to_owned());
    }
    manner.join(", ")
}

/// The word that the audit's row would have.
fn decision(verdict: &Verdict) -> Decision {
    match &verdict.outcome {
        Err(Refusal::Secret { .. } | Refusal::Undecodable(_)) => Decision::Blocked,
        Err(_) => Decision::Refused,
        Ok(sent) if sent.placeholders > 0 => Decision::Redacted,
        Ok(_) if verdict.report.findings.is_empty() => Decision::Allowed,
        Ok(_) => Decision::Alerted,
    }
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
    let (code, placeholders, renamed) = match &verdict.outcome {
        Err(refusal) => (refusal.code(), 0, None),
        Ok(sent) => ("", sent.placeholders, sent.renamed.as_deref()),
    };
    json!({
        "team": name.as_str(),
        "decision": decision(verdict).as_str(),
        "code": code,
        "placeholders": placeholders,
        "renamed": renamed,
        "findings": findings,
    })
}
