//! What the log's records add up to: spend by budget, and the requests in flight. Each segment begins with it.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::frame::{Frame, Kind};
use crate::audit::chain::{Hash, genesis, link};
use crate::audit::convert::{ACTION, read_charges};
use crate::audit::entry::Entry;
use crate::audit::row::Charge;
use crate::audit::wire::{self, Malformed};
use crate::budget::{Balances, BudgetId};
use crate::domain::{Moment, Usd};

/// How far a boot's chain has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub boot: Uuid,
    /// The number that the next row gets.
    pub next: u64,
    pub hash: Hash,
}

impl Link {
    #[must_use]
    pub fn start(boot: Uuid) -> Self {
        Self {
            boot,
            next: 0,
            hash: genesis(boot),
        }
    }
}

/// The state that a segment's records lead to.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    pub balances: Balances,
    /// Entries of the requests in flight, as they will stand if they are lost.
    pub open: HashMap<Uuid, Box<[u8]>>,
    pub link: Option<Link>,
    /// Operators' actions that have their row, and whose file may still stand in the inbox.
    pub actions: HashSet<Uuid>,
}

/// The parts of a row's payload.
#[derive(Clone, Copy, Debug)]
pub struct RowParts<'a> {
    pub boot: Uuid,
    pub seq: u64,
    /// The hash of the row before it.
    pub before: Hash,
    pub entry: &'a [u8],
}

/// Splits a row's payload; [`Tail::row`](super::tail::Tail::row) puts it together.
pub fn split_row(payload: &[u8]) -> Result<RowParts<'_>, Malformed> {
    let short = Malformed("a row without its boot, number and hash");
    let (boot, rest) = payload.split_first_chunk::<16>().ok_or(short)?;
    let (seq, rest) = rest.split_first_chunk::<8>().ok_or(short)?;
    let (before, entry) = rest.split_first_chunk::<32>().ok_or(short)?;
    Ok(RowParts {
        boot: Uuid::from_bytes(*boot),
        seq: u64::from_le_bytes(*seq),
        before: *before,
        entry,
    })
}

impl Fold {
    /// Takes one record in, in the log's order.
    ///
    /// # Errors
    /// When a record that is whole by its CRC is not what its kind says: written by something else, or by a later version.
    pub fn apply(&mut self, frame: &Frame<'_>) -> Result<(), Malformed> {
        match frame.kind {
            Kind::Head => *self = Self::decode(frame.payload)?,
            Kind::Begin => {
                let entry = Entry::decode(frame.payload)?;
                self.open.insert(entry.request, frame.payload.into());
            }
            Kind::Row => {
                let row = split_row(frame.payload)?;
                let entry = Entry::decode(row.entry)?;
                let link = Link {
                    boot: row.boot,
                    next: row.seq.saturating_add(1),
                    hash: link(&row.before, row.seq, row.entry),
                };
                self.row(&entry, link)?;
            }
            Kind::Seal => {}
        }
        Ok(())
    }

    /// Takes a row in, with which the chain has come so far.
    ///
    /// # Errors
    /// When its charges do not read.
    pub fn row(&mut self, entry: &Entry<'_>, link: Link) -> Result<(), Malformed> {
        let charges = read_charges(&entry.charges).ok_or(Malformed("charges that do not read"))?;
        self.close(entry.request, &charges, Usd::from_nanos(entry.cost_nanos));
        if entry.kind == ACTION {
            self.actions.insert(entry.request);
        }
        self.link = Some(link);
        Ok(())
    }

    /// A request has its row.
    pub fn close(&mut self, request: Uuid, charges: &[Charge], cost: Usd) {
        self.open.remove(&request);
        for (budget, period) in charges {
            self.balances.add(budget.clone(), *period, cost);
        }
    }

    /// The bytes of a head. Of each budget only the newest periods are kept: nothing is charged to older ones.
    pub fn encode(&mut self, out: &mut Vec<u8>) {
        if let Some(link) = &self.link {
            wire::put_bytes(out, 1, link.boot.as_bytes());
            wire::put_whole(out, 2, link.next);
            wire::put_bytes(out, 3, &link.hash);
        }
        self.balances.prune();
        let mut part = Vec::new();
        for (budget, period, spent) in self.balances.iter() {
            part.clear();
            wire::put_bytes(&mut part, 1, budget.as_str().as_bytes());
            wire::put_whole(&mut part, 2, period.micros().cast_unsigned());
            wire::put_whole(&mut part, 3, spent.nanos());
            wire::put_bytes(out, 4, &part);
        }
        for entry in self.open.values() {
            wire::put_bytes(out, 5, entry);
        }
        for action in &self.actions {
            wire::put_bytes(out, 6, action.as_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fold = Self::default();
        let (mut boot, mut next, mut hash) = (None, None, None);
        let mut rest = bytes;
        while let Some(field) = wire::take(&mut rest)? {
            match field {
                (1, wire::Value::Bytes(value)) => boot = Uuid::from_slice(value).ok(),
                (2, wire::Value::Whole(value)) => next = Some(value),
                (3, wire::Value::Bytes(value)) => hash = value.try_into().ok(),
                (4, wire::Value::Bytes(value)) => fold.decode_balance(value)?,
                (5, wire::Value::Bytes(value)) => {
                    let request = Entry::decode(value)?.request;
                    fold.open.insert(request, value.into());
                }
                (6, wire::Value::Bytes(value)) => fold.actions.extend(Uuid::from_slice(value)),
                _ => {}
            }
        }
        if let (Some(boot), Some(next), Some(hash)) = (boot, next, hash) {
            fold.link = Some(Link { boot, next, hash });
        }
        Ok(fold)
    }

    fn decode_balance(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let (mut budget, mut period, mut spent) = (None, None, None);
        let mut rest = bytes;
        while let Some(field) = wire::take(&mut rest)? {
            match field {
                (1, wire::Value::Bytes(value)) => budget = std::str::from_utf8(value).ok(),
                (2, wire::Value::Whole(value)) => period = Some(value.cast_signed()),
                (3, wire::Value::Whole(value)) => spent = Some(value),
                _ => {}
            }
        }
        let (Some(budget), Some(period), Some(spent)) = (budget, period, spent) else {
            return Err(Malformed("a balance with a part missing"));
        };
        self.balances.add(
            BudgetId::new(budget),
            Moment::from_micros(period),
            Usd::from_nanos(spent),
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back() {
        let mut fold = Fold {
            link: Some(Link {
                boot: Uuid::from_u128(5),
                next: 77,
                hash: [8; 32],
            }),
            ..Fold::default()
        };
        let add = |fold: &mut Fold, budget, period, nanos| {
            let period = Moment::from_micros(period);
            let spent = Usd::from_nanos(nanos);
            fold.balances.add(BudgetId::new(budget), period, spent);
        };
        add(&mut fold, "team/a/month", 3, 2);
        add(&mut fold, "team/a/month", 4, 9);
        add(&mut fold, "organisation/total", -1, u64::MAX);
        let entry = Entry {
            request: Uuid::from_u128(9),
            ..Entry::default()
        };
        let mut open = Vec::new();
        entry.encode(&mut open);
        fold.open.insert(entry.request, open.into());
        fold.actions.insert(Uuid::from_u128(11));

        let mut bytes = Vec::new();
        fold.encode(&mut bytes);
        let again = Fold::decode(&bytes).unwrap();
        assert_eq!(again.link, fold.link);
        assert_eq!((again.open, again.actions), (fold.open, fold.actions));
        assert_eq!(again.balances, fold.balances);
    }
}
