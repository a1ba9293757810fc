//! Reading back what an earlier process left: the newest head and every record after it.
//!
//! A record that was being written when the process died is cut off. Damage in the midst of whole records is another
//! matter: those after it are found again and counted, the segment stays as it is, and the damage is reported.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use super::LogError;
use super::fold::Fold;
use super::frame::{self, Kind, Read};
use super::segment::{Segments, at};
use crate::domain::Moment;

/// Bytes in a segment that are no record, with whole records behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub path: PathBuf,
    pub offset: u64,
    pub bytes: u64,
}

/// What the segments of earlier processes add up to.
#[derive(Debug, Default)]
pub struct Before {
    pub fold: Fold,
    /// The number for the next segment.
    pub segment: u64,
    /// The sequence for the next record.
    pub seq: u64,
    pub truncated_bytes: u64,
    pub damage: Vec<Damage>,
    /// Records whose sequence is missing, damaged ones included.
    pub missing: u64,
    /// Rows that SQLite has and the log lost.
    pub salvaged: u64,
}

/// Reads the segments from the newest whole head on, and cuts off a record that was never finished.
///
/// The first segment of a directory is numbered by the clock, in milliseconds: should somebody put the log away, the new one's segments
/// still come after the old one's, and a sink's cursor into the old one cannot point into the midst of a new record.
///
/// # Errors
/// When no head can be read although there are segments: what was spent is not known then, and must not be guessed.
pub fn recover(segments: &Segments, now: Moment) -> Result<Before, LogError> {
    let mut numbers = segments.list()?;
    let mut before = Before {
        segment: numbers
            .last()
            .map_or((now.micros().unsigned_abs() / 1000).max(1), |last| {
                last.saturating_add(1)
            }),
        ..Before::default()
    };
    drop_unborn(segments, &mut numbers, &mut before)?;
    let Some(start) = newest_with_head(segments, &numbers)? else {
        return Ok(before);
    };
    for (index, &number) in numbers.iter().enumerate().skip(start) {
        let last = index + 1 == numbers.len();
        read_segment(segments, number, last, &mut before)?;
    }
    Ok(before)
}

/// A newest segment in which not even the head was finished holds nothing: the process died while making it.
fn drop_unborn(
    segments: &Segments,
    numbers: &mut Vec<u64>,
    before: &mut Before,
) -> Result<(), LogError> {
    let Some(&last) = numbers.last() else {
        return Ok(());
    };
    let path = segments.path(last);
    let bytes = fs::read(&path).map_err(at(&path))?;
    // The head is durable before the first record is taken, so a file that ends within it, or is all zeros, never had
    // one. Anything else without a record is damage, which only an older segment can make good.
    let unborn = frame::read(&bytes) == Read::Short || bytes.iter().all(|byte| *byte == 0);
    if frame::find(&bytes, 0, None).is_none() && (numbers.len() > 1 || unborn) {
        before.truncated_bytes += bytes.len() as u64;
        fs::remove_file(&path).map_err(at(&path))?;
        numbers.pop();
    }
    Ok(())
}

fn newest_with_head(segments: &Segments, numbers: &[u64]) -> Result<Option<usize>, LogError> {
    for (index, &number) in numbers.iter().enumerate().rev() {
        let path = segments.path(number);
        let bytes = fs::read(&path).map_err(at(&path))?;
        let head = matches!(frame::read(&bytes), Read::Frame(frame) if frame.kind == Kind::Head);
        if head {
            return Ok(Some(index));
        }
    }
    match numbers.first() {
        None => Ok(None),
        Some(&first) => Err(LogError::Corrupt {
            path: segments.path(first),
            offset: 0,
            reason: "no segment begins with a whole head, so what was spent is not known",
        }),
    }
}

fn read_segment(
    segments: &Segments,
    number: u64,
    last: bool,
    before: &mut Before,
) -> Result<(), LogError> {
    let path = segments.path(number);
    let bytes = fs::read(&path).map_err(at(&path))?;
    let mut offset = 0;
    while offset < bytes.len() {
        if let Read::Frame(frame) = frame::read(&bytes[offset..]) {
            let expected = before.seq;
            before.missing += match before.fold.link {
                // The first head: what came before it is no matter of this reading.
                None => 0,
                Some(_) => frame.seq.saturating_sub(expected),
            };
            before.seq = frame.seq.saturating_add(1);
            before
                .fold
                .apply(&frame)
                .map_err(|malformed| LogError::Corrupt {
                    path: path.clone(),
                    offset: offset as u64,
                    reason: malformed.0,
                })?;
            offset += frame.size();
            continue;
        }
        let after = before.seq.checked_sub(1);
        if let Some(next) = frame::find(&bytes, offset + 1, after) {
            before.damage.push(Damage {
                path: path.clone(),
                offset: offset as u64,
                bytes: (next - offset) as u64,
            });
            offset = next;
        } else {
            let rest = (bytes.len() - offset) as u64;
            if last {
                cut(&path, offset as u64)?;
                before.truncated_bytes += rest;
            } else {
                before.damage.push(Damage {
                    path: path.clone(),
                    offset: offset as u64,
                    bytes: rest,
                });
            }
            break;
        }
    }
    Ok(())
}

fn cut(path: &Path, length: u64) -> Result<(), LogError> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| {
            file.set_len(length)?;
            file.sync_all()
        })
        .map_err(at(path))
}
