//! The one place that names the Hyperscan binding: many patterns, one pass, the ends of what matched.

use std::fmt;

use hyperscan::{BlockDatabase, Builder, CompileFlags, Matching, Pattern, Patterns, Scratch};

use super::finding::Undecodable;
use super::parse::RuleFault;

/// Hits kept at a time; where a text has more, it is read on from a little before the last one.
const HITS: usize = 1 << 16;
/// How much before: longer than what any pattern needs to match, since what is long is confirmed on the text itself.
const BEFORE: usize = 64 << 10;

/// A pattern to look for, by the number that its hits will carry.
pub struct Wanted<'a> {
    pub slot: usize,
    pub pattern: String,
    /// The rule's place in its file, for faults.
    pub origin: Option<&'a RuleFault>,
}

/// A run of places where matches of one pattern end, each one byte after the one before: `x{4,}` ends everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    pub slot: u32,
    pub first: u32,
    pub last: u32,
}

/// Why a scanner cannot be built.
#[derive(Debug)]
pub enum BuildError {
    /// Rules that the matcher refuses, with their places.
    Rules(Vec<RuleFault>),
    /// The matcher failed on all of them together.
    Matcher(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(faults) => {
                for (index, fault) in faults.iter().enumerate() {
                    let line = if index == 0 { "" } else { "\n" };
                    write!(f, "{line}{fault}")?;
                }
                Ok(())
            }
            Self::Matcher(message) => write!(f, "the matcher cannot be built: {message}"),
        }
    }
}

impl std::error::Error for BuildError {}

/// A compiled set of patterns. Shared by all workers.
pub struct Engine {
    database: BlockDatabase,
    slots: usize,
}

/// What a worker needs to scan; grows to the largest engine that it has met.
#[derive(Default)]
pub struct Memory {
    scratch: Option<Scratch>,
    hits: Vec<Hit>,
    /// Per slot: one more than the index of its newest hit in `hits`.
    newest: Vec<u32>,
}

