//! What the log adds up to, read without touching it: for a command that asks while no gateway runs.

use std::fs;
use std::path::Path;

use super::LogError;
use super::fold::Fold;
use super::frame::{self, Kind, Read};
use super::segment::{Segments, at};
use crate::audit::convert::read_charges;
use crate::audit::entry::Entry;
use crate::budget::Balances;
use crate::domain::Usd;

/// What budgets have spent, and what requests that have no row yet hold of them: lost ones are charged it at the next
/// start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub spent: Balances,
    pub held: Balances,
}

/// Adds up the log of a state directory. No log is nothing spent.
///
/// # Errors
/// When a segment cannot be read, or none begins with a whole head: what was spent is not known then.
pub fn standing(state: &Path) -> Result<Standing, LogError> {
    let segments = Segments::of(state);
    let mut fold = Fold::default();
    let mut is_known = true;
    for number in segments.list()? {
        let path = segments.path(number);
        let bytes = fs::read(&path).map_err(at(&path))?;
        let has_head =
            matches!(frame::read(&bytes), Read::Frame(frame) if frame.kind == Kind::Head);
        // A newest segment without a head was being made when its process died; an older one's successor has it all.
        is_known = has_head || (is_known && fold.link.is_some());
        add(&mut fold, &bytes).map_err(|(offset, reason)| LogError::Corrupt {
            path,
            offset,
            reason,
        })?;
    }
    if !is_known {
        let path = segments.dir().to_owned();
        let reason = "no segment begins with a whole head, so what was spent is not known";
        return Err(LogError::Corrupt {
            path,
            offset: 0,
            reason,
        });
    }
    let mut held = Balances::default();
    for entry in fold.open.values() {
        let lost = Entry::decode(entry).ok();
        let charges = lost
            .as_ref()
            .and_then(|entry| read_charges(&entry.charges))
            .unwrap_or_default();
        let cost = lost.map_or(Usd::ZERO, |entry| Usd::from_nanos(entry.cost_nanos));
        for (budget, period) in charges {
            held.add(budget, period, cost);
        }
    }
    Ok(Standing {
        spent: fold.balances,
        held,
    })
}

/// Folds a segment's whole records in, passing over damage as recovery does.
fn add(fold: &mut Fold, bytes: &[u8]) -> Result<(), (u64, &'static str)> {
    let mut offset = 0;
    while offset < bytes.len() {
        if let Read::Frame(frame) = frame::read(&bytes[offset..]) {
            fold.apply(&frame)
                .map_err(|malformed| (offset as u64, malformed.0))?;
            offset += frame.size();
        } else {
            let Some(next) = frame::find(bytes, offset + 1, None) else {
                break;
            };
            offset = next;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::log::{Log, LogOptions};
    use crate::audit::testing;
    use crate::domain::Moment;

    #[test]
    fn the_standing_is_what_a_start_would_recover_and_nothing_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(standing(dir.path()).unwrap(), Standing::default());
        let (log, _) =
            Log::open(dir.path(), LogOptions::default(), Moment::from_seconds(1)).unwrap();
        for id in 1..=3 {
            let _committed = log.begin(testing::begin(id, 100)).unwrap();
        }
        let _committed = log.end(testing::row(1, 7)).unwrap();
        let found = standing(dir.path()).unwrap();
        let (budget, period) = testing::budget();
        assert_eq!(found.spent.spent(&budget, period), Usd::from_nanos(7));
        assert_eq!(found.held.spent(&budget, period), Usd::from_nanos(200));
        assert_eq!(standing(dir.path()).unwrap(), found);
    }

    #[test]
    fn segments_without_a_head_are_an_error_and_not_nothing_spent() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("log")).unwrap();
        fs::write(dir.path().join("log/0000000001.seg"), b"what is this?").unwrap();
        assert!(standing(dir.path()).is_err());
    }
}
