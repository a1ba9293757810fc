//! `tollgate`: see `tollgate --help`.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;
use tollgate::cli::Cli;

fn main() -> ExitCode {
    let mut out = stdout().lock();
    match Cli::parse().run(&mut out) {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to tell when standard error itself is gone.
            let _written = writeln!(stderr(), "tollgate: {error:#}");
            ExitCode::FAILURE
        }
    }
}
