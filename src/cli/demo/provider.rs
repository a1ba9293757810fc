//! A provider that says the same few words to everybody: what the demonstration talks to in place of a real one.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Json, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

/// How many requests have arrived.
pub type Arrived = Arc<AtomicUsize>;

/// Serves on a free port until the runtime ends.
///
/// # Errors
/// When no port is free.
pub async fn start(arrived: Arrived) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let routes = Router::new()
        .route("/v1/messages", post(messages))
        .with_state(arrived);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

async fn messages(State(arrived): State<Arrived>, Json(request): Json<Value>) -> Response {
    arrived.fetch_add(1, Ordering::SeqCst);
    if request["stream"] == Value::Bool(true) {
        return ([(CONTENT_TYPE, "text/event-stream")], events()).into_response();
    }
    Json(json!({
        "id": "msg_demo", "type": "message", "role": "assistant", "model": request["model"],
        "content": [{"type": "text", "text": "Hello from the scripted provider."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 100, "output_tokens": 20},
    }))
    .into_response()
}

/// A short answer in the events of the Messages API.
fn events() -> String {
    let start = json!({"type": "message_start", "message": {"id": "msg_demo", "type": "message", "role": "assistant",
        "model": "claude-haiku-4-5", "content": [], "usage": {"input_tokens": 100, "output_tokens": 1}}});
    let opened = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let words = ["Hello", " from", " the", " scripted", " provider."];
    let deltas = words.map(|word| {
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}})
    });
    let closed = json!({"type": "content_block_stop", "index": 0});
    let counted = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}});
    let stop = json!({"type": "message_stop"});
    let all = [start, opened]
        .into_iter()
        .chain(deltas)
        .chain([closed, counted, stop]);
    all.fold(String::new(), |mut text, event| {
        let kind = event["type"].as_str().unwrap_or_default();
        for part in ["event: ", kind, "\ndata: ", &event.to_string(), "\n\n"] {
            text.push_str(part);
        }
        text
    })
}
