//! `tollgate audit`: rows listed, followed, exported and proven.

mod filter;
mod follow;
mod reconcile;
mod verify;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::setup::{ConfigArg, WrongUse};
use super::store::{Store, StoreArg};
use super::table::write_table;
use crate::audit::export::{self, Export, Format};
use crate::audit::query::{Order, QueryError, Source, for_each};
use crate::audit::record::Record;
use crate::domain::Usd;
pub use filter::FilterArgs;

/// The audit: every request's row, and operators' actions
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// The newest rows
    Tail {
        /// How many
        #[arg(short = 'n', long, default_value_t = 20)]
        lines: usize,
        /// Go on with rows as they come, in the order in which requests ended
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        listing: ListingArgs,
    },
    /// Rows that pass a filter, newest first
    Query {
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Oldest first
        #[arg(long)]
        oldest: bool,
        #[command(flatten)]
        listing: ListingArgs,
    },
    /// All rows that pass a filter, for other programs, oldest first
    Export {
        #[arg(long, value_enum)]
        format: FormatArg,
        /// A file instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        store: StoreArg,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Prove that no row was changed, removed, moved or cut off
    Verify(verify::VerifyArgs),
    /// Compare our cost with a provider's usage export
    Reconcile(reconcile::ReconcileArgs),
}

/// What every listing takes.
#[derive(Debug, Args)]
struct ListingArgs {
    /// Print JSON, one row a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    Csv,
    Ndjson,
    /// Typed columns, compressed, in groups of rows.
    Parquet,
}

/// # Errors
/// A wrong configuration; a store that cannot be read.
pub fn run(args: &AuditArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match &args.command {
        AuditCommand::Tail {
            lines,
            follow,
            listing,
        } => {
            let filter = listing.filter.filter();
            if *follow {
                follow::follow(listing, *lines, &filter, out)?;
            } else {
                let mut store = listing.store.open(&listing.config.settings()?)?;
                let mut rows = store.source().page(&filter, Order::Newest, None, *lines)?;
                rows.reverse();
                list(&rows, listing.json, out)?;
            }
        }
        AuditCommand::Query {
            limit,
            oldest,
            listing,
        } => {
            let mut store = listing.store.open(&listing.config.settings()?)?;
            let order = if *oldest {
                Order::Oldest
            } else {
                Order::Newest
            };
            let rows = collect(&mut store, &listing.filter, order, *limit)?;
            list(&rows, listing.json, out)?;
        }
        AuditCommand::Export {
            format,
            output,
            filter,
            store,
            config,
        } => {
            let mut store = store.open(&config.settings()?)?;
            let filter = filter.filter();
            let format = match format {
                FormatArg::Csv => Format::Csv,
                FormatArg::Ndjson => Format::Ndjson,
                FormatArg::Parquet => Format::Parquet,
            };
            match output {
                Some(path) => {
                    let file = File::create(path).with_context(|| path.display().to_string())?;
                    write_all(store.source(), &filter, format, &mut BufWriter::new(file))?;
                }
                None if format == Format::Parquet && io::stdout().is_terminal() => {
                    let wrong = "Parquet is not for a terminal: name a file with --output";
                    return Err(WrongUse(wrong).into());
                }
                None => write_all(store.source(), &filter, format, out)?,
            }
        }
        AuditCommand::Verify(args) => return verify::run(args, out),
        AuditCommand::Reconcile(args) => return reconcile::run(args, out),
    }
    Ok(ExitCode::SUCCESS)
}

fn collect(
    store: &mut Store,
    filter: &FilterArgs,
    order: Order,
    limit: usize,
) -> anyhow::Result<Vec<Record<'static>>> {
    let mut rows = Vec::new();
    if limit == 0 {
        return Ok(rows);
    }
    for_each::<QueryError>(store.source(), &filter.filter(), order, |record| {
        rows.push(record.clone().into_owned());
        Ok(rows.len() < limit)
    })?;
    Ok(rows)
}

/// Writes every row as it is read; on a terminal, standard error says how far it has come.
fn write_all(
    source: &mut dyn Source,
    filter: &crate::audit::query::Filter,
    format: Format,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    const TOLD_EVERY: u64 = 10_000;
    let told = io::stderr().is_terminal();
    let mut count = 0_u64;
    let mut export = Export::begin(format, &mut *out)?;
    for_each::<anyhow::Error>(source, filter, Order::Oldest, |record| {
        export.row(record)?;
        count += 1;
        if told && count.is_multiple_of(TOLD_EVERY) {
            write!(
                io::stderr(),
                "\r{count} rows, up to {}",
                export::time(record.entry.at)
            )?;
        }
        Ok(true)
    })?;
    export.finish()?;
    if told {
        writeln!(io::stderr(), "\r{count} rows")?;
    }
    out.flush()?;
    Ok(())
}

fn list(rows: &[Record<'_>], json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json {
        for row in rows {
            writeln!(out, "{}", Value::Object(export::object(row)))?;
        }
        return Ok(());
    }
    let rows: Vec<Vec<String>> = rows.iter().map(line).collect();
    write_table(out, &HEADS, &rows)
}

/// Rows without heads, for a listing that goes on.
fn list_plain(rows: &[Record<'_>], json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json {
        return list(rows, true, out);
    }
    for row in rows {
        let cells = line(row);
        let cells: Vec<&str> = cells
            .iter()
            .map(String::as_str)
            .filter(|cell| !cell.is_empty())
            .collect();
        writeln!(out, "{}", cells.join("  "))?;
    }
    Ok(())
}

const HEADS: [&str; 10] = [
    "TIME", "OWNER", "MODEL", "DECISION", "STATUS", "IN", "OUT", "COST", "SECONDS", "WHAT",
];

/// A row for people.
fn line(record: &Record<'_>) -> Vec<String> {
    let entry = &record.entry;
    let owner = match (&*entry.team, &*entry.user) {
        ("", "") => entry.actor.to_string(),
        (team, "") => team.to_owned(),
        (team, user) => format!("{team}/{user}"),
    };
    let what = [
        &entry.code,
        &entry.findings,
        &entry.action,
        &entry.subject,
        &entry.change,
    ];
    let what: Vec<&str> = what
        .into_iter()
        .map(|part| &**part)
        .filter(|part| !part.is_empty())
        .collect();
    if entry.kind != "request" {
        let mut cells = vec![export::time(entry.at), owner];
        cells.resize(HEADS.len() - 1, String::new());
        cells.push(what.join(" "));
        return cells;
    }
    let cached = entry.cache_read + entry.cache_write_5m + entry.cache_write_1h;
    let input = entry.input + cached + entry.audio_input + entry.image_input;
    let output = entry.output + entry.audio_output + entry.image_output;
    vec![
        export::time(entry.at),
        owner,
        entry.model.to_string(),
        entry.decision.to_string(),
        entry.status.to_string(),
        input.to_string(),
        output.to_string(),
        Usd::from_nanos(entry.cost_nanos).to_string(),
        format!(
            "{}.{:03}",
            entry.latency_us / 1_000_000,
            entry.latency_us / 1000 % 1000
        ),
        what.join(" "),
    ]
}

#[cfg(test)]
mod tests;
