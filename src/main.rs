//! `tollgate`: see `tollgate --help`.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;
use tikv_jemalloc_ctl::background_thread;
use tikv_jemallocator::Jemalloc;
use tollgate::cli::Cli;

/// Gives memory back once a burst is over, which the C library's allocator does not.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    // Without its threads it gives memory back where it is asked for some: later, but well.
    let _started = background_thread::write(true);
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
