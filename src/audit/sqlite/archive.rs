//! Reading the month files: pages by time, sums, and rows in the order of the chain.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row, params_from_iter};
use uuid::Uuid;

use super::{Month, months, names, open_read_only};
use crate::audit::chain::Seal;
use crate::audit::entry::{COLUMNS, Cell, Entry, Kind};
use crate::audit::query::{
    Bound, By, Chain, Filter, INPUT, OUTPUT, Order, QueryError, Source, Sum,
};
use crate::audit::record::{Place, Record};
use crate::domain::{Moment, Usd};

/// Each boot with its last row's number. It goes from boot to boot by the index; grouping would read all of it.
const ENDS: &str = "WITH RECURSIVE boots (boot) AS (
    SELECT min(boot) FROM audit
    UNION ALL
    SELECT (SELECT min(boot) FROM audit WHERE boot > boots.boot) FROM boots WHERE boot IS NOT NULL)
SELECT boot, (SELECT max(seq) FROM audit WHERE audit.boot = boots.boot) FROM boots WHERE boot IS NOT NULL";

/// The month files of a state directory, opened for reading only: a running gateway is not in the way.
pub struct Archive {
    files: Vec<(Month, PathBuf, Connection)>,
}

impl Archive {
    /// # Errors
    /// When the directory or a file in it cannot be read.
    pub fn open(state: &Path) -> Result<Self, QueryError> {
        let list = months(state).map_err(|source| {
            QueryError::Log(crate::audit::log::LogError::Io {
                path: state.to_owned(),
                source,
            })
        })?;
        let mut files = Vec::new();
        for month in list {
            let path = month.path(state);
            let db = open_read_only(&path).map_err(failed(&path))?;
            // The sink has made the file and not yet its tables: there are no rows.
            if db.table_exists(None, "audit").map_err(failed(&path))? {
                files.push((month, path, db));
            }
        }
        Ok(Self { files })
    }

    /// Files that may hold rows of this time, in the order asked for.
    fn files(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Place>,
    ) -> Vec<&(Month, PathBuf, Connection)> {
        let month = |at: Moment| Month::of(at.micros().unsigned_abs());
        let mut first = filter.since.map(month);
        let mut last = filter.until.map(month);
        match (after.map(|place| Month::of(place.at)), order) {
            (Some(at), Order::Oldest) => first = first.max(Some(at)),
            (Some(at), Order::Newest) => last = Some(last.map_or(at, |last| last.min(at))),
            (None, _) => {}
        }
        let mut files: Vec<_> = self
            .files
            .iter()
            .filter(|(month, ..)| first.is_none_or(|first| *month >= first))
            .filter(|(month, ..)| last.is_none_or(|last| *month <= last))
            .collect();
        if order == Order::Newest {
            files.reverse();
        }
        files
    }
}

fn failed(path: &Path) -> impl Fn(rusqlite::Error) -> QueryError + '_ {
    move |source| QueryError::Sqlite {
        path: path.to_owned(),
        source,
    }
}

/// The filter's SQL with the values to bind; the first free number is one more than there are values.
fn conditions(filter: &Filter) -> (String, Vec<Value>) {
    let mut values = Vec::new();
    let sql = filter.sql(|bound| {
        values.push(match bound {
            Bound::Time(at) => Value::Integer(at.micros()),
            Bound::Whole(number) => Value::Integer(number.cast_signed()),
            Bound::Id(id) => Value::Text(id.to_string()),
            Bound::Text(text) => Value::Text(text),
        });
        format!("?{}", values.len())
    });
    (sql, values)
}

fn whole(value: ValueRef<'_>) -> Option<u64> {
    value
        .as_i64()
        .ok()
        .and_then(|number| number.try_into().ok())
}

