//! Rows for the audit's own tests.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use uuid::Uuid;

use super::label::Label;
use super::log::Log;
use super::row::{Begin, Charge, Decision, Row};
use super::sink::SinkStatus;
use crate::budget::BudgetId;
use crate::domain::{Caller, KeyId, Moment, Name, Usd};

pub fn budget() -> Charge {
    (
        BudgetId::new("team/payments/month"),
        Moment::from_seconds(0),
    )
}

pub fn begin(id: u128, nanos: u64) -> Begin {
    Begin {
        request: Uuid::from_u128(id + 1),
        at: Moment::from_seconds(1_790_000_000 + i64::try_from(id).unwrap_or(0)),
        caller: Caller {
            key: KeyId::new("key_abcdefghijkl"),
            organisation: Name::new("acme"),
            team: Name::new("payments"),
            user: Some(Name::new("ada")),
        },
        provider: Name::new("anthropic"),
        dialect: "anthropic",
        endpoint: "messages",
        model: Label::clean("claude-sonnet-4-5", Label::MODEL),
        priced_as: Name::new("claude-sonnet-4-5"),
        stream: true,
        findings: Vec::new(),
        redactions: 0,
        reserved: Usd::from_nanos(nanos),
        price_revision: Label::clean("2026-11-01", 40),
        charges: vec![budget()],
        bytes_in: 2048,
        client: None,
        user_agent: Label::clean("claude-cli/2.0", Label::USER_AGENT),
    }
}

/// The row of a request that was allowed and cost this much.
pub fn row(id: u128, nanos: u64) -> Row {
    Row {
        decision: Decision::Allowed,
        status: 200,
        cost: Usd::from_nanos(nanos),
        ..begin(id, 50).lost()
    }
}

/// What the process would leave behind if it was killed now: a copy of its directory, made before the log closes.
///
/// # Panics
/// When the directory cannot be copied.
pub fn killed(log: &Log, state: &Path) -> TempDir {
    let left = tempfile::tempdir().unwrap();
    fs::create_dir(left.path().join("log")).unwrap();
    let files = fs::read_dir(state.join("log")).unwrap();
    let files = files
        .map(Result::unwrap)
        .filter(|file| file.path().is_file());
    let segments = files.map(|file| Path::new("log").join(file.file_name()));
    for file in segments.chain([PathBuf::from("audit.key")]) {
        fs::copy(state.join(&file), left.path().join(&file)).unwrap();
    }
    log.close();
    left
}

/// How the sink of this name is doing.
pub fn status(log: &Log, name: &str) -> SinkStatus {
    let sinks = log.sinks();
    let found = sinks.into_iter().find(|(sink, _)| *sink == name);
    found.map(|(_, status)| status).unwrap_or_default()
}
