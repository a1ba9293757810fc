//! From the configuration to the ClickHouse server that it names: for the running gateway and for the command line.

use crate::audit::clickhouse::Server;
use crate::config::{ClickHouse, SecretError};

/// # Errors
/// When the password cannot be fetched.
pub fn server(settings: &ClickHouse) -> Result<Server, SecretError> {
    Ok(Server {
        url: settings.url.clone(),
        database: settings.database.clone(),
        user: settings.user.clone(),
        timeout: settings.timeout,
        password: settings
            .password
            .as_ref()
            .map(crate::config::SecretRef::resolve_here)
            .transpose()?,
    })
}
