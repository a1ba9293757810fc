//! `tollgate serve`: runs the gateway until a signal ends it.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::EXIT_CONFIG;
use super::setup::ConfigArg;
use crate::app::{App, StartError};

/// Runs the gateway. SIGHUP reloads the configuration, SIGTERM and SIGINT drain and end.
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    config: ConfigArg,
}

/// Serves until a signal; prints one line of JSON with the addresses once requests are served. Logs go to standard error.
///
/// # Errors
/// When the gateway cannot start, or a signal cannot be listened for.
pub fn run(args: &ServeArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_env("TOLLGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime")?;
    let ended = runtime.block_on(serve(args, out));
    // What is left by now are idle connections and readers that wait for input.
    runtime.shutdown_background();
    ended
}

async fn serve(args: &ServeArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let app = match App::start(&args.config.config).await {
        Ok(app) => app,
        Err(error) => return refuse(&error),
    };
    writeln!(
        out,
        "{}",
        serde_json::json!({"data": app.data.to_string(), "admin": app.admin.to_string()})
    )?;
    out.flush()?;
    loop {
        tokio::select! {
            _ = hangup.recv() => app.reload().await,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    app.drain().await;
    Ok(ExitCode::SUCCESS)
}

/// A configuration that is wrong has an exit status of its own.
fn refuse(error: &StartError) -> anyhow::Result<ExitCode> {
    writeln!(std::io::stderr(), "{error}")?;
    let wrong = matches!(
        error,
        StartError::Configuration(_) | StartError::Assemble(_)
    );
    Ok(if wrong {
        ExitCode::from(EXIT_CONFIG)
    } else {
        ExitCode::FAILURE
    })
}
