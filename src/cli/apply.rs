//! `tollgate apply`: makes the directory what a file says.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::journal::{self, Done};
use super::setup::{ConfigArg, WrongConfiguration, operator};
use crate::config::Source;
use crate::directory::{Change, ChangeKind, parse_file};
use crate::domain::Moment;

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
    let changes = directory.apply(&wanted, args.prune, &operator(), now)?;
    for change in changes
        .iter()
        .filter(|change| change.kind != ChangeKind::Kept)
    {
        let fields = [change.kind.as_str().to_owned(), change.fields.join(", ")];
        let fields = fields.join(": ").trim_end_matches(": ").to_owned();
        let done = Done {
            what: "directory.changed",
            subject: &change.what,
            change: &fields,
            team: None,
        };
        journal::note(&settings, &directory, done, now)?;
    }
    if args.json {
        let shown: Vec<_> = changes.iter().map(json_of).collect();
        writeln!(out, "{}", serde_json::Value::Array(shown))?;
    } else {
        for change in &changes {
            writeln!(out, "{change}")?;
        }
        if changes.is_empty() {
            writeln!(out, "nothing to change")?;
        }
        if changes.iter().any(|change| change.kind == ChangeKind::Kept) {
            writeln!(out, "what is kept is not in the file; --prune removes it")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn json_of(change: &Change) -> serde_json::Value {
    json!({ "change": change.kind.as_str(), "what": change.what, "fields": change.fields })
}