impl Engine {
    /// Compiles the patterns, or `None` if there are none.
    pub fn build(wanted: &[Wanted<'_>]) -> Result<Option<Self>, BuildError> {
        if wanted.is_empty() {
            return Ok(None);
        }
        let patterns: Patterns = wanted.iter().map(pattern).collect();
        let database = patterns.build().map_err(|error| blame(wanted, &error))?;
        let slots = wanted.iter().map(|one| one.slot + 1).max().unwrap_or(0);
        Ok(Some(Self { database, slots }))
    }

    /// Makes the worker's memory large enough for this engine.
    pub fn prepare(&self, memory: &mut Memory) -> Result<(), Undecodable> {
        match &mut memory.scratch {
            Some(scratch) => self.database.realloc_scratch(scratch).map(drop),
            none => self
                .database
                .alloc_scratch()
                .map(|scratch| *none = Some(scratch)),
        }
        .map_err(|_| Undecodable::Engine)?;
        if memory.newest.len() < self.slots {
            memory.newest.resize(self.slots, 0);
        }
        Ok(())
    }

    /// Shows all places where a pattern's match ends, in the order of the text.
    pub fn find(
        &self,
        text: &[u8],
        memory: &mut Memory,
        mut see: impl FnMut(Hit),
    ) -> Result<(), Undecodable> {
        let mut next = Some(0);
        while let Some(after) = next {
            let found = self.find_after(text, after, memory);
            memory.hits.iter().copied().for_each(&mut see);
            next = found?;
        }
        Ok(())
    }

    /// Fills the memory's hits with those that end after so many bytes, or from there on if that is 0; where there are more
    /// than it holds, says after how many bytes to go on.
    fn find_after(
        &self,
        text: &[u8],
        after: usize,
        memory: &mut Memory,
    ) -> Result<Option<usize>, Undecodable> {
        let Memory {
            scratch,
            hits,
            newest,
        } = memory;
        let scratch = scratch.as_ref().ok_or(Undecodable::Engine)?;
        hits.clear();
        newest.fill(0);
        let from = after.saturating_sub(BEFORE);
        let text = text.get(from..).unwrap_or_default();
        // Must not panic: it is called from C.
        let note = |slot: u32, _: u64, end: u64, _: u32| {
            let end = usize::try_from(end).unwrap_or(usize::MAX);
            let end = from.saturating_add(end);
            if end <= after && after > 0 {
                return Matching::Continue;
            }
            let end = u32::try_from(end).unwrap_or(u32::MAX);
            let Some(newest) = newest.get_mut(slot as usize) else {
                return Matching::Continue;
            };
            let before = (*newest as usize).checked_sub(1);
            if let Some(hit) = before.and_then(|index| hits.get_mut(index))
                && end.wrapping_sub(hit.last) <= 1
            {
                hit.last = end;
                return Matching::Continue;
            }
            if hits.len() >= HITS {
                return Matching::Terminate;
            }
            hits.push(Hit {
                slot,
                first: end,
                last: end,
            });
            *newest = u32::try_from(hits.len()).unwrap_or(0);
            Matching::Continue
        };
        match self.database.scan(text, scratch, note) {
            Ok(()) => Ok(None),
            Err(_) if hits.len() >= HITS => match give_back(hits) {
                next if next > after => Ok(Some(next)),
                _ => Err(Undecodable::TooManyFindings),
            },
            Err(_) => Err(Undecodable::Engine),
        }
    }
}

/// Gives back the hits that end last: others may end there too. Says where those that are left end at most.
fn give_back(hits: &mut Vec<Hit>) -> usize {
    let end = hits.iter().map(|hit| hit.last).max().unwrap_or(0);
    hits.retain_mut(|hit| {
        hit.last = hit.last.min(end.saturating_sub(1));
        hit.first <= hit.last
    });
    (end as usize).saturating_sub(1)
}

fn pattern(wanted: &Wanted<'_>) -> Pattern {
    Pattern {
        expression: wanted.pattern.clone(),
        flags: CompileFlags::empty(),
        id: Some(wanted.slot),
        ext: hyperscan::ExpressionExt::default(),
        som: None,
    }
}

/// Finds out which patterns the matcher refuses: it tells only of the first.
fn blame(wanted: &[Wanted<'_>], error: &impl fmt::Display) -> BuildError {
    let faults: Vec<RuleFault> = wanted
        .iter()
        .filter_map(|one| {
            let refused = pattern(one).build::<hyperscan::Block>().err()?;
            Some(RuleFault {
                message: format!("the matcher refuses the pattern: {refused}"),
                ..one.origin?.clone()
            })
        })
        .collect();
    if faults.is_empty() {
        BuildError::Matcher(error.to_string())
    } else {
        BuildError::Rules(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_that_follow_each_other_are_one_hit() {
        let wanted = [r"ab{2,}", r"\bkey\b"].iter().enumerate();
        let wanted: Vec<_> = wanted
            .map(|(slot, pattern)| Wanted {
                slot,
                pattern: (*pattern).to_owned(),
                origin: None,
            })
            .collect();
        let engine = Engine::build(&wanted).unwrap().unwrap();
        let mut memory = Memory::default();
        engine.prepare(&mut memory).unwrap();
        let mut hits = Vec::new();
        let mut note = |hit: Hit| hits.push((hit.slot, hit.first, hit.last));
        engine
            .find(b"abbbb key abb", &mut memory, &mut note)
            .unwrap();
        assert_eq!(hits, [(0, 3, 5), (1, 9, 9), (0, 13, 13)]);
    }

    #[test]
    fn a_text_with_more_hits_than_are_kept_is_read_to_its_end() {
        let wanted = [r"ab", r"ab", r"b\b", r"x{2,}"].iter().enumerate();
        let wanted: Vec<_> = wanted
            .map(|(slot, pattern)| Wanted {
                slot,
                pattern: (*pattern).to_owned(),
                origin: None,
            })
            .collect();
        let engine = Engine::build(&wanted).unwrap().unwrap();
        let mut memory = Memory::default();
        engine.prepare(&mut memory).unwrap();
        let words = HITS;
        let text = [&b"ab ".repeat(words)[..], &b"x".repeat(100_000), b" ab"].concat();
        let (mut ends, mut long) = (Vec::new(), 0);
        let note = |hit: Hit| match hit.slot {
            3 => long += hit.last - hit.first + 1,
            slot => ends.push((hit.first, slot)),
        };
        engine.find(&text, &mut memory, note).unwrap();
        let before = ends.len();
        ends.sort_unstable();
        ends.dedup();
        assert_eq!((ends.len(), before), (3 * (words + 1), 3 * (words + 1)));
        assert_eq!(long, 99_999);
    }

    #[test]
    fn a_refused_pattern_is_named_with_its_place() {
        let origin = RuleFault {
            file: "r.toml".into(),
            line: 3,
            column: 1,
            message: String::new(),
        };
        let wanted = [Wanted {
            slot: 0,
            pattern: r"(?=a)b".to_owned(),
            origin: Some(&origin),
        }];
        let error = Engine::build(&wanted).err().unwrap().to_string();
        assert!(
            error.starts_with("r.toml:3:1  the matcher refuses the pattern"),
            "{error}"
        );
    }
}
