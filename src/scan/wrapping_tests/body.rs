//! Bodies around a secret, and where its parts stand in them.

use std::fmt::Write as _;
use std::ops::Range;

use serde_json::json;

/// A body, its type and encoding, and where the parts of the secret stand in it; none where it is only seen through a
/// coding.
pub struct Wrapped {
    pub bytes: Vec<u8>,
    pub kind: Option<&'static str>,
    pub encoding: Option<&'static str>,
    pub parts: Vec<Range<usize>>,
    /// Line breaks stand between the parts: where the first is a whole secret too, nothing tells that it goes on.
    pub lines: bool,
    /// Bytes on each side that look like the secret's own and may be covered with it.
    pub about: usize,
}

impl Wrapped {
    pub fn about(self, about: usize) -> Self {
        Self { about, ..self }
    }

    pub fn of_lines(self) -> Self {
        let lines = true;
        Self { lines, ..self }
    }

    /// The same, of which no byte is the secret's any more.
    pub fn sealed(self, encoding: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            encoding: Some(encoding),
            parts: Vec::new(),
            ..self
        }
    }
}

/// A text around a secret.
pub struct Case<'a> {
    pub before: &'a str,
    pub secret: &'a str,
    pub after: &'a str,
}

/// What a piece of a body is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Secret,
    Around,
    /// The body's own bytes, which no coding of a text changes.
    Frame,
}

/// A text that becomes a body, in pieces.
pub struct Text(Vec<(Part, String)>);

impl Text {
    pub fn of(case: &Case<'_>) -> Self {
        Self::cut(case, &[], "")
    }

    /// The secret cut at these places by something that is none of it and is coded as the text is.
    pub fn cut(case: &Case<'_>, at: &[usize], knife: &str) -> Self {
        Self::divided(case, at, (Part::Around, knife))
    }

    /// The secret cut by bytes of the body.
    pub fn split(case: &Case<'_>, at: &[usize], knife: &str) -> Self {
        Self::divided(case, at, (Part::Frame, knife))
    }

    fn divided(case: &Case<'_>, at: &[usize], (part, knife): (Part, &str)) -> Self {
        let mut text = vec![(Part::Around, case.before.to_owned())];
        let mut from = 0;
        for &to in at {
            text.push((Part::Secret, case.secret[from..to].to_owned()));
            text.push((part, knife.to_owned()));
            from = to;
        }
        text.push((Part::Secret, case.secret[from..].to_owned()));
        text.push((Part::Around, case.after.to_owned()));
        Self(text)
    }

    /// A mark before each line.
    pub fn marked(mut self, mark: impl Fn(usize) -> String) -> Self {
        let mut line = 1;
        for (_, text) in &mut self.0 {
            *text = text
                .split_inclusive('\n')
                .fold(String::new(), |mut out, one| {
                    out.push_str(one);
                    if one.ends_with('\n') {
                        line += 1;
                        out.push_str(&mark(line));
                    }
                    out
                });
        }
        self.0.insert(0, (Part::Around, mark(1)));
        self
    }

    pub fn map(mut self, code: impl Fn(&str) -> String) -> Self {
        let coded = self.0.iter_mut().filter(|(part, _)| *part != Part::Frame);
        coded.for_each(|(_, text)| *text = code(text));
        self
    }

    /// What stands before and after it, in the same coding.
    pub fn beside(mut self, head: &str, tail: &str) -> Self {
        self.0.insert(0, (Part::Around, head.to_owned()));
        self.0.push((Part::Around, tail.to_owned()));
        self
    }

    /// The body, between its own first and last bytes.
    pub fn body(self, head: &str, tail: &str, kind: &'static str) -> Wrapped {
        let mut bytes = head.to_owned();
        let mut parts = Vec::new();
        for (part, text) in self.0 {
            if part == Part::Secret {
                parts.push(bytes.len()..bytes.len() + text.len());
            }
            bytes.push_str(&text);
        }
        bytes.push_str(tail);
        Wrapped {
            bytes: bytes.into_bytes(),
            kind: Some(kind),
            encoding: None,
            parts,
            lines: false,
            about: 0,
        }
    }

    /// A block of text of a message, with the escapes that JSON asks for.
    pub fn json(self) -> Wrapped {
        self.map(escape).literal()
    }

    /// The same of what is coded as a JSON string already.
    pub fn literal(self) -> Wrapped {
        self.body(HEAD, TAIL, "application/json")
    }
}

pub const HEAD: &str = r#"{"messages":[{"role":"user","content":[{"type":"text","text":""#;
pub const TAIL: &str = r#""}]}]}"#;

pub fn escape(text: &str) -> String {
    let quoted = json!(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// `\u0041` for every unit that `which` takes.
pub fn unicode(text: &str, which: impl Fn(u16) -> bool) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        let mut units = [0; 2];
        let units = letter.encode_utf16(&mut units);
        if units.iter().any(|unit| which(*unit)) {
            for unit in units {
                write!(out, "\\u{unit:04x}").unwrap();
            }
        } else {
            out.push_str(&escape(letter.encode_utf8(&mut [0; 4])));
        }
    }
    out
}

pub fn html(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#x27;")
}

/// Every character that is none of a word's by its number, as `write` shows it.
pub fn entities(text: &str, write: fn(u32) -> String) -> String {
    let coded = text.chars().map(|letter| match letter {
        'a'..='z' | 'A'..='Z' | '\n' => letter.to_string(),
        _ => write(u32::from(letter)),
    });
    coded.collect()
}

/// Percent signs for every byte that `plain` does not take.
pub fn percent(text: &str, plain: fn(u8) -> bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
        out
    })
}
