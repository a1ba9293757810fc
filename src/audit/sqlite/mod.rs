//! The embedded store: one SQLite file for each month, made and extended from the table of columns.

mod archive;
mod sink;
#[cfg(test)]
mod tests;

use std::fs;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OpenFlags, Statement, TransactionBehavior, params_from_iter};

use super::entry::{COLUMNS, Cell, Kind};
use super::log::Position;
use super::record::Record;

pub use archive::Archive;
pub use sink::SqliteSink;

/// A calendar month of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Month {
    pub year: i16,
    pub month: i8,
}

impl Month {
    /// The month of a time in microseconds; one that no calendar holds falls into the last month of 9999.
    #[must_use]
    pub fn of(micros: u64) -> Self {
        let at = i64::try_from(micros)
            .ok()
            .and_then(|micros| Timestamp::from_microsecond(micros).ok())
            .unwrap_or(Timestamp::MAX);
        let date = at.to_zoned(TimeZone::UTC).date();
        Self {
            year: date.year(),
            month: date.month(),
        }
    }

    /// The file of this month.
    #[must_use]
    pub fn path(self, state: &Path) -> PathBuf {
        state.join(format!("audit-{:04}-{:02}.db", self.year, self.month))
    }

    fn read(name: &str) -> Option<Self> {
        let digits = name.strip_prefix("audit-")?.strip_suffix(".db")?;
        let (year, month) = digits.split_once('-')?;
        Some(Self {
            year: year.parse().ok()?,
            month: month
                .parse()
                .ok()
                .filter(|month| (1..=12).contains(month))?,
        })
    }
}

/// The months that have a file, oldest first.
///
/// # Errors
/// When the directory cannot be read.
pub fn months(state: &Path) -> std::io::Result<Vec<Month>> {
    let mut months = Vec::new();
    for file in fs::read_dir(state)? {
        months.extend(file?.file_name().to_str().and_then(Month::read));
    }
    months.sort_unstable();
    Ok(months)
}

fn column_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Word | Kind::Id => "TEXT NOT NULL DEFAULT ''",
        Kind::Whole | Kind::Flag | Kind::Time | Kind::Money => "INTEGER NOT NULL DEFAULT 0",
        Kind::Maybe => "INTEGER",
    }
}

/// Names of all columns, quoted, in the order in which [`insert`] binds and [`archive`] reads them.
fn names() -> String {
    let names: Vec<String> = ["boot", "seq", "before", "hash"]
        .into_iter()
        .chain(COLUMNS.iter().map(|column| column.name))
        .map(|name| format!("\"{name}\""))
        .collect();
    names.join(", ")
}

/// Opens a month's file for writing; makes it, or adds the columns that this version has and the file has not.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    // Nobody else reads it; the write-ahead log's files take over the mode. What cannot be done here fails below.
    let _made = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .and_then(|file| file.set_permissions(fs::Permissions::from_mode(0o600)));
    let mut db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // A power cut may take the last commits, with the cursor that stands in the same file: they are read again from
    // the log, which keeps its segments long enough.
    db.pragma_update(None, "synchronous", "NORMAL")?;
    // In one piece: a reader sees no table, or a whole one.
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    change.execute_batch(
        "CREATE TABLE IF NOT EXISTS audit (
            boot BLOB NOT NULL, seq INTEGER NOT NULL, before BLOB NOT NULL, hash BLOB NOT NULL,
            UNIQUE (boot, seq));
         CREATE TABLE IF NOT EXISTS seals (
            boot BLOB NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL, at INTEGER NOT NULL,
            signature BLOB NOT NULL, UNIQUE (boot, seq, at));
         CREATE TABLE IF NOT EXISTS cursor (
            only INTEGER PRIMARY KEY CHECK (only = 1), segment INTEGER NOT NULL, offset INTEGER NOT NULL);",
    )?;
    let known: Vec<String> = change
        .prepare("SELECT name FROM pragma_table_info('audit')")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for column in COLUMNS {
        if !known.iter().any(|name| name == column.name) {
            let (name, kind) = (column.name, column_type(column.kind));
            change.execute_batch(&format!("ALTER TABLE audit ADD COLUMN \"{name}\" {kind};"))?;
        }
    }
    change.execute_batch(
        "CREATE INDEX IF NOT EXISTS audit_by_time ON audit (at, boot, seq);
         CREATE INDEX IF NOT EXISTS audit_by_team ON audit (team, at);
         CREATE INDEX IF NOT EXISTS audit_by_request ON audit (request);",
    )?;
    change.commit()?;
    Ok(db)
}

/// Opens a month's file for reading only.
fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.busy_timeout(Duration::from_secs(5))?;
    Ok(db)
}

/// The statement that writes a row, unless it stands there already.
fn insertion() -> String {
    let marks = vec!["?"; COLUMNS.len() + 4].join(", ");
    format!(
        "INSERT INTO audit ({}) VALUES ({marks}) ON CONFLICT DO NOTHING",
        names()
    )
}

fn whole(number: u64) -> ToSqlOutput<'static> {
    ToSqlOutput::Owned(Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)))
}

fn bound<'a>(cell: &'a Cell<'_>) -> ToSqlOutput<'a> {
    match cell {
        Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        Cell::Whole(number) => whole(*number),
        Cell::Maybe(number) => number.map_or(ToSqlOutput::Owned(Value::Null), whole),
        Cell::Flag(flag) => ToSqlOutput::Owned(Value::Integer((*flag).into())),
        Cell::Id(id) => ToSqlOutput::Owned(Value::Text(id.to_string())),
    }
}

/// Writes a row by [`insertion`].
fn insert(statement: &mut Statement<'_>, record: &Record<'_>) -> rusqlite::Result<()> {
    let place: [ToSqlOutput<'_>; 4] = [
        ToSqlOutput::Borrowed(ValueRef::Blob(record.boot.as_bytes())),
        whole(record.seq),
        ToSqlOutput::Borrowed(ValueRef::Blob(&record.before)),
        ToSqlOutput::Borrowed(ValueRef::Blob(&record.hash)),
    ];
    let cells = record.entry.cells();
    let values = place.into_iter().chain(cells.iter().map(bound));
    statement.execute(params_from_iter(values))?;
    Ok(())
}

fn cursor(db: &Connection) -> rusqlite::Result<Option<Position>> {
    use rusqlite::OptionalExtension as _;
    let read = |row: &rusqlite::Row<'_>| {
        let (segment, offset): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok(Position {
            segment: segment.unsigned_abs(),
            offset: offset.unsigned_abs(),
        })
    };
    db.query_row("SELECT segment, offset FROM cursor", [], read)
        .optional()
}

fn set_cursor(db: &Connection, position: Position) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO cursor (only, segment, offset) VALUES (1, ?, ?)
         ON CONFLICT (only) DO UPDATE SET segment = excluded.segment, offset = excluded.offset",
    )?
    .execute([
        position.segment.cast_signed(),
        position.offset.cast_signed(),
    ])?;
    Ok(())
}
