//! Gathers a request's body, whole and bounded, before anything is decided by it, and leaves the session so that Pingora
//! sends it on. Knows framing, limits and time; not what a body means.
//!
//! Pingora begins to send a body that was read in `request_filter` only if its retry buffer (64 KiB, fixed) holds
//! something. What it holds does not matter: `request_body_filter` puts the gathered body in its place. So the buffer is
//! switched on late, when the rest fits it. Where the length is not told, an HTTP/1 session is given a request of one
//! byte to read again, and an HTTP/2 request past 64 KiB is refused: Pingora has no way to begin it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Version;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use pingora::proxy::Session;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::refusal::Refusal;

/// The size of Pingora's retry buffer: `BODY_BUF_LIMIT` in pingora-core.
const RETRY_BUFFER: u64 = 64 * 1024;
/// Room taken from the process's budget at a time while a body of untold length grows.
const GROWTH: usize = 64 * 1024;
/// A refused body of at most this many bytes is read before the answer, so that the connection stays in use.
const SMALL_BYTES: usize = 256 * 1024;
const SMALL_TIME: Duration = Duration::from_millis(250);
/// What is read and thrown away of a refused upload, so that the client gets to read the answer.
const DRAINED_BYTES: usize = 1024 * 1024;
const DRAINED_TIME: Duration = Duration::from_secs(2);

/// The process's room for bodies: a permit is a KiB, given back when the request ends.
#[derive(Clone)]
pub struct BodyRoom(Arc<Semaphore>);

const PERMIT_BYTES: u64 = 1024;

impl BodyRoom {
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let permits = usize::try_from(bytes / PERMIT_BYTES).unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(
            permits.min(Semaphore::MAX_PERMITS),
        )))
    }

    fn take(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Refusal> {
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).map_err(|_| Refusal::Busy)?;
        self.0
            .clone()
            .try_acquire_many_owned(permits)
            .map_err(|_| Refusal::Busy)
    }
}

/// Bounds of one upload.
#[derive(Clone, Copy, Debug)]
pub struct UploadLimits {
    /// Bytes of one body.
    pub body: u64,
    /// Time for the whole upload.
    pub time: Duration,
}

/// A body in memory, with the room that it takes.
pub struct Gathered {
    pub bytes: Bytes,
    room: Vec<OwnedSemaphorePermit>,
}

impl Gathered {
    /// Takes room for a body that was made of this one, as far as it is longer.
    ///
    /// # Errors
    /// When the process holds as many bytes as it may.
    pub fn widen(&mut self, room: &BodyRoom, length: usize) -> Result<(), Refusal> {
        let held: usize = self
            .room
            .iter()
            .map(OwnedSemaphorePermit::num_permits)
            .sum();
        let more = (length as u64).saturating_sub(held as u64 * PERMIT_BYTES);
        if more > 0 {
            self.room.push(room.take(more)?);
        }
        Ok(())
    }

    /// Other bytes in the same room: a rewritten body in place of the one that was gathered.
    #[must_use]
    pub fn holding(self, bytes: Bytes) -> Self {
        Self {
            bytes,
            room: self.room,
        }
    }
}

/// How the client framed its body.
enum Framing {
    Empty,
    Length(u64),
    Chunked,
    /// HTTP/2 without a content-length.
    Untold,
}

fn framing(session: &mut Session) -> Result<Framing, Refusal> {
    let is_h2 = session.as_downstream().is_http2();
    let headers = &session.req_header().headers;
    let length = headers.get(CONTENT_LENGTH).map(|value| {
        value
            .to_str()
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
            .ok_or(Refusal::AmbiguousLength)
    });
    let chunked = headers.contains_key(TRANSFER_ENCODING);
    // Pingora has already dropped a Content-Length that came beside a Transfer-Encoding; the raw head still shows it.
    if chunked && raw_head_tells_length(session) {
        return Err(Refusal::AmbiguousLength);
    }
    match length.transpose()? {
        _ if chunked => Ok(Framing::Chunked),
        Some(0) => Ok(Framing::Empty),
        Some(length) => Ok(Framing::Length(length)),
        None if is_h2 && !session.is_body_done() => Ok(Framing::Untold),
        None => Ok(Framing::Empty),
    }
}

fn raw_head_tells_length(session: &Session) -> bool {
    session.as_downstream().as_http1().is_some_and(|h1| {
        let raw = h1.get_headers_raw_bytes();
        raw.split(|b| *b == b'\n').any(|line| {
            line.len() >= 15
                && line[..14].eq_ignore_ascii_case(b"content-length")
                && line[14] == b':'
        })
    })
}

/// Reads the whole body.
///
/// # Errors
/// A refusal for a body over the limit (before it is read, where its length is told), for one that stalls or breaks
/// off, and when the process holds as many bytes as it may.
pub async fn gather(
    session: &mut Session,
    limits: UploadLimits,
    room: &BodyRoom,
) -> Result<Gathered, Refusal> {
    let framing = framing(session)?;
    if let Framing::Length(length) = framing
        && length > limits.body
    {
        return Err(Refusal::BodyTooLarge { limit: limits.body });
    }
    let mut taken = Vec::new();
    match framing {
        Framing::Empty => {
            return Ok(Gathered {
                bytes: Bytes::new(),
                room: taken,
            });
        }
        Framing::Length(length) => taken.push(room.take(length)?),
        Framing::Chunked | Framing::Untold => taken.push(room.take(GROWTH as u64)?),
    }
    answer_expectation(session).await?;
    let read = read_all(session, &framing, limits, room, &mut taken);
    let bytes = timeout(limits.time, read)
        .await
        .map_err(|_| Refusal::UploadStalled)??;
    if matches!(framing, Framing::Chunked) && session.as_downstream().retry_buffer_truncated() {
        rearm(session, bytes.len()).await?;
    }
    Ok(Gathered { bytes, room: taken })
}

