//! Makes a chat stream tell its usage though its client did not ask, and hides the extra chunk from that client.

use bytes::Bytes;

/// The body with `stream_options.include_usage` switched on, all other bytes as they were; `None` when there is no place for it.
#[must_use]
pub fn splice_include_usage(_body: &[u8]) -> Option<Bytes> {
    None
}

/// Takes the usage-only chunk out of a chat stream again; all other bytes pass as they came.
#[derive(Debug, Default)]
pub struct UsageStripper {}

impl UsageStripper {
    /// Appends to `out` what the client may see of these bytes.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(bytes);
    }

    /// Appends what was held back.
    pub fn finish(&mut self, _out: &mut Vec<u8>) {}
}
