//! The database's tables, and the way from each version of them to the next.

use rusqlite::{Connection, TransactionBehavior};

use super::DirectoryError;

/// One script for each version, in order; `PRAGMA user_version` counts those that have run. Never edit one that shipped.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
    CREATE TABLE teams (name TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
    CREATE TABLE users (
        team TEXT NOT NULL REFERENCES teams (name) ON DELETE CASCADE,
        name TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (team, name)
    ) STRICT;
    CREATE TABLE budgets (
        id TEXT PRIMARY KEY,
        team TEXT, user TEXT, key TEXT,
        window TEXT NOT NULL,
        record TEXT NOT NULL,
        revision INTEGER NOT NULL
    ) STRICT;
    -- Totals of one period, as decimal dollars.
    CREATE TABLE amendments (
        budget TEXT NOT NULL,
        period INTEGER NOT NULL,
        granted TEXT NOT NULL,
        charged TEXT NOT NULL,
        credited TEXT NOT NULL,
        PRIMARY KEY (budget, period)
    ) STRICT;
    -- Keys are never deleted: the audit names them. Moments are microseconds since 1970.
    CREATE TABLE keys (
        id TEXT PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
        team TEXT NOT NULL,
        user TEXT,
        record TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER,
        revoked INTEGER
    ) STRICT;
    CREATE TABLE history (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        who TEXT NOT NULL,
        what TEXT NOT NULL
    ) STRICT;
"];

/// Brings a database to this program's version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), DirectoryError> {
    let known = MIGRATIONS.len();
    if version(connection)? == known {
        return Ok(());
    }
    // Another process may be doing the same: look again once the database is ours.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = version(&transaction)?;
    if done > known {
        return Err(DirectoryError::Newer { found: done, known });
    }
    for script in &MIGRATIONS[done..] {
        transaction.execute_batch(script)?;
    }
    transaction.pragma_update(
        None,
        "user_version",
        i64::try_from(known).unwrap_or(i64::MAX),
    )?;
    transaction.commit()?;
    Ok(())
}

fn version(connection: &Connection) -> Result<usize, DirectoryError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    usize::try_from(version)
        .map_err(|_| DirectoryError::Corrupt("user_version is negative".to_owned()))
}
