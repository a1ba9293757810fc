//! What can be told of a pattern without running it: how long its matches are, and whether they all hold a literal.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, ClassBytesRange, ClassUnicodeRange, Hir, HirKind};

/// Characters that a class may have and still count as literal text: a letter in both cases, a few alternatives.
const CLASS_AS_LITERAL: usize = 6;

pub(super) struct Shape {
    pub shortest: usize,
    pub longest: Option<usize>,
    /// Length of the longest run of fixed text that every match is sure to hold.
    pub literal: usize,
}

/// Reads a pattern as the scan uses it: bytes, no Unicode classes.
pub(super) fn of(pattern: &str) -> Result<Shape, String> {
    let parsed = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build()
        .parse(pattern);
    let hir = parsed.map_err(|error| {
        let kind = match &error {
            regex_syntax::Error::Parse(error) => error.kind().to_string(),
            regex_syntax::Error::Translate(error) => error.kind().to_string(),
            other => other.to_string(),
        };
        format!("the pattern does not compile: {kind}")
    })?;
    Ok(Shape {
        shortest: hir.properties().minimum_len().unwrap_or(0),
        longest: hir.properties().maximum_len(),
        literal: runs(&hir).best,
    })
}

/// Runs of fixed text in every match of a part of a pattern.
#[derive(Clone, Copy, Default)]
struct Runs {
    /// The part is one of a few fixed texts, at least this long.
    whole: Option<usize>,
    start: usize,
    end: usize,
    best: usize,
}

impl Runs {
    const fn fixed(len: usize) -> Self {
        Self {
            whole: Some(len),
            start: len,
            end: len,
            best: len,
        }
    }

    fn then(self, next: Self) -> Self {
        let joined = self.end + next.start;
        Self {
            whole: self.whole.zip(next.whole).map(|(a, b)| a + b),
            start: self.whole.map_or(self.start, |len| len + next.start),
            end: next.whole.map_or(next.end, |len| len + self.end),
            best: self.best.max(next.best).max(joined),
        }
    }

    /// What both alternatives are sure to have.
    fn or(self, other: Self) -> Self {
        Self {
            whole: self.whole.zip(other.whole).map(|(a, b)| a.min(b)),
            start: self.start.min(other.start),
            end: self.end.min(other.end),
            best: self.best.min(other.best),
        }
    }
}

fn runs(hir: &Hir) -> Runs {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Runs::fixed(0),
        HirKind::Literal(literal) => Runs::fixed(literal.0.len()),
        HirKind::Class(class) => {
            let size: usize = match class {
                Class::Bytes(class) => class.iter().map(ClassBytesRange::len).sum(),
                Class::Unicode(class) => class.iter().map(ClassUnicodeRange::len).sum(),
            };
            if size <= CLASS_AS_LITERAL {
                Runs::fixed(1)
            } else {
                Runs::default()
            }
        }
        HirKind::Capture(capture) => runs(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(runs).fold(Runs::fixed(0), Runs::then),
        HirKind::Alternation(parts) => parts.iter().map(runs).reduce(Runs::or).unwrap_or_default(),
        HirKind::Repetition(repetition) => {
            let once = runs(&repetition.sub);
            let times = usize::try_from(repetition.min).unwrap_or(usize::MAX);
            match (once.whole, times) {
                (Some(_), 0) if repetition.max == Some(1) => Runs::fixed(0),
                (_, 0) => Runs::default(),
                (Some(len), times) if repetition.max == Some(repetition.min) => {
                    Runs::fixed(len.saturating_mul(times).min(64))
                }
                (Some(len), times) => Runs {
                    whole: None,
                    ..Runs::fixed(len.saturating_mul(times).min(64))
                },
                (None, _) => once,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_found_where_every_match_has_them() {
        for (pattern, literal) in [
            (r"\bghp_[A-Za-z0-9]{36}", 4),
            (r"\bgh[pousr]_[A-Za-z0-9]{36}", 4),
            (r"(?:AKIA|ASIA)[A-Z0-9]{16}", 4),
            (r"(?i)sendgrid", 8),
            (r"[a-f0-9]{32}-us[0-9]{1,2}", 3),
            (r"(?:foo)?[a-z]+", 0),
            (r"p8e?-[a-z]+", 3),
            (r"x{2}y{2,}z", 4),
            (r"a|bcd", 1),
        ] {
            assert_eq!(of(pattern).unwrap().literal, literal, "{pattern}");
        }
    }

    #[test]
    fn lengths_are_those_of_the_matches() {
        let shape = of(r"ab{2,3}").unwrap();
        assert_eq!((shape.shortest, shape.longest), (3, Some(4)));
        assert_eq!(of("ab*").unwrap().longest, None);
    }
}
