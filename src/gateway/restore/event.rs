//! One event of a stream: finds its text, feeds it to the threads, and sends it on or lets it wait.

use std::ops::Range;

use super::queue::Literal;
use super::{StreamRestorer, THREADS, WAITING};
use crate::domain::json;
use crate::provider::slots::{End, Located, Of, Part, Slot, locate_event};
use crate::provider::sse::Event;
use crate::scan::restore::{Nesting, Settled, Thread};

impl StreamRestorer {
    /// Takes one event. `last`: nothing comes after it.
    pub(super) fn event(&mut self, event: Event<'_>, last: bool, out: &mut Vec<u8>) {
        let Some(data) = event.data() else {
            out.extend_from_slice(event.raw());
            return;
        };
        if data.trim_ascii() == b"[DONE]" {
            self.end(End::All);
            self.release(out);
            out.extend_from_slice(event.raw());
            return;
        }
        // Taken out so that their rooms are used again, whatever comes of this event.
        let mut tape = std::mem::take(&mut self.tape);
        let mut located = std::mem::take(&mut self.located);
        let lines = Lines::of(event);
        let readable = tape.read(&data).is_ok_and(|document| {
            locate_event(self.endpoint, document.root(), &mut located);
            located
                .slots
                .iter()
                .all(|slot| lines.place(&slot.literal).is_some())
        });
        if readable {
            self.readable(event.raw(), &data, &lines, &mut located, out);
        } else {
            self.counts.malformed += 1;
            if last {
                self.abandon();
                self.release(out);
            }
            out.extend_from_slice(event.raw());
        }
        (self.tape, self.located) = (tape, located);
    }

    fn readable(
        &mut self,
        raw: &[u8],
        data: &[u8],
        lines: &Lines,
        located: &mut Located,
        out: &mut Vec<u8>,
    ) {
        for opening in &located.openings {
            let name = json::decode(&data[opening.name.clone()]);
            if self.names.len() < THREADS {
                let name = String::from_utf8_lossy(&name).into_owned();
                self.names.insert(opening.key, name);
            }
        }
        std::mem::swap(&mut self.queue.current.opens, &mut located.opens);
        std::mem::swap(&mut self.queue.current.groups, &mut located.groups);
        self.queue.current.ends = !located.ends.is_empty();
        let mut whole = self.whole(data, located);
        for (slot, edits) in located.slots.iter().zip(&mut whole) {
            let Some(at) = lines.place(&slot.literal) else {
                continue;
            };
            self.queue.current.literals.push(Literal {
                key: slot.key,
                piece: None,
                at,
                nesting: edits.nesting,
                edits: std::mem::take(&mut edits.list),
                counts: slot.part != Part::Repeat,
            });
            if slot.part == Part::Delta {
                self.delta(slot, &data[slot.literal.clone()]);
            }
        }
        for end in &located.ends {
            self.end(*end);
        }
        if self.queue.bytes() > WAITING || self.threads.len() > THREADS {
            self.abandon();
        }
        self.release(out);
        self.queue.pass(raw, &self.known, &mut self.counts, out);
    }

    /// Feeds the newest literal of the event at hand to the text that it continues.
    fn delta(&mut self, slot: &Slot, literal: &[u8]) {
        let judged = slot.key.of == Of::Call && !self.into_network;
        let names = &self.names;
        let thread = self.threads.entry(slot.key).or_insert_with(|| {
            if judged {
                Thread::call(names.get(&slot.key).map(String::as_str))
            } else {
                Thread::text()
            }
        });
        if let Some(literal) = self.queue.current.literals.last_mut() {
            literal.piece = Some(thread.next());
        }
        let mut settled = Settled::default();
        let before = thread.open_from();
        thread.feed(&self.known, &json::decode(literal), &mut settled);
        if let Some(literal) = self.queue.current.literals.last_mut() {
            literal.nesting = nesting(slot, thread);
        }
        let open_from = thread.open_from();
        self.settle(slot.key, &settled);
        if open_from > before {
            self.queue.settled(slot.key, open_from);
        }
    }
}

/// How deep the text of a slot lies, of which the thread has seen what came. What a tool gets is its own form's.
pub(super) fn nesting(slot: &Slot, thread: &Thread) -> Nesting {
    match slot.key.of {
        _ if slot.json => Nesting::Json,
        Of::Text if thread.reads_like_json() => Nesting::Document,
        _ => Nesting::Text,
    }
}

/// Where the data of an event stand in its raw bytes: one stretch for each `data` line.
struct Lines(Vec<(Range<usize>, usize)>);

impl Lines {
    fn of(event: Event<'_>) -> Self {
        let base = event.raw().as_ptr().addr();
        let mut start = 0;
        let lines = event.data_lines().map(|line| {
            let data = start..start + line.len();
            start = data.end + 1;
            (data, line)
        });
        // An empty line has no place, and nothing stands in it.
        let lines = lines.filter(|(_, line)| !line.is_empty());
        let lines = lines.map(|(data, line)| (data, line.as_ptr().addr() - base));
        Self(lines.collect())
    }

    /// The raw bytes of some data, where they lie in one line.
    fn place(&self, data: &Range<usize>) -> Option<Range<usize>> {
        let (line, raw) = self
            .0
            .iter()
            .find(|(line, _)| data.start >= line.start && data.end <= line.end)?;
        let at = data.start - line.start + raw;
        Some(at..at + data.len())
    }
}
