//! `tollgate migrate`: the ClickHouse schema, brought up to this version.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::setup::ConfigArg;
use crate::app::warehouse;
use crate::audit::clickhouse::{migrate, script};
use crate::config::SecretRef;

/// Bring the ClickHouse schema up to this version; what is there already stays as it is
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// A user that may create tables, instead of the one that writes rows
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Its password, as `env:NAME` or `file:PATH`
    #[arg(long, value_name = "REFERENCE", requires = "user")]
    password: Option<String>,
    /// Print the statements instead of running them
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// # Errors
/// A wrong configuration, one without ClickHouse, or what the server says.
pub fn run(args: &MigrateArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let settings = args.config.settings()?;
    let clickhouse = settings
        .audit
        .clickhouse
        .as_ref()
        .context("the configuration has no [audit.clickhouse]")?;
    if args.print {
        write!(out, "{}", script(&clickhouse.database))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut clickhouse = clickhouse.clone();
    if let Some(user) = &args.user {
        clickhouse.user.clone_from(user);
        clickhouse.password = args
            .password
            .as_deref()
            .map(|text| SecretRef::parse(text, Path::new("")))
            .transpose()
            .map_err(anyhow::Error::msg)
            .context("--password")?;
    }
    let server = warehouse::server(&clickhouse)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let applied = runtime
        .block_on(migrate(&server))
        .with_context(|| server.url.clone())?;
    if applied.is_empty() {
        writeln!(out, "nothing to do: the schema is up to date")?;
    }
    for name in applied {
        writeln!(out, "applied {name}")?;
    }
    Ok(ExitCode::SUCCESS)
}
