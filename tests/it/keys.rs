//! Who is let in.

use std::time::Duration;

use serde_json::json;

use crate::gateway::{World, message};

async fn status_with(world: &World, key: &str) -> (u16, serde_json::Value) {
    let request = world
        .client
        .post(world.gateway.url("/v1/messages"))
        .header("x-api-key", key);
    let answer = request
        .json(&message("hi"))
        .send()
        .await
        .expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

fn mistyped(key: &str) -> String {
    let mut bytes = key.as_bytes().to_vec();
    let at = bytes.len() - 10;
    bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
    String::from_utf8(bytes).expect("ASCII")
}

#[tokio::test]
async fn only_a_known_key_is_let_in_and_a_typo_is_told_from_an_unknown_one() {
    let world = World::usual().await;
    let other = {
        // A key of another installation: whole, and unknown here.
        let elsewhere =
            crate::gateway::Home::new(&world.provider, &crate::gateway::Wish::default());
        elsewhere.apply();
        elsewhere.create_key("payments")
    };
    for (key, told) in [
        ("sk-ant-whatever".to_owned(), "not a Tollgate key"),
        (mistyped(&world.key), "mistyped"),
        (other, "not known"),
    ] {
        let (status, body) = status_with(&world, &key).await;
        assert_eq!(status, 401, "{body}");
        assert_eq!(body["error"]["type"], "authentication_error");
        assert!(
            body["error"]["message"]
                .as_str()
                .is_some_and(|text| text.contains(told)),
            "{body}"
        );
        assert!(!body.to_string().contains(&key), "the key is not repeated");
    }
    let none = world
        .client
        .post(world.gateway.url("/v1/chat/completions"))
        .json(&json!({}))
        .send()
        .await
        .expect("an answer");
    assert_eq!(none.status(), 401);
    assert_eq!(none.headers()["x-should-retry"], "false");
    assert_eq!(world.provider.connections(), 0);
    assert_eq!(world.rows(4).await.len(), 4);
}

#[tokio::test]
async fn a_revoked_key_is_refused_within_a_second_and_a_new_one_served() {
    let world = World::usual().await;
    assert_eq!(status_with(&world, &world.key).await.0, 200);
    let listed: serde_json::Value =
        serde_json::from_str(&world.home.run(&["key", "list", "--json"])).expect("JSON");
    let id = listed[0]["id"].as_str().expect("an id").to_owned();
    let new = world.home.create_key("payments");
    world.home.run(&["key", "revoke", &id]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (status, body) = status_with(&world, &world.key).await;
    assert_eq!(status, 401);
    assert!(body.to_string().contains("revoked"), "{body}");
    assert_eq!(status_with(&world, &new).await.0, 200);
}

#[tokio::test]
async fn a_revoked_key_is_refused_within_a_second_also_while_a_scanner_is_compiled() {
    // All rules take a while to compile.
    let world = World::start(crate::gateway::Wish {
        shipped_rules: true,
        ..crate::gateway::Wish::default()
    })
    .await;
    let teams = "organisation = \"acme\"\n[[team]]\nname = \"payments\"\nentities = [\"Nimbus\"]\n";
    for by_signal in [true, false] {
        let key = world.home.create_key("payments");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(status_with(&world, &key).await.0, 200);
        if by_signal {
            world.gateway.signal("HUP");
        } else {
            world.home.write("directory.toml", teams);
            world.home.apply();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.home.run(&["key", "revoke", &key]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(status_with(&world, &key).await.0, 401, "{by_signal}");
    }
    let blocked = || async {
        world
            .message("about Nimbus")
            .send()
            .await
            .expect("an answer");
        let rows = world.rows_now();
        rows.last()
            .is_some_and(|row| row.to_string().contains("entity"))
    };
    world.until("the new entity is looked for", blocked).await;
}

#[tokio::test]
async fn an_expired_key_is_refused() {
    let world = World::usual().await;
    let text = world.home.run(&[
        "key",
        "create",
        "--team",
        "payments",
        "--expires",
        "1s",
        "--json",
    ]);
    let created: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let (status, body) = status_with(&world, created["key"].as_str().expect("a key")).await;
    assert_eq!(status, 401);
    assert!(body.to_string().contains("expired"), "{body}");
}

#[tokio::test]
async fn without_its_directory_the_gateway_refuses_every_key() {
    let world = World::usual().await;
    assert_eq!(status_with(&world, &world.key).await.0, 200);
    std::fs::remove_file(world.home.path("state/directory.db")).expect("the directory's file");
    tokio::time::sleep(Duration::from_secs(7)).await;
    let (status, body) = status_with(&world, &world.key).await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(world.gateway.admin("/readyz").await.status(), 503);
}

#[tokio::test]
async fn only_a_keyed_hash_of_a_key_is_stored() {
    let world = World::usual().await;
    assert_eq!(status_with(&world, &world.key).await.0, 200);
    world.rows(1).await;
    let secret = world.key.trim_start_matches("tg_live_").as_bytes();
    for entry in std::fs::read_dir(world.home.path("state")).expect("the state") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let bytes = std::fs::read(&path).expect("a file");
            assert!(
                !bytes.windows(secret.len()).any(|w| w == secret),
                "{}",
                path.display()
            );
        }
    }
}
