//! No audit, no egress: what happens when the disk or the spool is full, and that no row is lost by it.

use std::collections::HashSet;

use crate::gateway::{Wish, World};

/// All rows, once there are so many, each of another request.
async fn check_rows(world: &World, count: usize) {
    world
        .until("all rows", || async { world.rows_now().len() >= count })
        .await;
    let rows = world.rows_now();
    let ids: HashSet<&str> = rows
        .iter()
        .filter_map(|row| row["request"].as_str())
        .collect();
    assert_eq!((rows.len(), ids.len()), (count, count));
    world.home.run(&["audit", "verify"]);
}

/// Sends messages until one is refused, or `most`; how many were sent, and whether one was refused.
async fn send_until_refused(world: &World, most: usize) -> (usize, bool) {
    let mut sent = 0;
    while sent < most {
        let statuses = world.messages(20).await;
        sent += statuses.len();
        assert!(
            statuses.iter().all(|status| [200, 503].contains(status)),
            "{statuses:?}"
        );
        if statuses.contains(&503) {
            return (sent, true);
        }
    }
    (sent, false)
}

#[tokio::test]
async fn on_a_full_disk_requests_are_refused_and_every_row_comes_once_there_is_room() {
    let world = World::with(Wish::default(), |home| home.serve_limited(384)).await;
    let (mut sent, refused) = send_until_refused(&world, 4000).await;
    assert!(refused, "after {sent}");
    let reached = world.provider.received().len();
    let statuses = world.messages(5).await;
    sent += 5;
    assert_eq!(statuses, [503; 5]);
    assert_eq!(
        world.provider.received().len(),
        reached,
        "nothing leaves without its record"
    );
    assert_eq!(world.gateway.admin("/readyz").await.status(), 503);
    assert!(world.metric("tollgate_audit_rows{what=\"queued\"} ").await > Some(4));
    assert_eq!(
        world.metric("tollgate_audit_rows{what=\"shed\"} ").await,
        Some(0)
    );

    world.gateway.unlimited();
    world
        .until("ready", || async {
            world.gateway.admin("/readyz").await.status() == 200
        })
        .await;
    assert_eq!(world.messages(3).await, [200; 3]);
    check_rows(&world, sent + 3).await;
}

#[tokio::test]
async fn told_to_shed_requests_pass_a_full_disk_and_their_rows_wait_in_memory() {
    let wish = Wish {
        settings: "[audit]\non_full = \"shed\"".to_owned(),
        ..Wish::default()
    };
    let world = World::with(wish, |home| home.serve_limited(256)).await;
    let mut sent = 0;
    while world.metric("tollgate_audit_rows{what=\"queued\"} ").await == Some(0) {
        let statuses = world.messages(20).await;
        sent += statuses.len();
        assert_eq!(statuses, [200; 20]);
        assert!(sent < 4000, "the limit is never reached");
    }
    assert_eq!(world.messages(5).await, [200; 5]);
    assert_eq!(world.gateway.admin("/readyz").await.status(), 503);
    world.gateway.unlimited();
    check_rows(&world, sent + 5).await;
}

#[tokio::test]
async fn a_spool_that_is_not_drained_ends_readiness_first_and_then_requests() {
    let wish = Wish {
        settings: "[audit]\nsegment = \"1 MiB\"\nspool = \"1 MiB\"\n\
                   [audit.clickhouse]\nurl = \"http://127.0.0.1:1\"\n"
            .to_owned(),
        ..Wish::default()
    };
    let world = World::start(wish).await;
    let mut sent = 0;
    while world.gateway.admin("/readyz").await.status() == 200 {
        let statuses = world.messages(20).await;
        sent += statuses.len();
        assert_eq!(statuses, [200; 20], "refused before readiness ended");
        assert!(sent < 5000, "readiness never ends");
    }
    let reason = world.gateway.admin("/readyz").await.text().await;
    assert!(reason.expect("text").contains("four fifths"));
    let failing = "tollgate_audit_sink{sink=\"clickhouse\",what=\"failing\"} ";
    assert_eq!(world.metric(failing).await, Some(1));
    let (more, refused) = send_until_refused(&world, 4000).await;
    assert!(refused && more > 20, "{more} more");
    check_rows(&world, sent + more).await;
}
