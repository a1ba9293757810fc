//! Makes a chat stream tell its usage though its client did not ask, and hides that from the client: the extra chunk, and
//! the `"usage":null` that all others have then.
//!
//! Both ways by bytes: the request is not written anew, and of the answer only these are left out.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::json::{Kind, Seen, Token, Walker};
use super::sse::{Event, Piece, Splitter};

/// A chunk with usage and nothing else is far smaller than this; larger events pass without being held.
const HELD: usize = 64 * 1024;

const OPTION: &str = r#""include_usage":true"#;
const OPTIONS: &str = r#""stream_options":{"include_usage":true}"#;

/// The body with `stream_options.include_usage` switched on, all other bytes as they were. `None` when it is on already,
/// or when there is no place for it (no JSON object, or options that are no object).
#[must_use]
pub fn splice_include_usage(body: &[u8]) -> Option<Bytes> {
    let mut walker = Walker::new();
    let mut places = Places::default();
    walker.push(body, &mut |seen| places.see(seen)).ok()?;
    walker.finish(&mut |seen| places.see(seen)).ok()?;
    let (range, text) = places.splice()?;
    let [start, end] = [range.0, range.1].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
    let (head, tail) = (body.get(..start)?, body.get(end..)?);
    Some(Bytes::from([head, text.as_bytes(), tail].concat()))
}

/// Where in the body the option stands, or could.
#[derive(Debug, Default)]
struct Places {
    /// Behind the opening bracket of the body, and of `stream_options`.
    root: Option<u64>,
    options: Option<u64>,
    /// Whether they have members.
    root_filled: bool,
    options_filled: bool,
    /// Where a value stands that can be replaced.
    value: Option<(u64, u64)>,
    replacement: &'static str,
    key: Key,
    stuck: bool,
}

/// The member at hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    #[default]
    Other,
    Options,
    IncludeUsage,
}

impl Places {
    fn see(&mut self, seen: Seen<'_>) {
        match (seen.depth, seen.token) {
            (0, Token::Open(Kind::Object)) => self.root = Some(seen.end),
            (1, Token::Key(name)) => {
                self.root_filled = true;
                self.key = match &*name.decoded() {
                    b"stream_options" => Key::Options,
                    _ => Key::Other,
                };
            }
            (1, token) if self.key == Key::Options => self.options_value(token, seen),
            (2, Token::Key(name)) if self.key != Key::Other => {
                self.options_filled = true;
                self.key = match &*name.decoded() {
                    b"include_usage" => Key::IncludeUsage,
                    _ => Key::Options,
                };
            }
            (2, token) if self.key == Key::IncludeUsage => match token {
                Token::Bool(true) | Token::Open(_) | Token::Close(_) => self.stuck = true,
                _ => self.replace(seen, "true"),
            },
            (1, Token::Close(_)) => self.key = Key::Other,
            _ => {}
        }
    }

    fn options_value(&mut self, token: Token<'_>, seen: Seen<'_>) {
        match token {
            Token::Open(Kind::Object) => self.options = Some(seen.end),
            Token::Close(_) => self.key = Key::Other,
            Token::Null => self.replace(seen, r#"{"include_usage":true}"#),
            _ => self.stuck = true,
        }
    }

    fn replace(&mut self, seen: Seen<'_>, replacement: &'static str) {
        self.value = Some((seen.start, seen.end));
        self.replacement = replacement;
    }

    /// What to put where.
    fn splice(&self) -> Option<((u64, u64), String)> {
        if self.stuck {
            return None;
        }
        if let Some(range) = self.value {
            return Some((range, self.replacement.to_owned()));
        }
        let (at, text, filled) = match self.options {
            Some(at) => (at, OPTION, self.options_filled),
            None => (self.root?, OPTIONS, self.root_filled),
        };
        let comma = if filled { "," } else { "" };
        Some(((at, at), format!("{text}{comma}")))
    }
}

/// Takes the usage out of a chat stream again; all other bytes pass as they came, event by event.
#[derive(Debug)]
pub struct UsageStripper {
    splitter: Splitter,
    /// What became of the event before.
    before: Before,
}

/// An event that ended in a CR may be followed by the LF that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Shown,
    ShownWithCr,
    Hidden,
}

impl Default for UsageStripper {
    fn default() -> Self {
        Self {
            splitter: Splitter::new(HELD),
            before: Before::Shown,
        }
    }
}

impl UsageStripper {
    /// Appends to `out` what the client may see of these bytes.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let before = &mut self.before;
        self.splitter.push(bytes, |piece| before.show(piece, out));
    }

    /// Appends what was held back.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let before = &mut self.before;
        self.splitter.finish(|piece| before.show(piece, out));
    }
}

