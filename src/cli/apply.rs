//! `tollgate apply`: makes the directory what a file says.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::journal::{self, Done};
use super::setup::{ConfigArg, WrongConfiguration, operator};
use crate::audit::{OperatorAction, inbox};
use crate::config::Source;
use crate::directory::{Change, ChangeKind, parse_file};
use crate::domain::{Moment, Name};

/// Load teams, users and budgets from a file, and print what changed
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The directory file, such as conf/directory.toml
    file: PathBuf,
    /// Remove the teams, users and budgets that the file does not name; their keys stop working
    #[arg(long)]
    prune: bool,
    /// Print the changes as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// # Errors
/// A wrong file or configuration; a directory that cannot be written.
pub fn run(args: &ApplyArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let wanted = Source::read(&args.file)
        .map_err(|fault| vec![fault])
        .and_then(|source| parse_file(&source.name, &source.text))
        .map_err(WrongConfiguration)?;
    let (settings, directory) = args.config.directory()?;
    let now = Moment::now();
    journal::settle(&settings, &directory)?;
    // Written down before they are made: an apply that is interrupted in between is told by the next command, or by the
    // gateway at its start.
    let tell = |changes: &[Change]| {
        let actions = actions(changes, &wanted.name, now);
        inbox::draft(&settings.state.dir, &actions)
    };
    let (changes, draft) = directory.apply_told(&wanted, args.prune, &operator(), now, tell)?;
    draft
        .submit()
        .context("it is done; the audit is told of it by the next command")?;
    show(&changes, args.json, out)?;
    Ok(ExitCode::SUCCESS)
}

/// The audit's part of what is changed.
fn actions(changes: &[Change], organisation: &Name, now: Moment) -> Vec<OperatorAction> {
    let made = changes
        .iter()
        .filter(|change| change.kind != ChangeKind::Kept);
    made.map(|change| {
        let fields = [change.kind.as_str(), &change.fields.join(", ")].join(": ");
        let done = Done {
            what: "directory.changed",
            subject: &change.what,
            change: fields.trim_end_matches(": "),
            team: None,
        };
        done.action(organisation, now)
    })
    .collect()
}

fn show(changes: &[Change], json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    if json {
        let shown: Vec<_> = changes.iter().map(json_of).collect();
        writeln!(out, "{}", serde_json::Value::Array(shown))?;
        return Ok(());
    }
    for change in changes {
        writeln!(out, "{change}")?;
    }
    if changes.is_empty() {
        writeln!(out, "nothing to change")?;
    }
    if changes.iter().any(|change| change.kind == ChangeKind::Kept) {
        writeln!(out, "what is kept is not in the file; --prune removes it")?;
    }
    Ok(())
}

fn json_of(change: &Change) -> serde_json::Value {
    json!({ "change": change.kind.as_str(), "what": change.what, "fields": change.fields })
}
