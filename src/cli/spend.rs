//! `tollgate spend`: what requests cost, by whom or what.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::audit::FilterArgs;
use super::setup::ConfigArg;
use super::store::StoreArg;
use super::table::write_table;
use crate::audit::query::{By, Sum};

/// What requests cost, by team, user, key, model, day or size of the input
#[derive(Debug, Args)]
pub struct SpendArgs {
    #[arg(long, value_enum)]
    by: ByArg,
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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ByArg {
    Team,
    User,
    Key,
    Model,
    Day,
    /// Buckets of input tokens.
    Context,
}

/// # Errors
/// A wrong configuration; a store that cannot be read.
pub fn run(args: &SpendArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let by = match args.by {
        ByArg::Team => By::Team,
        ByArg::User => By::User,
        ByArg::Key => By::Key,
        ByArg::Model => By::Model,
        ByArg::Day => By::Day,
        ByArg::Context => By::Context,
    };
    let filter = args.filter.filter();
    let mut sums = args
        .store
        .open(&args.config.settings()?)?
        .source()
        .sums(&filter, by)?;
    if by != By::Day {
        sums.sort_by(|a, b| b.cost.cmp(&a.cost).then_with(|| a.group.cmp(&b.group)));
    }
    if args.json {
        let list: Vec<_> = sums.iter().map(object).collect();
        writeln!(out, "{}", serde_json::Value::from(list))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows: Vec<Vec<String>> = sums.iter().map(line).collect();
    let mut total = Sum {
        group: "TOTAL".to_owned(),
        ..Sum::default()
    };
    for sum in &sums {
        total.add(sum);
    }
    rows.push(line(&total));
    let heads = [
        "WHO OR WHAT",
        "REQUESTS",
        "ERRORS",
        "IN",
        "OUT",
        "COST",
        "AVERAGE SECONDS",
    ];
    write_table(out, &heads, &rows)?;
    Ok(ExitCode::SUCCESS)
}

/// Milliseconds that a request took on average.
fn average(sum: &Sum) -> u64 {
    sum.latency_us.checked_div(sum.requests).unwrap_or(0) / 1000
}

fn line(sum: &Sum) -> Vec<String> {
    let name = if sum.group.is_empty() {
        "-"
    } else {
        &sum.group
    };
    let average = average(sum);
    vec![
        name.to_owned(),
        sum.requests.to_string(),
        sum.errors.to_string(),
        sum.input.to_string(),
        sum.output.to_string(),
        sum.cost.to_string(),
        format!("{}.{:03}", average / 1000, average % 1000),
    ]
}

fn object(sum: &Sum) -> serde_json::Value {
    json!({
        "group": sum.group, "requests": sum.requests, "errors": sum.errors, "input_tokens": sum.input,
        "output_tokens": sum.output, "cost_usd": sum.cost.to_string(), "average_ms": average(sum),
    })
}
