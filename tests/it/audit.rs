//! One request, one row.

use crate::gateway::{Wish, World};
use crate::raw::Raw;

#[tokio::test]
async fn every_request_has_exactly_one_row_whatever_became_of_it() {
    let world = World::usual().await;
    let wrong = world
        .client
        .post(world.gateway.url("/v1/messages"))
        .body("{}");
    assert_eq!(wrong.send().await.expect("an answer").status(), 401);
    assert_eq!(
        world
            .post("/v1/nothing")
            .body("{}")
            .send()
            .await
            .expect("an answer")
            .status(),
        404
    );
    assert_eq!(world.status("hi").await, 200);
    assert_eq!(
        world
            .post("/v1/messages")
            .body("{")
            .send()
            .await
            .expect("an answer")
            .status(),
        400
    );
    let mut raw = Raw::connect(&world.gateway.data).await;
    raw.send(format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-length: 99999999\r\n\r\n",
        world.key
    ))
    .await;
    assert_eq!(raw.answer().await.0, 413);
    let rows = world.rows(5).await;
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row["status"].as_u64(), row["code"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(
        seen,
        [
            (Some(401), "key_missing"),
            (Some(404), "unknown_path"),
            (Some(200), ""),
            (Some(400), "invalid_body"),
            (Some(413), "body_too_large")
        ]
    );
    check_served(&rows[2]);
}

/// The row of a request that was served says whose it was, what it asked for and what passed.
fn check_served(row: &serde_json::Value) {
    assert_eq!(
        (row["team"].as_str(), row["organisation"].as_str()),
        (Some("payments"), Some("acme"))
    );
    assert!(
        row["key"]
            .as_str()
            .is_some_and(|key| key.starts_with("key_"))
    );
    assert_eq!(
        (row["model"].as_str(), row["priced_as"].as_str()),
        (Some("claude-haiku-4-5"), Some("claude-haiku-4-5"))
    );
    assert_eq!(
        (row["provider"].as_str(), row["endpoint"].as_str()),
        (Some("anthropic"), Some("messages"))
    );
    assert_eq!(row["price_revision"], "test-1");
    assert!(
        row["bytes_in"].as_u64() > Some(50) && row["bytes_out"].as_u64() > Some(50),
        "{row}"
    );
}

#[tokio::test]
async fn the_answers_id_is_the_rows() {
    let world = World::usual().await;
    let answer = world.message("hi").send().await.expect("an answer");
    let id = answer.headers()["x-request-id"]
        .to_str()
        .expect("ASCII")
        .to_owned();
    assert_eq!(
        world.provider.last().header("x-request-id"),
        Some(id.as_str())
    );
    assert_eq!(world.rows(1).await[0]["request"], id);
}

#[tokio::test]
async fn rows_are_shown_exported_and_proven() {
    let world = World::usual().await;
    for _ in 0..3 {
        assert_eq!(world.status("hi").await, 200);
    }
    world.rows(3).await;
    let csv = world.home.run(&[
        "audit", "export", "--format", "csv", "--team", "payments", "--since", "1h",
    ]);
    assert_eq!(
        csv.lines()
            .filter(|line| line.contains("claude-haiku-4-5"))
            .count(),
        3,
        "{csv}"
    );
    let other = world
        .home
        .run(&["audit", "export", "--format", "csv", "--team", "elsewhere"]);
    assert!(!other.contains("claude-haiku-4-5"));
    assert!(
        world
            .home
            .run(&["audit", "tail"])
            .contains("claude-haiku-4-5")
    );
    let spend = world.home.run(&["spend", "--by", "team", "--json"]);
    assert!(spend.contains("0.0009"), "{spend}");
    world.home.run(&["audit", "verify"]);
    let metrics = world
        .gateway
        .admin("/metrics")
        .await
        .text()
        .await
        .expect("text");
    assert!(
        metrics.contains(
            "tollgate_tokens_total{kind=\"output\",model=\"claude-haiku-4-5\",team=\"payments\"} 60"
        ),
        "{metrics}"
    );
}

/// The rows of what operators did, oldest first: who, what, to what, how.
fn actions(world: &World) -> Vec<[String; 4]> {
    let text = world.home.run(&["audit", "export", "--format", "ndjson"]);
    let rows = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a row is JSON"))
        .filter(|row| row["kind"] == "action");
    let told = |row: serde_json::Value| {
        ["actor", "action", "subject", "change"]
            .map(|name| row[name].as_str().unwrap_or("").to_owned())
    };
    rows.map(told).collect()
}

