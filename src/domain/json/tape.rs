//! Where the values of a JSON text stand: a flat list in the order of the text, made in one pass and reusable.

use std::ops::Range;

use super::literal;

/// Deepest nesting that is read.
const DEPTH: usize = 512;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    /// A member's name; its value is the node after it.
    Key,
    Text,
    Number,
    /// `true`, `false` or `null`.
    Word,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    start: u32,
    end: u32,
    parent: u32,
    /// The node after this one and all that it holds.
    after: u32,
    kind: Kind,
}

/// The text is not JSON, too deep, or larger than four gigabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The byte where reading stopped.
    pub at: usize,
}

/// Room for the places of one text at a time.
#[derive(Debug, Default)]
pub struct Tape {
    nodes: Vec<Node>,
    open: Vec<u32>,
}

/// A text and the places of its values.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    text: &'a [u8],
    nodes: &'a [Node],
}

/// One value (or key) of a document.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    document: Document<'a>,
    index: usize,
}

/// What may follow next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ElementOrEnd,
    KeyOrEnd,
    Key,
    Colon,
    CommaOrEnd,
    Nothing,
}

impl Tape {
    /// Reads one JSON text. Control characters inside literals are forgiven; whatever else is no JSON is not.
    ///
    /// # Errors
    /// Where the text stops being JSON.
    pub fn read<'a>(&'a mut self, text: &'a [u8]) -> Result<Document<'a>, Broken> {
        self.nodes.clear();
        self.open.clear();
        if u32::try_from(text.len()).is_err() {
            return Err(Broken { at: 0 });
        }
        let mut at = if text.starts_with(b"\xEF\xBB\xBF") {
            3
        } else {
            0
        };
        let mut expect = Expect::Value;
        while let Some(&byte) = text.get(at) {
            if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                at += 1;
                continue;
            }
            (at, expect) = self.token(text, at, byte, expect).ok_or(Broken { at })?;
        }
        if expect == Expect::Nothing {
            Ok(Document {
                text,
                nodes: &self.nodes,
            })
        } else {
            Err(Broken { at })
        }
    }

    /// Reads the token at `at`: the place after it and what may follow.
    fn token(
        &mut self,
        text: &[u8],
        at: usize,
        byte: u8,
        expect: Expect,
    ) -> Option<(usize, Expect)> {
        match (byte, expect) {
            (b'"', Expect::Key | Expect::KeyOrEnd) => {
                let end = string_end(text, at + 1)?;
                self.push(Kind::Key, at + 1, end)?;
                Some((end + 1, Expect::Colon))
            }
            (b':', Expect::Colon) => Some((at + 1, Expect::Value)),
            (b',', Expect::CommaOrEnd) => {
                let within = self.nodes.get(*self.open.last()? as usize)?.kind;
                let next = if within == Kind::Object {
                    Expect::Key
                } else {
                    Expect::Value
                };
                Some((at + 1, next))
            }
            (b'}', Expect::KeyOrEnd | Expect::CommaOrEnd) => self.close(Kind::Object, at),
            (b']', Expect::ElementOrEnd | Expect::CommaOrEnd) => self.close(Kind::Array, at),
            (_, Expect::Value | Expect::ElementOrEnd) => self.value(text, at, byte),
            _ => None,
        }
    }

    fn value(&mut self, text: &[u8], at: usize, byte: u8) -> Option<(usize, Expect)> {
        let (kind, inside, end, next) = match byte {
            b'{' | b'[' => {
                if self.open.len() >= DEPTH {
                    return None;
                }
                let (kind, next) = if byte == b'{' {
                    (Kind::Object, Expect::KeyOrEnd)
                } else {
                    (Kind::Array, Expect::ElementOrEnd)
                };
                let index = self.push(kind, at, at)?;
                self.open.push(index);
                return Some((at + 1, next));
            }
            b'"' => {
                let end = string_end(text, at + 1)?;
                (Kind::Text, at + 1, end, end + 1)
            }
            b'-' | b'0'..=b'9' => {
                let number = |b: &u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                let end = at + text[at..].iter().take_while(|b| number(b)).count();
                (Kind::Number, at, end, end)
            }
            _ => {
                let word = [&b"true"[..], b"false", b"null"]
                    .into_iter()
                    .find(|word| text[at..].starts_with(word))?;
                (Kind::Word, at, at + word.len(), at + word.len())
            }
        };
        self.push(kind, inside, end)?;
        Some((next, self.after_value()))
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) -> Option<u32> {
        let index = u32::try_from(self.nodes.len()).ok()?;
        self.nodes.push(Node {
            start: u32::try_from(start).ok()?,
            end: u32::try_from(end).ok()?,
            parent: self.open.last().copied().unwrap_or(u32::MAX),
            after: index.checked_add(1)?,
            kind,
        });
        Some(index)
    }

    fn close(&mut self, kind: Kind, at: usize) -> Option<(usize, Expect)> {
        let after = u32::try_from(self.nodes.len()).ok()?;
        let node = self.nodes.get_mut(self.open.pop()? as usize)?;
        if node.kind != kind {
            return None;
        }
        node.end = u32::try_from(at + 1).ok()?;
        node.after = after;
        Some((at + 1, self.after_value()))
    }

    fn after_value(&self) -> Expect {
        if self.open.is_empty() {
            Expect::Nothing
        } else {
            Expect::CommaOrEnd
        }
    }
}