impl Before {
    fn show(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        let (stray, raw) = match (*self, piece.raw().strip_prefix(b"\n")) {
            (Self::ShownWithCr, Some(rest)) => (&b"\n"[..], rest),
            (Self::Hidden, Some(rest)) => (&b""[..], rest),
            _ => (&b""[..], piece.raw()),
        };
        out.extend_from_slice(stray);
        let found = match piece {
            Piece::Event(_) => Found::in_event(Event::of(raw)),
            Piece::Oversize { .. } | Piece::Rest(_) => Found::Nothing,
        };
        match found {
            Found::UsageOnly => {
                *self = if raw.ends_with(b"\r") {
                    Self::Hidden
                } else {
                    Self::Shown
                };
                return;
            }
            Found::NoUsage(member) => {
                out.extend_from_slice(&raw[..member.start]);
                out.extend_from_slice(&raw[member.end..]);
            }
            Found::Nothing => out.extend_from_slice(raw),
        }
        *self = if raw.ends_with(b"\r") {
            Self::ShownWithCr
        } else {
            Self::Shown
        };
    }
}

/// What of an event the client did not ask for.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A chunk without choices but with usage. A chunk with neither (Azure's first one) is not.
    UsageOnly,
    /// Where in its bytes the member stands that says that there is no usage yet, with its comma.
    NoUsage(Range<usize>),
}