#[tokio::test]
async fn what_operators_do_is_a_row_with_who_and_what_changed() {
    let wish = Wish {
        teams: "[[team]]\nname = \"payments\"\n[[team.budget]]\nwindow = \"month\"\nlimit = \"10.00\"\n".to_owned(),
        ..Wish::default()
    };
    let world = World::with(wish, with_own_rules).await;
    let budget = "team/payments/month";
    world.home.run(&["budget", "grant", budget, "5.00"]);
    world.home.run(&["budget", "adjust", budget, "+1.00"]);
    let directory =
        std::fs::read_to_string(world.home.path("directory.toml")).expect("the directory");
    world
        .home
        .write("directory.toml", &directory.replace("10.00", "20.00"));
    world.home.apply();
    let rules = std::fs::read_to_string(world.home.path("rules.toml")).expect("the rules");
    world.home.write(
        "rules.toml",
        &rules.replace("AWS access key id", "An AWS key"),
    );
    world.gateway.signal("HUP");
    let whats = |rows: &[[String; 4]]| rows.iter().map(|row| row[1].clone()).collect::<Vec<_>>();
    world
        .until("the rules are swapped", || async {
            whats(&actions(&world)).contains(&"rules.swapped".to_owned())
        })
        .await;
    world.home.write("prices.toml", "no = \"prices\"\n");
    world.gateway.signal("HUP");
    let all = ["failed: ", "spent +1.00", "\"10.00\" -> \"20.00\""];
    world
        .until("the others are told, which took up to a second", || async {
            let rows = actions(&world);
            all.iter()
                .all(|text| rows.iter().any(|row| row[3].contains(text)))
        })
        .await;
    check_actions(&actions(&world));
}

/// Serves with rules of its own, so that they can be swapped.
pub fn with_own_rules(home: &crate::gateway::Home) -> crate::gateway::Gateway {
    let root = env!("CARGO_MANIFEST_DIR");
    let rules = std::fs::read_to_string(format!("{root}/tests/it/rules.toml"));
    home.write("rules.toml", &rules.expect("the rules"));
    let settings = std::fs::read_to_string(home.path("tollgate.toml")).expect("the settings");
    let own = settings.replace(&format!("{root}/tests/it/rules.toml"), "rules.toml");
    home.write("tollgate.toml", &own);
    home.serve()
}

#[tokio::test]
async fn a_rule_that_would_slow_every_scan_is_refused_and_the_set_before_it_stays() {
    let world = World::with(Wish::default(), with_own_rules).await;
    let rules = std::fs::read_to_string(world.home.path("rules.toml")).expect("the rules");
    let dear = "[[rule]]\nid = \"dear\"\ncategory = \"dear\"\ndescription = \"x\"\npattern = '[a-z_]+ = [a-z_.]+'\n";
    world.home.write("rules.toml", &format!("{rules}\n{dear}"));
    let told = world.home.tollgate(&["check"]);
    let told = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
    assert!(
        told.contains("rules.toml:") && told.contains("rule `dear` would slow down"),
        "{told}"
    );
    world.gateway.signal("HUP");
    world
        .until("the reload has failed", || async {
            actions(&world)
                .iter()
                .any(|row| row[3].contains("failed: "))
        })
        .await;
    let secret = crate::gateway::planted(1);
    world.message(&secret).send().await.expect("an answer");
    let row = world.rows(1).await.pop().expect("a row");
    assert_eq!(row["findings"][0]["category"], "aws_access_key");
}

fn check_actions(rows: &[[String; 4]]) {
    let find = |what: &str, change: &str| {
        let found = rows
            .iter()
            .find(|row| row[1] == what && row[3].contains(change));
        found.unwrap_or_else(|| panic!("{what} {change}: {rows:#?}"))
    };
    assert!(find("key.created", "")[2].starts_with("key_"));
    assert_eq!(
        find("budget.granted", "limit +5.00")[2],
        "team/payments/month"
    );
    find("budget.adjusted", "spent +1.00");
    find("directory.changed", "\"10.00\" -> \"20.00\"");
    assert!(find("config.reloaded", "ok; rules: ")[2].ends_with("tollgate.toml"));
    find("rules.swapped", " -> ");
    find("config.reloaded", "failed: the old one stays");
    for [who, what, ..] in rows {
        let is_signal = ["config.reloaded", "rules.swapped"].contains(&what.as_str());
        assert_eq!(who == "signal", is_signal, "{what} by {who}");
        assert!(!who.is_empty());
    }
}
