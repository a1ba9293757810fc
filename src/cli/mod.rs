//! The command line: arguments in, exit status out. One module for each subcommand; the only user of `anyhow`.

pub mod scan;

use std::io::Write;
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
    Scan(scan::ScanArgs),
}

/// Status for a wrong configuration (sysexits' `EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;

impl Cli {
    /// Runs the chosen command, writing its result to `out`.
    ///
    /// # Errors
    /// Whatever stopped the command, with its context; `main` prints it and exits with 1.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Scan(args) => scan::run(&args, out),
        }
    }
}
