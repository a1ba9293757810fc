//! The fleet's store: rows in ClickHouse, sent as sealed ranges that may be sent again.

mod cursor;
mod failure;
mod rows;
mod schema;
mod sink;
mod source;
#[cfg(test)]
pub(crate) mod tests;
mod version;

use std::time::Duration;

use clickhouse::{Client, Compression};

use crate::domain::Secret;

pub use failure::Failure;
pub use schema::{MigrateError, Migration, migrate, migrations, script};
pub use sink::ClickHouseSink;
pub use source::Warehouse;

/// A ClickHouse server and whom we are to it.
#[derive(Clone)]
pub struct Server {
    /// `http://…` or `https://…`, without a password.
    pub url: String,
    pub database: String,
    pub user: String,
    pub password: Option<Secret<String>>,
    /// How long it may take for one chunk of an insert, and for its answer.
    pub timeout: Duration,
}

impl Server {
    fn client(&self) -> Client {
        let client = Client::default()
            .with_url(&self.url)
            .with_user(&self.user)
            .with_compression(Compression::Lz4);
        match &self.password {
            Some(password) => client.with_password(password.expose()),
            None => client,
        }
    }

    /// A table's full name, quoted.
    fn table(&self, name: &str) -> String {
        format!("`{}`.`{name}`", self.database.replace(['`', '\\'], "_"))
    }
}
