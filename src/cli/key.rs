//! `tollgate key create|list|revoke`.

use std::io::{Write, stderr};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::journal::{self, Done};
use super::setup::{ConfigArg, WrongUse, operator};
use super::table::{shown, write_table};
use crate::budget::Window;
use crate::directory::{KeyRow, KeyState, KeyWish, Revocation};
use crate::document::units;
use crate::domain::{Moment, Name, Usd};
use crate::policy::Limits;

/// Virtual keys: what agents present
#[derive(Debug, Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    Create(CreateArgs),
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Make a key and print it, once
#[derive(Debug, Args)]
struct CreateArgs {
    /// The team that it belongs to
    #[arg(long)]
    team: String,
    /// The user that it belongs to; without one the team shares it
    #[arg(long)]
    user: Option<String>,
    /// How long it works, such as 90d
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    expires: Option<Duration>,
    /// A cap of this key alone, such as day=5.00; may be given for several windows
    #[arg(long = "budget", value_name = "WINDOW=LIMIT", value_parser = cap)]
    budgets: Vec<(Window, Usd)>,
    /// The most requests in a minute
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<NonZeroU32>,
    /// The most tokens in a minute
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<NonZeroU32>,
    /// The most requests at once
    #[arg(long, value_name = "N")]
    concurrent: Option<NonZeroU32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// List the keys, never their text
#[derive(Debug, Args)]
struct ListArgs {
    /// Of this team only
    #[arg(long)]
    team: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// Stop a key from working
#[derive(Debug, Args)]
struct RevokeArgs {
    /// The key's public id (key_…), or the leaked key itself
    key: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// # Errors
/// A wrong configuration; no such team, user or key; a directory that cannot be used.
pub fn run(args: &KeyArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match &args.command {
        KeyCommand::Create(args) => create(args, out),
        KeyCommand::List(args) => list(args, out),
        KeyCommand::Revoke(args) => revoke(args, out),
    }
}

/// Reads `90d`. A key that has expired when it is made is a mistake of whoever wrote it.
fn lifetime(text: &str) -> Result<Duration, String> {
    let time = units::duration(text)?;
    if time.is_zero() {
        Err("the key would have expired when it is made".to_owned())
    } else {
        Ok(time)
    }
}

/// Reads `day=5.00`.
fn cap(text: &str) -> Result<(Window, Usd), String> {
    let (window, limit) = text
        .split_once('=')
        .ok_or("write WINDOW=LIMIT, such as day=5.00")?;
    let window = Window::parse(window).ok_or("the window is one of: day, week, month, total")?;
    Ok((
        window,
        Usd::parse(limit).map_err(|error| format!("\"{limit}\" {error}"))?,
    ))
}

fn create(args: &CreateArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut windows: Vec<Window> = args.budgets.iter().map(|(window, _)| *window).collect();
    windows.sort_unstable();
    windows.dedup();
    if windows.len() < args.budgets.len() {
        return Err(WrongUse("--budget names a window twice").into());
    }
    let (settings, directory) = args.config.directory()?;
    let now = Moment::now();
    let expires = args.expires.map(|time| now.plus(time));
    let limits = Limits {
        requests_per_minute: args.requests_per_minute,
        tokens_per_minute: args.tokens_per_minute,
        concurrent: args.concurrent,
    };
    let wish = KeyWish {
        team: &args.team,
        user: args.user.as_deref(),
        expires,
        budgets: &args.budgets,
        limits,
    };
    let key = directory.create_key(wish, &operator(), now)?;
    let team = Name::new(&args.team);
    let change = format!("for {}", owner(&args.team, args.user.as_deref()));
    let done = Done {
        what: "key.created",
        subject: key.id.as_str(),
        change: &change,
        team: Some(&team),
    };
    let noted = journal::note(&settings, &directory, done, now);
    let text = key.text.expose();
    if args.json {
        let made = json!({
            "id": key.id.as_str(),
            "key": text,
            "team": args.team,
            "user": args.user,
            "expires": expires.map(shown),
        });
        writeln!(out, "{made}")?;
    } else {
        // Alone on standard output, so that a script may take it whole.
        writeln!(out, "{text}")?;
        let owner = owner(&args.team, args.user.as_deref());
        writeln!(
            stderr(),
            "{} of {owner}; the key is shown this once and kept nowhere",
            key.id
        )?;
    }
    // Only now: the key is shown this once, whatever the audit says.
    noted.map(|()| ExitCode::SUCCESS)
}

fn owner(team: &str, user: Option<&str>) -> String {
    user.map_or(team.to_owned(), |user| format!("{team}/{user}"))
}

fn list(args: &ListArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (_settings, directory) = args.config.directory()?;
    let now = Moment::now();
    let wanted = |row: &KeyRow| {
        args.team
            .as_deref()
            .is_none_or(|team| row.team.as_str() == team)
    };
    let keys: Vec<KeyRow> = directory.keys()?.into_iter().filter(wanted).collect();
    if args.json {
        let keys = keys.iter().map(|row| json_of(row, now)).collect();
        writeln!(out, "{}", Value::Array(keys))?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |row: &KeyRow| {
        let user = row
            .user
            .as_ref()
            .map_or("-".to_owned(), ToString::to_string);
        let expires = row.expires.map_or("-".to_owned(), shown);
        let state = row.state(now).as_str().to_owned();
        vec![
            row.id.to_string(),
            row.team.to_string(),
            user,
            state,
            shown(row.created),
            expires,
        ]
    };
    let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
    write_table(
        out,
        &["ID", "TEAM", "USER", "STATE", "CREATED", "EXPIRES"],
        &rows,
    )?;
    Ok(ExitCode::SUCCESS)
}

fn json_of(row: &KeyRow, now: Moment) -> Value {
    json!({
        "id": row.id.as_str(),
        "team": row.team.as_str(),
        "user": row.user.as_ref().map(Name::as_str),
        "state": row.state(now).as_str(),
        "created": shown(row.created),
        "expires": row.expires.map(shown),
        "revoked": row.revoked.map(shown),
    })
}

fn revoke(args: &RevokeArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (settings, directory) = args.config.directory()?;
    let now = Moment::now();
    let outcome = directory.revoke_key(&args.key, &operator(), now)?;
    let (id, changed) = match outcome {
        Revocation::Revoked(id) => (id, true),
        Revocation::Already(id) => (id, false),
    };
    if changed {
        let done = Done {
            what: "key.revoked",
            subject: id.as_str(),
            change: "",
            team: None,
        };
        journal::note(&settings, &directory, done, now)?;
    }
    if args.json {
        let state = KeyState::Revoked.as_str();
        writeln!(
            out,
            "{}",
            json!({ "id": id.as_str(), "state": state, "changed": changed })
        )?;
    } else if changed {
        writeln!(
            out,
            "revoked {id}; a running gateway refuses it within a second"
        )?;
    } else {
        writeln!(out, "{id} was revoked before")?;
    }
    Ok(ExitCode::SUCCESS)
}