impl Found {
    fn in_event(event: Event<'_>) -> Self {
        let has = |word: &[u8]| memchr::memmem::find(event.raw(), word).is_some();
        if !has(b"\"usage\"") || !has(b"\"choices\"") {
            return Self::Nothing;
        }
        let Some(data) = event.data() else {
            return Self::Nothing;
        };
        let mut walker = Walker::new();
        let mut chunk = Chunk::default();
        let read = walker.push(&data, &mut |seen| chunk.see(seen)).is_ok() && walker.is_done();
        match (&data, chunk.none) {
            _ if !read => Self::Nothing,
            _ if chunk.usage && chunk.choices == Some(0) => Self::UsageOnly,
            // Put together of several lines the data have no place in the event.
            (Cow::Borrowed(bytes), Some((start, end))) if !chunk.usage => {
                let [start, end] = [start, end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
                let before = bytes.as_ptr().addr() - event.raw().as_ptr().addr();
                let member = with_comma(bytes, start..end);
                Self::NoUsage(before + member.start..before + member.end)
            }
            _ => Self::Nothing,
        }
    }
}

/// A member of an object with the comma that goes with it, of which it has one unless it is the only one.
fn with_comma(object: &[u8], member: Range<usize>) -> Range<usize> {
    let after = object.get(member.end..).unwrap_or_default();
    let blank = |bytes: &[u8]| bytes.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let behind = blank(after);
    if after.get(behind) == Some(&b',') {
        let rest = &after[behind + 1..];
        return member.start..member.end + behind + 1 + blank(rest);
    }
    let ahead = object
        .get(..member.start)
        .unwrap_or_default()
        .trim_ascii_end();
    match ahead.last() {
        Some(b',') => ahead.len() - 1..member.end,
        _ => member,
    }
}

/// What a chunk holds.
#[derive(Debug, Default)]
struct Chunk {
    key: [bool; 2],
    key_at: u64,
    usage: bool,
    /// Where it says that there is no usage.
    none: Option<(u64, u64)>,
    choices: Option<u32>,
}

impl Chunk {
    fn see(&mut self, seen: Seen<'_>) {
        let [is_choices, is_usage] = self.key;
        match (seen.depth, seen.token) {
            (1, Token::Key(name)) => {
                let name = name.decoded();
                self.key = [&*name == b"choices", &*name == b"usage"];
                self.key_at = seen.start;
            }
            (1, Token::Open(Kind::Array)) if is_choices => self.choices = Some(0),
            (1, Token::Open(Kind::Object)) if is_usage => self.usage = true,
            (1, Token::Null) if is_usage => self.none = Some((self.key_at, seen.end)),
            (2, Token::Key(_) | Token::Close(_)) => {}
            (2, _) if is_choices => self.choices = self.choices.map(|n| n.saturating_add(1)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn spliced(body: &str) -> Option<String> {
        let out = splice_include_usage(body.as_bytes())?;
        Some(String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn the_option_is_switched_on_and_nothing_else_changes() {
        for (body, expected) in [
            (
                r#"{"model":"m"}"#,
                r#"{"stream_options":{"include_usage":true},"model":"m"}"#,
            ),
            ("{}", r#"{"stream_options":{"include_usage":true}}"#),
            (
                " {\n} ",
                " {\"stream_options\":{\"include_usage\":true}\n} ",
            ),
            (
                r#"{"stream_options":null,"a":1}"#,
                r#"{"stream_options":{"include_usage":true},"a":1}"#,
            ),
            (
                r#"{"a":{"stream_options":{"x":1}},"stream_options": { }}"#,
                r#"{"a":{"stream_options":{"x":1}},"stream_options": {"include_usage":true }}"#,
            ),
            (
                r#"{"stream_options":{"x":{"include_usage":false}},"b":[{"include_usage":true}]}"#,
                r#"{"stream_options":{"include_usage":true,"x":{"include_usage":false}},"b":[{"include_usage":true}]}"#,
            ),
            (
                r#"{"stream_options":{"include_usage": false ,"x":1}}"#,
                r#"{"stream_options":{"include_usage": true ,"x":1}}"#,
            ),
            (
                r#"{"stream\u005foptions":{"include_usage":null}}"#,
                r#"{"stream\u005foptions":{"include_usage":true}}"#,
            ),
        ] {
            assert_eq!(spliced(body).as_deref(), Some(expected));
        }
        for body in [
            r#"{"stream_options":{"include_usage":true}}"#,
            r#"{"stream_options":[]}"#,
            r#"{"stream_options":5}"#,
            r#"{"stream_options":{"include_usage":{}}}"#,
            "[]",
            "{",
            "",
        ] {
            assert_eq!(spliced(body), None, "{body}");
        }
    }

    fn stripped(stream: &[u8], cuts: &[usize]) -> String {
        let mut stripper = UsageStripper::default();
        let mut out = Vec::new();
        let mut from = 0;
        for cut in cuts.iter().copied().chain([stream.len()]) {
            let cut = cut.clamp(from, stream.len());
            stripper.push(&stream[from..cut], &mut out);
            from = cut;
        }
        stripper.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    const KEPT: [&str; 8] = [
        ": comment",
        r#"data: {"choices":[],"prompt_filter_results":[{}]}"#,
        r#"data: {"choices":[{"usage":null}]}"#,
        r#"data: {"choices":[{"delta":{"content":"\"choices\":[],\"usage\":null"}}]}"#,
        r#"data: {"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#,
        r#"data: {"choices":[5],"usage":{"prompt_tokens":1}}"#,
        r#"data: {"usage":{"prompt_tokens":1}}"#,
        r#"data: {"choices":[],"usage":{"prompt_tokens":1}"#,
    ];
    const EXTRA: &str =
        r#"data: {"id":"é","choices": [ ],"usage":{"prompt_tokens":1,"details":{"choices":[1]}}}"#;

    #[test]
    fn no_usage_yet_is_left_out_with_its_comma_and_nothing_else() {
        for (came, shown) in [
            (r#"{"choices":[],"usage":null}"#, r#"{"choices":[]}"#),
            (r#"{"usage":null,"choices":[]}"#, r#"{"choices":[]}"#),
            (
                r#"{ "usage" : null , "choices" : [] }"#,
                r#"{ "choices" : [] }"#,
            ),
            (r#"{"choices":[] , "usage": null }"#, r#"{"choices":[]  }"#),
            (
                r#"{"choices":[{"delta":{"content":"\"usage\":null"},"usage":null}],"usage":null,"x":"usage"}"#,
                r#"{"choices":[{"delta":{"content":"\"usage\":null"},"usage":null}],"x":"usage"}"#,
            ),
        ] {
            let [came, shown] = [came, shown].map(|data| format!("event: x\ndata: {data}\n\n"));
            for cut in 0..came.len() {
                assert_eq!(stripped(came.as_bytes(), &[cut]), shown);
            }
        }
    }

    #[test]
    fn only_the_extra_chunk_is_left_out_wherever_the_stream_is_cut() {
        for end in ["\n", "\r\n", "\r"] {
            let event = |text: &str| format!("{text}{end}{end}");
            let before: String = KEPT.iter().map(|text| event(text)).collect();
            let done = event("data: [DONE]");
            let stream = format!("{before}{}{done}data: unfinished", event(EXTRA));
            let expected = format!("{before}{done}data: unfinished");
            for cut in 0..=stream.len() {
                assert_eq!(
                    stripped(stream.as_bytes(), &[cut]),
                    expected,
                    "{end:?} cut at {cut}"
                );
            }
            let every: Vec<usize> = (0..stream.len()).collect();
            assert_eq!(stripped(stream.as_bytes(), &every), expected);
        }
    }

    #[test]
    fn an_enormous_event_passes_without_being_held() {
        let stream = format!("data: {}\n\ndata: {{\"a\":1}}\n\n", "x".repeat(1_000_000));
        let cuts: Vec<usize> = (0..stream.len()).step_by(10_000).collect();
        assert_eq!(stripped(stream.as_bytes(), &cuts), stream);
    }

    proptest! {
        #[test]
        fn a_spliced_body_is_the_body_and_the_option(keys in proptest::collection::vec("[a-z]{1,4}", 0..5), spaces in "[ \n]{0,3}") {
            let map: serde_json::Map<String, Value> = keys.into_iter().map(|key| (key, json!([1, "x"]))).collect();
            let body = format!("{spaces}{}", Value::Object(map.clone()));
            let mut value: Value = serde_json::from_str(&spliced(&body).unwrap()).unwrap();
            let options = value.as_object_mut().unwrap().shift_remove("stream_options");
            prop_assert_eq!(options, Some(json!({"include_usage": true})));
            prop_assert_eq!(value, Value::Object(map));
        }

        #[test]
        fn streams_without_an_extra_chunk_pass_as_they_are(stream in "[ -~\r\n]{0,200}", cuts in proptest::collection::vec(0usize..200, 0..5)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            prop_assert_eq!(stripped(stream.as_bytes(), &cuts), stream);
        }
    }
}
