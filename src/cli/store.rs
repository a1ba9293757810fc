//! Which store a listing reads.

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::app::warehouse;
use crate::audit::clickhouse::Warehouse;
use crate::audit::query::{Chain, Source};
use crate::audit::sqlite::Archive;
use crate::config::Settings;

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum StoreName {
    /// The month files in the state directory.
    #[default]
    Sqlite,
    /// The server under [audit.clickhouse]: the rows of all nodes.
    Clickhouse,
}

/// Where to read.
#[derive(Clone, Copy, Debug, Args)]
pub struct StoreArg {
    /// Where rows are read from
    #[arg(long, value_enum, default_value_t)]
    store: StoreName,
}

impl StoreArg {
    /// # Errors
    /// When the store cannot be opened.
    pub fn open(&self, settings: &Settings) -> anyhow::Result<Store> {
        match self.store {
            StoreName::Sqlite => Ok(Store::Sqlite(Archive::open(&settings.state.dir)?)),
            StoreName::Clickhouse => {
                let clickhouse = settings.audit.clickhouse.as_ref();
                let named = clickhouse.context("the configuration has no [audit.clickhouse]")?;
                let server = warehouse::server(named)?;
                Ok(Store::ClickHouse(Box::new(Warehouse::new(server)?)))
            }
        }
    }
}

/// An open store.
pub enum Store {
    Sqlite(Archive),
    ClickHouse(Box<Warehouse>),
}

impl Store {
    pub fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Sqlite(archive) => archive,
            Self::ClickHouse(warehouse) => &mut **warehouse,
        }
    }

    pub fn chain(&mut self) -> &mut dyn Chain {
        match self {
            Self::Sqlite(archive) => archive,
            Self::ClickHouse(warehouse) => &mut **warehouse,
        }
    }
}
