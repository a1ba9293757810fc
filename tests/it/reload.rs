//! Rules and prices are what they were at the last reload, whatever else changes.

use std::fs;
use std::time::{Duration, Instant};

use crate::audit::with_own_rules;
use crate::gateway::{USUAL_TEAM, Wish, World, planted};

async fn with_a_budget() -> World {
    let wish = Wish {
        teams: format!("{USUAL_TEAM}[[team.budget]]\nwindow = \"month\"\nlimit = \"10.00\"\n"),
        actions: "aws_access_key = \"block\"\nentity = \"block\"".to_owned(),
        ..Wish::default()
    };
    World::with(wish, with_own_rules).await
}

/// Gives the team a name that must not leave, and waits until it is in force; how many requests that took.
async fn keep_a_name(world: &World) -> usize {
    let directory = fs::read_to_string(world.home.path("directory.toml")).expect("the directory");
    let named = directory.replace(
        USUAL_TEAM,
        &format!("{USUAL_TEAM}entities = [\"Project Nimbus\"]\n"),
    );
    world.home.write("directory.toml", &named);
    world.home.apply();
    let until = Instant::now() + Duration::from_secs(8);
    let mut sent = 1;
    while world.status("about Project Nimbus").await != 400 {
        sent += 1;
        assert!(Instant::now() < until, "{}", world.gateway.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    sent
}

#[tokio::test]
async fn a_changed_directory_puts_no_edited_rule_or_price_in_force() {
    let world = with_a_budget().await;
    world.status("before").await;
    let before = world.rows(1).await[0]["cost_usd"].clone();
    let rules = fs::read_to_string(world.home.path("rules.toml")).expect("the rules");
    world
        .home
        .write("rules.toml", &rules.replace("AKIA|ASIA", "ABIA|ACCA"));
    let prices = fs::read_to_string(world.home.path("prices.toml")).expect("the prices");
    world
        .home
        .write("prices.toml", &prices.replace("\"1\"", "\"7\""));
    let sent = keep_a_name(&world).await;
    assert_eq!(world.status(&planted(1)).await, 400, "the rule as loaded");
    world.status("afters").await;
    let row = world.rows(sent + 3).await.pop().expect("a row");
    assert_eq!(row["cost_usd"], before, "the price as loaded");
    assert!(world.actions("rules.swapped").is_empty());
}

#[tokio::test]
async fn a_half_edited_file_refuses_nobody_when_the_directory_changes() {
    let world = with_a_budget().await;
    for name in ["rules.toml", "prices.toml"] {
        world.home.write(name, "[[half");
    }
    keep_a_name(&world).await;
    assert_eq!(world.status("nothing of it").await, 200);
}

#[tokio::test]
async fn a_reload_says_that_overlays_and_known_values_are_others() {
    let world = World::usual().await;
    let file = world.home.path("tollgate.toml");
    let settings = fs::read_to_string(file).expect("the configuration");
    let settings = settings
        .replace(
            "file = \"prices.toml\"",
            "file = \"prices.toml\"\noverlays = [\"deal.toml\"]",
        )
        .replace("[scan]", "[scan]\nknown_values = [\"known.txt\"]");
    world.home.write("tollgate.toml", &settings);
    let deal = |price: &str| {
        let text = format!(
            "revision = \"deal\"\n[[model]]\nprovider = \"cheap\"\nid = \"m\"\nprice = {{ input = \"{price}\", output = \"1\" }}\n"
        );
        world.home.write("deal.toml", &text);
    };
    let reload = async |times: usize| {
        world.gateway.signal("HUP");
        let rows = || async { world.actions("config.reloaded").len() == times };
        world.until("the reload's row", rows).await;
        world.actions("config.reloaded")[times - 1].to_string()
    };
    deal("1");
    world
        .home
        .write("known.txt", "PASSWORD=kept-for-ourselves-1\n");
    let told = reload(1).await;
    assert!(told.contains("configuration: "), "{told}");
    deal("2");
    let told = reload(2).await;
    assert!(told.contains("ok; prices: "), "{told}");
    world
        .home
        .write("known.txt", "PASSWORD=kept-for-ourselves-2\n");
    let told = reload(3).await;
    assert!(told.contains("ok; known values: "), "{told}");
    assert!(reload(4).await.contains("\"ok\""));
}