fn cell(kind: Kind, value: ValueRef<'_>) -> Option<Cell<'static>> {
    Some(match kind {
        Kind::Text | Kind::Word => Cell::Text(Cow::Owned(value.as_str().ok()?.to_owned())),
        Kind::Whole | Kind::Time | Kind::Money => Cell::Whole(whole(value)?),
        Kind::Maybe if matches!(value, ValueRef::Null) => Cell::Maybe(None),
        Kind::Maybe => Cell::Maybe(Some(whole(value)?)),
        Kind::Flag => Cell::Flag(match value.as_i64().ok()? {
            0 => false,
            1 => true,
            _ => return None,
        }),
        Kind::Id => Cell::Id(Uuid::try_parse(value.as_str().ok()?).ok()?),
    })
}

fn record(path: &Path, row: &Row<'_>) -> Result<Record<'static>, QueryError> {
    let failed = failed(path);
    let boot: Vec<u8> = row.get(0).map_err(&failed)?;
    let seq: i64 = row.get(1).map_err(&failed)?;
    let mut record = Record {
        boot: Uuid::from_slice(&boot).unwrap_or_default(),
        seq: seq.unsigned_abs(),
        ..Record::default()
    };
    let bad = |reason| QueryError::Row {
        path: path.to_owned(),
        boot: Uuid::from_slice(&boot).unwrap_or_default(),
        seq: seq.unsigned_abs(),
        reason,
    };
    let hash = |index| -> Result<[u8; 32], QueryError> {
        let bytes: Vec<u8> = row.get(index).map_err(&failed)?;
        bytes
            .try_into()
            .map_err(|_| bad("a hash that is not 32 bytes"))
    };
    (record.before, record.hash) = (hash(2)?, hash(3)?);
    let mut entry = Entry::default();
    for (index, column) in COLUMNS.iter().enumerate() {
        let value = row.get_ref(index + 4).map_err(&failed)?;
        let cell = cell(column.kind, value).ok_or_else(|| bad(column.name))?;
        entry
            .set(index, cell)
            .map_err(|malformed| bad(malformed.0))?;
    }
    record.entry = entry;
    Ok(record)
}

fn records(
    (_, path, db): &(Month, PathBuf, Connection),
    sql: &str,
    values: &[Value],
    out: &mut Vec<Record<'static>>,
) -> Result<(), QueryError> {
    let mut statement = db.prepare_cached(sql).map_err(failed(path))?;
    let mut rows = statement
        .query(params_from_iter(values))
        .map_err(failed(path))?;
    while let Some(row) = rows.next().map_err(failed(path))? {
        out.push(record(path, row)?);
    }
    Ok(())
}

/// The SQL of a group's name.
fn group(by: By) -> String {
    match by {
        By::Team => "team".to_owned(),
        By::User => "team || '/' || \"user\"".to_owned(),
        By::Key => "\"key\"".to_owned(),
        By::Model => "priced_as".to_owned(),
        By::Day => "strftime('%Y-%m-%d', at / 1000000, 'unixepoch')".to_owned(),
        By::Context => format!(
            "CASE WHEN {INPUT} < 8000 THEN 'below 8K' WHEN {INPUT} < 32000 THEN '8K to 32K' \
             WHEN {INPUT} < 100000 THEN '32K to 100K' WHEN {INPUT} < 500000 THEN '100K to 500K' \
             ELSE '500K and above' END"
        ),
    }
}

impl Source for Archive {
    fn page(
        &mut self,
        filter: &Filter,
        order: Order,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Record<'static>>, QueryError> {
        let (mut sql, mut values) = conditions(filter);
        let (sign, direction) = match order {
            Order::Oldest => (">", ""),
            Order::Newest => ("<", " DESC"),
        };
        if let Some(place) = after {
            let next = values.len();
            sql = format!(
                "{sql} AND (at, boot, seq) {sign} (?{}, ?{}, ?{})",
                next + 1,
                next + 2,
                next + 3
            );
            values.push(Value::Integer(place.at.cast_signed()));
            values.push(Value::Blob(place.boot.as_bytes().to_vec()));
            values.push(Value::Integer(place.seq.cast_signed()));
        }
        let names = names();
        let mut page = Vec::new();
        for file in self.files(filter, order, after) {
            let left = limit.saturating_sub(page.len());
            if left == 0 {
                break;
            }
            let sql = format!(
                "SELECT {names} FROM audit WHERE {sql} \
                 ORDER BY at{direction}, boot{direction}, seq{direction} LIMIT {left}"
            );
            records(file, &sql, &values, &mut page)?;
        }
        Ok(page)
    }

    fn sums(&mut self, filter: &Filter, by: By) -> Result<Vec<Sum>, QueryError> {
        let (conditions, values) = conditions(filter);
        let group = group(by);
        let sql = format!(
            "SELECT {group} AS name, count(*), sum(status >= 400 OR decision = 'lost'), sum(cost_nanos), \
             sum({INPUT}), sum({OUTPUT}), sum(latency_us) \
             FROM audit WHERE {conditions} AND kind = 'request' GROUP BY name"
        );
        let mut groups: BTreeMap<String, Sum> = BTreeMap::new();
        for (_, path, db) in self.files(filter, Order::Oldest, None) {
            let mut statement = db.prepare(&sql).map_err(failed(path))?;
            let mut rows = statement
                .query(params_from_iter(&values))
                .map_err(failed(path))?;
            while let Some(row) = rows.next().map_err(failed(path))? {
                let part = sum(row).map_err(failed(path))?;
                groups
                    .entry(part.group.clone())
                    .or_insert_with(|| Sum {
                        group: part.group.clone(),
                        ..Sum::default()
                    })
                    .add(&part);
            }
        }
        Ok(groups.into_values().collect())
    }
}

impl Chain for Archive {
    fn boots(&mut self) -> Result<Vec<Uuid>, QueryError> {
        let mut boots = Vec::new();
        for (_, path, db) in &self.files {
            let list: Vec<Vec<u8>> = db
                .prepare("SELECT DISTINCT boot FROM audit")
                .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
                .map_err(failed(path))?;
            boots.extend(
                list.iter()
                    .map(|boot| Uuid::from_slice(boot).unwrap_or_default()),
            );
        }
        // Boots are UUIDs of version 7: sorted, they are in the order of time.
        boots.sort_unstable();
        boots.dedup();
        Ok(boots)
    }

    fn ends(&mut self) -> Result<Vec<(Uuid, u64)>, QueryError> {
        let mut ends: BTreeMap<Uuid, u64> = BTreeMap::new();
        for (_, path, db) in &self.files {
            let read = |row: &Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?));
            let list: Vec<(Vec<u8>, i64)> = db
                .prepare_cached(ENDS)
                .and_then(|mut statement| statement.query_map([], read)?.collect())
                .map_err(failed(path))?;
            for (boot, last) in list {
                let end = ends
                    .entry(Uuid::from_slice(&boot).unwrap_or_default())
                    .or_default();
                *end = (*end).max(last.unsigned_abs() + 1);
            }
        }
        Ok(ends.into_iter().collect())
    }

    fn chain(
        &mut self,
        boot: Uuid,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Record<'static>>, QueryError> {
        let names = names();
        let sql = format!(
            "SELECT {names} FROM audit WHERE boot = ?1 AND seq >= ?2 ORDER BY seq LIMIT {limit}"
        );
        let values = [
            Value::Blob(boot.as_bytes().to_vec()),
            Value::Integer(from.cast_signed()),
        ];
        let mut found = Vec::new();
        for file in &self.files {
            records(file, &sql, &values, &mut found)?;
        }
        // Around the turn of a month, rows of one boot lie in two files.
        found.sort_by_key(|record| record.seq);
        found.truncate(limit);
        Ok(found)
    }

    fn seals(&mut self) -> Result<Vec<Seal>, QueryError> {
        let mut seals = Vec::new();
        for (_, path, db) in &self.files {
            let mut statement = db
                .prepare("SELECT boot, seq, hash, at, signature FROM seals ORDER BY at")
                .map_err(failed(path))?;
            let list = statement
                .query_map([], |row| {
                    Ok(Seal {
                        boot: Uuid::from_bytes(row.get(0)?),
                        seq: row.get::<_, i64>(1)?.unsigned_abs(),
                        hash: row.get(2)?,
                        at: Moment::from_micros(row.get(3)?),
                        signature: row.get(4)?,
                    })
                })
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(failed(path))?;
            seals.extend(list);
        }
        Ok(seals)
    }
}

fn sum(row: &Row<'_>) -> rusqlite::Result<Sum> {
    let whole = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
    Ok(Sum {
        group: row.get(0)?,
        requests: whole(1)?,
        errors: whole(2)?,
        cost: Usd::from_nanos(whole(3)?),
        input: whole(4)?,
        output: whole(5)?,
        latency_us: whole(6)?,
    })
}
