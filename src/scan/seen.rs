//! What was found clean before: an agent sends its whole history again with every turn, and only the end of it is new.
//!
//! A chunk of a body is known by a keyed digest of its bytes and of those of the chunk before it, since a secret may be cut
//! in two by the end of a message. Of a chunk with a finding nothing is kept but that it has one, and no digest leaves the
//! process.

use std::sync::atomic::{AtomicU64, Ordering};

use highway::{HighwayHash, HighwayHasher, Key};

use super::decode::chunks::{Chunk, Within};
use super::decode::events::Gap;
use crate::domain::Name;

/// Digests that are looked at for one: those of a cache line.
const WAYS: usize = 8;
/// Digests kept: 4 MiB of them, for some gigabyte of history.
const KEPT: usize = 1 << 19;

/// Of a chunk: 256 bits of `HighwayHash` (<https://arxiv.org/abs/1612.06257>).
type Digest = [u64; 4];

/// A bounded set of digests; any number of scans look into it at once. A new digest drives out an old one.
///
/// A tag is 64 bits of a digest of digests: one that was never kept is taken for one of those that are looked at with a
/// chance of 8 in 2^64.
pub struct Seen {
    /// Of this process, and told to nobody.
    key: Key,
    lines: Box<[[AtomicU64; WAYS]]>,
}

/// A digest of a chunk and of the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(u64);

impl Tag {
    /// What is kept of a chunk with a finding.
    fn told(self) -> Self {
        Self((!self.0).max(1))
    }
}

impl Seen {
    /// An empty set under a key of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::of_lines(KEPT / WAYS)
    }

    fn of_lines(count: usize) -> Self {
        let lines = (0..count).map(|_| std::array::from_fn(|_| AtomicU64::new(0)));
        Self {
            key: Key(rand::random()),
            lines: lines.collect(),
        }
    }

    /// The tags of a body's chunks as this team sends them.
    pub fn tags(&self, team: Option<&Name>, body: &[u8], chunks: &[Chunk], tags: &mut Vec<Tag>) {
        tags.clear();
        // Each team has names of its own that are looked for.
        let team = self.digest(team.map_or("", Name::as_str).as_bytes(), [0, 0]);
        let mut before = team;
        for chunk in chunks {
            // A chunk without a tag, and all after it, are scanned.
            let Some(bytes) = body.get(chunk.start..chunk.end) else {
                return;
            };
            let within = [place(chunk.within.0), place(chunk.within.1)];
            let own = self.digest(bytes, within);
            let digests = [team, before, own].map(bytes_of);
            let [half, ..] = self.digest(digests.as_flattened(), [TAG; 2]);
            // Zero is the mark of an empty place.
            tags.push(Tag(half.max(1)));
            before = own;
        }
    }

    /// The digest of bytes, of how many they are, and of what they stand in.
    fn digest(&self, bytes: &[u8], within: [u8; 2]) -> Digest {
        let mut digest = HighwayHasher::new(self.key);
        digest.append(bytes);
        digest.append(&(bytes.len() as u64).to_le_bytes());
        digest.append(&within);
        digest.finalize256()
    }

    /// What of a body need not be scanned again. The chunk before a new one is: a secret may begin in it. Nothing, where a
    /// new one was told of: something will be found, and the whole be scanned for it.
    pub fn gaps(&self, chunks: &[Chunk], tags: &[Tag], gaps: &mut Vec<Gap>) {
        gaps.clear();
        let told = |tag: &Tag| !self.has(*tag) && self.has(tag.told());
        if tags.iter().any(told) {
            return;
        }
        let old = |index: usize| tags.get(index).is_some_and(|tag| self.has(*tag));
        let mut is_old = old(0);
        for (index, chunk) in chunks.iter().enumerate() {
            // What follows the last chunk is new.
            let next_is_old = old(index + 1);
            if !std::mem::replace(&mut is_old, next_is_old) || !next_is_old {
                continue;
            }
            let in_list = chunk.within.1 == Within::List;
            match gaps.last_mut().filter(|gap| gap.end == chunk.start) {
                Some(gap) => (gap.end, gap.in_list) = (chunk.end, in_list),
                None => gaps.push(Gap {
                    start: chunk.start,
                    end: chunk.end,
                    in_list,
                }),
            }
        }
    }

    /// Notes that something was found in the chunk around `at`, and not what.
    pub fn tell(&self, chunks: &[Chunk], tags: &[Tag], at: usize) {
        let chunk = chunks.partition_point(|chunk| chunk.end <= at);
        if let Some(tag) = tags.get(chunk) {
            self.keep(tag.told());
        }
    }

    fn has(&self, tag: Tag) -> bool {
        self.line(tag)
            .is_some_and(|line| line.iter().any(|one| one.load(Ordering::Relaxed) == tag.0))
    }

    /// Keeps a tag. Two scans that keep at the same place may lose one of theirs, which costs a scan.
    pub fn keep(&self, tag: Tag) {
        let Some(line) = self.line(tag).filter(|_| !self.has(tag)) else {
            return;
        };
        let empty = |one: &&AtomicU64| one.load(Ordering::Relaxed) == 0;
        // Which one is driven out depends on the digest, that is, on chance.
        let chosen = line.get((tag.0 >> 60) as usize % WAYS);
        if let Some(place) = line.iter().find(empty).or(chosen) {
            place.store(tag.0, Ordering::Relaxed);
        }
    }

    fn line(&self, tag: Tag) -> Option<&[AtomicU64; WAYS]> {
        let count = self.lines.len().max(1) as u64;
        self.lines.get(usize::try_from(tag.0 % count).unwrap_or(0))
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self::new()
    }
}

