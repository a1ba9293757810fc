//! Rows as Parquet: the same columns, typed, compressed, in row groups, so that a file of any length needs the memory
//! of one group. Money is an exact decimal, a time a timestamp in UTC, an id a UUID.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use super::title;
use crate::audit::entry::{COLUMNS, Cell, Kind};
use crate::audit::record::Record;

/// Rows of one group: some ten megabytes before compression.
const GROUP: usize = 20_000;
/// Bytes of an amount: nineteen digits, nine of them after the point, as a big-endian number.
const MONEY_BYTES: i32 = 9;
const ID_BYTES: i32 = 16;
const HASH_BYTES: i32 = 32;

/// What a column of the file holds: one of the table's, or a hash of the chain.
#[derive(Clone, Copy)]
enum Leaf {
    Of(Kind),
    Hash,
}

/// Every column of the file with its name, in order.
fn leaves() -> impl Iterator<Item = (String, Leaf)> {
    let table = COLUMNS
        .iter()
        .map(|column| (title(column), Leaf::Of(column.kind)));
    let chain = [
        ("boot", Leaf::Of(Kind::Id)),
        ("seq", Leaf::Of(Kind::Whole)),
        ("prev_hash", Leaf::Hash),
        ("row_hash", Leaf::Hash),
    ];
    table.chain(chain.map(|(name, leaf)| (name.to_owned(), leaf)))
}

fn column_type(name: &str, leaf: Leaf) -> Result<TypePtr, ParquetError> {
    let (physical, logical, length) = match leaf {
        Leaf::Hash => (Physical::FIXED_LEN_BYTE_ARRAY, None, HASH_BYTES),
        Leaf::Of(kind) => match kind {
            Kind::Text | Kind::Word => (Physical::BYTE_ARRAY, Some(LogicalType::String), -1),
            Kind::Whole | Kind::Maybe => (Physical::INT64, None, -1),
            Kind::Flag => (Physical::BOOLEAN, None, -1),
            Kind::Id => (
                Physical::FIXED_LEN_BYTE_ARRAY,
                Some(LogicalType::Uuid),
                ID_BYTES,
            ),
            Kind::Time => {
                let utc = LogicalType::timestamp(true, TimeUnit::MICROS);
                (Physical::INT64, Some(utc), -1)
            }
            Kind::Money => (
                Physical::FIXED_LEN_BYTE_ARRAY,
                Some(LogicalType::decimal(9, 19)),
                MONEY_BYTES,
            ),
        },
    };
    let repetition = match leaf {
        Leaf::Of(Kind::Maybe) => Repetition::OPTIONAL,
        _ => Repetition::REQUIRED,
    };
    let (scale, precision) = match leaf {
        Leaf::Of(Kind::Money) => (9, 19),
        _ => (-1, -1),
    };
    Type::primitive_type_builder(name, physical)
        .with_repetition(repetition)
        .with_logical_type(logical)
        .with_length(length)
        .with_scale(scale)
        .with_precision(precision)
        .build()
        .map(Arc::new)
}

fn schema() -> Result<TypePtr, ParquetError> {
    let columns = leaves()
        .map(|(name, leaf)| column_type(&name, leaf))
        .collect::<Result<_, _>>()?;
    Type::group_type_builder("audit")
        .with_fields(columns)
        .build()
        .map(Arc::new)
}

/// The values of one column that wait for their group to be full.
enum Waiting {
    Text(Vec<ByteArray>),
    Whole(Vec<i64>),
    /// The values that are there, and for each row whether it has one.
    Maybe(Vec<i64>, Vec<i16>),
    Flag(Vec<bool>),
    Fixed(Vec<FixedLenByteArray>),
}

