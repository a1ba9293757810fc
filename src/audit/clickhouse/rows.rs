//! Rows in ClickHouse's binary formats, from the table of columns.
//!
//! Inserts name their columns and types (`RowBinaryWithNamesAndTypes`): a table that somebody changed refuses them,
//! where plain `RowBinary` would take one column's bytes for another's.

use std::borrow::Cow;

use uuid::Uuid;

use crate::audit::chain::Seal;
use crate::audit::entry::{COLUMNS, Cell, Entry, Kind};
use crate::audit::record::Record;
use crate::audit::wire::{Malformed, put_varint, take_bytes, take_varint};

/// The columns before those of [`COLUMNS`], with their types.
const PLACE: [(&str, &str); 4] = [
    ("boot", "UUID"),
    ("seq", "UInt64"),
    ("prev_hash", "FixedString(32)"),
    ("row_hash", "FixedString(32)"),
];
const SEAL: [(&str, &str); 5] = [
    ("boot", "UUID"),
    ("seq", "UInt64"),
    ("hash", "FixedString(32)"),
    ("at", "DateTime64(6, 'UTC')"),
    ("signature", "FixedString(64)"),
];

/// The type of a column's values on the wire.
#[must_use]
pub const fn column_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "String",
        Kind::Word => "LowCardinality(String)",
        Kind::Whole | Kind::Money => "UInt64",
        Kind::Maybe => "Nullable(UInt64)",
        Kind::Flag => "Bool",
        Kind::Id => "UUID",
        Kind::Time => "DateTime64(6, 'UTC')",
    }
}

fn columns() -> impl Iterator<Item = (&'static str, &'static str)> {
    let entry = COLUMNS
        .iter()
        .map(|column| (column.name, column_type(column.kind)));
    PLACE.into_iter().chain(entry)
}

/// All columns' names, quoted, in the order in which [`read`] takes them.
pub fn names() -> String {
    let names: Vec<String> = columns().map(|(name, _)| format!("`{name}`")).collect();
    names.join(", ")
}

fn head(out: &mut Vec<u8>, columns: &[(&str, &str)]) {
    put_varint(out, columns.len() as u64);
    for (name, _) in columns {
        put_text(out, name);
    }
    for (_, kind) in columns {
        put_text(out, kind);
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// ClickHouse keeps a UUID as two numbers, each with its lowest byte first.
fn put_id(out: &mut Vec<u8>, id: Uuid) {
    let (high, low) = id.as_u64_pair();
    out.extend_from_slice(&high.to_le_bytes());
    out.extend_from_slice(&low.to_le_bytes());
}

fn put_cell(out: &mut Vec<u8>, cell: Cell<'_>) {
    match cell {
        Cell::Text(text) => put_text(out, &text),
        Cell::Whole(number) => out.extend_from_slice(&number.to_le_bytes()),
        Cell::Maybe(None) => out.push(1),
        Cell::Maybe(Some(number)) => {
            out.push(0);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Cell::Flag(flag) => out.push(flag.into()),
        Cell::Id(id) => put_id(out, id),
    }
}

/// Rows as one insert's body.
#[must_use]
pub fn write(records: &[Record<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2048 + records.len() * 512);
    head(&mut out, &columns().collect::<Vec<_>>());
    for record in records {
        put_id(&mut out, record.boot);
        out.extend_from_slice(&record.seq.to_le_bytes());
        out.extend_from_slice(&record.before);
        out.extend_from_slice(&record.hash);
        for cell in record.entry.cells() {
            put_cell(&mut out, cell);
        }
    }
    out
}

/// Seals as one insert's body.
#[must_use]
pub fn write_seals(seals: &[Seal]) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, &SEAL);
    for seal in seals {
        put_id(&mut out, seal.boot);
        out.extend_from_slice(&seal.seq.to_le_bytes());
        out.extend_from_slice(&seal.hash);
        out.extend_from_slice(&seal.at.micros().to_le_bytes());
        out.extend_from_slice(&seal.signature);
    }
    out
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (bytes, after) = rest
        .split_first_chunk::<N>()
        .ok_or(Malformed("an answer that breaks off"))?;
    *rest = after;
    Ok(*bytes)
}

pub fn take_whole(rest: &mut &[u8]) -> Result<u64, Malformed> {
    take(rest).map(u64::from_le_bytes)
}

pub fn take_id(rest: &mut &[u8]) -> Result<Uuid, Malformed> {
    Ok(Uuid::from_u64_pair(take_whole(rest)?, take_whole(rest)?))
}

pub fn take_text(rest: &mut &[u8]) -> Result<String, Malformed> {
    let length = take_varint(rest)?;
    let bytes = take_bytes(rest, length)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Malformed("text that is not UTF-8"))
}

fn take_cell(kind: Kind, rest: &mut &[u8]) -> Result<Cell<'static>, Malformed> {
    Ok(match kind {
        Kind::Text | Kind::Word => Cell::Text(Cow::Owned(take_text(rest)?)),
        Kind::Whole | Kind::Money | Kind::Time => Cell::Whole(take_whole(rest)?),
        Kind::Maybe => match take::<1>(rest)? {
            [0] => Cell::Maybe(Some(take_whole(rest)?)),
            _ => Cell::Maybe(None),
        },
        Kind::Flag => Cell::Flag(take::<1>(rest)? != [0]),
        Kind::Id => Cell::Id(take_id(rest)?),
    })
}

/// Takes one row off an answer in `RowBinary`, whose columns are those of [`names`].
pub fn read(rest: &mut &[u8]) -> Result<Record<'static>, Malformed> {
    let mut record = Record {
        boot: take_id(rest)?,
        seq: take_whole(rest)?,
        before: take(rest)?,
        hash: take(rest)?,
        entry: Entry::default(),
    };
    for (index, column) in COLUMNS.iter().enumerate() {
        record.entry.set(index, take_cell(column.kind, rest)?)?;
    }
    Ok(record)
}

/// Takes one seal off an answer: boot, number, hash, time, signature.
pub fn read_seal(rest: &mut &[u8]) -> Result<Seal, Malformed> {
    Ok(Seal {
        boot: take_id(rest)?,
        seq: take_whole(rest)?,
        hash: take(rest)?,
        at: crate::domain::Moment::from_micros(i64::from_le_bytes(take(rest)?)),
        signature: take(rest)?,
    })
}
