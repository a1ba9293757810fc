//! What `wrk` does not measure of streams: when the first token comes, how late each event is, and many streams at once.
//!
//! `streams ADDRESS KEY COUNT EVENTS PACE_US BODY_BYTES REPEAT`: opens COUNT streams at once, REPEAT times over, and prints
//! a line of JSON: quantiles in microseconds of the time to the first delta and of each delta's way from the provider, and
//! how many streams ended whole.

use std::error::Error;
use std::io::Write as _;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One run's wish.
#[derive(Clone)]
struct Wish {
    address: String,
    request: Vec<u8>,
}

/// What one stream showed.
#[derive(Default)]
struct Seen {
    first: Option<u64>,
    late: Vec<u64>,
    whole: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, key, count, events, pace, bytes, repeat] = args.as_slice() else {
        return Err("usage: streams ADDRESS KEY COUNT EVENTS PACE_US BODY_BYTES REPEAT".into());
    };
    let text = "let total = parts.iter().sum::<u64>(); ".repeat(bytes.parse::<usize>()? / 39);
    let body = serde_json::json!({"model": "claude-haiku-4-5", "max_tokens": 1000, "stream": true,
        "messages": [{"role": "user", "content": text}]})
    .to_string();
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: load\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n\
         x-load-events: {events}\r\nx-load-pace-us: {pace}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let wish = Wish {
        address: address.clone(),
        request: request.into_bytes(),
    };
    let (count, repeat) = (count.parse::<usize>()?, repeat.parse::<usize>()?);
    let seen = tokio::runtime::Runtime::new()?.block_on(run(wish, count, repeat));
    let mut first: Vec<u64> = seen.iter().filter_map(|seen| seen.first).collect();
    let mut late: Vec<u64> = seen
        .iter()
        .flat_map(|seen| seen.late.iter().copied())
        .collect();
    let report = serde_json::json!({
        "streams": count * repeat,
        "whole": seen.iter().filter(|seen| seen.whole).count(),
        "first_us": quantiles(&mut first),
        "late_us": quantiles(&mut late),
    });
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

async fn run(wish: Wish, count: usize, repeat: usize) -> Vec<Seen> {
    let workers: Vec<_> = (0..count)
        .map(|_| {
            let wish = wish.clone();
            tokio::spawn(async move {
                let mut all = Vec::with_capacity(repeat);
                let Ok(mut stream) = TcpStream::connect(&wish.address).await else {
                    return all;
                };
                for _ in 0..repeat {
                    match one(&mut stream, &wish.request).await {
                        Ok(seen) => all.push(seen),
                        Err(_) => break,
                    }
                }
                all
            })
        })
        .collect();
    let mut seen = Vec::new();
    for worker in workers {
        seen.extend(worker.await.unwrap_or_default());
    }
    seen
}

/// Sends one request and reads its answer to the last chunk.
async fn one(stream: &mut TcpStream, request: &[u8]) -> std::io::Result<Seen> {
    stream.set_nodelay(true)?;
    let began = Instant::now();
    stream.write_all(request).await?;
    let mut seen = Seen::default();
    let mut buffer = vec![0; 16 * 1024];
    let mut kept: Vec<u8> = Vec::new();
    loop {
        let read = stream.read(&mut buffer).await?;
        let now = now();
        if read == 0 {
            return Ok(seen);
        }
        kept.extend_from_slice(&buffer[..read]);
        let mut from = 0;
        while let Some(at) = memchr::memmem::find(&kept[from..], b"\"t=") {
            let digits = &kept[from + at + 3..];
            let Some(space) = memchr::memchr(b' ', digits) else {
                break;
            };
            let sent = std::str::from_utf8(&digits[..space])
                .ok()
                .and_then(|text| text.parse::<u64>().ok());
            seen.first
                .get_or_insert_with(|| micros(began.elapsed().as_nanos()));
            seen.late
                .extend(sent.map(|sent| now.saturating_sub(sent) / 1000));
            from += at + 3 + space;
        }
        kept.drain(..from);
        if kept.ends_with(b"0\r\n\r\n") {
            seen.whole = memchr::memmem::find(&kept, b"message_stop").is_some();
            return Ok(seen);
        }
    }
}

fn quantiles(all: &mut [u64]) -> serde_json::Value {
    all.sort_unstable();
    let at = |thousandths: usize| all.get(all.len().saturating_sub(1) * thousandths / 1000);
    serde_json::json!({"p50": at(500), "p99": at(990), "p999": at(999), "count": all.len()})
}

fn micros(nanos: u128) -> u64 {
    u64::try_from(nanos / 1000).unwrap_or(u64::MAX)
}

/// Nanoseconds of the clock that all processes of a machine share.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}