impl Waiting {
    fn of(leaf: Leaf) -> Self {
        match leaf {
            Leaf::Hash | Leaf::Of(Kind::Id | Kind::Money) => Self::Fixed(Vec::new()),
            Leaf::Of(Kind::Text | Kind::Word) => Self::Text(Vec::new()),
            Leaf::Of(Kind::Whole | Kind::Time) => Self::Whole(Vec::new()),
            Leaf::Of(Kind::Maybe) => Self::Maybe(Vec::new(), Vec::new()),
            Leaf::Of(Kind::Flag) => Self::Flag(Vec::new()),
        }
    }

    /// Takes a row's value; false where it is not of the column's kind.
    fn push(&mut self, cell: Cell<'_>) -> bool {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        match (self, cell) {
            (Self::Text(list), Cell::Text(text)) => {
                list.push(text.into_owned().into_bytes().into());
            }
            (Self::Whole(list), Cell::Whole(number)) => list.push(signed(number)),
            (Self::Maybe(list, present), Cell::Maybe(number)) => {
                list.extend(number.map(signed));
                present.push(number.is_some().into());
            }
            (Self::Flag(list), Cell::Flag(flag)) => list.push(flag),
            (Self::Fixed(list), Cell::Whole(nanos)) => {
                let mut bytes = vec![0];
                bytes.extend_from_slice(&signed(nanos).to_be_bytes());
                list.push(bytes.into());
            }
            (Self::Fixed(list), Cell::Id(id)) => list.push(id.as_bytes().to_vec().into()),
            _ => return false,
        }
        true
    }

    fn push_hash(&mut self, hash: [u8; 32]) -> bool {
        let Self::Fixed(list) = self else {
            return false;
        };
        list.push(hash.to_vec().into());
        true
    }

    /// Writes what waits, and forgets it.
    fn write(&mut self, column: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        match self {
            Self::Text(list) => {
                let writer = column.typed::<ByteArrayType>();
                writer.write_batch(&std::mem::take(list), None, None)?;
            }
            Self::Whole(list) => {
                let writer = column.typed::<Int64Type>();
                writer.write_batch(&std::mem::take(list), None, None)?;
            }
            Self::Maybe(list, present) => {
                let writer = column.typed::<Int64Type>();
                let (list, present) = (std::mem::take(list), std::mem::take(present));
                writer.write_batch(&list, Some(&present), None)?;
            }
            Self::Flag(list) => {
                let writer = column.typed::<BoolType>();
                writer.write_batch(&std::mem::take(list), None, None)?;
            }
            Self::Fixed(list) => {
                let writer = column.typed::<FixedLenByteArrayType>();
                writer.write_batch(&std::mem::take(list), None, None)?;
            }
        }
        Ok(())
    }
}

/// A Parquet file in the making.
pub struct ParquetWriter<'a> {
    out: &'a mut dyn Write,
    /// Writes into memory; each group is handed on to `out` once it is whole.
    file: SerializedFileWriter<Vec<u8>>,
    columns: Vec<Waiting>,
    /// Rows that wait.
    rows: usize,
    /// Rows of a whole group.
    group: usize,
}

