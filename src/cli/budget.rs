//! `tollgate budget show|grant|adjust`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::journal;
use super::setup::{ConfigArg, operator};
use super::table::{shown, write_table};
use crate::audit::standing;
use crate::budget::{Balances, BudgetId, BudgetSpec, Ledger, OnStoreLoss};
use crate::config::Settings;
use crate::directory::{Amend, Census, Directory};
use crate::domain::{Moment, Usd};

/// Budgets: what is spent, reserved and left
#[derive(Debug, Args)]
pub struct BudgetArgs {
    #[command(subcommand)]
    command: BudgetCommand,
}

#[derive(Debug, Subcommand)]
enum BudgetCommand {
    Show(ShowArgs),
    Grant(GrantArgs),
    Adjust(AdjustArgs),
}

/// Show how every budget stands
///
/// Asks the running gateway; where none runs, adds up its log.
#[derive(Debug, Args)]
struct ShowArgs {
    /// This budget only, such as team/payments/month
    budget: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// Raise a cap for its current window
#[derive(Debug, Args)]
struct GrantArgs {
    /// The budget, such as team/payments/month
    budget: String,
    /// Dollars on top of the limit, such as 50.00
    #[arg(value_parser = amount)]
    amount: Usd,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// Correct what a budget has spent in its current window
#[derive(Debug, Args)]
struct AdjustArgs {
    /// The budget, such as team/payments/month
    budget: String,
    /// Dollars to add to what is spent (+1.50) or to take from it (-1.50)
    #[arg(value_parser = correction, allow_hyphen_values = true)]
    by: Amend,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// # Errors
/// A wrong configuration; no such budget; a directory, log or gateway that gives no answer.
pub fn run(args: &BudgetArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match &args.command {
        BudgetCommand::Show(args) => show(args, out),
        BudgetCommand::Grant(args) => change(
            &args.config,
            &args.budget,
            Amend::Grant(args.amount),
            args.json,
            out,
        ),
        BudgetCommand::Adjust(args) => change(&args.config, &args.budget, args.by, args.json, out),
    }
}

fn amount(text: &str) -> Result<Usd, String> {
    match Usd::parse(text) {
        Ok(Usd::ZERO) => Err("nothing would change".to_owned()),
        read => read.map_err(|error| format!("it {error}")),
    }
}

/// Reads `+1.50` or `-1.50`.
fn correction(text: &str) -> Result<Amend, String> {
    if let Some(more) = text.strip_prefix('+') {
        amount(more).map(Amend::Charge)
    } else if let Some(less) = text.strip_prefix('-') {
        amount(less).map(Amend::Credit)
    } else {
        Err("write a sign: +1.50 adds to what is spent, -1.50 takes from it".to_owned())
    }
}

/// How one budget stands, whoever says so.
struct Standing {
    budget: String,
    limit: Usd,
    spent: Usd,
    reserved: Usd,
    left: Usd,
    resets: Option<Moment>,
}

/// Who says how budgets stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Teller {
    Gateway,
    Log,
    /// The log of one node of a fleet: that node's part.
    NodesLog,
}

impl Teller {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Log | Self::NodesLog => "log",
        }
    }

    /// What a listing says of itself.
    const fn note(self) -> &'static str {
        match self {
            Self::Gateway => "",
            Self::Log => "no gateway runs: this is what its log adds up to\n",
            Self::NodesLog => {
                "no gateway runs here: this is what the log of this node adds up to, and not what the fleet has spent\n"
            }
        }
    }
}

fn standings(
    settings: &Settings,
    directory: &Directory,
) -> anyhow::Result<(Vec<Standing>, Teller)> {
    if settings.listen.admin.port() != 0
        && let Some(answer) = super::admin::get(settings.listen.admin, "/budgets")?
    {
        let told = asked(&answer).context("the gateway's answer")?;
        return Ok((told, Teller::Gateway));
    }
    let teller = match settings.redis {
        Some(_) => Teller::NodesLog,
        None => Teller::Log,
    };
    let log = standing(&settings.state.dir)?;
    let all = counted(&directory.load()?, log.spent, log.held, Moment::now());
    Ok((all, teller))
}

/// What a log adds up to, by the rules by which a gateway that starts now would count it.
fn counted(census: &Census, spent: Balances, held: Balances, now: Moment) -> Vec<Standing> {
    let ledger = Ledger::new(spent);
    // The same rules find the periods in which something is reserved.
    let reserved = Ledger::new(held);
    let amendments = |id: &BudgetId| {
        let of = census.amendments.iter().filter(|one| one.budget == *id);
        of.map(|one| (one.period, one.totals)).collect()
    };
    // What a budget does without its store is not shown.
    let specs = census.all_budgets(OnStoreLoss::Deny);
    let of = |spec: &BudgetSpec| {
        let account = ledger.account(spec);
        account.follow_amendments(amendments(&spec.id));
        let view = account.view(now);
        let reserved = reserved.account(spec).view(now).spent;
        Standing {
            budget: spec.id.to_string(),
            limit: view.limit,
            spent: view.spent,
            reserved,
            left: view.left.left_after(reserved),
            resets: view.resets,
        }
    };
    specs.iter().map(of).collect()
}

