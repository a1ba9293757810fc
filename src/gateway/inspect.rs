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

/// A body and the headers that say how to read it.
pub struct Content<'a> {
    pub bytes: &'a Bytes,
    pub content_type: Option<&'a str>,
    pub content_encoding: Option<&'a str>,
}

/// Scans a body. A long scan runs beside the runtime's workers.
///
/// # Errors
/// When the scan did not come to its end: nothing may pass as inspected then.
pub async fn scan(
    inspection: &Arc<Inspection>,
    content: &Content<'_>,
    name: &Name,
    team: &Arc<Team>,
) -> Result<Report, Refusal> {
    if content.bytes.len() < LONG {
        return Ok(inspection.scan_request(body_of(content), name, team));
    }
    let (inspection, name, team) = (Arc::clone(inspection), name.clone(), Arc::clone(team));
    let bytes = content.bytes.clone();
    let kind = content.content_type.map(str::to_owned);
    let encoding = content.content_encoding.map(str::to_owned);
    let scanned = tokio::task::spawn_blocking(move || {
        let body = Body {
            bytes: &bytes,
            content_type: kind.as_deref(),
            content_encoding: encoding.as_deref(),
        };
        inspection.scan_request(body, &name, &team)
    });
    scanned.await.map_err(|_| Refusal::Internal)
}

fn body_of<'a>(content: &Content<'a>) -> Body<'a> {
    Body {
        bytes: content.bytes,
        content_type: content.content_type,
        content_encoding: content.content_encoding,
    }
}
