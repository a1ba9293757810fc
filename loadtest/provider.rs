//! A provider that answers every request with the same small message, fast enough not to be the limit.
//! `provider LISTEN`
//!
//! What it answers is in the request's head: `x-load-events: N` asks for a stream of N events, each in a write of its
//! own; `x-load-pace-us: N` waits so long before each and puts the time (nanoseconds of the monotonic clock) into it;
//! `x-load-echo: 1` says the first placeholder of the request's body.

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const USAGE: &str = r#"{"input_tokens":100,"output_tokens":20}"#;
/// Events of a stream that are no delta.
const FRAME_EVENTS: u32 = 5;
/// `TG_`, a category and the suffix: what a placeholder is made of.
const PLACEHOLDER: &[u8] = b"TG_";

fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args().nth(1).ok_or("usage: provider LISTEN")?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A connection that breaks is over, and nobody asks why.
            tokio::spawn(async move { drop(serve(stream).await) });
        }
    })
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let usual = whole("Hello.");
    let mut buffer = vec![0; 256 * 1024];
    let mut filled = 0;
    loop {
        let end = loop {
            if let Some(at) = memchr::memmem::find(&buffer[..filled], b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read(&mut buffer[filled..]).await? {
                0 => return Ok(()),
                read => filled += read,
            }
        };
        let wish = Wish::of(&buffer[..end]);
        let mut said = None;
        if wish.echoes {
            said = placeholder(&buffer[end..filled]);
        }
        let mut rest = wish.length.saturating_sub(filled - end);
        while rest > 0 {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                read => {
                    if wish.echoes && said.is_none() {
                        said = placeholder(&buffer[..read]);
                    }
                    rest = rest.saturating_sub(read);
                }
            }
        }
        filled = 0;
        match (wish.events, said) {
            (0, None) => stream.write_all(usual.as_bytes()).await?,
            (0, Some(said)) => stream.write_all(whole(&said).as_bytes()).await?,
            (_, said) => speak(&mut stream, &wish, said.as_deref()).await?,
        }
    }
}

/// What a request's head asks for.
#[derive(Default)]
struct Wish {
    length: usize,
    events: u32,
    pace: Duration,
    echoes: bool,
}

impl Wish {
    fn of(head: &[u8]) -> Self {
        let mut wish = Self::default();
        for line in head.split(|byte| *byte == b'\n') {
            let Some(colon) = memchr::memchr(b':', line) else {
                continue;
            };
            let value = std::str::from_utf8(&line[colon + 1..]).unwrap_or("").trim();
            let is = |name: &str| line[..colon].eq_ignore_ascii_case(name.as_bytes());
            if is("content-length") {
                wish.length = value.parse().unwrap_or(0);
            } else if is("x-load-events") {
                wish.events = value.parse().unwrap_or(0);
            } else if is("x-load-pace-us") {
                wish.pace = Duration::from_micros(value.parse().unwrap_or(0));
            } else if is("x-load-echo") {
                wish.echoes = true;
            }
        }
        wish
    }
}

fn placeholder(body: &[u8]) -> Option<String> {
    let start = memchr::memmem::find(body, PLACEHOLDER)?;
    let length = body[start..]
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')?;
    String::from_utf8(body[start..start + length].to_vec()).ok()
}

fn whole(text: &str) -> String {
    let body = format!(
        r#"{{"id":"msg_load","type":"message","role":"assistant","model":"claude-haiku-4-5","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","usage":{USAGE}}}"#
    );
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
    format!("{head}{}\r\n\r\n{body}", body.len())
}

async fn speak(stream: &mut TcpStream, wish: &Wish, said: Option<&str>) -> std::io::Result<()> {
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    let start = format!(
        r#"{{"type":"message_start","message":{{"id":"msg_load","type":"message","role":"assistant","model":"claude-haiku-4-5","content":[],"stop_reason":null,"usage":{USAGE}}}}}"#
    );
    event(stream, "message_start", &start).await?;
    let block =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    event(stream, "content_block_start", block).await?;
    for _ in FRAME_EVENTS..wish.events {
        let text = if wish.pace.is_zero() {
            said.unwrap_or("some words of an answer ").to_owned()
        } else {
            tokio::time::sleep(wish.pace).await;
            format!("t={} ", now())
        };
        let delta = format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#
        );
        event(stream, "content_block_delta", &delta).await?;
    }
    event(
        stream,
        "content_block_stop",
        r#"{"type":"content_block_stop","index":0}"#,
    )
    .await?;
    let end = format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{USAGE}}}"#
    );
    event(stream, "message_delta", &end).await?;
    event(stream, "message_stop", r#"{"type":"message_stop"}"#).await?;
    stream.write_all(b"0\r\n\r\n").await
}

async fn event(stream: &mut TcpStream, name: &str, data: &str) -> std::io::Result<()> {
    let mut text = String::with_capacity(256);
    let length = "event: \ndata: \n\n".len() + name.len() + data.len();
    // Writing to a string does not fail.
    let _written = write!(text, "{length:x}\r\nevent: {name}\ndata: {data}\n\n\r\n");
    stream.write_all(text.as_bytes()).await
}

/// Nanoseconds of the clock that all processes of a machine share.
fn now() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
