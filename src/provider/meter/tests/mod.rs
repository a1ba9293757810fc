//! What a meter reads, whole and cut at every byte.

mod anthropic;
mod broken;
mod openai;
mod sums;

use serde_json::Value;

use super::{Meter, MeterInput, Metered};
use crate::domain::{CacheWrites, Demand};
use crate::provider::Endpoint;

/// The demand of a plain request: 1,000 bytes in, no tools.
fn plain() -> Demand {
    Demand {
        input_bytes: 1_000,
        answers: 1,
        has_output: true,
        cache_writes: CacheWrites::FiveMinutes,
        server_calls: Some(0),
        web_searches: Some(0),
        tool_calls: Some(0),
        code_sessions: Some(0),
        images: Some(0),
        ..Demand::default()
    }
}

fn meter(endpoint: Endpoint, input: MeterInput, demand: Demand, parts: &[&[u8]]) -> Metered {
    let mut meter = Meter::new(endpoint, input, demand);
    for part in parts {
        meter.push(part);
    }
    meter.finish()
}

fn json(endpoint: Endpoint, body: &Value) -> Metered {
    let body = body.to_string();
    meter(endpoint, MeterInput::Json, plain(), &[body.as_bytes()])
}

/// Meters a stream whole, and says that every cut and every line end makes no difference.
fn sse(endpoint: Endpoint, events: &[Value]) -> Metered {
    let named: String = events
        .iter()
        .map(|event| match event.as_str() {
            Some(text) => format!("data: {text}\n\n"),
            None => format!(
                "event: {}\ndata: {event}\n\n",
                event["type"].as_str().unwrap_or("message")
            ),
        })
        .collect();
    let whole = stream(endpoint, &named);
    for cut in 0..named.len() {
        let (head, tail) = named.as_bytes().split_at(cut);
        let parts = meter(endpoint, MeterInput::Sse, plain(), &[head, tail]);
        assert_eq!(parts, whole, "cut at {cut}");
    }
    assert_eq!(stream(endpoint, &named.replace('\n', "\r\n")), whole);
    let bytes: Vec<&[u8]> = named.as_bytes().chunks(1).collect();
    assert_eq!(meter(endpoint, MeterInput::Sse, plain(), &bytes), whole);
    whole
}

fn stream(endpoint: Endpoint, text: &str) -> Metered {
    meter(endpoint, MeterInput::Sse, plain(), &[text.as_bytes()])
}
