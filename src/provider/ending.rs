//! Ends an event stream before its provider does, as that provider would where an answer reaches its bound of tokens.
//!
//! Events pass whole, so that what is put behind the last one is a new event. It does not know why a stream is ended.

use super::route::Endpoint;
use super::sse::{Event, Piece, Splitter};
use crate::domain::Usage;
use crate::domain::json::{Tape, Value};

/// Follows a stream so that it can be ended after any event.
#[derive(Debug)]
pub struct StreamEnding {
    endpoint: Endpoint,
    /// Whether the client asked a chat for its usage.
    tells_usage: bool,
    splitter: Splitter,
    tape: Tape,
    state: State,
}

/// How far the stream has come.
#[derive(Debug, Default)]
struct State {
    begun: bool,
    /// An event too large to hold is on its way.
    amid: bool,
    /// The provider has said its last event.
    over: bool,
    /// Content blocks that are open, or choices that have not finished.
    open: Vec<u64>,
    /// Of the Responses API: the number of the last event.
    sequence: Option<u64>,
    /// What every chunk repeats, as it stands in the JSON of the first.
    id: String,
    model: String,
    created: String,
}

impl StreamEnding {
    #[must_use]
    pub fn new(endpoint: Endpoint, tells_usage: bool) -> Self {
        Self {
            endpoint,
            tells_usage,
            splitter: Splitter::default(),
            tape: Tape::default(),
            state: State::default(),
        }
    }

    /// Appends to `out` the events that are whole with these bytes.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let (endpoint, tape, state) = (self.endpoint, &mut self.tape, &mut self.state);
        self.splitter.push(bytes, |piece| {
            out.extend_from_slice(piece.raw());
            state.see(endpoint, tape, piece);
        });
    }

    /// Appends what was held back of a stream that ended by itself.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.splitter
            .finish(|piece| out.extend_from_slice(piece.raw()));
        self.state.over = true;
    }

    /// Whether an end can be put behind the last event.
    #[must_use]
    pub const fn may_end(&self) -> bool {
        self.state.begun && !self.state.amid && !self.state.over
    }

    /// Appends the events that end the stream; what was held back of an unfinished event is dropped.
    pub fn end(&mut self, usage: &Usage, out: &mut Vec<u8>) {
        let text = match self.endpoint {
            Endpoint::Messages => self.state.message_end(usage),
            Endpoint::Responses => self.state.response_end(usage),
            _ => self.state.chat_end(
                self.endpoint == Endpoint::ChatCompletions,
                self.tells_usage.then_some(usage),
            ),
        };
        out.extend_from_slice(text.as_bytes());
        self.splitter = Splitter::default();
        self.state.over = true;
    }
}

impl State {
    fn see(&mut self, endpoint: Endpoint, tape: &mut Tape, piece: Piece<'_>) {
        match piece {
            Piece::Event(event) => self.event(endpoint, tape, event),
            Piece::Oversize { last, .. } => self.amid = !last,
            Piece::Rest(_) => {}
        }
    }

    fn event(&mut self, endpoint: Endpoint, tape: &mut Tape, event: Event<'_>) {
        let Some(data) = event.data() else {
            return;
        };
        if data.trim_ascii() == b"[DONE]" {
            self.over = true;
            return;
        }
        let Ok(document) = tape.read(&data) else {
            return;
        };
        let root = document.root();
        match endpoint {
            Endpoint::Messages => self.message(root),
            Endpoint::Responses => self.response(root),
            _ => self.chunk(root),
        }
    }

    fn message(&mut self, event: Value<'_>) {
        let Some(kind) = event.get("type") else {
            return;
        };
        let block = event.get("index").and_then(Value::number).unwrap_or(0);
        if kind.says("message_start") {
            self.begun = true;
        } else if kind.says("content_block_start") {
            self.open.push(block);
        } else if kind.says("content_block_stop") {
            self.open.retain(|open| *open != block);
        } else if kind.says("message_delta") || kind.says("message_stop") || kind.says("error") {
            self.over = true;
        }
    }

    fn response(&mut self, event: Value<'_>) {
        let sequence = event.get("sequence_number").and_then(Value::number);
        self.sequence = sequence.or(self.sequence);
        let Some(kind) = event.get("type") else {
            return;
        };
        let last = [
            "response.completed",
            "response.incomplete",
            "response.failed",
            "response.cancelled",
            "error",
        ];
        if last.into_iter().any(|last| kind.says(last)) {
            self.over = true;
        } else if let Some(response) = event.get("response") {
            self.repeat(response, "created_at");
        } else {
            self.begun = true;
        }
    }

