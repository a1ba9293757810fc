//! A row as a sink holds it: its place in the chain, and its entry.

use uuid::Uuid;

use super::chain::{Hash, link};
use super::entry::Entry;
use super::log::StoredRow;
use super::wire::Malformed;

/// One row of a sink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    pub boot: Uuid,
    pub seq: u64,
    pub before: Hash,
    pub hash: Hash,
    pub entry: Entry<'a>,
}

impl<'a> Record<'a> {
    /// # Errors
    /// When the row's bytes are no entry.
    pub fn read(row: &'a StoredRow) -> Result<Self, Malformed> {
        Ok(Self {
            boot: row.boot,
            seq: row.seq,
            before: row.before,
            hash: row.hash,
            entry: Entry::decode(&row.entry)?,
        })
    }

    /// The same record with text of its own.
    #[must_use]
    pub fn into_owned(self) -> Record<'static> {
        let mut entry = Entry::default();
        for (index, cell) in self.entry.cells().into_iter().enumerate() {
            // Cells come in the order and of the kinds of their columns.
            let _set = entry.set(index, cell.into_owned());
        }
        Record {
            boot: self.boot,
            seq: self.seq,
            before: self.before,
            hash: self.hash,
            entry,
        }
    }

    /// The hash that the row's content leads to, whatever the store says.
    #[must_use]
    pub fn computed_hash(&self) -> Hash {
        let mut bytes = Vec::with_capacity(512);
        self.entry.encode(&mut bytes);
        link(&self.before, self.seq, &bytes)
    }

    /// Where the row stands in a listing by time.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            at: self.entry.at,
            boot: self.boot,
            seq: self.seq,
        }
    }
}

/// A place in a listing by time: where the next page goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub at: u64,
    pub boot: Uuid,
    pub seq: u64,
}
