//! `tollgate team list`.

use std::io::Write;
use std::num::NonZeroU32;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::setup::ConfigArg;
use super::table::write_table;
use crate::directory::{Census, Team};

/// Teams and what they may do
#[derive(Debug, Args)]
pub struct TeamArgs {
    #[command(subcommand)]
    command: TeamCommand,
}

#[derive(Debug, Subcommand)]
enum TeamCommand {
    /// List the teams
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigArg,
    },
}

/// # Errors
/// A wrong configuration; a directory that cannot be read.
pub fn run(args: &TeamArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let TeamCommand::List { json, config } = &args.command;
    let census = config.directory()?.1.load()?;
    if *json {
        let teams: Vec<Value> = census
            .teams
            .iter()
            .map(|team| json_of(team, &census))
            .collect();
        writeln!(out, "{}", Value::Array(teams))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = census
        .teams
        .iter()
        .map(|team| row_of(team, &census))
        .collect();
    write_table(
        out,
        &[
            "TEAM",
            "USERS",
            "KEYS",
            "MODELS",
            "REQUESTS/MIN",
            "ACTIONS",
            "BUDGETS",
        ],
        &rows,
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Keys of the team that are not revoked.
fn keys(team: &Team, census: &Census) -> usize {
    census
        .roster
        .iter()
        .filter(|(_, entry)| !entry.revoked && entry.caller.team == team.name)
        .count()
}

fn budgets(team: &Team, census: &Census) -> Vec<String> {
    let scope = crate::budget::Scope::Team(team.name.clone());
    let of_team = census
        .budgets
        .iter()
        .filter(|budget| budget.spec.scope == scope);
    of_team
        .map(|budget| format!("{}/{}", budget.spec.limit, budget.spec.window.as_str()))
        .collect()
}

fn actions(team: &Team) -> Vec<String> {
    let actions = team.policy.actions.iter();
    actions
        .map(|(category, action)| format!("{category}={}", action.as_str()))
        .collect()
}

fn row_of(team: &Team, census: &Census) -> Vec<String> {
    let models = team.policy.models.patterns();
    let models = models.map_or("all".to_owned(), |patterns| {
        patterns.collect::<Vec<_>>().join(" ")
    });
    let rate = team.policy.limits.requests_per_minute;
    vec![
        team.name.to_string(),
        team.users.len().to_string(),
        keys(team, census).to_string(),
        models,
        rate.map_or("-".to_owned(), |rate| rate.to_string()),
        actions(team).join(" "),
        budgets(team, census).join(" "),
    ]
}

fn json_of(team: &Team, census: &Census) -> Value {
    let models = team
        .policy
        .models
        .patterns()
        .map(Iterator::collect::<Vec<_>>);
    let users: Vec<&str> = team.users.iter().map(|user| user.name.as_str()).collect();
    let actions: serde_json::Map<String, Value> = team
        .policy
        .actions
        .iter()
        .map(|(category, action)| (category.to_string(), Value::from(action.as_str())))
        .collect();
    json!({
        "team": team.name.as_str(),
        "users": users,
        "keys": keys(team, census),
        "models": models,
        "requests_per_minute": team.policy.limits.requests_per_minute.map(NonZeroU32::get),
        "tokens_per_minute": team.policy.limits.tokens_per_minute.map(NonZeroU32::get),
        "concurrent": team.policy.limits.concurrent.map(NonZeroU32::get),
        "entities": team.policy.entities,
        "hours": team.policy.hours.as_ref().map(ToString::to_string),
        "actions": actions,
        "budgets": budgets(team, census),
    })
}