    fn chunk(&mut self, chunk: Value<'_>) {
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            self.over = true;
            return;
        }
        if !self.begun {
            self.repeat(chunk, "created");
        }
        for choice in chunk.get("choices").into_iter().flat_map(Value::elements) {
            let number = choice.get("index").and_then(Value::number).unwrap_or(0);
            let finished = choice
                .get("finish_reason")
                .is_some_and(|reason| !reason.is_null());
            self.open.retain(|open| *open != number);
            if !finished {
                self.open.push(number);
            }
        }
    }

    /// Notes what the last event repeats of the first.
    fn repeat(&mut self, first: Value<'_>, created: &str) {
        let text = |name: &str| {
            let value = first.get(name).map(Value::raw).unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        self.begun = true;
        self.id = text("id");
        self.model = text("model");
        self.created = first
            .get(created)
            .and_then(Value::number)
            .unwrap_or(0)
            .to_string();
    }

    fn message_end(&self, usage: &Usage) -> String {
        let blocks = self.open.iter().map(|block| {
            event(
                "content_block_stop",
                &format!(r#"{{"type":"content_block_stop","index":{block}}}"#),
            )
        });
        let delta = format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"max_tokens","stop_sequence":null}},"usage":{{"output_tokens":{}}}}}"#,
            usage.total_output()
        );
        let mut text: String = blocks.collect();
        text.push_str(&event("message_delta", &delta));
        text.push_str(&event("message_stop", r#"{"type":"message_stop"}"#));
        text
    }

    fn response_end(&self, usage: &Usage) -> String {
        let Self {
            id, model, created, ..
        } = self;
        let number = self.sequence.map_or_else(String::new, |last| {
            format!(r#""sequence_number":{},"#, last.saturating_add(1))
        });
        let (input, output) = (usage.total_input(), usage.total_output());
        let total = input.saturating_add(output);
        let data = format!(
            r#"{{"type":"response.incomplete",{number}"response":{{"id":"{id}","object":"response","created_at":{created},"status":"incomplete","error":null,"incomplete_details":{{"reason":"max_output_tokens"}},"model":"{model}","output":[],"usage":{{"input_tokens":{input},"output_tokens":{output},"total_tokens":{total}}}}}}}"#
        );
        event("response.incomplete", &data)
    }

    fn chat_end(&self, chat: bool, usage: Option<&Usage>) -> String {
        let Self {
            id, model, created, ..
        } = self;
        let (object, empty) = if chat {
            ("chat.completion.chunk", r#""delta":{}"#)
        } else {
            ("text_completion", r#""text":"""#)
        };
        let chunk = |rest: &str| {
            format!(
                "data: {{\"id\":\"{id}\",\"object\":\"{object}\",\"created\":{created},\"model\":\"{model}\",{rest}}}\n\n"
            )
        };
        let choices = self
            .open
            .iter()
            .map(|choice| format!(r#"{{"index":{choice},{empty},"finish_reason":"length"}}"#));
        let choices = choices.collect::<Vec<_>>().join(",");
        let mut text = chunk(&format!(r#""choices":[{choices}]"#));
        if let Some(usage) = usage {
            let (input, output) = (usage.total_input(), usage.total_output());
            let total = input.saturating_add(output);
            text.push_str(&chunk(&format!(
                r#""choices":[],"usage":{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{total}}}"#
            )));
        }
        text.push_str("data: [DONE]\n\n");
        text
    }
}

fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn told() -> Usage {
        Usage {
            input: 100,
            output: 20,
            ..Usage::default()
        }
    }

    /// The stream cut after each of its bytes: what has passed by then, and what ends it, as events.
    fn ended(endpoint: Endpoint, usage: bool, stream: &str) -> Vec<Vec<Value>> {
        let mut all = Vec::new();
        for cut in 0..stream.len() {
            let mut ending = StreamEnding::new(endpoint, usage);
            let mut out = Vec::new();
            ending.push(&stream.as_bytes()[..cut], &mut out);
            if !ending.may_end() {
                continue;
            }
            ending.end(&told(), &mut out);
            assert!(!ending.may_end());
            let text = String::from_utf8(out).unwrap();
            assert!(text.ends_with("\n\n"), "{text}");
            let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
            all.push(
                data.map(|data| serde_json::from_str(data).unwrap_or(Value::Null))
                    .collect(),
            );
        }
        all
    }

    #[test]
    fn a_message_ends_with_its_blocks_closed() {
        let stream = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n\
            data: {\"type\":\"content_block_start\",\"index\":3}\n\n\
            data: {\"type\":\"content_block_delta\",\"index\":3}\n\n\
            data: {\"type\":\"content_block_stop\",\"index\":3}\n\n\
            data: {\"type\":\"message_delta\"}\n\n";
        let all = ended(Endpoint::Messages, false, stream);
        assert!(all.len() > 100);
        for events in all {
            let mut open = 0;
            for event in &events {
                match event["type"].as_str().unwrap() {
                    "content_block_start" => open += 1,
                    "content_block_stop" => open -= 1,
                    _ => {}
                }
            }
            assert_eq!(open, 0);
            let [.., delta, stop] = events.as_slice() else {
                panic!("{events:?}")
            };
            assert_eq!(delta["delta"]["stop_reason"], "max_tokens");
            assert_eq!(delta["usage"]["output_tokens"], 20);
            assert_eq!(stop, &json!({"type": "message_stop"}));
        }
    }

    #[test]
    fn a_chat_ends_with_every_open_choice_finished() {
        let chunk = |choice: &str| {
            format!(
                "data: {{\"id\":\"c-\\\"1\",\"created\":9,\"model\":\"m\",\"choices\":[{choice}]}}\n\n"
            )
        };
        let stream = [
            chunk(r#"{"index":0,"delta":{}}"#),
            chunk(r#"{"index":1,"delta":{},"finish_reason":null}"#),
            chunk(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#),
            chunk(r#"{"index":1,"delta":{}}"#),
            "data: [DONE]\n\n".to_owned(),
        ]
        .concat();
        for (usage, tail) in [(false, 2), (true, 3)] {
            for events in ended(Endpoint::ChatCompletions, usage, &stream) {
                let mut finished = std::collections::BTreeMap::new();
                for choice in events
                    .iter()
                    .flat_map(|e| e["choices"].as_array().into_iter().flatten())
                {
                    finished.insert(choice["index"].as_u64(), !choice["finish_reason"].is_null());
                }
                assert!(finished.values().all(|finished| *finished), "{events:?}");
                let own = &events[events.len() - tail..];
                assert_eq!(
                    (&own[0]["id"], &own[0]["created"]),
                    (&json!("c-\"1"), &json!(9))
                );
                assert_eq!(own[0]["object"], "chat.completion.chunk");
                assert_eq!(own[tail - 1], Value::Null, "[DONE]");
                if usage {
                    assert_eq!(own[1]["usage"]["total_tokens"], 120);
                }
            }
        }
    }

    #[test]
    fn a_response_ends_incomplete_under_the_next_number() {
        let stream = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"created_at\":5,\"model\":\"gpt\"}}\n\n\
            data: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"delta\":\"x\"}\n\n\
            data: {\"type\":\"response.completed\",\"response\":{}}\n\n";
        for events in ended(Endpoint::Responses, false, stream) {
            let [.., before, last] = events.as_slice() else {
                panic!("{events:?}")
            };
            assert_eq!(last["type"], "response.incomplete");
            let next = before["sequence_number"].as_u64().unwrap() + 1;
            assert_eq!(last["sequence_number"], next);
            let response = &last["response"];
            assert_eq!(
                (&response["id"], &response["status"]),
                (&json!("resp_1"), &json!("incomplete"))
            );
            assert_eq!(
                response["incomplete_details"]["reason"],
                "max_output_tokens"
            );
            assert_eq!(response["usage"]["output_tokens"], 20);
        }
    }

    #[test]
    fn what_is_over_or_has_not_begun_cannot_be_ended() {
        let mut ending = StreamEnding::new(Endpoint::Messages, false);
        let mut out = Vec::new();
        ending.push(b": comment\n\n", &mut out);
        assert!(!ending.may_end());
        ending.push(
            b"data: {\"type\":\"message_start\"}\n\ndata: {\"typ",
            &mut out,
        );
        assert!(ending.may_end());
        ending.push(b"e\":\"message_stop\"}\n\n", &mut out);
        assert!(!ending.may_end());
        let large = format!("data: {}", "x".repeat(super::super::sse::HELD));
        let mut ending = StreamEnding::new(Endpoint::Messages, false);
        ending.push(b"data: {\"type\":\"message_start\"}\n\n", &mut out);
        ending.push(large.as_bytes(), &mut out);
        assert!(!ending.may_end(), "amid an event that is passing");
        ending.push(b"\n\n", &mut out);
        assert!(ending.may_end());
    }

    #[test]
    fn a_stream_that_is_not_ended_passes_byte_for_byte() {
        let stream =
            "data: {\"type\":\"message_start\"}\r\n\r\n: c\n\ndata: nonsense\n\ndata: rest";
        for cut in 0..stream.len() {
            let mut ending = StreamEnding::new(Endpoint::Messages, false);
            let mut out = Vec::new();
            ending.push(&stream.as_bytes()[..cut], &mut out);
            ending.push(&stream.as_bytes()[cut..], &mut out);
            ending.finish(&mut out);
            assert_eq!(out, stream.as_bytes());
        }
    }
}
