//! Findings as a person or a program reads them: with a line, a column and a masked secret.

use std::collections::HashMap;
use std::io::Write;

use serde::Serialize;

use crate::scan::{Finding, Scanner, Undecodable};

/// Bytes of a secret that are shown, of those long enough that this tells nothing.
const SHOWN: usize = 4;
const LONG_ENOUGH: usize = 16;

/// The findings of one file.
pub struct FileReport {
    pub file: String,
    pub found: Vec<Found>,
    /// Why it was not scanned whole: there may be more than what was found.
    pub undecodable: Option<Undecodable>,
}

impl FileReport {
    /// Everything was looked at, and nothing found.
    pub const fn is_clean(&self) -> bool {
        self.found.is_empty() && self.undecodable.is_none()
    }
}

/// One finding.
#[derive(Serialize)]
pub struct Found {
    pub rule: String,
    category: String,
    /// Lines and columns (in bytes) count from 1; where the secret is seen only through a coding, they are those of the
    /// coded bytes.
    pub line: usize,
    pub column: usize,
    pub start: Option<usize>,
    pub end: Option<usize>,
    path: String,
    pub masked: String,
    pub fingerprint: String,
}

impl Found {
    pub fn new(finding: &Finding, bytes: &[u8]) -> Self {
        let at = finding.near.as_ref().map_or(0, |near| near.start);
        let before = bytes.get(..at).unwrap_or_default();
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        let secret = finding.span.clone().and_then(|span| bytes.get(span));
        Self {
            rule: finding.rule.to_string(),
            category: finding.category.to_string(),
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: at - line_start + 1,
            start: finding.span.as_ref().map(|span| span.start),
            end: finding.span.as_ref().map(|span| span.end),
            path: finding.path.clone(),
            masked: secret.map_or_else(|| "(encoded)".to_owned(), masked),
            fingerprint: finding.fingerprint.to_string(),
        }
    }
}

/// The first few characters of a long secret, and how long it is.
fn masked(secret: &[u8]) -> String {
    let head = secret.get(..SHOWN).filter(|_| secret.len() >= LONG_ENOUGH);
    let head = head.filter(|head| head.iter().all(u8::is_ascii_graphic));
    let head = String::from_utf8_lossy(head.unwrap_or_default());
    format!("{head}… ({} bytes)", secret.len())
}

pub fn text(scanner: &Scanner, reports: &[FileReport], out: &mut dyn Write) -> anyhow::Result<()> {
    let rules = scanner.rules().rules().iter();
    let words: HashMap<&str, &str> = rules
        .map(|rule| (rule.id.as_str(), rule.description.as_str()))
        .collect();
    for report in reports {
        for one in &report.found {
            let what = words.get(one.rule.as_str()).copied().unwrap_or_default();
            writeln!(
                out,
                "{}:{}:{}  {}  {what}  {}  {}",
                report.file, one.line, one.column, one.rule, one.masked, one.fingerprint
            )?;
        }
        if let Some(why) = report.undecodable {
            writeln!(out, "{}  {}", report.file, not_whole(why))?;
        }
    }
    Ok(())
}

/// The sentence for a file that was not scanned whole.
pub fn not_whole(why: Undecodable) -> String {
    format!(
        "not scanned whole ({}); there may be more in it",
        why.code()
    )
}

pub fn json(reports: &[FileReport], out: &mut dyn Write) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        file: &'a str,
        #[serde(flatten)]
        found: &'a Found,
    }
    /// The line of a file that was not scanned whole: the same word as in an answer of `--jsonl`.
    #[derive(Serialize)]
    struct NotWhole<'a> {
        file: &'a str,
        undecodable: &'static str,
    }
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Entry<'a> {
        Found(Line<'a>),
        NotWhole(NotWhole<'a>),
    }
    let all: Vec<Entry<'_>> = reports
        .iter()
        .flat_map(|report| {
            let file = report.file.as_str();
            let found = report.found.iter().map(move |found| Line { file, found });
            let not_whole = report.undecodable.map(|why| NotWhole {
                file,
                undecodable: why.code(),
            });
            let found = found.map(Entry::Found);
            found.chain(not_whole.map(Entry::NotWhole))
        })
        .collect();
    serde_json::to_writer_pretty(&mut *out, &all)?;
    writeln!(out)?;
    Ok(())
}
