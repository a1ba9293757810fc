//! Texts that are there as a whole: in answers that came at once, and in the events that say again what was streamed.

use super::StreamRestorer;
use super::event::nesting;
use crate::domain::json::{self, Tape};
use crate::provider::slots::{Call, Located, Part, locate_body};
use crate::scan::restore::{Edit, Nesting, Settled, Thread, judge, splice};

/// The changes of one slot.
pub(super) struct Changes {
    pub list: Vec<Edit>,
    pub nesting: Nesting,
}

impl StreamRestorer {
    /// A whole answer. What is no JSON passes as it came.
    pub(super) fn body(&mut self, body: &[u8], out: &mut Vec<u8>) {
        let mut tape = Tape::default();
        let mut located = Located::default();
        match tape.read(body) {
            Ok(document) => locate_body(self.endpoint, document.root(), &mut located),
            Err(_) => self.counts.malformed += u64::from(!body.is_empty()),
        }
        let whole = self.whole(body, &located);
        let mut from = 0;
        for (slot, changes) in located.slots.iter().zip(&whole) {
            if changes.list.is_empty() {
                continue;
            }
            out.extend_from_slice(&body[from..slot.literal.start]);
            let (known, counts) = (&self.known, &mut self.counts.restored);
            let inside = &body[slot.literal.clone()];
            splice(
                inside,
                &changes.list,
                changes.nesting,
                known,
                out,
                |entry| {
                    super::count(counts, known.category(entry));
                },
            );
            from = slot.literal.end;
        }
        out.extend_from_slice(&body[from..]);
    }

    /// The changes of every slot that holds a whole text; none for the others.
    pub(super) fn whole(&mut self, data: &[u8], located: &Located) -> Vec<Changes> {
        let mut changes = Vec::with_capacity(located.slots.len());
        for slot in &located.slots {
            let (mut thread, mut settled) = (Thread::text(), Settled::default());
            if slot.part != Part::Delta {
                let text = json::decode(&data[slot.literal.clone()]);
                thread.feed(&self.known, &text, &mut settled);
            }
            changes.push(Changes {
                list: settled.edits,
                nesting: nesting(slot, &thread),
            });
        }
        if !self.into_network {
            for (number, call) in located.calls.iter().enumerate() {
                self.judge(data, located, number, call, &mut changes);
            }
        }
        changes
    }

    /// Takes back the changes of a call that would send them over the network.
    fn judge(
        &mut self,
        data: &[u8],
        located: &Located,
        number: usize,
        call: &Call,
        changes: &mut [Changes],
    ) {
        let of_call = |index: &usize| located.slots[*index].call == Some(number);
        let slots: Vec<usize> = (0..changes.len()).filter(of_call).collect();
        if slots.iter().all(|index| changes[*index].list.is_empty()) {
            return;
        }
        let name = match &call.name {
            Some(name) => {
                Some(String::from_utf8_lossy(&json::decode(&data[name.clone()])).into_owned())
            }
            None => self.names.get(&call.key).cloned(),
        };
        let literal = slots
            .iter()
            .any(|index| located.slots[*index].literal == call.arguments);
        let arguments = &data[call.arguments.clone()];
        let sends = if literal {
            judge(name.as_deref(), &json::decode(arguments), &self.known)
        } else {
            judge(name.as_deref(), arguments, &self.known)
        };
        if !sends {
            return;
        }
        for index in slots {
            let edits = std::mem::take(&mut changes[index].list);
            if located.slots[index].part != Part::Repeat {
                let entries: Vec<usize> = edits.iter().filter_map(|edit| edit.entry).collect();
                self.withheld(&entries);
            }
        }
    }
}
