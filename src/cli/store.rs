//! Which store a listing reads.

use clap::{Args, ValueEnum};

use crate::audit::query::{Chain, Source};
use crate::audit::sqlite::Archive;
use crate::config::Settings;

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum StoreName {
    /// The month files in the state directory.
    #[default]
    Sqlite,
}

/// Where to read.
#[derive(Clone, Copy, Debug, Args)]
pub struct StoreArg {
    #[arg(long, value_enum, default_value_t)]
    store: StoreName,
}

impl StoreArg {
    /// # Errors
    /// When the store cannot be opened.
    pub fn open(&self, settings: &Settings) -> anyhow::Result<Store> {
        match self.store {
            StoreName::Sqlite => Ok(Store::Sqlite(Archive::open(&settings.state.dir)?)),
        }
    }
}

/// An open store.
pub enum Store {
    Sqlite(Archive),
}

impl Store {
    pub fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Sqlite(archive) => archive,
        }
    }

    pub fn chain(&mut self) -> &mut dyn Chain {
        match self {
            Self::Sqlite(archive) => archive,
        }
    }
}
