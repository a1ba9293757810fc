//! A request's bound of output tokens: where it stands, and the same body with a lower one, all other bytes as they were.

use std::ops::Range;

use bytes::Bytes;

use super::route::Endpoint;
use crate::domain::json::{Kind, Tape, Value};

/// Where the bound of one body stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputBound {
    /// The values, where there are some; of two bounds the wider counts.
    told: Vec<Range<usize>>,
    /// Where one can be put, if there is none.
    place: usize,
    /// Whether something follows there.
    filled: bool,
    name: &'static str,
    /// Tokens of thinking that the request sets apart: its bound must stay above them.
    thinking: u64,
}

impl OutputBound {
    /// Finds the bound of a body; `None` where there is no place for one: no JSON object, an endpoint without output, or a
    /// bound that is neither a number nor null.
    #[must_use]
    pub fn find(endpoint: Endpoint, body: &[u8]) -> Option<Self> {
        let names = endpoint.output_bounds();
        let name = *names.first()?;
        let mut tape = Tape::default();
        let root = tape.read(body).ok()?.root();
        if root.kind() != Kind::Object {
            return None;
        }
        let mut told = Vec::new();
        for value in names.iter().filter_map(|name| root.get(name)) {
            if value.kind() != Kind::Number && !value.is_null() {
                return None;
            }
            told.push(value.range());
        }
        told.sort_by_key(|range| range.start);
        let thinking = root
            .get("thinking")
            .and_then(|thinking| thinking.get("budget_tokens"));
        Some(Self {
            told,
            place: root.range().start + 1,
            filled: root.members().next().is_some(),
            name,
            thinking: thinking.and_then(Value::number).unwrap_or(0),
        })
    }

    /// The least bound that leaves this much for the answer itself.
    #[must_use]
    pub const fn least(&self, answer: u64) -> u64 {
        self.thinking.saturating_add(answer)
    }

    /// The body with this bound. It must be the one that was looked at.
    #[must_use]
    pub fn lower(&self, body: &[u8], most: u64) -> Bytes {
        let mut lowered = Vec::with_capacity(body.len() + 48);
        let mut from = 0;
        for range in &self.told {
            lowered.extend_from_slice(&body[from..range.start]);
            lowered.extend_from_slice(most.to_string().as_bytes());
            from = range.end;
        }
        if self.told.is_empty() {
            let comma = if self.filled { "," } else { "" };
            lowered.extend_from_slice(&body[..self.place]);
            lowered.extend_from_slice(format!("\"{}\":{most}{comma}", self.name).as_bytes());
            from = self.place;
        }
        lowered.extend_from_slice(&body[from..]);
        Bytes::from(lowered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered(endpoint: Endpoint, body: &str) -> Option<String> {
        let bound = OutputBound::find(endpoint, body.as_bytes())?;
        let bytes = bound.lower(body.as_bytes(), 7);
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn the_bound_is_lowered_or_put_in_and_nothing_else_changes() {
        use Endpoint::{ChatCompletions, Completions, Messages, Responses};
        for (endpoint, body, expected) in [
            (
                Messages,
                "{ \"max_tokens\" : 4096 , \"metadata\":{\"max_tokens\":9}}",
                "{ \"max_tokens\" : 7 , \"metadata\":{\"max_tokens\":9}}",
            ),
            (
                ChatCompletions,
                "{\"max_completion_tokens\":1e3,\"max_tokens\":null}",
                "{\"max_completion_tokens\":7,\"max_tokens\":7}",
            ),
            (
                ChatCompletions,
                "{\"a\":1}",
                "{\"max_completion_tokens\":7,\"a\":1}",
            ),
            (Completions, "{}", "{\"max_tokens\":7}"),
            (Responses, " {\n} ", " {\"max_output_tokens\":7\n} "),
            (
                Responses,
                "{\"max\\u005foutput_tokens\":12}",
                "{\"max\\u005foutput_tokens\":7}",
            ),
            // Another endpoint's name bounds nothing.
            (
                Responses,
                "{\"max_tokens\":12}",
                "{\"max_output_tokens\":7,\"max_tokens\":12}",
            ),
        ] {
            assert_eq!(lowered(endpoint, body).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_has_no_place_for_a_bound_is_left_alone() {
        for (endpoint, body) in [
            (Endpoint::Messages, "[]"),
            (Endpoint::Messages, "{"),
            (Endpoint::Messages, "{\"max_tokens\":\"5\"}"),
            (Endpoint::Embeddings, "{}"),
        ] {
            assert_eq!(lowered(endpoint, body), None, "{body}");
        }
    }

    #[test]
    fn thinking_keeps_what_was_set_apart_for_it() {
        let body = br#"{"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":2048}}"#;
        let bound = OutputBound::find(Endpoint::Messages, body).unwrap();
        assert_eq!(bound.least(256), 2304);
    }
}
