//! What the vendors' SDKs make of our refusals: each stops after one attempt and tells its user why. The table is
//! docs/CLIENTS.md, which this holds to what is seen.

use serde_json::{Value, json};
use tokio::process::Command;

use crate::refusals::{Ground, Outcome, hold, table};
use crate::sdk::{javascript, python};

/// Lets one language's SDKs meet every refusal: for each client its outcomes, in the order of the cases.
async fn meet(command: &mut Command) -> Vec<(String, Vec<Outcome>)> {
    let ground = Ground::start().await;
    let cases: Vec<Value> = ground
        .cases
        .iter()
        .map(|one| json!({"name": one.name, "key": one.key, "prompt": one.prompt}))
        .collect();
    let output = command
        .env("GATEWAY_URL", ground.world.gateway.url(""))
        .env("CASES", Value::Array(cases).to_string())
        .output()
        .await
        .expect("the SDKs' language is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    let told: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(ground.world.provider.received().len(), 1, "ours alone");
    // One client meets one case after the other, so that the attempts of each stand together.
    let refused = ground.refused();
    let mut refused = refused.chunk_by(|a, b| a == b);
    let mut clients: Vec<(String, Vec<Outcome>)> = Vec::new();
    for (one, case) in told.iter().zip(ground.cases.iter().cycle()) {
        let client = one["client"].as_str().expect("a name");
        assert_eq!(one["case"], case.name);
        let rows = refused.next().expect("a row for each call");
        assert_eq!(rows[0].0, case.code);
        let shown = case.is_shown_in(one["error"].as_str().expect("a text"));
        let outcome = Outcome {
            status: rows[0].1,
            attempts: rows.len(),
            shown,
        };
        match clients.last_mut().filter(|(name, _)| name == client) {
            Some((_, all)) => all.push(outcome),
            None => clients.push((client.to_owned(), vec![outcome])),
        }
    }
    clients
}

#[tokio::test]
async fn every_sdk_stops_at_once_and_shows_our_text() {
    let (Some(mut python), Some(mut javascript)) =
        (python("refused.py"), javascript("refused.mjs"))
    else {
        return;
    };
    let (mut clients, more) = tokio::join!(meet(&mut python), meet(&mut javascript));
    clients.extend(more);
    for (client, outcomes) in &clients {
        for outcome in outcomes {
            assert!(outcome.is_as_it_should_be(), "{client}: {}", outcome.cell());
        }
    }
    let cells = |(client, all): &(String, Vec<Outcome>)| {
        (client.clone(), all.iter().map(Outcome::cell).collect())
    };
    let clients: Vec<(String, Vec<String>)> = clients.iter().map(cells).collect();
    hold(
        "sdks",
        &table(
            &[
                "client", "budget", "secret", "model", "hours", "wait", "key", "revoked",
            ],
            &clients,
        ),
    );
}
