//! The command line: arguments in, exit status out. One module for each subcommand; the only user of `anyhow`.

pub mod admin;
pub mod apply;
pub mod audit;
pub mod budget;
pub mod check;
mod clock;
pub mod demo;
pub mod journal;
pub mod key;
pub mod migrate;
pub mod policy;
pub mod prices;
pub mod rules;
pub mod scan;
pub mod serve;
pub mod setup;
pub mod spend;
pub mod store;
pub mod table;
pub mod team;

use std::io::{self, Write, stderr};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The egress gateway for AI coding agents.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::CheckArgs),
    Demo(demo::DemoArgs),
    Apply(apply::ApplyArgs),
    Audit(audit::AuditArgs),
    Budget(budget::BudgetArgs),
    Key(key::KeyArgs),
    Migrate(migrate::MigrateArgs),
    Policy(policy::PolicyArgs),
    Prices(prices::PricesArgs),
    Rules(rules::RulesArgs),
    Scan(scan::ScanArgs),
    Spend(spend::SpendArgs),
    Serve(serve::ServeArgs),
    Team(team::TeamArgs),
}

/// Status for wrong use, as clap has it.
pub const EXIT_USE: u8 = 2;
/// Status for a wrong configuration (sysexits' `EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;

impl Cli {
    /// Runs the chosen command, writing its result to `out`.
    ///
    /// # Errors
    /// Whatever stopped the command, with its context; `main` prints it and exits with 1.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        self.dispatch(out).or_else(|error| {
            let pipe = error.downcast_ref::<io::Error>();
            if pipe.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
                // Whoever read the output has had enough of it, as `head` does.
                return Ok(ExitCode::SUCCESS);
            }
            if let Some(wrong) = error.downcast_ref::<setup::WrongUse>() {
                writeln!(stderr(), "error: {wrong}")?;
                return Ok(ExitCode::from(EXIT_USE));
            }
            let wrong = error.downcast::<setup::WrongConfiguration>()?;
            writeln!(stderr(), "{wrong}")?;
            Ok(ExitCode::from(EXIT_CONFIG))
        })
    }

    fn dispatch(self, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Check(args) => check::run(&args, out),
            Command::Demo(args) => demo::run(&args, out),
            Command::Apply(args) => apply::run(&args, out),
            Command::Audit(args) => audit::run(&args, out),
            Command::Budget(args) => budget::run(&args, out),
            Command::Key(args) => key::run(&args, out),
            Command::Migrate(args) => migrate::run(&args, out),
            Command::Policy(args) => policy::run(&args, out),
            Command::Prices(args) => prices::run(&args, out),
            Command::Rules(args) => rules::run(&args, out),
            Command::Scan(args) => scan::run(&args, out),
            Command::Spend(args) => spend::run(&args, out),
            Command::Serve(args) => serve::run(&args, out),
            Command::Team(args) => team::run(&args, out),
        }
    }
}

/// An error with its causes, each once: many say their cause themselves.
#[must_use]
pub fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests;
