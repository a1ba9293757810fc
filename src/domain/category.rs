//! What kind of thing a finding is: `aws_access_key`, `private_key`, `known_value`.

use std::fmt;
use std::sync::Arc;

/// A category of findings, as rules name it: lower-case letters, digits and `_`. Policy and metrics speak in categories.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Category(Arc<str>);

impl Category {
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text may name a category: 1 to 40 lower-case letters, digits and `_`.
    #[must_use]
    pub fn is_valid(text: &str) -> bool {
        (1..=40).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
