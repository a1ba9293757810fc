//! Files that somebody or something broke: what is whole is kept, what waits comes once, and it is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use uuid::Uuid;

use crate::gateway::{Wish, World};

const FAILING: &str = "tollgate_audit_sink{sink=\"sqlite\",what=\"failing\"} ";

/// The one file of the state directory, or a folder in it, whose name ends so.
fn find(dir: &Path, end: &str) -> PathBuf {
    let files = std::fs::read_dir(dir).expect("a directory");
    let mut found: Vec<PathBuf> = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.to_string_lossy().ends_with(end) && !path.ends_with("directory.db"))
        .collect();
    found.sort();
    found.pop().expect("a file")
}

fn id(row: &serde_json::Value) -> Uuid {
    row["request"]
        .as_str()
        .expect("text")
        .parse()
        .expect("an id")
}

async fn send(world: &World, count: usize) {
    for _ in 0..count {
        let answer = world.message("hi").send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }
}

/// Requests that a listing shows; none where it fails.
fn shown(world: &World) -> usize {
    let words = ["audit", "export", "--format", "ndjson", "--requests"];
    let listed = world.home.tollgate(&words);
    String::from_utf8_lossy(&listed.stdout).lines().count()
}

fn stop(world: &mut World) {
    world.gateway.signal("TERM");
    let ended = world.gateway.wait(Duration::from_secs(20));
    assert!(ended.expect("it ends").success());
}

#[tokio::test]
async fn a_damaged_segment_loses_no_other_row_and_doubles_none() {
    let mut world = World::usual().await;
    send(&world, 6).await;
    let rows = world.rows(6).await;
    world.gateway.kill();
    let segment = find(&world.home.path("state/log"), ".seg");
    let mut bytes = std::fs::read(&segment).expect("the segment");
    let damaged = id(&rows[2]);
    // The id stands in the request's beginning, and last in its row.
    let at = bytes
        .windows(16)
        .rposition(|part| part == damaged.as_bytes());
    bytes[at.expect("the row")] ^= 0x10;
    std::fs::write(&segment, bytes).expect("written");

    world.gateway = world.home.serve();
    assert!(
        world.gateway.log().contains("does not read"),
        "{}",
        world.gateway.log()
    );
    send(&world, 1).await;
    let after = world.rows(7).await;
    assert_eq!(after[..6], rows[..], "as they were: SQLite had them all");
    world.home.run(&["audit", "verify"]);
    let told = world.home.tollgate(&["audit", "verify", "--log"]);
    assert_eq!(told.status.code(), Some(1));
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.contains("damaged") && told.contains("missing"),
        "{told}"
    );
}

#[tokio::test]
async fn behind_a_truncated_sqlite_file_rows_wait_until_it_is_put_away() {
    let mut world = World::usual().await;
    send(&world, 20).await;
    world.rows(20).await;
    stop(&mut world);
    let file = find(&world.home.path("state"), ".db");
    let whole = std::fs::read(&file).expect("the month's file");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("written");

    world.gateway = world.home.serve();
    send(&world, 2).await;
    world
        .until("the sink fails", || async {
            world.metric(FAILING).await == Some(1)
        })
        .await;
    let listed = world.home.tollgate(&["audit", "tail"]);
    assert_eq!(listed.status.code(), Some(1));
    let told = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert!(
        told.contains("audit-") && told.contains("malformed"),
        "{told}"
    );

    std::fs::rename(&file, world.home.path("put-away.db")).expect("moved");
    world
        .until("all rows are written anew", || async {
            shown(&world) >= 22
        })
        .await;
    world.rows(22).await;
    world.home.run(&["audit", "verify"]);
    assert_eq!(world.metric(FAILING).await, Some(0));
}

#[tokio::test]
async fn a_sqlite_file_that_is_removed_under_the_gateway_is_written_anew() {
    let world = World::usual().await;
    send(&world, 6).await;
    world.rows(6).await;
    let file = find(&world.home.path("state"), ".db");
    for end in ["", "-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(end);
        // The write-ahead log's files are not always there.
        let _removed = std::fs::remove_file(name);
    }
    send(&world, 1).await;
    world.rows(7).await;
    world.home.run(&["audit", "verify"]);
}

#[tokio::test]
async fn rows_that_were_cut_off_with_their_seals_are_missed_by_the_witness() {
    let wish = Wish {
        settings: "[audit]\nseal_file = \"elsewhere.ndjson\"\n".to_owned(),
        ..Wish::default()
    };
    let mut world = World::start(wish).await;
    send(&world, 4).await;
    world.rows(4).await;
    stop(&mut world);
    let witnessed = ["audit", "verify", "--seals", "elsewhere.ndjson"];
    world.home.run(&witnessed);
    let db = Connection::open(find(&world.home.path("state"), ".db")).expect("the month's file");
    db.execute_batch(
        "DELETE FROM seals; DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)",
    )
    .expect("cut");
    drop(db);
    world.home.run(&["audit", "verify"]);
    let told = world.home.tollgate(&witnessed);
    assert_eq!(told.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&told.stdout).contains("cut off"));
}

#[tokio::test]
async fn rows_wait_for_a_table_that_does_not_take_them_and_come_once() {
    let world = World::usual().await;
    send(&world, 3).await;
    world.rows(3).await;
    let db = Connection::open(find(&world.home.path("state"), ".db")).expect("the month's file");
    db.busy_timeout(Duration::from_secs(5)).expect("set");
    db.execute_batch(
        "CREATE TRIGGER no BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .expect("changed");
    send(&world, 3).await;
    world
        .until("the sink fails", || async {
            world.metric(FAILING).await == Some(1)
        })
        .await;
    assert_eq!(world.rows_now().len(), 3);
    db.execute_batch("DROP TRIGGER no").expect("changed back");
    world.rows(6).await;
    world.home.run(&["audit", "verify"]);
}

#[tokio::test]
async fn a_column_that_was_dropped_comes_back_and_what_it_held_is_missed() {
    let world = World::usual().await;
    send(&world, 3).await;
    world.rows(3).await;
    let db = Connection::open(find(&world.home.path("state"), ".db")).expect("the month's file");
    db.busy_timeout(Duration::from_secs(5)).expect("set");
    db.execute_batch("ALTER TABLE audit DROP COLUMN model")
        .expect("changed");
    send(&world, 2).await;
    world
        .until("the column is there again", || async { shown(&world) >= 5 })
        .await;
    let rows = world.rows(5).await;
    let models: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["model"].as_str())
        .collect();
    assert_eq!(models[..3], ["", "", ""]);
    assert_eq!(models[3..], ["claude-haiku-4-5", "claude-haiku-4-5"]);
    let told = world.home.tollgate(&["audit", "verify"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&told.stdout).contains("was changed"));
    world.home.run(&["audit", "verify", "--log"]);
}