/// A client that waits for leave to send gets it. Pingora takes the connection out of reuse with it, so that is undone.
async fn answer_expectation(session: &mut Session) -> Result<(), Refusal> {
    let head = session.req_header();
    if !head.headers.contains_key(EXPECT) || head.version < Version::HTTP_11 {
        return Ok(());
    }
    let keepalive = session.get_keepalive();
    session
        .as_downstream_mut()
        .write_continue_response()
        .await
        .map_err(|_| Refusal::UploadBroken)?;
    session.set_keepalive(keepalive);
    Ok(())
}

async fn read_all(
    session: &mut Session,
    framing: &Framing,
    limits: UploadLimits,
    room: &BodyRoom,
    taken: &mut Vec<OwnedSemaphorePermit>,
) -> Result<Bytes, Refusal> {
    let told = match framing {
        Framing::Length(length) => Some(*length),
        _ => None,
    };
    let capacity = told.map_or(GROWTH, |length| usize::try_from(length).unwrap_or(GROWTH));
    let mut held = BytesMut::with_capacity(capacity);
    loop {
        let rest = told.map_or(0, |length| length.saturating_sub(held.len() as u64));
        if rest <= RETRY_BUFFER {
            session.as_downstream_mut().enable_retry_buffering();
        }
        let Some(piece) = session
            .read_request_body()
            .await
            .map_err(|_| Refusal::UploadBroken)?
        else {
            break;
        };
        let size = (held.len() + piece.len()) as u64;
        if size > limits.body {
            return Err(Refusal::BodyTooLarge { limit: limits.body });
        }
        if matches!(framing, Framing::Untold) && size > RETRY_BUFFER {
            return Err(Refusal::LengthRequired);
        }
        if told.is_none() && held.len() + piece.len() > held.capacity() {
            taken.push(room.take(held.capacity() as u64)?);
            held.reserve(held.capacity());
        }
        held.extend_from_slice(&piece);
    }
    Ok(held.freeze())
}

/// Gives an HTTP/1 session a request of one byte to read in place of the chunked one that it has read: reading it again
/// empties the retry buffer, and one byte fits. The connection closes after the answer, since bytes of a next request
/// that came with the last chunk would be lost.
async fn rearm(session: &mut Session, length: usize) -> Result<(), Refusal> {
    let head = session.req_header();
    let mut prefix = BytesMut::with_capacity(1024);
    prefix.extend_from_slice(head.method.as_str().as_bytes());
    prefix.extend_from_slice(b" ");
    prefix.extend_from_slice(head.raw_path());
    prefix.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in head
        .headers
        .iter()
        .filter(|(name, _)| **name != TRANSFER_ENCODING && **name != EXPECT)
    {
        prefix.extend_from_slice(name.as_str().as_bytes());
        prefix.extend_from_slice(b": ");
        prefix.extend_from_slice(value.as_bytes());
        prefix.extend_from_slice(b"\r\n");
    }
    if !head.headers.contains_key(HOST) {
        prefix.extend_from_slice(b"host: unnamed\r\n");
    }
    prefix.extend_from_slice(b"content-length: 1\r\n\r\n ");
    let session = session.as_downstream_mut();
    session.set_pipelined_prefix(prefix);
    session
        .read_request()
        .await
        .map_err(|_| Refusal::Internal)?;
    session
        .read_request_body()
        .await
        .map_err(|_| Refusal::Internal)?;
    session.set_keepalive(None);
    debug_assert!(length as u64 > RETRY_BUFFER);
    Ok(())
}

/// Reads what is left of a small body, before its refusal is written: the connection can be used again then.
pub async fn drain_small(session: &mut Session) {
    let headers = &session.req_header().headers;
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let small = length.is_some_and(|length: usize| length <= SMALL_BYTES);
    if small && !headers.contains_key(EXPECT) && !session.is_body_done() {
        // Whether it came to its end shows in the session.
        let _ended = timeout(SMALL_TIME, drain_bounded(session, SMALL_BYTES)).await;
    }
}

/// Reads on for a little while after a refusal, so that a client that still uploads gets to read the answer; a
/// connection that is not at the end of its request by then closes.
pub async fn drain(session: &mut Session) {
    if session.is_body_done() {
        return;
    }
    let ended = timeout(DRAINED_TIME, drain_bounded(session, DRAINED_BYTES)).await;
    if !ended.unwrap_or(false) {
        session.set_keepalive(None);
    }
}

/// Whether the body came to its end within the bound.
async fn drain_bounded(session: &mut Session, most: usize) -> bool {
    let mut drained = 0;
    while drained <= most {
        match session.read_request_body().await {
            Ok(Some(piece)) => drained += piece.len(),
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
    false
}
