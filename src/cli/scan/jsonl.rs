//! `--jsonl`: one body a line in, its findings out, for evaluations and for other programs.
//!
//! In: `{"id": 1, "b64": "<body>", "ct": "<content type>", "ce": "<content encoding>"}`.
//! Out: `{"id": 1, "findings": [{"rule": "github-pat", "start": 10, "end": 50}], "ns": 41000}`; offsets are bytes of the
//! body as received or -1, `ns` is the processor time of the scan.

use std::io::{BufRead, Write};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::cli::clock::processor_time;
use crate::scan::{Body, Report, Scanner, Undecodable};

#[derive(Deserialize)]
struct Line {
    id: u64,
    b64: String,
    #[serde(default)]
    ct: String,
    #[serde(default)]
    ce: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: u64,
    findings: Vec<Found<'a>>,
    ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    undecodable: Option<&'static str>,
}

#[derive(Serialize)]
struct Found<'a> {
    rule: &'a str,
    start: i64,
    end: i64,
    path: &'a str,
}

/// Answers each line until there are no more.
pub fn answer(scanner: &Scanner, input: impl BufRead, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut workspace = scanner.workspace();
    for (number, line) in input.lines().enumerate() {
        let line = line.context("cannot read standard input")?;
        let line: Line = serde_json::from_str(&line)
            .with_context(|| format!("line {}: not such a line", number + 1))?;
        let bytes = STANDARD
            .decode(&line.b64)
            .with_context(|| format!("line {}: b64", number + 1))?;
        let body = Body {
            bytes: &bytes,
            content_type: Some(line.ct.as_str()).filter(|text| !text.is_empty()),
            content_encoding: Some(line.ce.as_str()).filter(|text| !text.is_empty()),
        };
        let before = processor_time();
        let report = scanner.scan(&mut workspace, body, None);
        let time = processor_time().saturating_sub(before);
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        serde_json::to_writer(&mut *out, &said(line.id, &report, ns))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn said(id: u64, report: &Report, ns: u64) -> Answer<'_> {
    let offset = |at: usize| i64::try_from(at).unwrap_or(-1);
    let findings = report.findings.iter().map(|finding| {
        let span = finding.span.as_ref();
        Found {
            rule: finding.rule.as_str(),
            start: span.map_or(-1, |span| offset(span.start)),
            end: span.map_or(-1, |span| offset(span.end)),
            path: &finding.path,
        }
    });
    Answer {
        id,
        findings: findings.collect(),
        ns,
        undecodable: report.undecodable.map(Undecodable::code),
    }
}
