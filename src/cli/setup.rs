//! What most subcommands begin with: the configuration, the directory, and who is asking.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use clap::Args;

use crate::config::{self, Fault, Settings};
use crate::directory::Directory;

/// Which configuration to use.
#[derive(Clone, Debug, Args)]
pub struct ConfigArg {
    /// The configuration file
    #[arg(
        long,
        env = "TOLLGATE_CONFIG",
        default_value = "conf/tollgate.toml",
        value_name = "FILE"
    )]
    pub config: PathBuf,
}

impl ConfigArg {
    /// Reads the configuration.
    ///
    /// # Errors
    /// [`WrongConfiguration`] with every mistake in it.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        Ok(config::load(&self.config).map_err(WrongConfiguration)?)
    }

    /// Opens the directory that the configuration names.
    ///
    /// # Errors
    /// Mistakes of the configuration; a directory that cannot be opened.
    pub fn directory(&self) -> anyhow::Result<(Settings, Directory)> {
        let settings = self.settings()?;
        let directory = Directory::open(&settings.state.dir)?;
        Ok((settings, directory))
    }
}

/// A configuration with mistakes: one line for each, and exit status 78.
#[derive(Debug)]
pub struct WrongConfiguration(pub Vec<Fault>);

impl fmt::Display for WrongConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for WrongConfiguration {}

/// A command that means nothing, as only its values together or the directory show: exit status 2, as for clap's own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUse(pub &'static str);

/// Who runs the command, for the directory's history and the audit: the login behind `sudo`, else the user.
#[must_use]
pub fn operator() -> String {
    let named = |variable: &str| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let uid = || fs::metadata("/proc/self").map(|process| format!("uid {}", process.uid()));
    named("SUDO_USER")
        .or_else(|| named("USER"))
        .or_else(|| named("LOGNAME"))
        .or_else(|| uid().ok())
        .unwrap_or_else(|| "unknown".to_owned())
}
