//! Whether a server can be trusted to take a range once: it must know deduplication tokens, and its tables must heed
//! them. A server that is too old, or a table that somebody changed, would double rows instead of saying so.

use std::fmt;

use clickhouse::Client;
use clickhouse::error::Error;

/// Year and month of a server's release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32);

/// Deduplication tokens on tables that are not replicated: without them a range whose answer was lost comes twice.
pub const OLDEST: Version = Version(22, 3);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Version {
    /// Reads `26.9.1.7`, and whatever a vendor puts behind it.
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('.');
        let (year, month) = (parts.next()?, parts.next()?);
        Some(Self(year.parse().ok()?, month.parse().ok()?))
    }
}

/// The server's version where it is too old to be trusted with rows; `None` where it is not, or does not say.
///
/// # Errors
/// When the server does not answer.
pub async fn too_old(client: &Client) -> Result<Option<Version>, Error> {
    let bytes = client
        .query_raw("SELECT version()")
        .fetch_bytes("TabSeparated")?
        .collect()
        .await?;
    let version = Version::read(&String::from_utf8_lossy(&bytes));
    Ok(version.filter(|version| *version < OLDEST))
}

/// The first of these tables that would take the same rows twice; `None` where all drop what comes again, or are missing
/// (which the insert itself will say).
///
/// # Errors
/// When the server does not answer.
pub async fn doubling(client: &Client, database: &str) -> Result<Option<String>, Error> {
    let sql = format!(
        "SELECT name FROM system.tables WHERE database = '{}' AND name IN ('audit', 'seals') \
         AND engine NOT LIKE 'Replicated%' AND engine NOT LIKE 'Shared%' \
         AND NOT match(engine_full, 'non_replicated_deduplication_window = [1-9]') ORDER BY name",
        database.replace(['\'', '\\', '?'], "_")
    );
    let bytes = client
        .query_raw(&sql)
        .fetch_bytes("TabSeparated")?
        .collect()
        .await?;
    Ok(String::from_utf8_lossy(&bytes)
        .lines()
        .next()
        .map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_its_first_two_numbers() {
        for (text, version) in [
            ("26.9.1.7\n", Some(Version(26, 9))),
            ("18.16.1", Some(Version(18, 16))),
            ("24.8.14.10501.altinitystable", Some(Version(24, 8))),
            ("none", None),
            ("", None),
        ] {
            assert_eq!(Version::read(text), version, "{text}");
        }
        assert!(Version(22, 2) < OLDEST && Version(22, 10) > OLDEST && Version(23, 1) > OLDEST);
    }
}
