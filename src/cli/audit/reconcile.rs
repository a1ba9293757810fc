//! `audit reconcile`: our cost beside a provider's usage export.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::FilterArgs;
use super::filter::time;
use crate::audit::query::{Order, QueryError, for_each};
use crate::audit::reconcile::{Costs, Drift};
use crate::cli::setup::ConfigArg;
use crate::cli::store::StoreArg;
use crate::cli::table::write_table;

#[derive(Debug, Args)]
pub struct ReconcileArgs {
    /// The provider's usage export: CSV with a head that names a day and a cost, and perhaps a model and a key
    #[arg(long, value_name = "FILE")]
    provider_export: PathBuf,
    /// Differences up to this many thousandths of the larger cost are no drift
    #[arg(long, default_value_t = 10)]
    tolerance: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    config: ConfigArg,
}

/// # Errors
/// A wrong configuration; an export or a store that cannot be read.
pub fn run(args: &ReconcileArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let path = &args.provider_export;
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let theirs = Costs::read(&text).with_context(|| path.display().to_string())?;
    let filter = args.in_days_of(&theirs)?.filter();
    let mut ours = theirs.like();
    let mut store = args.store.open(&args.config.settings()?)?;
    for_each::<QueryError>(store.source(), &filter, Order::Oldest, |record| {
        // Requests that were never forwarded cost nothing and are no group of their own.
        if record.entry.cost_nanos > 0 {
            ours.add_row(&record.entry);
        }
        Ok(true)
    })?;
    let drift = ours.drift(&theirs, args.tolerance);
    write(args.json, &ours, &theirs, &drift, out)?;
    Ok(if drift.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl ReconcileArgs {
    /// Only the export's days are compared, unless told otherwise.
    fn in_days_of(&self, theirs: &Costs) -> anyhow::Result<FilterArgs> {
        let mut filter = self.filter.clone();
        filter.requests = true;
        if let Some((first, last)) = theirs.days() {
            let end = format!("{last}T23:59:59.999999999Z");
            let first = time(first).map_err(anyhow::Error::msg)?;
            let end = time(&end).map_err(anyhow::Error::msg)?;
            filter.since.get_or_insert(first);
            filter.until.get_or_insert(end);
        }
        Ok(filter)
    }
}

fn write(
    json: bool,
    ours: &Costs,
    theirs: &Costs,
    drift: &[Drift],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if json {
        let list: Vec<_> = drift
            .iter()
            .map(|drift| {
                json!({
                    "day": drift.group.day, "model": drift.group.model, "key": drift.group.key,
                    "ours_usd": drift.ours.to_string(), "theirs_usd": drift.theirs.to_string(),
                })
            })
            .collect();
        let object = json!({
            "ours_usd": ours.total().to_string(), "theirs_usd": theirs.total().to_string(), "drift": list,
        });
        writeln!(out, "{object}")?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = drift
        .iter()
        .map(|drift| {
            vec![
                drift.group.day.clone(),
                drift.group.model.clone(),
                drift.group.key.clone(),
                drift.ours.to_string(),
                drift.theirs.to_string(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        write_table(out, &["DAY", "MODEL", "KEY", "OURS", "THEIRS"], &rows)?;
    }
    writeln!(
        out,
        "ours {}, theirs {}: {} groups drift",
        ours.total(),
        theirs.total(),
        rows.len()
    )?;
    Ok(())
}
