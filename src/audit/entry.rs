//! The stored form of a row: one table of columns, from which the log's encoding, both databases and the exports follow.
//!
//! Adding a column is one line with a fresh number. A number is never used again; a column that holds its default is
//! not written, so an entry's bytes, and with them its hash, stay the same when a later version adds columns.

use std::borrow::Cow;

use uuid::Uuid;

use super::wire::{self, Malformed};

/// What a column holds, and so how each store spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text of many different values.
    Text,
    /// Text of few different values.
    Word,
    /// A whole number below 2^63.
    Whole,
    /// A whole number that may be absent.
    Maybe,
    Flag,
    Id,
    /// Microseconds since 1970, UTC.
    Time,
    /// Nano-dollars.
    Money,
}

/// One value of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    Text(Cow<'a, str>),
    Whole(u64),
    Maybe(Option<u64>),
    Flag(bool),
    Id(Uuid),
}

impl Cell<'_> {
    /// The same value with text of its own.
    #[must_use]
    pub fn into_owned(self) -> Cell<'static> {
        match self {
            Self::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
            Self::Whole(number) => Cell::Whole(number),
            Self::Maybe(number) => Cell::Maybe(number),
            Self::Flag(flag) => Cell::Flag(flag),
            Self::Id(id) => Cell::Id(id),
        }
    }
}

/// One column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its number in the log's encoding.
    pub number: u32,
    pub name: &'static str,
    pub kind: Kind,
}

/// The largest whole number that every store can hold.
pub const LARGEST: u64 = i64::MAX.unsigned_abs();

macro_rules! columns {
    ($($number:literal $name:ident $kind:ident $cell:ident $type:ty,)*) => {
        /// A row as it is stored. Text may be borrowed from the [`Row`](super::row::Row) or the record it comes from.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Entry<'a> {
            $(pub $name: $type,)*
        }

        /// Every column, in the order of [`Entry::cells`].
        pub const COLUMNS: &[Column] = &[
            $(Column { number: $number, name: stringify!($name), kind: Kind::$kind },)*
        ];

        impl<'a> Entry<'a> {
            /// The values, in the order of [`COLUMNS`].
            pub fn cells(&'a self) -> [Cell<'a>; COLUMNS.len()] {
                [$(columns!(@cell $cell self.$name),)*]
            }

            /// Sets the column at `index` of [`COLUMNS`].
            ///
            /// # Errors
            /// When there is no such column, or its kind is another.
            pub fn set(&mut self, index: usize, cell: Cell<'a>) -> Result<(), Malformed> {
                match (COLUMNS.get(index).map(|column| column.number), cell) {
                    $((Some($number), Cell::$cell(value)) => self.$name = value,)*
                    _ => return Err(Malformed("a value of another kind than its column")),
                }
                Ok(())
            }
        }
    };
    (@cell Text $value:expr) => { Cell::Text(Cow::Borrowed($value.as_ref())) };
    (@cell $cell:ident $value:expr) => { Cell::$cell($value) };
}

columns! {
    1 kind Word Text Cow<'a, str>,
    2 request Id Id Uuid,
    3 at Time Whole u64,
    4 organisation Word Text Cow<'a, str>,
    5 team Word Text Cow<'a, str>,
    6 user Text Text Cow<'a, str>,
    7 key Text Text Cow<'a, str>,
    8 provider Word Text Cow<'a, str>,
    9 dialect Word Text Cow<'a, str>,
    10 endpoint Word Text Cow<'a, str>,
    11 model Text Text Cow<'a, str>,
    12 priced_as Word Text Cow<'a, str>,
    13 stream Flag Flag bool,
    14 decision Word Text Cow<'a, str>,
    15 code Word Text Cow<'a, str>,
    16 status Whole Whole u64,
    17 findings Text Text Cow<'a, str>,
    18 redactions Whole Whole u64,
    19 restorations Whole Whole u64,
    20 input Whole Whole u64,
    21 cache_read Whole Whole u64,
    22 cache_write_5m Whole Whole u64,
    23 cache_write_1h Whole Whole u64,
    24 output Whole Whole u64,
    25 reasoning Whole Whole u64,
    26 audio_input Whole Whole u64,
    27 audio_output Whole Whole u64,
    28 image_input Whole Whole u64,
    29 image_output Whole Whole u64,
    30 web_searches Whole Whole u64,
    31 tool_calls Whole Whole u64,
    32 tier Word Text Cow<'a, str>,
    33 provenance Word Text Cow<'a, str>,
    34 cost_nanos Money Whole u64,
    35 reserved_nanos Money Whole u64,
    36 price_revision Word Text Cow<'a, str>,
    37 charges Text Text Cow<'a, str>,
    38 latency_us Whole Whole u64,
    39 first_byte_us Maybe Maybe Option<u64>,
    40 overhead_us Whole Whole u64,
    41 bytes_in Whole Whole u64,
    42 bytes_out Whole Whole u64,
    43 client Text Text Cow<'a, str>,
    44 user_agent Text Text Cow<'a, str>,
    45 attempts Whole Whole u64,
    46 upstream Word Text Cow<'a, str>,
    47 actor Text Text Cow<'a, str>,
    48 action Word Text Cow<'a, str>,
    49 subject Text Text Cow<'a, str>,
    50 change Text Text Cow<'a, str>,
    51 served Text Text Cow<'a, str>,
    52 tries Text Text Cow<'a, str>,
    53 cached Flag Flag bool,
    54 upstream_request Text Text Cow<'a, str>,
}

