//! The schema, shipped as SQL in deploy/clickhouse and applied in order by `tollgate migrate`.

use clickhouse::error::Error;

use super::{Server, version};

/// One step of the schema: applied once, never changed afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    pub number: u32,
    pub name: &'static str,
    /// Statements, with `{database}` where the database's name goes.
    pub sql: &'static str,
}

/// Every step, in order.
#[must_use]
pub const fn migrations() -> &'static [Migration] {
    &[
        Migration {
            number: 1,
            name: "audit",
            sql: include_str!("../../../deploy/clickhouse/0001_audit.sql"),
        },
        Migration {
            number: 2,
            name: "rollups",
            sql: include_str!("../../../deploy/clickhouse/0002_rollups.sql"),
        },
        Migration {
            number: 3,
            name: "attempts",
            sql: include_str!("../../../deploy/clickhouse/0003_attempts.sql"),
        },
        Migration {
            number: 4,
            name: "upstream_request",
            sql: include_str!("../../../deploy/clickhouse/0004_upstream_request.sql"),
        },
    ]
}

/// Why the schema was not brought up to this version.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("ClickHouse: {0}")]
    Server(#[from] Error),
    #[error("ClickHouse {0} is too old; {oldest} is the oldest that drops rows that come twice", oldest = version::OLDEST)]
    TooOld(version::Version),
}

/// The statements of a file: without comments, without what follows the last semicolon.
fn statements(sql: &str) -> Vec<String> {
    let code: Vec<&str> = sql
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .collect();
    code.join("\n")
        .split(';')
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
        .map(str::to_owned)
        .collect()
}

fn quoted(database: &str) -> String {
    format!("`{}`", database.replace(['`', '\\'], "_"))
}

/// What every run begins with.
fn preface(database: &str) -> [String; 2] {
    [
        format!("CREATE DATABASE IF NOT EXISTS {database}"),
        format!(
            "CREATE TABLE IF NOT EXISTS {database}.migrations \
             (number UInt32, name String, applied DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY number"
        ),
    ]
}

/// Remembers that a step has been applied.
fn noted(database: &str, step: &Migration) -> String {
    format!(
        "INSERT INTO {database}.migrations (number, name) VALUES ({}, '{}')",
        step.number, step.name
    )
}

/// All that [`migrate`] runs on a server without a schema, for people to read or to run.
#[must_use]
pub fn script(database: &str) -> String {
    let database = quoted(database);
    let mut script = preface(&database).map(|one| one + ";\n").concat();
    for step in migrations() {
        script += "\n";
        script += &step.sql.replace("{database}", &database);
        script += &noted(&database, step);
        script += ";\n";
    }
    script
}

/// Applies what has not been applied yet, and returns the names of those steps. Each statement may be run again: a
/// migration that broke off is finished by the next run.
///
/// # Errors
/// What ClickHouse says to the first statement that failed; or that it is too old.
pub async fn migrate(server: &Server) -> Result<Vec<&'static str>, MigrateError> {
    let client = server.client();
    if let Some(version) = version::too_old(&client).await? {
        return Err(MigrateError::TooOld(version));
    }
    let database = quoted(&server.database);
    let run = async |sql: String| client.query_raw(&sql).execute().await;
    for statement in preface(&database) {
        run(statement).await?;
    }
    let known = client
        .query_raw(&format!(
            "SELECT DISTINCT number FROM {database}.migrations"
        ))
        .fetch_bytes("TabSeparated")?
        .collect()
        .await?;
    let known = String::from_utf8_lossy(&known).into_owned();
    let known: Vec<&str> = known.lines().collect();
    let mut applied = Vec::new();
    for step in migrations() {
        if known.contains(&step.number.to_string().as_str()) {
            continue;
        }
        for statement in statements(step.sql) {
            run(statement.replace("{database}", &database)).await?;
        }
        run(noted(&database, step)).await?;
        applied.push(step.name);
    }
    Ok(applied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::clickhouse::rows::column_type;
    use crate::audit::entry::COLUMNS;

    #[test]
    fn the_shipped_schema_has_every_column_with_its_type() {
        let sql: String = migrations().iter().map(|step| step.sql).collect();
        for column in COLUMNS {
            let found = sql.lines().any(|line| {
                let line = line.trim().trim_start_matches("ADD COLUMN IF NOT EXISTS ");
                let mut words = line.splitn(2, ' ');
                words.next() == Some(column.name)
                    && words
                        .next()
                        .is_some_and(|rest| rest.trim().starts_with(column_type(column.kind)))
            });
            assert!(found, "{} {}", column.name, column_type(column.kind));
        }
    }

    #[test]
    fn the_script_has_all_that_a_migration_runs() {
        let script = script("tollgate");
        let ran = statements(&script);
        let in_steps: usize = migrations()
            .iter()
            .map(|step| statements(step.sql).len())
            .sum();
        assert_eq!(ran.len(), 2 + in_steps + migrations().len());
        assert_eq!(ran[0], "CREATE DATABASE IF NOT EXISTS `tollgate`");
        assert!(ran[1].starts_with("CREATE TABLE IF NOT EXISTS `tollgate`.migrations"));
        let comments = script.lines().filter(|line| line.starts_with("--"));
        assert!(comments.clone().count() > 0);
        assert!(
            comments
                .into_iter()
                .all(|line| !line.contains("`tollgate`"))
        );
    }

    #[test]
    fn statements_come_without_comments() {
        let text = "-- a; b\nCREATE x;\n  -- c\nCREATE y\n(z);\n";
        assert_eq!(statements(text), ["CREATE x", "CREATE y\n(z)"]);
        assert_eq!(statements(migrations()[1].sql).len(), 6);
    }
}
