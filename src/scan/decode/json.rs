//! Walks a JSON text and hands out its strings, decoded, in order. Checks the grammar on the way, builds nothing.

use super::events::{Events, Role};
use crate::scan::finding::Undecodable;

/// The most that `Limits::depth` can ask for: one bit of the stack per level.
pub const DEPTH: usize = 256;
/// Numbers of fewer characters are not handed out: no card number or phone number is that short.
const NUMBER: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value or `]`.
    FirstElement,
    /// A key or `}`.
    FirstKey,
    Key,
    Colon,
    /// `,`, or the end of the container.
    Next,
    /// The whole text is read, but for white space (or further values).
    Done,
}

/// Which containers are open: a bit each, set for arrays.
#[derive(Default)]
struct Stack {
    bits: [u64; DEPTH / 64],
    depth: usize,
}

impl Stack {
    fn push(&mut self, array: bool) {
        let (word, bit) = (self.depth / 64, 1u64 << (self.depth % 64));
        if let Some(word) = self.bits.get_mut(word) {
            *word = if array { *word | bit } else { *word & !bit };
        }
        self.depth += 1;
    }

    fn in_array(&self) -> Option<bool> {
        let top = self.depth.checked_sub(1)?;
        Some(self.bits.get(top / 64)? >> (top % 64) & 1 == 1)
    }
}

/// Where and why a walk stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    pub at: usize,
    pub why: Undecodable,
}

impl Stop {
    const fn bad(at: usize) -> Self {
        let why = Undecodable::BadJson { at };
        Self { at, why }
    }
}

/// Walks one JSON text, or with `many` any number of them one after another.
///
/// # Errors
/// Where the text stops being JSON, or is nested deeper than `depth`. What was read before has been handed out.
pub fn walk<E: Events>(text: &[u8], many: bool, depth: usize, events: &mut E) -> Result<(), Stop> {
    let mut walk = Walk {
        text,
        at: 0,
        expect: Expect::Value,
        stack: Stack::default(),
        depth: depth.min(DEPTH),
        values: 0,
    };
    if !walk.skip(events) && text.starts_with(b"\xEF\xBB\xBF") {
        // A byte order mark is not JSON, but every reader forgives it.
        walk.at = 3;
    }
    while let Some(&byte) = text.get(walk.at) {
        if walk.expect == Expect::Next && walk.stack.depth <= 2 && walk.skip(events) {
            continue;
        }
        match byte {
            b' ' | b'\n' | b'\t' | b'\r' => walk.at += 1,
            b'"' => walk.string(events)?,
            b'{' | b'[' => walk.open(byte == b'[', events)?,
            b'}' | b']' => walk.close(byte == b']', events)?,
            b':' => walk.step(Expect::Colon, Expect::Value)?,
            b',' => {
                let next = if walk.stack.in_array() == Some(true) {
                    Expect::Value
                } else {
                    Expect::Key
                };
                walk.step(Expect::Next, next)?;
                events.comma();
            }
            _ => walk.scalar(events)?,
        }
        if walk.expect == Expect::Done && many {
            walk.expect = Expect::Value;
        }
    }
    let whole = walk.stack.depth == 0 && (walk.values == 1 || many);
    if whole {
        Ok(())
    } else {
        Err(Stop::bad(walk.at))
    }
}

/// A walk under way.
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    expect: Expect,
    stack: Stack,
    depth: usize,
    /// Values read outside any container.
    values: usize,
}

impl Walk<'_> {
    /// One byte of punctuation.
    fn step(&mut self, expected: Expect, next: Expect) -> Result<(), Stop> {
        if self.expect != expected {
            return Err(Stop::bad(self.at));
        }
        self.at += 1;
        self.expect = next;
        Ok(())
    }

    /// Leaves out what the listener wants left out from here on; what follows is as after any outer value.
    fn skip<E: Events>(&mut self, events: &mut E) -> bool {
        let Some(gap) = events.skip(self.at) else {
            return false;
        };
        self.at = gap.end;
        self.expect = Expect::Next;
        self.stack = Stack::default();
        self.stack.push(false);
        if gap.in_list {
            self.stack.push(true);
        }
        true
    }

    fn value_may_start(&self) -> Result<(), Stop> {
        match self.expect {
            Expect::Value | Expect::FirstElement => Ok(()),
            _ => Err(Stop::bad(self.at)),
        }
    }

    fn value_read(&mut self) {
        self.expect = if self.stack.depth > 0 {
            Expect::Next
        } else {
            self.values += 1;
            Expect::Done
        };
    }

    fn string<E: Events>(&mut self, events: &mut E) -> Result<(), Stop> {
        if matches!(self.expect, Expect::Key | Expect::FirstKey) {
            self.at = string(self.text, self.at, Role::Key, events)?;
            self.expect = Expect::Colon;
            return Ok(());
        }
        self.value_may_start()?;
        self.at = string(self.text, self.at, Role::Value, events)?;
        self.value_read();
        Ok(())
    }

    fn open<E: Events>(&mut self, array: bool, events: &mut E) -> Result<(), Stop> {
        self.value_may_start()?;
        if self.stack.depth >= self.depth {
            let (at, why) = (self.at, Undecodable::TooDeep);
            return Err(Stop { at, why });
        }
        self.stack.push(array);
        self.at += 1;
        self.expect = if array {
            Expect::FirstElement
        } else {
            Expect::FirstKey
        };
        events.open(array);
        Ok(())
    }

    fn close<E: Events>(&mut self, array: bool, events: &mut E) -> Result<(), Stop> {
        let empty = if array {
            Expect::FirstElement
        } else {
            Expect::FirstKey
        };
        let may_close = self.expect == Expect::Next || self.expect == empty;
        if !may_close || self.stack.in_array() != Some(array) {
            return Err(Stop::bad(self.at));
        }
        self.stack.depth -= 1;
        self.at += 1;
        self.value_read();
        events.close();
        Ok(())
    }

    /// A number or a word. Long numbers are handed out.
    fn scalar<E: Events>(&mut self, events: &mut E) -> Result<(), Stop> {
        self.value_may_start()?;
        let rest = self.text.get(self.at..).unwrap_or_default();
        let word = [&b"true"[..], b"false", b"null"]
            .into_iter()
            .find(|word| rest.starts_with(word));
        let number = |b: &&u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = word.map_or_else(|| rest.iter().take_while(number).count(), <[u8]>::len);
        if length == 0 {
            return Err(Stop::bad(self.at));
        }
        let end = self.at + length;
        if length >= NUMBER {
            events.start(Role::Value, self.at);
            events.plain(self.at..end);
            events.end(Role::Value, end);
        }
        self.at = end;
        self.value_read();
        Ok(())
    }
}

/// Reads the string whose opening quote is at `at`; the place after its closing quote.
fn string<E: Events>(text: &[u8], at: usize, role: Role, events: &mut E) -> Result<usize, Stop> {
    events.start(role, at + 1);
    match events.string(text, at + 1) {
        Ok(stop) => {
            events.end(role, stop);
            Ok(stop + 1)
        }
        Err(stop) => {
            events.end(role, stop);
            Err(Stop::bad(stop))
        }
    }
}