fn bytes_of(digest: Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    let (words, _) = bytes.as_chunks_mut();
    for (to, from) in words.iter_mut().zip(digest) {
        *to = from.to_le_bytes();
    }
    bytes
}

/// What stands for a place in the digest of digests.
const TAG: u8 = 3;

const fn place(within: Within) -> u8 {
    match within {
        Within::Start => 0,
        Within::Body => 1,
        Within::List => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode::chunks::cut;
    use super::*;

    fn tags(seen: &Seen, team: &str, body: &str) -> Vec<Tag> {
        let (mut chunks, mut tags) = (Vec::new(), Vec::new());
        cut(body.as_bytes(), &mut chunks);
        let team = Name::new(team);
        seen.tags(Some(&team), body.as_bytes(), &chunks, &mut tags);
        tags
    }

    fn body(letters: &str) -> String {
        let long = letters
            .chars()
            .map(|c| format!("\"{}\"", c.to_string().repeat(5000)));
        format!(
            r#"{{"messages": [{}]}}"#,
            long.collect::<Vec<_>>().join(", ")
        )
    }

    #[test]
    fn a_chunk_is_known_after_the_same_chunk_for_the_same_team_alone() {
        let seen = Seen::of_lines(64);
        let first = tags(&seen, "one", &body("abcz"));
        assert_eq!(first.len(), 4);
        assert_eq!(tags(&seen, "one", &body("abcz")), first);
        let shared = |other: &str, team: &str| {
            let other = tags(&seen, team, &body(other));
            other.iter().filter(|tag| first.contains(tag)).count()
        };
        assert_eq!(shared("abcz", "two"), 0);
        assert_eq!(shared("abczz", "one"), 4);
        assert_eq!(shared("abxcz", "one"), 3, "not the one after another");
        assert_eq!(shared("bacz", "one"), 1);
    }

    #[test]
    fn of_a_body_with_a_finding_nothing_is_left_out() {
        let seen = Seen::of_lines(64);
        let (old, new) = (body("abcdefz"), body("abcdefyz"));
        for tag in tags(&seen, "one", &old) {
            seen.keep(tag);
        }
        let gaps = |body: &str| {
            let (mut chunks, mut gaps) = (Vec::new(), Vec::new());
            cut(body.as_bytes(), &mut chunks);
            seen.gaps(&chunks, &tags(&seen, "one", body), &mut gaps);
            (chunks, gaps.len())
        };
        let (chunks, before) = gaps(&new);
        assert_eq!(before, 1);
        let at = new.find('y').unwrap();
        seen.tell(&chunks, &tags(&seen, "one", &new), at);
        assert_eq!(gaps(&new).1, 0);
        assert_eq!(gaps(&old).1, 1, "it has no such chunk");
    }

    #[test]
    fn what_is_kept_is_had_until_it_is_driven_out() {
        let seen = Seen::of_lines(1);
        let tag = |number: u64| Tag((number << 60) | (number + 1));
        for number in 0..WAYS as u64 {
            assert!(!seen.has(tag(number)));
            seen.keep(tag(number));
            seen.keep(tag(number));
            assert!(seen.has(tag(number)));
        }
        let had = |seen: &Seen| (0..WAYS as u64).filter(|one| seen.has(tag(*one))).count();
        assert_eq!(
            had(&seen),
            WAYS,
            "a tag that is had already takes no other place"
        );
        seen.keep(tag(WAYS as u64));
        assert!(seen.has(tag(WAYS as u64)));
        assert_eq!(had(&seen), WAYS - 1);
    }
}
