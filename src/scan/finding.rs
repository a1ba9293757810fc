//! What a scan tells: where, which rule, and a keyed fingerprint. Never the bytes that were found.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use hmac::Mac;

use crate::domain::{Category, Secret};
use crate::keyed;

/// A rule's name, as its file gives it: `github-pat`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(Arc<str>);

impl RuleId {
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret's name without the secret: 16 bytes of an HMAC-SHA-256 under the installation's key. The same secret has the
/// same fingerprint in every request; without the key nobody can test a guess against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    pub(super) fn of(key: &Secret<[u8; 32]>, secret: &[u8]) -> Self {
        let mut mac = keyed::mac(key);
        mac.update(b"tollgate finding v1\0");
        mac.update(secret);
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        Self(std::array::from_fn(|at| whole[at]))
    }

    /// Reads the 32 hexadecimal digits that `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut tag = [0; 16];
        for (byte, pair) in tag.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(tag))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One secret in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: RuleId,
    pub category: Category,
    /// Where in the document: `$.messages[3].content[0].text`; empty where the body has no structure.
    pub path: String,
    /// The bytes of the body as received that are the secret, and nothing else; `None` when the body shows it only through
    /// a transformation (compression, base64), so that no bytes are it.
    pub span: Option<Range<usize>>,
    /// The bytes of the body that bear it, even where they are more than the secret (the base64 around it); `None` for a
    /// compressed body.
    pub near: Option<Range<usize>>,
    pub fingerprint: Fingerprint,
    /// Nothing around it says that it is a secret: it was found elsewhere in the same body.
    pub echo: bool,
    /// How the secret stands in the body: what rewriting needs.
    pub(crate) place: Place,
}

/// How a secret stands in a body as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Replacing these byte ranges (ascending, disjoint, usually one) by word characters removes the secret and leaves the
    /// document as valid as it was. Bytes between two ranges are not the secret's: a line break and a diff mark inside it,
    /// or the end of one text block and the start of the next.
    Spans {
        ranges: Vec<Range<usize>>,
        /// The codings that the bytes went through, outermost first: `[Json]` for a plain string literal,
        /// `[Json, Escapes]` for a string inside a JSON text that is itself a string.
        layers: Vec<Layer>,
    },
    /// It cannot be rewritten in place.
    Sealed(Layer),
}

/// One coding between the body and the text that a rule saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// A JSON string literal of the body.
    Json,
    /// Backslash escapes inside a text, of any depth: `\n`, `\\n`, `\"`, `\u0041`.
    Escapes,
    /// `%41`; in a form body also `+` for a space.
    Percent,
    /// `&quot;`, `&#65;`.
    Entities,
    /// Invisible characters, line breaks, diff marks and line numbers inside the secret were left out.
    Folded,
    Base64,
    /// The body itself was compressed, or not in UTF-8.
    Compressed,
}

/// What one scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of the body, at most [`super::Limits::findings`].
    pub findings: Vec<Finding>,
    /// Why the body could not be fully decoded. What could not be decoded was scanned as raw bytes.
    pub undecodable: Option<Undecodable>,
    /// Bytes of text that were matched, over all codings.
    pub decoded_bytes: u64,
}

impl Report {
    /// Everything was looked at, and nothing found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.undecodable.is_none()
    }

    /// The same findings, seen through a coding of the whole body: none has a place in the bytes as received.
    pub(super) fn sealed(mut self, layer: Layer) -> Self {
        for finding in &mut self.findings {
            (finding.span, finding.near) = (None, None);
            finding.place = Place::Sealed(layer);
        }
        self
    }
}

/// Why a body could not be decoded as what it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Undecodable {
    /// A `Content-Encoding` that is not gzip, deflate, zstd, br or identity, or more than three of them.
    UnknownEncoding,
    /// The compressed data are damaged or cut short.
    BadCompression,
    /// Decompresses to more than the limit, or at an absurd ratio.
    Bomb,
    /// Declared as JSON, and is not; the byte where reading stopped.
    BadJson { at: usize },
    /// Nested deeper than the limit.
    TooDeep,
    /// Text inside text inside text passes the budget of decoded bytes.
    TooLarge,
    /// Not UTF-8 where the type demands it.
    BadText,
    /// More matches than the limit; the rest was not listed.
    TooManyFindings,
    /// The matcher itself failed: treat the body as uninspected.
    Engine,
}

impl Undecodable {
    /// The word for logs, metrics and the audit.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownEncoding => "unknown_encoding",
            Self::BadCompression => "bad_compression",
            Self::Bomb => "bomb",
            Self::BadJson { .. } => "bad_json",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_large",
            Self::BadText => "bad_text",
            Self::TooManyFindings => "too_many_findings",
            Self::Engine => "engine",
        }
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownEncoding => "the content encoding is not one that can be read",
            Self::BadCompression => "the compressed body is damaged",
            Self::Bomb => "the body decompresses to more than is allowed",
            Self::BadJson { at } => return write!(f, "the body is not JSON (byte {at})"),
            Self::TooDeep => "the body is nested too deeply",
            Self::TooLarge => "the body is too large once decoded",
            Self::BadText => "the body is not valid UTF-8",
            Self::TooManyFindings => "the body holds more findings than can be listed",
            Self::Engine => "the body could not be scanned",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back_and_depends_on_key_and_secret() {
        let (one, two) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let print = Fingerprint::of(&one, b"a secret");
        assert_eq!(Fingerprint::parse(&print.to_string()), Some(print));
        assert_ne!(print, Fingerprint::of(&two, b"a secret"));
        assert_ne!(print, Fingerprint::of(&one, b"another"));
        assert_eq!(Fingerprint::parse("zz"), None);
    }
}
