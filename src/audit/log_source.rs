//! The log's own segments as chained rows, for `audit verify`: read in order, never held whole.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::chain::Seal;
use super::log::{Damage, Item, Reader, StoredRow};
use super::query::{Chain, QueryError};
use super::record::Record;

/// Records read at once.
const BATCH: usize = 1000;

/// The segments that still stand.
#[derive(Debug)]
pub struct LogSource {
    state: PathBuf,
    reader: Reader,
    /// Read, but not asked for yet.
    ahead: VecDeque<StoredRow>,
    /// Each boot with the number after its last row.
    boots: BTreeMap<Uuid, u64>,
    seals: Vec<Seal>,
    /// Places that could not be read.
    pub damage: Vec<Damage>,
}

impl LogSource {
    /// # Errors
    /// When a segment cannot be read.
    pub fn open(state: &Path) -> Result<Self, QueryError> {
        let mut source = Self {
            state: state.to_owned(),
            reader: Reader::of(state),
            ahead: VecDeque::new(),
            boots: BTreeMap::new(),
            seals: Vec::new(),
            damage: Vec::new(),
        };
        let mut reader = Reader::of(state);
        loop {
            let batch = reader.batch(BATCH, None)?;
            if batch.items.is_empty() && batch.damage.is_empty() {
                return Ok(source);
            }
            source.damage.extend(batch.damage);
            for item in batch.items {
                match item {
                    Item::Row(row) => {
                        source.boots.insert(row.boot, row.seq + 1);
                    }
                    Item::Seal(seal) => source.seals.push(seal),
                }
            }
        }
    }

    /// Reads on; false at the end.
    fn read_on(&mut self) -> Result<bool, QueryError> {
        let batch = self.reader.batch(BATCH, None)?;
        let more = !batch.items.is_empty() || !batch.damage.is_empty();
        self.ahead
            .extend(batch.items.into_iter().filter_map(|item| match item {
                Item::Row(row) => Some(row),
                Item::Seal(_) => None,
            }));
        Ok(more)
    }
}

impl Chain for LogSource {
    fn boots(&mut self) -> Result<Vec<Uuid>, QueryError> {
        Ok(self.boots.keys().copied().collect())
    }

    fn ends(&mut self) -> Result<Vec<(Uuid, u64)>, QueryError> {
        Ok(self.boots.clone().into_iter().collect())
    }

    fn chain(
        &mut self,
        boot: Uuid,
        _from: u64,
        limit: usize,
    ) -> Result<Vec<Record<'static>>, QueryError> {
        let mut rows = Vec::new();
        while rows.len() < limit {
            if self.ahead.is_empty() && !self.read_on()? {
                break;
            }
            if self.ahead.front().is_some_and(|row| row.boot != boot) {
                break;
            }
            if let Some(row) = self.ahead.pop_front() {
                let record = Record::read(&row).map_err(|malformed| QueryError::Row {
                    path: self.state.clone(),
                    boot: row.boot,
                    seq: row.seq,
                    reason: malformed.0,
                })?;
                rows.push(record.into_owned());
            }
        }
        Ok(rows)
    }

    fn seals(&mut self) -> Result<Vec<Seal>, QueryError> {
        Ok(self.seals.clone())
    }
}
