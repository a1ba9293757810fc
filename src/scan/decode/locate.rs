//! The way back: which bytes of the source a piece of the text came from, and the path of the leaf that held it.

use std::fmt::Write;
use std::ops::Range;

use super::events::{Events, Role};

/// Characters of a path; what is longer ends in an ellipsis.
const PATH: usize = 400;
/// Characters of one key in a path.
const KEY: usize = 60;

/// A piece of the text to find, and what was found.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// Bytes of the text.
    pub wanted: Range<usize>,
    /// Bytes of the source that became them: ascending, disjoint, not touching.
    pub ranges: Vec<Range<usize>>,
    pub path: String,
}

impl Target {
    pub fn new(wanted: Range<usize>) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }
}

/// Repeats a decoder's reading and notes where the targets (sorted by their start) lie.
pub struct Locate<'a> {
    source: &'a [u8],
    targets: &'a mut [Target],
    /// The targets before this one are finished.
    done: usize,
    /// The first target that may lie in the current leaf.
    first: usize,
    /// Bytes of text so far.
    at: usize,
    /// Bytes that a piece became.
    room: usize,
    /// Open containers.
    frames: Vec<Frame>,
    key_start: usize,
}

struct Frame {
    array: bool,
    index: usize,
    /// The current key as it may be shown.
    key: String,
}

impl<'a> Locate<'a> {
    /// `at` is the offset that the decoder's first byte has in the text.
    pub fn new(source: &'a [u8], targets: &'a mut [Target], at: usize) -> Self {
        Self {
            source,
            targets,
            done: 0,
            first: 0,
            at,
            room: usize::MAX,
            frames: Vec::new(),
            key_start: 0,
        }
    }

    /// Goes on as if `at` bytes of text had been read, with a piece that became `room` more.
    pub fn seek(&mut self, at: usize, room: usize) {
        (self.at, self.room) = (at, room);
    }

    fn overlapping(&mut self, length: usize) -> impl Iterator<Item = &mut Target> {
        let (from, to) = (self.at, self.at + length);
        while self
            .targets
            .get(self.done)
            .is_some_and(|target| target.wanted.end <= from)
        {
            self.done += 1;
        }
        self.targets
            .get_mut(self.done..)
            .unwrap_or_default()
            .iter_mut()
            .take_while(move |target| target.wanted.start < to)
            .filter(move |target| target.wanted.end > from)
    }

    /// Gives the targets that began in the current leaf its path.
    fn name_leaf(&mut self) {
        let end = self.at;
        let here = |target: &Target| target.wanted.start < end;
        if !self.targets.get(self.first).is_some_and(here) {
            return;
        }
        let path = self.path();
        let waiting = self.targets.get_mut(self.first..).unwrap_or_default();
        for target in waiting.iter_mut().take_while(|target| here(target)) {
            if target.path.is_empty() {
                target.path.clone_from(&path);
            }
        }
    }

    fn path(&self) -> String {
        let mut path = String::from("$");
        for frame in &self.frames {
            if path.len() > PATH {
                path.push('…');
                break;
            }
            if frame.array {
                // Writing to a string cannot fail.
                write!(path, "[{}]", frame.index).unwrap_or_default();
            } else {
                path.push_str(&frame.key);
            }
        }
        path
    }
}

impl Events for Locate<'_> {
    fn plain(&mut self, at: Range<usize>) {
        let text_at = self.at;
        for target in self.overlapping(at.len()) {
            let start = at.start + target.wanted.start.saturating_sub(text_at);
            let end = at.end.min(at.start + (target.wanted.end - text_at));
            extend(&mut target.ranges, start..end);
        }
        self.at += at.len();
    }

    fn stands_for(&mut self, text: &[u8], at: Range<usize>) {
        for target in self.overlapping(text.len()) {
            extend(&mut target.ranges, at.clone());
        }
        self.at += text.len();
    }

    fn room(&self) -> usize {
        self.room
    }

    fn start(&mut self, role: Role, _at: usize) {
        self.first = self.done;
        if role == Role::Key {
            self.key_start = self.at;
            if let Some(frame) = self.frames.last_mut() {
                frame.key.clear();
            }
        }
    }

    fn end(&mut self, role: Role, at: usize) {
        if role == Role::Key {
            let length = self.at - self.key_start;
            self.at = self.key_start;
            let found = self.overlapping(length).next().is_some();
            self.at += length;
            let key = self.source.get(at.saturating_sub(length)..at);
            let key = shown(key.unwrap_or_default(), found);
            if let Some(frame) = self.frames.last_mut() {
                frame.key = key;
            }
        }
        self.name_leaf();
        self.at += role.ending().len();
    }

    fn open(&mut self, array: bool) {
        self.frames.push(Frame {
            array,
            index: 0,
            key: String::new(),
        });
    }

    fn close(&mut self) {
        self.frames.pop();
    }

    fn comma(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.index += 1;
        }
    }
}

fn extend(ranges: &mut Vec<Range<usize>>, more: Range<usize>) {
    match ranges.last_mut() {
        Some(last) if last.end == more.start => last.end = more.end,
        // The same bytes stand for several of text.
        Some(last) if *last == more => {}
        _ => ranges.push(more),
    }
}

/// A key as a path shows it: only if it is a plain name and no finding lies in it.
fn shown(key: &[u8], found: bool) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$');
    match std::str::from_utf8(key) {
        Ok(name) if !found && (1..=KEY).contains(&name.len()) && key.iter().all(plain) => {
            format!(".{name}")
        }
        _ => "[*]".to_owned(),
    }
}
