//! Puts secrets back into an answer on its way to the client: joins what `provider` knows (where the text of an answer
//! stands) with what `scan` knows (which placeholder stands for what). Bytes in, bytes out; knows nothing of connections.
//!
//! Events are never made up and never dropped. One that ends in what may be the beginning of a placeholder waits until its
//! text goes on or ends, and a tool call's placeholder waits until the call is whole and can be judged; everything else
//! passes at once. What has no placeholder in it comes out byte for byte as it came.

mod event;
mod queue;
mod whole;

use std::collections::{BTreeMap, HashMap};

use crate::domain::Category;
use crate::domain::json::Tape;
use crate::provider::Endpoint;
use crate::provider::slots::{End, Key, Located};
use crate::provider::sse::{Event, Piece, Splitter};
use crate::scan::restore::{Restorations, Settled, Thread};
use queue::Queue;

/// The largest event that is looked into: a closing event of the Responses API repeats the whole answer.
const EVENT: usize = 16 << 20;
/// The largest whole answer that is looked into; a larger one passes as it is.
const BODY: usize = 64 << 20;
/// Bytes of events that may wait; past this they go on, with what is undecided left as it is.
const WAITING: usize = 8 << 20;
/// Growing texts at one time.
const THREADS: usize = 1024;

/// What was done to an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Placeholders put back, by category. What a stream says twice counts once.
    pub restored: BTreeMap<Category, u64>,
    /// Placeholders left in tool calls that would have sent their values over the network.
    pub withheld: BTreeMap<Category, u64>,
    /// Events or bodies that could not be read and passed as they came.
    pub malformed: u64,
}

/// Restores one answer. Not needed, and best not made, where there is nothing to restore.
pub struct StreamRestorer {
    known: Restorations,
    endpoint: Endpoint,
    /// Restore into tool calls without asking where they send it.
    into_network: bool,
    transport: Transport,
    tape: Tape,
    located: Located,
    threads: HashMap<Key, Thread>,
    names: HashMap<Key, String>,
    queue: Queue,
    /// The event before ended with a CR; an LF that follows in the next read belongs to it.
    after_cr: bool,
    counts: Counts,
}

enum Transport {
    Events(Splitter),
    Body(Vec<u8>),
    /// Too large to be looked into: the rest passes.
    Through,
}

impl StreamRestorer {
    /// For one answer of `endpoint`; `is_sse` where its content type is `text/event-stream`. Encoded answers have to be
    /// decoded before.
    #[must_use]
    pub fn new(endpoint: Endpoint, is_sse: bool, known: Restorations) -> Self {
        let transport = if is_sse {
            Transport::Events(Splitter::new(EVENT))
        } else {
            Transport::Body(Vec::new())
        };
        Self {
            known,
            endpoint,
            into_network: false,
            transport,
            tape: Tape::default(),
            located: Located::default(),
            threads: HashMap::new(),
            names: HashMap::new(),
            queue: Queue::default(),
            after_cr: false,
            counts: Counts::default(),
        }
    }

    /// Whether tool calls that send a value over the network get it too (`restore_in_network_commands`; off at first).
    #[must_use]
    pub const fn into_network(mut self, yes: bool) -> Self {
        self.into_network = yes;
        self
    }

    /// What was done so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether the request brought what this placeholder stands for.
    #[must_use]
    pub fn knows(&self, placeholder: &[u8]) -> bool {
        let mut known = false;
        self.known.find(placeholder, |_| known = true);
        known
    }

    /// Bytes that wait inside.
    #[must_use]
    pub fn held(&self) -> usize {
        self.queue.bytes()
            + match &self.transport {
                Transport::Events(splitter) => splitter.held(),
                Transport::Body(body) => body.len(),
                Transport::Through => 0,
            }
    }

    /// Takes bytes from upstream; what may go on to the client is added to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        match &mut self.transport {
            Transport::Events(splitter) => {
                // Taken out so that the pieces can be worked on while it hands them out.
                let mut splitter = std::mem::take(splitter);
                splitter.push(chunk, |piece| self.piece(piece, out));
                self.transport = Transport::Events(splitter);
            }
            Transport::Body(body) => {
                body.extend_from_slice(chunk);
                if body.len() > BODY {
                    self.counts.malformed += 1;
                    out.append(body);
                    self.transport = Transport::Through;
                }
            }
            Transport::Through => out.extend_from_slice(chunk),
        }
    }

    /// Ends the answer: everything that waits goes on.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.transport, Transport::Through) {
            Transport::Events(mut splitter) => {
                splitter.finish(|piece| self.piece(piece, out));
                self.abandon();
                self.release(out);
            }
            Transport::Body(body) => self.body(&body, out),
            Transport::Through => {}
        }
    }

    fn piece(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        let raw = piece.raw();
        let rest = match raw.strip_prefix(b"\n") {
            Some(rest) if self.after_cr => {
                self.queue.line_feed(out);
                rest
            }
            _ => raw,
        };
        self.after_cr = raw.ends_with(b"\r");
        self.queue.waits = false;
        match piece {
            Piece::Event(_) => self.event(Event::of(rest), false, out),
            // The last event of a stream without its blank line: many clients take it all the same.
            Piece::Rest(_) => self.event(Event::of(rest), true, out),
            Piece::Oversize { first, .. } => {
                if first {
                    self.counts.malformed += 1;
                    self.abandon();
                    self.release(out);
                }
                out.extend_from_slice(rest);
            }
        }
    }

    /// Ends texts: what waits for them is decided.
    fn end(&mut self, end: End) {
        let ended: Vec<Key> = match end {
            End::Key(key) => self
                .threads
                .contains_key(&key)
                .then_some(key)
                .into_iter()
                .collect(),
            End::Group(group) => self
                .threads
                .keys()
                .filter(|key| key.group == group)
                .copied()
                .collect(),
            End::All => self.threads.keys().copied().collect(),
        };
        for key in ended {
            if let Some(mut thread) = self.threads.remove(&key) {
                let mut settled = Settled::default();
                thread.end(&self.known, &mut settled);
                self.settle(key, &settled);
                self.queue.settled(key, u64::MAX);
            }
        }
    }

    /// Lets everything go that waits, undecided tool calls as they are.
    fn abandon(&mut self) {
        let mut threads = std::mem::take(&mut self.threads);
        for (key, thread) in &mut threads {
            let mut settled = Settled::default();
            thread.abandon(&mut settled);
            self.settle(*key, &settled);
            self.queue.settled(*key, u64::MAX);
        }
        self.threads = threads;
    }

    fn settle(&mut self, key: Key, settled: &Settled) {
        self.queue.edit(key, &settled.edits);
        self.withheld(&settled.withheld);
    }

    fn withheld(&mut self, entries: &[usize]) {
        for entry in entries {
            count(&mut self.counts.withheld, self.known.category(*entry));
        }
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        self.queue.release(&self.known, &mut self.counts, out);
    }
}

fn count(counts: &mut BTreeMap<Category, u64>, category: &Category) {
    if let Some(number) = counts.get_mut(category) {
        *number += 1;
    } else {
        counts.insert(category.clone(), 1);
    }
}

#[cfg(test)]
mod tests;