fn failed(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

impl<'a> ParquetWriter<'a> {
    /// # Errors
    /// When `out` does not take the file's beginning.
    pub fn new(out: &'a mut dyn Write) -> io::Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(parquet::basic::ZstdLevel::default()))
            .set_created_by(concat!("tollgate ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let file =
            SerializedFileWriter::new(Vec::new(), schema().map_err(failed)?, Arc::new(properties))
                .map_err(failed)?;
        Ok(Self {
            out,
            file,
            columns: leaves().map(|(_, leaf)| Waiting::of(leaf)).collect(),
            rows: 0,
            group: GROUP,
        })
    }

    /// Adds a row; writes a group once there are enough.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn row(&mut self, record: &Record<'_>) -> io::Result<()> {
        let chain = [Cell::Id(record.boot), Cell::Whole(record.seq)];
        let cells = record.entry.cells().into_iter().chain(chain);
        let mut columns = self.columns.iter_mut();
        let mut fits = cells
            .zip(&mut columns)
            .all(|(cell, column)| column.push(cell));
        for (hash, column) in [record.before, record.hash].into_iter().zip(columns) {
            fits &= column.push_hash(hash);
        }
        if !fits {
            return Err(io::Error::other("a value of another kind than its column"));
        }
        self.rows += 1;
        if self.rows >= self.group {
            self.write_group()?;
        }
        Ok(())
    }

    fn write_group(&mut self) -> io::Result<()> {
        let mut group = self.file.next_row_group().map_err(failed)?;
        for waiting in &mut self.columns {
            let column = group.next_column().map_err(failed)?;
            let mut column = column.ok_or_else(|| io::Error::other("a column too many"))?;
            waiting.write(&mut column).map_err(failed)?;
            column.close().map_err(failed)?;
        }
        group.close().map_err(failed)?;
        self.rows = 0;
        self.hand_on()
    }

    fn hand_on(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let bytes = std::mem::take(self.file.inner_mut());
        self.out.write_all(&bytes)
    }

    /// Writes what is left and the file's end, without which it is none.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn finish(mut self) -> io::Result<()> {
        if self.rows > 0 {
            self.write_group()?;
        }
        self.file.finish().map_err(failed)?;
        self.hand_on()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::{Field, RowAccessor as _};
    use uuid::Uuid;

    use super::*;
    use crate::audit::entry::Entry;

    fn record(seq: u64) -> Record<'static> {
        Record {
            boot: Uuid::from_u128(9),
            seq,
            before: [1; 32],
            hash: [2; 32],
            entry: Entry {
                request: Uuid::from_u128(u128::from(seq)),
                at: 1_790_000_000_000_001,
                team: "payments".into(),
                stream: true,
                model: format!("model-{seq}").into(),
                cost_nanos: 12_345_678_901 + seq,
                first_byte_us: (seq % 2 == 1).then_some(seq),
                ..Entry::default()
            },
        }
    }

    fn written(count: u64) -> SerializedFileReader<Bytes> {
        let mut out = Vec::new();
        let mut writer = ParquetWriter::new(&mut out).unwrap();
        writer.group = 100;
        for seq in 0..count {
            writer.row(&record(seq)).unwrap();
        }
        writer.finish().unwrap();
        SerializedFileReader::new(Bytes::from(out)).unwrap()
    }

    #[test]
    fn every_row_reads_back_over_several_groups() {
        let count = 203;
        let file = written(count);
        assert_eq!(file.num_row_groups(), 3);
        let mut seen = 0;
        for row in file.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            let cells: std::collections::HashMap<&String, &Field> = row.get_column_iter().collect();
            let of = |name: &str| cells[&name.to_owned()];
            assert_eq!(*of("seq"), Field::Long(i64::try_from(seen).unwrap()));
            assert_eq!(*of("model"), Field::Str(format!("model-{seen}")));
            assert_eq!(*of("at"), Field::TimestampMicros(1_790_000_000_000_001));
            assert_eq!(
                of("cost_usd").to_string(),
                format!("12.{}", 345_678_901 + seen)
            );
            assert_eq!(*of("stream"), Field::Bool(true));
            let first_byte = if seen % 2 == 1 {
                Field::Long(i64::try_from(seen).unwrap())
            } else {
                Field::Null
            };
            assert_eq!(*of("first_byte_us"), first_byte);
            assert_eq!(row.get_bytes(row.len() - 1).unwrap().data(), [2; 32]);
            seen += 1;
        }
        assert_eq!(seen, count);
    }

    #[test]
    fn an_export_of_nothing_is_a_file_with_all_columns() {
        let file = written(0);
        let schema = file.metadata().file_metadata().schema_descr().num_columns();
        assert_eq!(schema, COLUMNS.len() + 4);
        assert_eq!(file.metadata().file_metadata().num_rows(), 0);
    }
}
