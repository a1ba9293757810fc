//! `tollgate serve`: runs the gateway until a signal ends it.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;
use tracing_subscriber::EnvFilter;

use super::EXIT_CONFIG;
use super::setup::ConfigArg;
use crate::app::{App, StartError};

/// What is logged: a level, or levels by module.
const LOG: &str = "TOLLGATE_LOG";

/// Runs the gateway. SIGHUP reloads the configuration, SIGTERM and SIGINT drain and end.
///
/// The environment's `TOLLGATE_LOG` says what is logged: `error`, `warn`, `info` (unless set), `debug`, `trace`, or levels by
/// module, such as `info,tollgate::audit=debug`.
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
    begin_to_log();
    open_more_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime")?;
    let ended = runtime.block_on(serve(args, out));
    // What is left by now are idle connections and readers that wait for input.
    runtime.shutdown_background();
    ended
}

/// Logs what `TOLLGATE_LOG` asks for.
fn begin_to_log() {
    let wanted = std::env::var(LOG).ok().filter(|text| !text.is_empty());
    let read = wanted.map(EnvFilter::try_new).transpose();
    let (filter, wrong) = match read {
        Ok(filter) => (filter.unwrap_or_else(|| EnvFilter::new("info")), None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    if let Some(error) = wrong {
        warn!(%error, "{LOG} is no filter: `info` is used");
    }
}

/// Raises the limit of open files to what the process may have: each connection is one, and the usual limit is 1,024.
fn open_more_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "the limit of open files stays as it is");
    }
}

async fn serve(args: &ServeArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut app = match App::start(&args.config.config).await {
        Ok(app) => app,
        Err(error) => return refuse(&error),
    };
    writeln!(
        out,
        "{}",
        serde_json::json!({"data": app.data.to_string(), "admin": app.admin.to_string()})
    )?;
    out.flush()?;
    let status = loop {
        tokio::select! {
            _ = hangup.recv() => app.reload().await,
            _ = terminate.recv() => break ExitCode::SUCCESS,
            _ = interrupt.recv() => break ExitCode::SUCCESS,
            () = app.broken() => break ExitCode::FAILURE,
        }
    };
    app.drain().await;
    Ok(status)
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