/// The place of a column in [`COLUMNS`].
#[must_use]
pub fn place(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.name == name)
}

impl<'a> Entry<'a> {
    /// Appends the entry's bytes: what the log holds and the chain covers.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for (column, cell) in COLUMNS.iter().zip(self.cells()) {
            match cell {
                Cell::Text(text) if text.is_empty() => {}
                Cell::Text(text) => wire::put_bytes(out, column.number, text.as_bytes()),
                Cell::Whole(0) | Cell::Maybe(None) | Cell::Flag(false) => {}
                Cell::Whole(number) | Cell::Maybe(Some(number)) => {
                    wire::put_whole(out, column.number, number);
                }
                Cell::Flag(true) => wire::put_whole(out, column.number, 1),
                Cell::Id(id) if id.is_nil() => {}
                Cell::Id(id) => wire::put_bytes(out, column.number, id.as_bytes()),
            }
        }
    }

    /// Reads an entry; columns that this version does not know are passed over.
    ///
    /// # Errors
    /// When the bytes are no entry.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut entry = Self::default();
        let mut rest = bytes;
        while let Some((number, value)) = wire::take(&mut rest)? {
            // Numbers run from 1 without a gap, so a column's place follows from its number.
            let index = (number as usize).wrapping_sub(1);
            let Some(column) = COLUMNS.get(index) else {
                continue;
            };
            entry.set(index, cell(column.kind, value)?)?;
        }
        Ok(entry)
    }
}

fn cell(kind: Kind, value: wire::Value<'_>) -> Result<Cell<'_>, Malformed> {
    Ok(match (kind, value) {
        (Kind::Text | Kind::Word, wire::Value::Bytes(bytes)) => Cell::Text(Cow::Borrowed(
            std::str::from_utf8(bytes).map_err(|_| Malformed("text that is not UTF-8"))?,
        )),
        (Kind::Whole | Kind::Time | Kind::Money, wire::Value::Whole(number)) => {
            Cell::Whole(number.min(LARGEST))
        }
        (Kind::Maybe, wire::Value::Whole(number)) => Cell::Maybe(Some(number.min(LARGEST))),
        (Kind::Flag, wire::Value::Whole(number)) => Cell::Flag(number != 0),
        (Kind::Id, wire::Value::Bytes(bytes)) => {
            Cell::Id(Uuid::from_slice(bytes).map_err(|_| Malformed("an id that is not 16 bytes"))?)
        }
        _ => return Err(Malformed("a value of another kind than its column")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn columns_are_numbered_without_a_gap_in_the_order_they_stand() {
        for (index, column) in COLUMNS.iter().enumerate() {
            assert_eq!(column.number as usize, index + 1, "{}", column.name);
        }
    }

    #[test]
    fn columns_of_a_later_version_are_passed_over() {
        let mut bytes = Vec::new();
        let entry = Entry {
            team: "payments".into(),
            first_byte_us: Some(0),
            ..Entry::default()
        };
        entry.encode(&mut bytes);
        wire::put_whole(&mut bytes, 900, 7);
        wire::put_bytes(&mut bytes, 901, b"later");
        assert_eq!(Entry::decode(&bytes), Ok(entry));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_say_why_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _either = Entry::decode(&bytes);
        }

        #[test]
        fn an_entry_reads_back_as_it_was(
            numbers in prop::collection::vec(0..=LARGEST, COLUMNS.len()),
            text in "[ -~]{0,30}",
            id in any::<u128>(),
            flag in any::<bool>(),
        ) {
            let mut entry = Entry::default();
            for (index, column) in COLUMNS.iter().enumerate() {
                let number = numbers[index];
                let cell = match column.kind {
                    Kind::Text | Kind::Word => Cell::Text(text.as_str().into()),
                    Kind::Whole | Kind::Time | Kind::Money => Cell::Whole(number),
                    Kind::Maybe => Cell::Maybe((number % 2 == 0).then_some(number)),
                    Kind::Flag => Cell::Flag(flag),
                    Kind::Id => Cell::Id(Uuid::from_u128(id)),
                };
                entry.set(index, cell).unwrap();
            }
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            prop_assert_eq!(Entry::decode(&bytes), Ok(entry));
        }
    }
}
