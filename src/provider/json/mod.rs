//! A JSON reader that takes bytes as they come and keeps almost none: it tells tokens, depths and offsets to a visitor.
//!
//! Strict grammar (RFC 8259), bounded depth, bounded memory whatever the text. It does not build values and does not know
//! what any key means. Strings are handed over raw, escapes and all, and only their beginning: long ones are content.

mod number;
mod text;
pub(super) mod words;

use number::Part;
pub use text::Text;
use text::closing_quote;

/// The deepest nesting that is read.
pub const DEPTH: usize = 128;
/// How much of a string is kept to be looked at.
pub const CAPTURE: usize = 2048;

/// One token with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<'a> {
    pub token: Token<'a>,
    /// How many containers are open around the token; the outermost bracket has 0, its members 1.
    pub depth: usize,
    /// Offset of the token's first byte in the text.
    pub start: u64,
    /// Offset behind its last byte.
    pub end: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    Open(Kind),
    Close(Kind),
    Key(Text<'a>),
    String(Text<'a>),
    /// As written; only the first [`CAPTURE`] bytes.
    Number(&'a [u8]),
    Bool(bool),
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
}

/// Why a text is not JSON that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Syntax,
    TooDeep,
    Unfinished,
}

/// The reader. After a fault it stays where it is.
#[derive(Debug)]
pub struct Walker {
    expect: Expect,
    /// One bit for each open container: set for an object.
    kinds: u128,
    depth: usize,
    offset: u64,
    token: u64,
    captured: Vec<u8>,
    text_len: u64,
    escaped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    /// Only white space may follow.
    Nothing,
    String {
        key: bool,
        escape: Escape,
    },
    Number(Part),
    Literal {
        word: &'static [u8],
        matched: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    No,
    Letter,
    /// So many hexadecimal digits are missing.
    Hex(u8),
}

impl Default for Walker {
    fn default() -> Self {
        Self::new()
    }
}

impl Walker {
    #[must_use]
    pub const fn new() -> Self {
        Self {
            expect: Expect::Value,
            kinds: 0,
            depth: 0,
            offset: 0,
            token: 0,
            captured: Vec::new(),
            text_len: 0,
            escaped: false,
        }
    }

    /// Begins a new text, with the memory of the old one.
    pub fn reset(&mut self) {
        let captured = std::mem::take(&mut self.captured);
        *self = Self {
            captured,
            ..Self::new()
        };
    }

    /// Bytes read so far; after a fault, the place of the fault.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether a whole value has been read.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.expect, Expect::Nothing)
    }

    /// Reads on.
    ///
    /// # Errors
    /// At the first byte that cannot stand where it stands.
    pub fn push(&mut self, bytes: &[u8], visit: &mut impl FnMut(Seen<'_>)) -> Result<(), Fault> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = match self.expect {
                Expect::String { key, escape } => self.string(rest, key, escape, visit)?,
                Expect::Number(part) => self.number(rest, part, visit)?,
                Expect::Literal { word, matched } => self.literal(rest, word, matched, visit)?,
                _ => self.structure(rest, visit)?,
            };
            self.offset += taken as u64;
            rest = &rest[taken..];
        }
        Ok(())
    }

    /// Ends the text.
    ///
    /// # Errors
    /// When it is not one whole value.
    pub fn finish(&mut self, visit: &mut impl FnMut(Seen<'_>)) -> Result<(), Fault> {
        if let Expect::Number(part) = self.expect
            && part.may_end()
        {
            self.end_number(visit);
        }
        if self.is_done() {
            Ok(())
        } else {
            Err(Fault::Unfinished)
        }
    }

    /// One byte between tokens, white space before it included; where it begins a string that ends in `rest`, that string.
    fn structure(&mut self, rest: &[u8], visit: &mut impl FnMut(Seen<'_>)) -> Result<usize, Fault> {
        let blank = rest
            .iter()
            .position(|b| !matches!(b, b' ' | b'\n' | b'\r' | b'\t'));
        let Some(blank) = blank else {
            return Ok(rest.len());
        };
        let before = self.offset;
        self.offset = before + blank as u64;
        self.token = self.offset;
        self.byte(rest[blank], visit)?;
        let mut taken = blank + 1;
        if let Expect::String { key, .. } = self.expect
            && let Some((length, escaped)) = closing_quote(&rest[taken..])
        {
            let raw = &rest[taken..taken + length.min(CAPTURE)];
            let len = length as u64;
            self.offset += 1;
            self.tell_text(Text { raw, len, escaped }, len + 1, key, visit);
            taken += length + 1;
        }
        self.offset = before;
        Ok(taken)
    }

    fn byte(&mut self, byte: u8, visit: &mut impl FnMut(Seen<'_>)) -> Result<(), Fault> {
        use Expect::{Colon, CommaOrEnd, Key, KeyOrEnd, Value, ValueOrEnd};
        let in_object = self.in_object();
        match (self.expect, byte) {
            (Value | ValueOrEnd, b'{') => return self.open(Kind::Object, visit),
            (Value | ValueOrEnd, b'[') => return self.open(Kind::Array, visit),
            (ValueOrEnd | CommaOrEnd, b']') if self.depth > 0 && !in_object => self.close(visit),
            (KeyOrEnd | CommaOrEnd, b'}') if in_object => self.close(visit),
            (Value | ValueOrEnd, b'"') => self.begin_text(false),
            (Key | KeyOrEnd, b'"') => self.begin_text(true),
            (Colon, b':') => self.expect = Value,
            (CommaOrEnd, b',') => self.expect = if in_object { Key } else { Value },
            (Value | ValueOrEnd, b't') => self.begin_literal(b"true"),
            (Value | ValueOrEnd, b'f') => self.begin_literal(b"false"),
            (Value | ValueOrEnd, b'n') => self.begin_literal(b"null"),
            (Value | ValueOrEnd, b'-') => self.begin_number(byte, Part::Minus),
            (Value | ValueOrEnd, b'0') => self.begin_number(byte, Part::Zero),
            (Value | ValueOrEnd, b'1'..=b'9') => self.begin_number(byte, Part::Digits),
            _ => return Err(Fault::Syntax),
        }
        Ok(())
    }

    const fn in_object(&self) -> bool {
        self.depth > 0 && self.kinds & (1 << (self.depth - 1)) != 0
    }

    fn open(&mut self, kind: Kind, visit: &mut impl FnMut(Seen<'_>)) -> Result<(), Fault> {
        if self.depth == DEPTH {
            return Err(Fault::TooDeep);
        }
        self.tell(Token::Open(kind), 1, visit);
        let bit = 1 << self.depth;
        self.depth += 1;
        (self.kinds, self.expect) = match kind {
            Kind::Object => (self.kinds | bit, Expect::KeyOrEnd),
            Kind::Array => (self.kinds & !bit, Expect::ValueOrEnd),
        };
        Ok(())
    }

    fn close(&mut self, visit: &mut impl FnMut(Seen<'_>)) {
        let kind = if self.in_object() {
            Kind::Object
        } else {
            Kind::Array
        };
        self.depth -= 1;
        self.tell(Token::Close(kind), 1, visit);
        self.end_value();
    }

    fn end_value(&mut self) {
        self.expect = if self.depth == 0 {
            Expect::Nothing
        } else {
            Expect::CommaOrEnd
        };
    }

    /// Tells a token that ends `length` bytes behind the offset.
    fn tell(&self, token: Token<'_>, length: u64, visit: &mut impl FnMut(Seen<'_>)) {
        visit(Seen {
            token,
            depth: self.depth,
            start: self.token,
            end: self.offset + length,
        });
    }

    fn begin_text(&mut self, key: bool) {
        self.captured.clear();
        self.text_len = 0;
        self.escaped = false;
        self.expect = Expect::String {
            key,
            escape: Escape::No,
        };
    }

    fn string(
        &mut self,
        rest: &[u8],
        key: bool,
        escape: Escape,
        visit: &mut impl FnMut(Seen<'_>),
    ) -> Result<usize, Fault> {
        if escape != Escape::No {
            let escape = match (escape, rest[0]) {
                (Escape::Letter, b'u') => Escape::Hex(4),
                (Escape::Letter, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                    Escape::No
                }
                (Escape::Hex(1), b) if b.is_ascii_hexdigit() => Escape::No,
                (Escape::Hex(left), b) if b.is_ascii_hexdigit() => Escape::Hex(left - 1),
                _ => return Err(Fault::Syntax),
            };
            self.capture(&rest[..1]);
            self.expect = Expect::String { key, escape };
            return Ok(1);
        }
        let stop = memchr::memchr2(b'"', b'\\', rest);
        let plain = &rest[..stop.unwrap_or(rest.len())];
        if plain.iter().any(|b| *b < 0x20) {
            self.offset += plain.iter().take_while(|b| **b >= 0x20).count() as u64;
            return Err(Fault::Syntax);
        }
        let Some(stop) = stop else {
            self.capture(rest);
            return Ok(rest.len());
        };
        if rest[stop] == b'\\' {
            self.capture(&rest[..=stop]);
            self.escaped = true;
            self.expect = Expect::String {
                key,
                escape: Escape::Letter,
            };
        } else {
            self.end_text(plain, key, visit);
        }
        Ok(stop + 1)
    }

    /// A string that came in pieces ends behind `plain`.
    fn end_text(&mut self, plain: &[u8], key: bool, visit: &mut impl FnMut(Seen<'_>)) {
        self.capture(plain);
        let captured = std::mem::take(&mut self.captured);
        let text = Text {
            raw: &captured,
            len: self.text_len,
            escaped: self.escaped,
        };
        self.tell_text(text, plain.len() as u64 + 1, key, visit);
        self.captured = captured;
    }

    fn tell_text(
        &mut self,
        text: Text<'_>,
        length: u64,
        key: bool,
        visit: &mut impl FnMut(Seen<'_>),
    ) {
        if key {
            self.tell(Token::Key(text), length, visit);
            self.expect = Expect::Colon;
        } else {
            self.tell(Token::String(text), length, visit);
            self.end_value();
        }
    }

    fn capture(&mut self, bytes: &[u8]) {
        let room = CAPTURE - self.captured.len();
        self.captured
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.text_len += bytes.len() as u64;
    }

    fn begin_number(&mut self, byte: u8, part: Part) {
        self.captured.clear();
        self.captured.push(byte);
        self.expect = Expect::Number(part);
    }

    fn number(
        &mut self,
        rest: &[u8],
        part: Part,
        visit: &mut impl FnMut(Seen<'_>),
    ) -> Result<usize, Fault> {
        let mut part = part;
        for (at, byte) in rest.iter().enumerate() {
            let Some(next) = part.next(*byte) else {
                self.offset += at as u64;
                if !part.may_end() {
                    return Err(Fault::Syntax);
                }
                self.end_number(visit);
                self.offset -= at as u64;
                return Ok(at);
            };
            part = next;
            if self.captured.len() < CAPTURE {
                self.captured.push(*byte);
            }
        }
        self.expect = Expect::Number(part);
        Ok(rest.len())
    }

    fn end_number(&mut self, visit: &mut impl FnMut(Seen<'_>)) {
        self.tell(Token::Number(&self.captured), 0, visit);
        self.end_value();
    }

    fn begin_literal(&mut self, word: &'static [u8]) {
        self.expect = Expect::Literal { word, matched: 1 };
    }

    fn literal(
        &mut self,
        rest: &[u8],
        word: &'static [u8],
        matched: usize,
        visit: &mut impl FnMut(Seen<'_>),
    ) -> Result<usize, Fault> {
        if rest[0] != word[matched] {
            return Err(Fault::Syntax);
        }
        let matched = matched + 1;
        self.expect = Expect::Literal { word, matched };
        if matched == word.len() {
            let token = match word[0] {
                b't' => Token::Bool(true),
                b'f' => Token::Bool(false),
                _ => Token::Null,
            };
            self.tell(token, 1, visit);
            self.end_value();
        }
        Ok(1)
    }
}

/// Line and column, both from 1, of an offset in a text; columns count bytes.
#[must_use]
pub fn place(text: &[u8], offset: u64) -> (usize, usize) {
    let offset = usize::try_from(offset).map_or(text.len(), |at| at.min(text.len()));
    let before = &text[..offset];
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let column = offset - memchr::memrchr(b'\n', before).map_or(0, |at| at + 1) + 1;
    (line, column)
}

#[cfg(test)]
mod tests;
