//! Inspects what is about to leave: body and head.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    COOKIE, HOST, HeaderName, PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};

use super::refusal::Refusal;
use crate::domain::Name;
use crate::live::{Inspection, Team};
use crate::scan::{Body, Report};

/// Headers that do not reach the provider, or that every request has with nothing of the caller's in it.
const NOT_SCANNED: [HeaderName; 10] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    HOST,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    TRANSFER_ENCODING,
    CONNECTION,
    ACCEPT_ENCODING,
];
/// From this size on a scan is long enough to leave the runtime's workers to other requests.
const LONG: usize = 1 << 20;
/// The same of what is packed: a hundred times as much may come of it.
const LONG_PACKED: usize = 16 << 10;

/// The text of a request's head that reaches the provider: its path and query, and the caller's headers.
pub fn head_text(path: &str, headers: &HeaderMap) -> String {
    let mut text = String::with_capacity(512);
    text.push_str(path);
    for (name, value) in headers {
        if NOT_SCANNED.contains(name) || matches!(name.as_str(), "x-api-key" | "api-key") {
            continue;
        }
        text.push('\n');
        text.push_str(name.as_str());
        text.push_str(": ");
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
    }
    text
}

/// Scans a body that has been read as JSON, so that is what it is, whatever its head says. A long scan runs beside the
/// runtime's workers.
///
/// # Errors
/// When the scan did not come to its end: nothing may pass as inspected then.
pub async fn scan(
    inspection: &Arc<Inspection>,
    bytes: &Bytes,
    name: &Name,
    team: &Arc<Team>,
) -> Result<Report, Refusal> {
    if bytes.len() < LONG {
        return Ok(inspection.scan_request(json(bytes), name, team));
    }
    let (inspection, name, team) = (Arc::clone(inspection), name.clone(), Arc::clone(team));
    let bytes = bytes.clone();
    let scanned =
        tokio::task::spawn_blocking(move || inspection.scan_request(json(&bytes), &name, &team));
    scanned.await.map_err(|_| Refusal::Internal)
}

/// Undoes a body's content encodings: to at most `most` bytes. What may become long is undone beside the runtime's workers.
///
/// # Errors
/// What cannot be undone is refused, since nothing could be said about it.
pub async fn unpack(
    inspection: &Arc<Inspection>,
    encodings: String,
    packed: &Bytes,
    most: u64,
) -> Result<Plain, Refusal> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let unpacked = if packed.len() < LONG_PACKED {
        inspection.unpack(&encodings, packed, most)
    } else {
        let (inspection, packed) = (Arc::clone(inspection), packed.clone());
        let unpacked =
            tokio::task::spawn_blocking(move || inspection.unpack(&encodings, &packed, most));
        unpacked.await.map_err(|_| Refusal::Internal)?
    };
    let unpacked = unpacked.map_err(|why| Refusal::Undecodable(why.to_string()))?;
    Ok(match unpacked {
        None => Plain {
            bytes: packed.clone(),
            passes: true,
        },
        Some(unpacked) => Plain {
            bytes: Bytes::from(unpacked.bytes),
            passes: unpacked.bare,
        },
    })
}

/// A body with its content encodings undone.
pub struct Plain {
    pub bytes: Bytes,
    /// Whether it may leave as it came: what a decoder passes over was not inspected.
    pub passes: bool,
}

const fn json(bytes: &[u8]) -> Body<'_> {
    Body {
        bytes,
        content_type: Some("application/json"),
        content_encoding: None,
    }
}
