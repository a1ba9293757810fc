//! The listings as an operator sees them.

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::audit::sqlite::{Month, SqliteSink};
use crate::audit::testing::row;
use crate::audit::{Decision, Label, Log, LogOptions, Row};
use crate::cli::Cli;
use crate::domain::{Moment, Name};

const CONFIG: &str = "[provider.p]\ndialect = \"openai\"\naddresses = [\"http://127.0.0.1:1\"]\n\
                      credential = \"env:TOLLGATE_TEST_NO_SUCH_KEY\"\n[state]\ndir = \"state\"\n";

/// A state of thirty requests of two teams.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tollgate.toml"), CONFIG).unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    let (log, _) = Log::open(&state, LogOptions::default(), Moment::now()).unwrap();
    let sink = SqliteSink::start(&log, &state, Duration::from_hours(24 * 3660)).unwrap();
    for id in 0..30 {
        let search = Row {
            team: Some(Name::new("search")),
            decision: Decision::Blocked,
            code: "secret_found",
            status: 400,
            model: Label::clean("=cmd|' /C calc'!A0", Label::MODEL),
            ..row(id, 0)
        };
        let made = if id % 3 == 0 {
            search
        } else {
            row(id, 1_500_000)
        };
        let _written = log.end(made).unwrap();
    }
    log.close();
    sink.join();
    dir
}

fn run(dir: &TempDir, words: &[&str]) -> (String, String) {
    let config = dir.path().join("tollgate.toml");
    let words = ["tollgate"].iter().chain(words).copied();
    let cli = Cli::try_parse_from(words.chain(["--config", config.to_str().unwrap()])).unwrap();
    let mut out = Vec::new();
    let code = cli
        .run(&mut out)
        .map_or_else(|error| format!("{error:#}"), |code| format!("{code:?}"));
    (code, String::from_utf8(out).unwrap())
}

fn done(dir: &TempDir, words: &[&str]) -> String {
    let (code, out) = run(dir, words);
    assert_eq!(code, format!("{:?}", ExitCode::SUCCESS), "{words:?}: {out}");
    out
}

#[test]
fn tail_and_query_list_rows_for_people_and_as_json() {
    let dir = folder();
    let text = done(&dir, &["audit", "tail", "-n", "4"]);
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.starts_with("TIME"), "{text}");
    let words = [
        "audit", "query", "--team", "search", "--limit", "3", "--json",
    ];
    let json = done(&dir, &words);
    let rows: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["code"], "secret_found");
    assert!(
        rows[0]["at"].as_str() > rows[2]["at"].as_str(),
        "newest first"
    );
    let wrong = ["tollgate", "audit", "query", "--decision", "maybe"];
    let wrong = Cli::try_parse_from(wrong).unwrap_err().to_string();
    assert!(wrong.contains("allowed, alerted"), "{wrong}");
}

#[test]
fn export_writes_all_that_was_asked_for_and_no_formula() {
    let dir = folder();
    let csv = done(&dir, &["audit", "export", "--format", "csv", "--requests"]);
    assert_eq!(csv.lines().count(), 31);
    assert!(csv.contains(",\"'=cmd|"), "{csv}");
    assert!(!csv.contains(",=cmd"));
    let file = dir.path().join("out.ndjson");
    let path = file.to_str().unwrap();
    let since = "2026-09-21T14:13:30Z";
    done(
        &dir,
        &[
            "audit",
            "export",
            "--format",
            "ndjson",
            "--team",
            "payments",
            "--since",
            since,
            "--requests",
            "-o",
            path,
        ],
    );
    let lines = fs::read_to_string(file).unwrap();
    // Ids 10 to 29, without the six of the other team.
    assert_eq!(lines.lines().count(), 14);
}

#[test]
fn a_parquet_export_holds_the_rows_that_were_asked_for() {
    let dir = folder();
    let file = dir.path().join("out.parquet");
    let path = file.to_str().unwrap();
    let words = [
        "audit", "export", "--format", "parquet", "--team", "search", "-o", path,
    ];
    done(&dir, &words);
    let bytes = fs::read(file).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    let reader = parquet::file::reader::SerializedFileReader::new(bytes::Bytes::from(bytes));
    let rows = parquet::file::reader::FileReader::metadata(&reader.unwrap())
        .file_metadata()
        .num_rows();
    assert_eq!(rows, 10);
}

#[test]
fn spend_adds_up() {
    let dir = folder();
    let json: Value =
        serde_json::from_str(&done(&dir, &["spend", "--by", "team", "--json"])).unwrap();
    assert_eq!(json[0]["group"], "payments");
    assert_eq!(json[0]["cost_usd"], "0.03");
    assert_eq!(
        (&json[1]["requests"], &json[1]["errors"]),
        (&10.into(), &10.into())
    );
    let text = done(&dir, &["spend", "--by", "day"]);
    assert!(
        text.contains("2026-09-21") && text.contains("TOTAL"),
        "{text}"
    );
}

#[test]
fn verify_succeeds_until_a_row_is_changed_and_then_names_it() {
    let dir = folder();
    let told = done(&dir, &["audit", "verify"]);
    assert!(
        told.starts_with("verified: 31 rows of 1 boots, 1 seals"),
        "{told}"
    );
    done(&dir, &["audit", "verify", "--log"]);
    let empty = dir.path().join("seals");
    std::fs::write(&empty, "\n").unwrap();
    let empty = empty.display().to_string();
    let (code, told) = run(&dir, &["audit", "verify", "--seals", &empty]);
    assert_ne!(code, format!("{:?}", ExitCode::SUCCESS), "{told}");

    let state = dir.path().join("state");
    let at = row(0, 0).at.micros().unsigned_abs();
    let db = Connection::open(Month::of(at).path(&state)).unwrap();
    db.execute_batch("UPDATE audit SET cost_nanos = 1 WHERE seq = 9")
        .unwrap();
    let (code, told) = run(&dir, &["audit", "verify"]);
    assert_eq!(code, format!("{:?}", ExitCode::FAILURE));
    assert!(
        told.contains(" row 9: row ") && told.contains("NOT VERIFIED"),
        "{told}"
    );
    let (_, json) = run(&dir, &["audit", "verify", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["faults"][0]["seq"], 9);
}

#[test]
fn reconcile_finds_the_day_on_which_a_provider_charged_more() {
    let dir = folder();
    let export = dir.path().join("export.csv");
    let path = export.to_str().unwrap();
    fs::write(
        &export,
        "date,model,cost_usd\n2026-09-21,claude-sonnet-4-5,0.03\n",
    )
    .unwrap();
    let told = done(&dir, &["audit", "reconcile", "--provider-export", path]);
    assert_eq!(told, "ours 0.03, theirs 0.03: 0 groups drift\n");
    fs::write(
        &export,
        "date,model,cost_usd\n2026-09-21,claude-sonnet-4-5,0.04\n",
    )
    .unwrap();
    let (code, told) = run(&dir, &["audit", "reconcile", "--provider-export", path]);
    assert_eq!(code, format!("{:?}", ExitCode::FAILURE));
    assert!(told.contains("0.03") && told.contains("0.04"), "{told}");
}