/// The answer of the admin listener's `/budgets`.
fn asked(answer: &str) -> anyhow::Result<Vec<Standing>> {
    let answer: Value = serde_json::from_str(answer)?;
    let Some(list) = answer.as_array() else {
        bail!("it is no list")
    };
    let read = |entry: &Value| {
        let text = |key: &str| {
            entry[key]
                .as_str()
                .with_context(|| format!("`{key}` is missing"))
        };
        let usd = |key: &str| Ok::<Usd, anyhow::Error>(Usd::parse(text(key)?)?);
        Ok(Standing {
            budget: text("budget")?.to_owned(),
            limit: usd("limit")?,
            spent: usd("spent")?,
            reserved: usd("reserved")?,
            left: usd("left")?,
            resets: entry["resets"].as_i64().map(Moment::from_seconds),
        })
    };
    list.iter().map(read).collect()
}

fn show(args: &ShowArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (settings, directory) = args.config.directory()?;
    let (mut all, teller) = standings(&settings, &directory)?;
    if let Some(budget) = &args.budget {
        all.retain(|standing| standing.budget == *budget);
        if all.is_empty() {
            bail!("there is no budget `{budget}`");
        }
    }
    if args.json {
        let list = all
            .iter()
            .map(|standing| json_of(standing, teller))
            .collect();
        writeln!(out, "{}", Value::Array(list))?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |standing: &Standing| {
        let amounts = [
            standing.limit,
            standing.spent,
            standing.reserved,
            standing.left,
        ];
        let mut row = vec![standing.budget.clone()];
        row.extend(amounts.map(|amount| amount.to_string()));
        row.push(standing.resets.map_or("never".to_owned(), shown));
        row
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    write_table(
        out,
        &["BUDGET", "LIMIT", "SPENT", "RESERVED", "LEFT", "RESETS"],
        &rows,
    )?;
    write!(out, "{}", teller.note())?;
    Ok(ExitCode::SUCCESS)
}

fn json_of(standing: &Standing, teller: Teller) -> Value {
    json!({
        "budget": standing.budget,
        "limit": standing.limit.to_string(),
        "spent": standing.spent.to_string(),
        "reserved": standing.reserved.to_string(),
        "left": standing.left.to_string(),
        "resets": standing.resets.map(shown),
        "source": teller.as_str(),
    })
}

/// Leaves the change in the directory, where a running gateway finds it, and in the audit.
fn change(
    config: &ConfigArg,
    budget: &str,
    change: Amend,
    as_json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let (settings, directory) = config.directory()?;
    let id = BudgetId::parse(budget).with_context(|| format!("`{budget}` is not a budget's id"))?;
    if let Amend::Credit(credit) = change {
        let (all, teller) = standings(&settings, &directory)?;
        let spent = all
            .iter()
            .find(|standing| standing.budget == budget)
            .map(|standing| standing.spent);
        if let Some(spent) = spent.filter(|spent| *spent < credit) {
            let hint = match teller {
                Teller::NodesLog => {
                    " at this node, and its gateway does not run to tell of the fleet"
                }
                Teller::Gateway | Teller::Log => "",
            };
            bail!("{credit} is more than the {spent} that are spent{hint}");
        }
    }
    let (who, now) = (operator(), Moment::now());
    let amended = directory.amend(&id, change, &who, now)?;
    let (what, told) = match change {
        Amend::Grant(amount) => ("budget.granted", format!("limit +{amount}")),
        Amend::Charge(amount) => ("budget.adjusted", format!("spent +{amount}")),
        Amend::Credit(amount) => ("budget.adjusted", format!("spent -{amount}")),
    };
    journal::note(
        &settings,
        &directory,
        journal::Done {
            what,
            subject: budget,
            change: &told,
            team: None,
        },
        now,
    )?;
    let totals = amended.totals;
    if as_json {
        let totals = json!({
            "budget": budget,
            "period": shown(amended.period),
            "granted": totals.granted.to_string(),
            "charged": totals.charged.to_string(),
            "credited": totals.credited.to_string(),
        });
        writeln!(out, "{totals}")?;
    } else {
        writeln!(
            out,
            "{budget}: {told}; a running gateway heeds it within a second"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::parse_file;

    #[test]
    fn after_a_changed_zone_a_log_is_counted_as_a_gateway_that_starts_would() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        // 2027-01-15, nine in the morning in Berlin.
        let now = Moment::from_seconds(1_800_000_000);
        let midnight = Moment::from_seconds(1_800_000_000 - 9 * 3600);
        let apply = |zone: &str| {
            let text = format!(
                "organisation = \"acme\"\n[[team]]\nname = \"a\"\n[[team.budget]]\nwindow = \"day\"\nlimit = \"1.00\"\nzone = \"{zone}\"\n"
            );
            let file = parse_file("d", &text).unwrap();
            directory.apply(&file, false, "test", now).unwrap();
        };
        let usd = |text| Usd::parse(text).unwrap();
        let id = BudgetId::new("team/a/day");
        apply("Europe/Berlin");
        let grant = Amend::Grant(usd("0.50"));
        directory.amend(&id, grant, "test", now).unwrap();
        apply("Asia/Tokyo");
        let (mut spent, mut held) = (Balances::new(), Balances::new());
        spent.add(id.clone(), midnight, usd("0.25"));
        held.add(id.clone(), midnight, usd("0.10"));
        let all = counted(&directory.load().unwrap(), spent, held, now);
        let amounts = [all[0].limit, all[0].spent, all[0].reserved, all[0].left];
        assert_eq!(amounts, ["1.50", "0.25", "0.10", "1.15"].map(usd));
    }
}
