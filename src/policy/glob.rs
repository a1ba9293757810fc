//! Names with `*` for any run of characters.

/// A pattern in which `*` stands for any run of characters, none included; everything else is literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole text fits. Takes at most pattern × text steps, whatever the pattern: texts come from clients.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where the last `*` was, and how far the text had come then: the only place to go back to.
        let mut retry: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    retry = Some((p, t));
                    p += 1;
                }
                Some(byte) if *byte == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => match retry {
                    Some((star, from)) => {
                        retry = Some((star, from + 1));
                        p = star + 1;
                        t = from + 1;
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, text) in [
            ("claude-*", "claude-sonnet-4-5"),
            ("claude-*", "claude-"),
            ("*", ""),
            ("gpt-5", "gpt-5"),
            ("*-mini", "gpt-5-mini-mini"),
            ("a*b*c", "a-b-b-c"),
        ] {
            assert!(Glob::new(pattern).matches(text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("claude-*", "xclaude-1"),
            ("gpt-5", "gpt-5-mini"),
            ("gpt-5", "gpt-"),
            ("a*b", "a-c"),
            ("", "a"),
        ] {
            assert!(!Glob::new(pattern).matches(text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_text_does_not_take_long() {
        let text = "a".repeat(100_000);
        assert!(!Glob::new("*a*a*a*a*b").matches(&text));
    }
}
