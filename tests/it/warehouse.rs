//! The program in front of a real ClickHouse engine that hangs, refuses, and loses its answers.

use std::collections::HashSet;

use crate::engine::Engine;
use crate::gateway::{Gateway, Home, Wish, World};

/// What has a gateway send its rows to the engine.
pub fn settings(engine: &Engine) -> String {
    format!(
        "[audit.clickhouse]\nurl = \"{}\"\ntimeout = \"1s\"\n",
        engine.url
    )
}

/// A gateway whose rows go to the engine as well, started by `serve` once the tables are there.
pub async fn prepared(engine: &Engine, serve: impl FnOnce(&Home) -> Gateway) -> World {
    let wish = Wish {
        settings: settings(engine),
        ..Wish::default()
    };
    World::with(wish, |home| {
        home.run(&["migrate"]);
        serve(home)
    })
    .await
}

pub async fn with(engine: &Engine) -> World {
    prepared(engine, Home::serve).await
}

pub fn count(engine: &Engine) -> u64 {
    let text = engine.ask("SELECT count() FROM tollgate.audit WHERE kind = 'request'");
    text.trim().parse().expect("a number")
}

#[tokio::test]
async fn rows_reach_clickhouse_once_whatever_it_does_to_them() {
    let Some(engine) = Engine::start() else {
        return;
    };
    let world = with(&engine).await;
    for fault in [
        r#"{"kind": "drop_after", "match": "INSERT", "n": 2}"#,
        r#"{"kind": "error", "match": "INSERT", "n": 2, "code": 241}"#,
        r#"{"kind": "delay", "match": "INSERT", "n": 1, "ms": 2500}"#,
        r#"{"kind": "drop_before", "match": "INSERT", "n": 2}"#,
    ] {
        engine.fault(fault);
    }
    let mut sent = 0;
    for _ in 0..5 {
        sent += world.messages(40).await.len();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    world
        .until("all rows", || async { count(&engine) >= sent as u64 })
        .await;
    // A late insert would land by now.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let ids = engine.ask("SELECT request FROM tollgate.audit WHERE kind = 'request'");
    let theirs: HashSet<&str> = ids.lines().collect();
    let rows = world.rows(sent).await;
    let ours: HashSet<&str> = rows
        .iter()
        .filter_map(|row| row["request"].as_str())
        .collect();
    assert_eq!((ids.lines().count(), theirs), (sent, ours));
    let told = world
        .home
        .run(&["audit", "verify", "--store", "clickhouse"]);
    assert!(told.starts_with("verified"), "{told}");
    let spend = world.home.run(&["spend", "--by", "team", "--json"]);
    let fleet = ["spend", "--by", "team", "--json", "--store", "clickhouse"];
    assert_eq!(world.home.run(&fleet), spend);
    let rollups = engine.ask("SELECT sum(requests) FROM tollgate.context_day");
    assert_eq!(rollups.trim(), sent.to_string());
    let context = ["spend", "--by", "context", "--json"];
    let context = world.home.run(&context);
    assert!(context.contains("below 8K"), "{context}");
}

#[tokio::test]
async fn a_server_that_is_years_older_gets_no_row_and_is_named() {
    let Some(engine) = Engine::start() else {
        return;
    };
    if !engine.is_facade() {
        return;
    }
    let old = r#"{"kind": "old", "n": 1000000, "version": "18.16.1"}"#;
    let world = prepared(&engine, |home| {
        assert!(engine.fault(old));
        home.serve()
    })
    .await;
    world.messages(5).await;
    let failing = "tollgate_audit_sink{sink=\"clickhouse\",what=\"failing\"} ";
    world
        .until("the sink fails", || async {
            world.metric(failing).await == Some(1)
        })
        .await;
    assert!(
        world.gateway.log().contains("18.16 is too old"),
        "{}",
        world.gateway.log()
    );
    assert_eq!(count(&engine), 0);
    let told = world.home.tollgate(&["migrate"]);
    assert!(
        String::from_utf8_lossy(&told.stderr).contains("too old"),
        "{told:?}"
    );
    assert_eq!(told.status.code(), Some(1));
    world.rows(5).await;
}
