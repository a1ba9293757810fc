//! Text that came from outside and may be kept: cleaned and bounded by its constructor, so that nothing else gets in.

use std::fmt;

/// The longest label, in bytes, whatever a caller asks for.
const LONGEST: usize = 256;

/// A bounded piece of outside text: a model's name, a user agent. Visible ASCII and single spaces only, so it can
/// neither break a line, forge a column nor smuggle a body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Label(Box<str>);

impl Label {
    /// The longest model name that is kept.
    pub const MODEL: usize = 128;
    /// The longest id of a request that is kept.
    pub const REQUEST_ID: usize = 128;
    /// The longest user agent that is kept.
    pub const USER_AGENT: usize = 120;

    /// Keeps visible ASCII; every run of anything else (spaces, controls, other alphabets) becomes one space or `_`.
    /// At most `max` bytes, and never more than 256.
    #[must_use]
    pub fn clean(text: &str, max: usize) -> Self {
        let max = max.min(LONGEST);
        let mut kept = String::with_capacity(max.min(text.len()));
        // Reading is bounded as well: a megabyte of blanks is not walked to its end.
        for c in text.chars().take(LONGEST.saturating_mul(4)) {
            if kept.len() >= max {
                break;
            }
            match c {
                '!'..='~' => kept.push(c),
                _ if c.is_whitespace() || c.is_control() => {
                    if !kept.is_empty() && !kept.ends_with(' ') {
                        kept.push(' ');
                    }
                }
                _ if kept.ends_with('_') => {}
                _ => kept.push('_'),
            }
        }
        kept.truncate(kept.trim_end().len());
        Self(kept.into_boxed_str())
    }

    /// What stands for a text in which the scanner found something.
    #[must_use]
    pub fn withheld() -> Self {
        Self("(withheld)".into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_holds_one_bounded_line_of_visible_ascii() {
        let label = Label::clean("  claude\r\n\tcli/1.0\u{0}\u{202e}☃☃ (x)  ", 40);
        assert_eq!(label.as_str(), "claude cli/1.0 _ (x)");
        assert_eq!(
            Label::clean(&"x".repeat(1 << 20), 1 << 20).as_str().len(),
            256
        );
        assert_eq!(Label::clean(&" ".repeat(1 << 20), 20).as_str(), "");
        assert_eq!(Label::clean("日本", 20).as_str(), "_");
    }
}
