//! A small dictionary of field names, looked up by length first.

/// The longest word.
const LONGEST: usize = 39;

/// Words and what they mean, shortest first.
#[derive(Debug)]
pub struct Words<T: 'static> {
    list: &'static [(&'static str, T)],
    /// Where the words of each length begin.
    starts: [u8; LONGEST + 2],
}

impl<T: Copy> Words<T> {
    /// A dictionary; does not compile when the words are not in the order of their lengths.
    #[must_use]
    pub const fn new(list: &'static [(&'static str, T)]) -> Self {
        let mut starts = [0; LONGEST + 2];
        let (mut length, mut at, mut begin) = (0, 0, 0u8);
        while length <= LONGEST {
            starts[length] = begin;
            while at < list.len() && list[at].0.len() == length {
                at += 1;
                begin += 1;
            }
            length += 1;
        }
        starts[LONGEST + 1] = begin;
        assert!(
            at == list.len(),
            "words must stand in the order of their lengths"
        );
        Self { list, starts }
    }

    /// What the word means.
    #[must_use]
    pub fn find(&self, word: &[u8]) -> Option<T> {
        self.of_length(word.len())
            .iter()
            .find(|(known, _)| known.as_bytes() == word)
            .map(|(_, meaning)| *meaning)
    }

    /// Whether the word would be found in another case.
    #[must_use]
    pub fn has_in_any_case(&self, word: &[u8]) -> bool {
        self.of_length(word.len())
            .iter()
            .any(|(known, _)| known.as_bytes().eq_ignore_ascii_case(word))
    }

    fn of_length(&self, length: usize) -> &'static [(&'static str, T)] {
        let bounds = self.starts.get(length).zip(self.starts.get(length + 1));
        bounds
            .and_then(|(from, to)| self.list.get(usize::from(*from)..usize::from(*to)))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &Words<u8> = &Words::new(&[("n", 1), ("url", 2), ("ttl", 3), ("model", 4)]);

    #[test]
    fn words_are_found_whole() {
        let found = ["n", "url", "ttl", "model"].map(|word| WORDS.find(word.as_bytes()));
        assert_eq!(found, [Some(1), Some(2), Some(3), Some(4)]);
        let long = "m".repeat(100);
        for word in ["", "m", "mode", "models", "Model", &long] {
            assert_eq!(WORDS.find(word.as_bytes()), None, "{word}");
        }
        assert!(WORDS.has_in_any_case(b"MoDeL") && !WORDS.has_in_any_case(b"MoDe"));
    }
}
