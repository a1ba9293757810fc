//! Requests and tokens per minute and requests at once, at every level: of a team, a user, a key and a provider. And which
//! prices a provider has.

use std::time::Duration;

use serde_json::{Value, json};

use crate::gateway::{Wish, World, message};
use crate::provider::{Provider, Step, usual};

/// Where a limit stands.
const LEVELS: [&str; 4] = ["team", "user", "key", "provider"];

/// A world in which this limit stands at this level, and a key under it.
async fn limited(level: &str, limit: &str, most: u32) -> (World, Provider, String) {
    let narrow = Provider::start().await;
    let at = |here: &str| {
        if here == level {
            format!("{limit} = {most}\n")
        } else {
            String::new()
        }
    };
    let world = World::start(Wish {
        teams: format!(
            "[[team]]\nname = \"payments\"\n{}[[team.user]]\nname = \"ada\"\n{}",
            at("team"),
            at("user")
        ),
        settings: format!(
            "[provider.narrow]\ndialect = \"anthropic\"\nprices = \"anthropic\"\ncredential = \"env:PROVIDER_KEY\"\n\
             addresses = [\"{}\"]\n{}",
            narrow.url(),
            at("provider")
        ),
        ..Wish::default()
    })
    .await;
    let option = format!("--{}={most}", limit.replace('_', "-"));
    let mut args = vec![
        "key", "create", "--team", "payments", "--user", "ada", "--json",
    ];
    if level == "key" {
        args.push(&option);
    }
    let made: Value = serde_json::from_str(&world.home.run(&args)).expect("JSON");
    let key = made["key"].as_str().expect("a key").to_owned();
    // A new key is seen within a second.
    for _ in 0..50 {
        let probe = world.client.get(world.gateway.url("/v1/nowhere"));
        let answer = probe.header("x-api-key", &key).send().await;
        if answer.expect("an answer").status() == 404 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (world, narrow, key)
}

async fn ask(world: &World, level: &str, key: &str) -> reqwest::Response {
    let path = if level == "provider" {
        "/narrow/v1/messages"
    } else {
        "/v1/messages"
    };
    let request = world.client.post(world.gateway.url(path));
    let sent = request
        .header("x-api-key", key)
        .json(&message(&"word ".repeat(400)))
        .send();
    sent.await.expect("an answer")
}

async fn refused(answer: reqwest::Response, level: &str) {
    assert_eq!(answer.status(), 429, "{level}");
    let wait = answer.headers()["retry-after"].to_str().expect("text");
    assert!(
        (1..=600).contains(&wait.parse::<u32>().expect("seconds")),
        "{level}: {wait}"
    );
    assert!(
        !answer.headers().contains_key("x-should-retry"),
        "asking later helps"
    );
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body["error"]["type"], "rate_limit_error");
    let text = body["error"]["message"].as_str().expect("a text");
    assert!(text.contains(level), "{level}: {text}");
}

#[tokio::test]
async fn requests_per_minute_hold_at_every_level() {
    for level in LEVELS {
        let (world, _narrow, key) = limited(level, "requests_per_minute", 2).await;
        for _ in 0..2 {
            assert_ne!(ask(&world, level, &key).await.status(), 429, "{level}");
        }
        refused(ask(&world, level, &key).await, level).await;
    }
}

#[tokio::test]
async fn tokens_per_minute_hold_at_every_level_once_they_are_used() {
    for level in LEVELS {
        // A body of 2 kB counts as 500 tokens until its answer is counted.
        let (world, _narrow, key) = limited(level, "tokens_per_minute", 100).await;
        assert_ne!(ask(&world, level, &key).await.status(), 429, "{level}");
        refused(ask(&world, level, &key).await, level).await;
    }
}

#[tokio::test]
async fn requests_at_once_hold_at_every_level() {
    for level in LEVELS {
        let (world, narrow, key) = limited(level, "concurrent", 1).await;
        for provider in [&world.provider, &narrow] {
            provider.answers(|request| {
                let mut script = vec![Step::Wait(Duration::from_secs(4))];
                script.extend(usual(request));
                script
            });
        }
        let (first, second) = tokio::join!(ask(&world, level, &key), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            ask(&world, level, &key).await
        });
        assert_eq!(first.status(), 200, "{level}");
        refused(second, level).await;
        let mut tries = 0;
        while ask(&world, level, &key).await.status() != 200 {
            tries += 1;
            assert!(tries < 50, "{level}: the place comes back");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn what_a_provider_has_no_room_for_is_not_counted_against_the_team() {
    let narrow = Provider::start().await;
    let world = World::start(Wish {
        teams: "[[team]]\nname = \"payments\"\nrequests_per_minute = 2\n".to_owned(),
        settings: format!(
            "[provider.narrow]\ndialect = \"anthropic\"\nprices = \"anthropic\"\ncredential = \"env:PROVIDER_KEY\"\n\
             addresses = [\"{}\"]\nrequests_per_minute = 1\n",
            narrow.url(),
        ),
        ..Wish::default()
    })
    .await;
    let key = world.key.clone();
    assert_eq!(ask(&world, "provider", &key).await.status(), 200);
    for _ in 0..3 {
        refused(ask(&world, "provider", &key).await, "provider").await;
    }
    assert_eq!(ask(&world, "team", &key).await.status(), 200);
    refused(ask(&world, "team", &key).await, "team").await;
}

#[tokio::test]
async fn a_provider_has_the_prices_that_it_names_and_overlays_lie_over_the_table() {
    let world = World::start(Wish {
        settings: "[provider.reseller]\ndialect = \"anthropic\"\ncredential = \"env:PROVIDER_KEY\"\naddresses = [\"http://127.0.0.1:1\"]\n\
                   prices = \"cheap\"\n"
            .to_owned(),
        ..Wish::default()
    })
    .await;
    let text =
        std::fs::read_to_string(world.home.path("tollgate.toml")).expect("the configuration");
    let text = text.replace(
        "file = \"prices.toml\"",
        "file = \"prices.toml\"\noverlays = [\"deal.toml\"]",
    );
    world.home.write(
        "tollgate.toml",
        &text.replace("http://127.0.0.1:1", &world.provider.url()),
    );
    world.home.write(
        "deal.toml",
        "revision = \"deal-of-november-2026-for-one-year\"\n[[model]]\nprovider = \"cheap\"\nid = \"claude-haiku-4-5\"\nprice = { input = \"0.5\", output = \"1\" }\n",
    );
    world.gateway.signal("HUP");
    let mut tries = 0;
    while world
        .post("/reseller/v1/messages")
        .json(&message("hi"))
        .send()
        .await
        .expect("an answer")
        .status()
        != 200
    {
        tries += 1;
        assert!(tries < 100, "the reload takes effect");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(world.status("hi").await, 200);
    let rows = world.rows(tries + 2).await;
    let told = |row: &Value| (row["cost_usd"].clone(), row["price_revision"].clone());
    // 100 in and 20 out: at 0.5 and 1 by the million, and at 1 and 10.
    assert_eq!(
        told(&rows[tries]),
        (
            json!("0.00007"),
            json!("test-1 + deal-of-november-2026-for-one-year")
        )
    );
    assert_eq!(
        told(&rows[tries + 1]),
        (
            json!("0.0003"),
            json!("test-1 + deal-of-november-2026-for-one-year")
        )
    );
}
