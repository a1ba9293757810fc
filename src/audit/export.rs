//! Rows as CSV, NDJSON and Parquet: the same names and the same values, whichever store they come from.

mod parquet;

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::chain::hex;
use super::entry::{COLUMNS, Cell, Column, Kind};
use super::record::Record;
use crate::domain::Usd;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Ndjson,
    Parquet,
}

/// An export in the making: begin it, hand it rows, finish it.
pub enum Export<'a> {
    Csv(&'a mut dyn Write),
    Ndjson(&'a mut dyn Write),
    Parquet(Box<parquet::ParquetWriter<'a>>),
}

impl<'a> Export<'a> {
    /// # Errors
    /// When `out` does not take the beginning.
    pub fn begin(format: Format, out: &'a mut dyn Write) -> io::Result<Self> {
        Ok(match format {
            Format::Csv => {
                let names: Vec<String> = COLUMNS.iter().map(title).collect();
                writeln!(out, "{},boot,seq,prev_hash,row_hash", names.join(","))?;
                Self::Csv(out)
            }
            Format::Ndjson => Self::Ndjson(out),
            Format::Parquet => Self::Parquet(Box::new(parquet::ParquetWriter::new(out)?)),
        })
    }

    /// # Errors
    /// When `out` does not take the row.
    pub fn row(&mut self, record: &Record<'_>) -> io::Result<()> {
        match self {
            Self::Csv(out) => write_csv(record, out),
            Self::Ndjson(out) => write_ndjson(record, out),
            Self::Parquet(writer) => writer.row(record),
        }
    }

    /// # Errors
    /// When `out` does not take the end.
    pub fn finish(self) -> io::Result<()> {
        match self {
            Self::Csv(out) | Self::Ndjson(out) => out.flush(),
            Self::Parquet(writer) => writer.finish(),
        }
    }
}

/// A column's name outside: money is told in dollars.
fn title(column: &Column) -> String {
    match column.name.strip_suffix("_nanos") {
        Some(name) if column.kind == Kind::Money => format!("{name}_usd"),
        _ => column.name.to_owned(),
    }
}

/// Microseconds since 1970 as RFC 3339.
#[must_use]
pub fn time(micros: u64) -> String {
    i64::try_from(micros)
        .ok()
        .and_then(|micros| Timestamp::from_microsecond(micros).ok())
        .map_or_else(|| micros.to_string(), |at| at.to_string())
}

/// The findings of a row, `category:count:action,…`, taken apart.
pub fn found(text: &str) -> impl Iterator<Item = (&str, u64, &str)> {
    text.split(',').filter_map(|part| {
        let mut parts = part.splitn(3, ':');
        let (category, count, action) = (parts.next()?, parts.next()?, parts.next()?);
        Some((category, count.parse().ok()?, action))
    })
}

fn findings(text: &str) -> Value {
    found(text)
        .map(|(category, count, action)| json!({ "category": category, "count": count, "action": action }))
        .collect()
}

/// One row as a JSON object.
#[must_use]
pub fn object(record: &Record<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    for (column, cell) in COLUMNS.iter().zip(record.entry.cells()) {
        let value = match (column.kind, cell) {
            (Kind::Time, Cell::Whole(micros)) => time(micros).into(),
            (Kind::Money, Cell::Whole(nanos)) => Usd::from_nanos(nanos).to_string().into(),
            (_, Cell::Text(text)) if column.name == "findings" => findings(&text),
            (_, Cell::Text(text)) => text.into_owned().into(),
            (_, Cell::Whole(number)) => number.into(),
            (_, Cell::Maybe(number)) => number.into(),
            (_, Cell::Flag(flag)) => flag.into(),
            (_, Cell::Id(id)) => id.to_string().into(),
        };
        object.insert(title(column), value);
    }
    object.insert("boot".to_owned(), record.boot.to_string().into());
    object.insert("seq".to_owned(), record.seq.into());
    object.insert("prev_hash".to_owned(), hex(&record.before).into());
    object.insert("row_hash".to_owned(), hex(&record.hash).into());
    object
}

/// One row, as one line of JSON.
///
/// # Errors
/// When `out` does not take it.
pub fn write_ndjson(record: &Record<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", Value::Object(object(record)))
}

fn write_csv(record: &Record<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut line = String::new();
    for (column, cell) in COLUMNS.iter().zip(record.entry.cells()) {
        match (column.kind, cell) {
            (Kind::Time, Cell::Whole(micros)) => line.push_str(&time(micros)),
            (Kind::Money, Cell::Whole(nanos)) => {
                line.push_str(&Usd::from_nanos(nanos).to_string());
            }
            (_, Cell::Text(text)) => push_csv(&mut line, &text),
            (_, Cell::Whole(number) | Cell::Maybe(Some(number))) => {
                line.push_str(&number.to_string());
            }
            (_, Cell::Maybe(None)) => {}
            (_, Cell::Flag(flag)) => line.push_str(if flag { "true" } else { "false" }),
            (_, Cell::Id(id)) => line.push_str(&id.to_string()),
        }
        line.push(',');
    }
    let (before, hash) = (hex(&record.before), hex(&record.hash));
    writeln!(out, "{line}{},{},{before},{hash}", record.boot, record.seq)
}

/// A text as a CSV cell. One that a spreadsheet would take for a formula gets an apostrophe before it.
fn push_csv(line: &mut String, text: &str) {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|', '%']);
    let quoted = formula || text.contains([',', '"', '\n', '\r']);
    if quoted {
        line.push('"');
        if formula {
            line.push('\'');
        }
        line.push_str(&text.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::Entry;

    fn record() -> Record<'static> {
        Record {
            seq: 3,
            entry: Entry {
                at: 1_790_000_000_000_001,
                model: "=HYPERLINK(\"http://x\",\"y\")".into(),
                user_agent: "a, b".into(),
                findings: "github_token:2:redact,private_key:1:block".into(),
                cost_nanos: 12_500_000,
                ..Entry::default()
            },
            ..Record::default()
        }
    }

    #[test]
    fn a_csv_line_holds_no_formula_and_as_many_cells_as_its_head() {
        let mut out = Vec::new();
        let mut export = Export::begin(Format::Csv, &mut out).unwrap();
        export.row(&record()).unwrap();
        export.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        let (head, line) = text.split_once('\n').unwrap();
        assert!(line.contains(",\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\","));
        assert!(line.contains(",0.0125,"));
        let quoted_commas = 3;
        assert_eq!(
            line.matches(',').count(),
            head.matches(',').count() + quoted_commas
        );
        for start in ["=", "+", "-", "@", "\t"] {
            let mut cell = String::new();
            push_csv(&mut cell, &format!("{start}1"));
            assert!(cell.starts_with("\"'"), "{cell}");
        }
    }

    #[test]
    fn a_json_row_says_dollars_times_and_findings_in_the_open() {
        let object = object(&record());
        assert_eq!(object["cost_usd"], "0.0125");
        assert_eq!(object["at"], "2026-09-21T14:13:20.000001Z");
        assert_eq!(object["findings"][1]["action"], "block");
        assert_eq!(object["first_byte_us"], Value::Null);
        assert_eq!(object.len(), COLUMNS.len() + 4);
    }
}
