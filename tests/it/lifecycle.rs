//! Starting, reloading, stopping.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::gateway::{Wish, World, message, planted};
use crate::provider::{Step, anthropic_events, chunk, stream_end, stream_head};

fn slow_stream() -> Vec<Step> {
    let events = anthropic_events(&["a", "b"], 100, 20);
    let mut script = vec![
        stream_head(),
        chunk(events[0].as_bytes()),
        Step::Wait(Duration::from_millis(1500)),
    ];
    script.push(chunk(events[1..].concat().as_bytes()));
    script.push(stream_end());
    script
}

#[tokio::test]
async fn a_stop_lets_streams_end_and_ends_with_the_last_one() {
    let mut world = World::usual().await;
    world.provider.answers(|_| slow_stream());
    let mut body = message("hi");
    body["stream"] = json!(true);
    let streaming = world
        .post("/v1/messages")
        .json(&body)
        .send()
        .await
        .expect("a head");
    let began = Instant::now();
    world.gateway.signal("TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let late = reqwest::Client::new()
        .post(world.gateway.url("/v1/messages"))
        .header("x-api-key", &world.key);
    assert!(
        late.json(&message("hi")).send().await.is_err(),
        "no new connection is taken"
    );
    // Whoever watches the drain still can, and a load balancer sees why.
    assert_eq!(world.gateway.admin("/healthz").await.status(), 200);
    let ready = world.gateway.admin("/readyz").await;
    assert_eq!(ready.status(), 503);
    assert_eq!(ready.text().await.expect("text"), "draining\n");
    let metrics = world.gateway.admin("/metrics").await;
    let metrics = metrics.text().await.expect("text");
    assert!(metrics.contains("tollgate_in_flight 1"), "{metrics}");
    let text = streaming.text().await.expect("the whole stream");
    assert!(text.contains("message_stop"), "{text}");
    let status = world
        .gateway
        .wait(Duration::from_secs(5))
        .expect("it ended by itself");
    assert!(status.success());
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(world.rows(1).await[0]["decision"], "allowed");
}

#[tokio::test]
async fn a_stream_that_outlasts_the_drain_is_cut_and_has_its_row_before_the_process_ends() {
    let limits = "drain_timeout = \"300ms\"".into();
    let wish = Wish {
        limits,
        ..Wish::default()
    };
    let mut world = World::start(wish).await;
    world.provider.answers(|_| {
        let mut script = slow_stream();
        script.insert(2, Step::Wait(Duration::from_mins(1)));
        script
    });
    let mut body = message("hi");
    body["stream"] = json!(true);
    let streaming = world.post("/v1/messages").json(&body).send().await;
    let streaming = streaming.expect("a head");
    world.gateway.signal("TERM");
    let status = world.gateway.wait(Duration::from_secs(10));
    assert!(status.expect("it ended by itself").success());
    assert!(
        streaming.text().await.is_err(),
        "a cut stream must not look whole"
    );
    let row = &world.rows(1).await[0];
    assert_eq!(row["decision"], "lost", "{row}");
    assert_eq!(row["cost_usd"], row["reserved_usd"], "{row}");
    assert_ne!(row["cost_usd"], "0.00", "{row}");
}

#[tokio::test]
async fn an_idle_gateway_stops_at_once() {
    let mut world = World::usual().await;
    assert_eq!(world.status("hi").await, 200);
    world.gateway.signal("TERM");
    let began = Instant::now();
    assert!(
        world
            .gateway
            .wait(Duration::from_secs(10))
            .expect("it ended")
            .success()
    );
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn the_start_tells_which_known_values_nothing_looks_for() {
    let wish = Wish {
        scan: "known_values = [\"values\"]".to_owned(),
        ..Wish::default()
    };
    let world = World::with(wish, |home| {
        home.write("values", "DB_PASSWORD=hunter2\nTOKEN=0123456789abcdef\n");
        home.serve()
    })
    .await;
    let log = world.gateway.log();
    assert!(log.contains("1 under 8 bytes, 0 neither"), "{log}");
    assert_eq!(world.status("is 0123456789abcdef it?").await, 400);
    assert!(!log.contains("hunter2"));
}

#[tokio::test]
async fn a_reload_changes_policy_and_a_wrong_file_changes_nothing() {
    let world = World::usual().await;
    let secret = planted(7);
    assert_eq!(world.status(&secret).await, 200);
    let settings =
        std::fs::read_to_string(world.home.path("tollgate.toml")).expect("the configuration");
    world.home.write("tollgate.toml", "[listen\ndata = 7");
    world.gateway.signal("HUP");
    wait_for(
        &world,
        "tollgate_reloads_total{result=\"failed\",what=\"configuration\"} 1",
    )
    .await;
    assert_eq!(world.status(&secret).await, 200);
    world.home.write(
        "tollgate.toml",
        &settings.replace(
            "[scan.actions]",
            "[scan.actions]\naws_access_key = \"block\"",
        ),
    );
    world.gateway.signal("HUP");
    wait_for(
        &world,
        "tollgate_reloads_total{result=\"ok\",what=\"configuration\"} 1",
    )
    .await;
    assert_eq!(world.status(&secret).await, 400);
}

#[tokio::test]
async fn a_reload_says_which_changes_wait_for_a_restart() {
    let world = World::usual().await;
    let file = world.home.path("tollgate.toml");
    let settings = std::fs::read_to_string(file).expect("the configuration");
    let moved = settings.replace("dir = \"state\"", "dir = \"elsewhere\"");
    world
        .home
        .write("tollgate.toml", &moved.replace("h2c = true", "h2c = false"));
    for times in 1..=2 {
        world.gateway.signal("HUP");
        let metric =
            format!("tollgate_reloads_total{{result=\"ok\",what=\"configuration\"}} {times}");
        wait_for(&world, &metric).await;
    }
    world.home.write("tollgate.toml", &settings);
    world.gateway.signal("HUP");
    let metric = "tollgate_reloads_total{result=\"ok\",what=\"configuration\"} 3";
    wait_for(&world, metric).await;
    world
        .until("the rows of three reloads", || async {
            world.actions("config.reloaded").len() == 3
        })
        .await;
    let rows = world.actions("config.reloaded");
    let waits = |row: &serde_json::Value| {
        row.to_string()
            .contains("only at a restart: [listen], [state]")
    };
    assert!(
        waits(&rows[0]) && waits(&rows[1]) && !waits(&rows[2]),
        "{rows:#?}"
    );
    assert!(world.gateway.log().contains("only at a restart"));
}

async fn wait_for(world: &World, metric: &str) {
    for _ in 0..200 {
        let text = world
            .gateway
            .admin("/metrics")
            .await
            .text()
            .await
            .expect("text");
        if text.contains(metric) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{metric} did not come: {}", world.gateway.log());
}

#[tokio::test]
async fn a_reload_drops_no_request() {
    let world = World::usual().await;
    let requests = async {
        for _ in 0..150 {
            assert_eq!(world.status("hi").await, 200);
        }
    };
    let reloads = async {
        for _ in 0..5 {
            world.gateway.signal("HUP");
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    };
    tokio::join!(requests, reloads);
}

#[tokio::test]
async fn every_mistake_of_the_configuration_is_told_at_once() {
    let world = World::usual().await;
    world.home.write(
        "tollgate.toml",
        "[listen]\ndata = \"nowhere\"\nadmn = 3\n[limits]\nbody = \"many\"\n",
    );
    let output = world.home.tollgate(&["check"]);
    assert_eq!(output.status.code(), Some(78));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for told in [
        "tollgate.toml:2:8",
        "tollgate.toml:3:1",
        "tollgate.toml:5:8",
        "provider",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let serve = world.home.tollgate(&["serve"]);
    assert_eq!(serve.status.code(), Some(78));
}

#[tokio::test]
async fn applying_twice_changes_nothing_the_second_time() {
    let world = World::start(Wish::default()).await;
    assert!(world.home.apply().contains("nothing to change"));
    world.home.write(
        "directory.toml",
        "organisation = \"acme\"\n[[team]]\nname = \"payments\"\nmodels = [\"gpt-*\"]\n",
    );
    assert!(world.home.apply().contains("payments"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.status("hi").await, 403, "seen within a second");
}

#[tokio::test]
async fn health_readiness_and_metrics_are_on_the_admin_address_only() {
    let world = World::usual().await;
    assert_eq!(world.gateway.admin("/healthz").await.status(), 200);
    assert_eq!(world.gateway.admin("/readyz").await.status(), 200);
    assert!(
        world
            .gateway
            .admin("/metrics")
            .await
            .text()
            .await
            .expect("text")
            .contains("tollgate_in_flight")
    );
    let data = world
        .client
        .get(world.gateway.url("/metrics"))
        .bearer_auth(&world.key)
        .send()
        .await
        .expect("an answer");
    assert_eq!(data.status(), 404);
}