/// The place of the quote that ends the literal whose inside begins at `at`; every escape on the way is checked.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    loop {
        let rest = text.get(at..)?;
        at += rest.iter().position(|b| matches!(b, b'"' | b'\\'))?;
        if text[at] == b'"' {
            return Some(at);
        }
        // The unit is bounded by the longest escape, so that a long literal is not walked twice.
        let window = &text[at..text.len().min(at + 12)];
        at += literal::units(window).next()?.raw.end;
    }
}

impl<'a> Document<'a> {
    /// The outermost value.
    #[must_use]
    pub const fn root(self) -> Value<'a> {
        Value {
            document: self,
            index: 0,
        }
    }

    /// The innermost literal (text or key) whose inside holds all of these bytes.
    #[must_use]
    pub fn literal_around(self, bytes: &Range<usize>) -> Option<Value<'a>> {
        let index = self
            .nodes
            .partition_point(|node| node.start as usize <= bytes.start)
            .checked_sub(1)?;
        let value = Value {
            document: self,
            index,
        };
        let fits = bytes.end <= value.range().end && bytes.start <= bytes.end;
        (fits && matches!(value.kind(), Kind::Text | Kind::Key)).then_some(value)
    }

    /// All values and keys, in the order of the text.
    pub fn all(self) -> impl Iterator<Item = Value<'a>> {
        (0..self.nodes.len()).map(move |index| Value {
            document: self,
            index,
        })
    }
}

impl<'a> Value<'a> {
    fn node(self) -> Node {
        self.document.nodes[self.index]
    }

    #[must_use]
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// Its bytes: of a literal the inside, without the quotes.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        let node = self.node();
        node.start as usize..node.end as usize
    }

    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        &self.document.text[self.range()]
    }

    /// The object or array that holds it.
    #[must_use]
    pub fn parent(self) -> Option<Self> {
        let index = self.node().parent as usize;
        (index < self.document.nodes.len()).then_some(Self { index, ..self })
    }

    /// The name under which an object holds it.
    #[must_use]
    pub fn key(self) -> Option<Self> {
        let before = Self {
            index: self.index.checked_sub(1)?,
            ..self
        };
        (self.kind() != Kind::Key && before.kind() == Kind::Key).then_some(before)
    }

    /// Whether it is a text (or key) that says exactly this.
    #[must_use]
    pub fn says(self, text: &str) -> bool {
        let raw = self.raw();
        matches!(self.kind(), Kind::Text | Kind::Key)
            && (raw == text.as_bytes()
                || (raw.contains(&b'\\') && *literal::decode(raw) == *text.as_bytes()))
    }

    /// An object's member of that name; the last one, where it is written twice.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Self> {
        self.members()
            .filter(|(name, _)| name.says(key))
            .last()
            .map(|(_, value)| value)
    }

    /// An object's members; none of anything else.
    pub fn members(self) -> impl Iterator<Item = (Self, Self)> + use<'a> {
        let end = if self.kind() == Kind::Object {
            self.node().after as usize
        } else {
            0
        };
        let mut index = self.index + 1;
        std::iter::from_fn(move || {
            if index >= end {
                return None;
            }
            let (key, value) = (
                Self { index, ..self },
                Self {
                    index: index + 1,
                    ..self
                },
            );
            index = value.node().after as usize;
            Some((key, value))
        })
    }

    /// An array's elements; none of anything else.
    pub fn elements(self) -> impl Iterator<Item = Self> + use<'a> {
        let end = if self.kind() == Kind::Array {
            self.node().after as usize
        } else {
            0
        };
        let mut index = self.index + 1;
        std::iter::from_fn(move || {
            if index >= end {
                return None;
            }
            let value = Self { index, ..self };
            index = value.node().after as usize;
            Some(value)
        })
    }

    /// Itself and all that it holds, in the order of the text.
    pub fn within(self) -> impl Iterator<Item = Self> + use<'a> {
        (self.index..self.node().after as usize).map(move |index| Self { index, ..self })
    }

    /// A whole number that fits.
    #[must_use]
    pub fn number(self) -> Option<u64> {
        std::str::from_utf8(self.raw()).ok()?.parse().ok()
    }

    #[must_use]
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Word && self.raw() == b"null"
    }
}

#[cfg(test)]
mod tests;
