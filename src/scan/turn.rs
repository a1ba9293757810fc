//! The scan of a turn of a conversation: of what is new in it.

use super::decode::body::Format;
use super::decode::chunks;
use super::decode::encoding;
use super::finding::Report;
use super::scanner::{Asked, Body, Scanner};
use super::seen::Seen;
use super::workspace::Workspace;
use crate::domain::{Category, Name};

/// Bodies of fewer bytes are scanned whole: finding out what is new in them would take as long.
const SHORT: usize = 8 << 10;

impl Scanner {
    /// As [`Scanner::scan_for`], for a request whose beginning may have been scanned before: `seen` knows what of it was
    /// clean.
    #[must_use]
    pub fn scan_turn(
        &self,
        workspace: &mut Workspace,
        body: Body<'_>,
        team: Option<&Name>,
        everywhere: &dyn Fn(&Category) -> bool,
        seen: &Seen,
    ) -> Report {
        let asked = Asked { team, everywhere };
        let plain = encoding::is_identity(body.content_encoding.unwrap_or_default());
        let json = matches!(Format::of(body.content_type, body.bytes), (Format::Json, _));
        if !plain || !json || body.bytes.len() < SHORT || self.prepare(workspace).is_err() {
            return self.scan_whole(workspace, body, asked);
        }
        let news = self.scan_news(workspace, body, asked, seen);
        let report = news.unwrap_or_else(|| self.scan_whole(workspace, body, asked));
        let Workspace { chunks, tags, .. } = workspace;
        if report.is_clean() {
            for tag in tags.iter() {
                seen.keep(*tag);
            }
        }
        if let Some(near) = report.findings.iter().find_map(|one| one.near.as_ref()) {
            seen.tell(chunks, tags, near.start);
        }
        report
    }

    /// Scans what of a body is new. `None` where it all is, and where anything was found, or was the last time: what a
    /// finding is called, where it lies and where else it stands depends on the whole body.
    fn scan_news(
        &self,
        workspace: &mut Workspace,
        body: Body<'_>,
        asked: Asked<'_>,
        seen: &Seen,
    ) -> Option<Report> {
        let Workspace {
            chunks, tags, gaps, ..
        } = workspace;
        chunks::cut(body.bytes, chunks);
        seen.tags(asked.team, body.bytes, chunks, tags);
        seen.gaps(chunks, tags, gaps);
        if gaps.is_empty() {
            return None;
        }
        let (_, problem) = self.look(workspace, body.bytes, body.content_type, asked);
        workspace.gaps.clear();
        let found = workspace
            .texts
            .iter()
            .any(|text| !text.confirmed.is_empty());
        let decoded_bytes = workspace.decoded_bytes();
        workspace.shrink();
        (problem.is_none() && !found).then(|| Report {
            decoded_bytes,
            ..Report::default()
        })
    }
}
