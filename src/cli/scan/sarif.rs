//! SARIF 2.1.0, for code hosts that show findings beside the code.

use std::collections::BTreeSet;
use std::io::Write;

use serde_json::{Value, json};

use super::found::{FileReport, Found, not_whole};
use crate::scan::Scanner;

pub fn write(
    scanner: &Scanner,
    reports: &[FileReport],
    unread: &[anyhow::Error],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let all = reports.iter().flat_map(|report| {
        let file = report.file.as_str();
        report.found.iter().map(move |found| (file, found))
    });
    let used: BTreeSet<&str> = reports
        .iter()
        .flat_map(|report| report.found.iter().map(|found| found.rule.as_str()))
        .collect();
    let rules: Vec<Value> = scanner
        .rules()
        .rules()
        .iter()
        .filter(|rule| used.contains(rule.id.as_str()))
        .map(|rule| {
            json!({
                "id": rule.id.as_str(),
                "shortDescription": { "text": rule.description },
                "properties": { "category": rule.category.as_str() },
            })
        })
        .collect();
    let results: Vec<Value> = all.map(|(file, found)| result(file, found)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tollgate",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "invocations": [invocation(reports, unread)],
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)?;
    Ok(())
}

/// What was not read, or not whole: without it the results are not all.
fn invocation(reports: &[FileReport], unread: &[anyhow::Error]) -> Value {
    let told = reports.iter().filter_map(|report| {
        Some(json!({
            "level": "error",
            "message": { "text": not_whole(report.undecodable?) },
            "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri(&report.file) } } }],
        }))
    });
    let unread = unread
        .iter()
        .map(|error| json!({ "level": "error", "message": { "text": format!("{error:#}") } }));
    let told: Vec<Value> = told.chain(unread).collect();
    json!({ "executionSuccessful": told.is_empty(), "toolExecutionNotifications": told })
}

/// A path as an URI has it: every byte but letters, digits, `-._~` and `/` by its number.
fn uri(file: &str) -> String {
    let mut uri = String::with_capacity(file.len());
    for byte in file.trim_start_matches("./").bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            _ => uri.extend(["%", &format!("{byte:02X}")]),
        }
    }
    uri
}

fn result(file: &str, found: &Found) -> Value {
    let mut region = json!({ "startLine": found.line, "startColumn": found.column });
    if let (Some(start), Some(end)) = (found.start, found.end) {
        region["byteOffset"] = json!(start);
        region["byteLength"] = json!(end - start);
    }
    json!({
        "ruleId": found.rule,
        "level": "error",
        "message": { "text": format!("{}: {}", found.rule, found.masked) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(file) },
            "region": region,
        }}],
        "partialFingerprints": { "tollgateSecret/v1": found.fingerprint },
    })
}
