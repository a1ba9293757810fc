//! The configuration: a file in, [`Settings`] or every mistake with its place out.
//!
//! Reads that one file and nothing else: price tables, rules and the directory are opened by whoever builds the
//! gateway, from the paths in the settings. Secrets stay references here ([`SecretRef`]); settings are never
//! serialised.

mod address;
mod audit;
mod budget;
mod file;
mod fleet;
mod provider;
mod refusal;
mod secret_ref;
mod settings;
mod sources;

use std::fs;
use std::path::Path;

pub use crate::document::Fault;
pub use address::Address;
pub use secret_ref::{SecretError, SecretRef};
pub use settings::*;
pub use sources::Source;

/// Reads a configuration file.
///
/// # Errors
/// Every mistake in it, or the one that the file cannot be read.
pub fn load(path: &Path) -> Result<Settings, Vec<Fault>> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|error| vec![Fault::of_file(&name, format!("cannot be read: {error}"))])?;
    let base = path.parent().unwrap_or(Path::new(""));
    parse(&name, &text, base)
}

/// Reads the text of a configuration file. Every relative path in it counts from `base`, the folder of the file.
///
/// # Errors
/// Every mistake in it.
pub fn parse(name: &str, text: &str, base: &Path) -> Result<Settings, Vec<Fault>> {
    crate::document::read(name, text, |top| file::settings(top, base))
}

#[cfg(test)]
mod tests;
