//! Every agent meets every refusal: it stops after one attempt and shows our text, or, where it should wait, goes on.

use std::time::Duration;

use crate::agent::{Agent, Ask, Told};
use crate::gateway::message;
use crate::provider::{Received, stream};
use crate::refusals::{Case, Ground, Outcome, hold, table};
use crate::script::{Said, say};

/// What the held request says, and nobody else.
const HELD: &str = "hold the line";

/// What an agent makes of a case. It ends by itself, or the asking panics.
async fn meet(agent: Agent, ground: &Ground, case: &Case) -> Outcome {
    let before = ground.refused().len();
    let ask = Ask {
        gateway: ground.world.gateway.url(""),
        key: &case.key,
        prompt: &case.prompt,
        lists_models: false,
    };
    let Told { output, home: _ } = agent.ask(&ask, "nothing\n").await;
    // Its connections are closed by now; the last rows may still be on their way.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let refused = ground.refused().split_off(before);
    let rows: Vec<&(String, u64)> = refused
        .iter()
        .filter(|(code, _)| code != "websocket_refused")
        .collect();
    assert!(
        !rows.is_empty() && rows.iter().all(|(code, _)| code == case.code),
        "{} at {}: {refused:?}\n{output}",
        agent.name(),
        case.name
    );
    let outcome = Outcome {
        status: rows[0].1,
        attempts: rows.len(),
        shown: case.is_shown_in(&output),
    };
    if !outcome.is_as_it_should_be() {
        show(&format!("{} at {}: {output}", agent.name(), case.name));
    }
    outcome
}

#[expect(
    clippy::print_stderr,
    reason = "who looks for a cause wants the agent's own words"
)]
fn show(text: &str) {
    eprintln!("{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_agent_stops_at_once_and_shows_our_text() {
    let ground = Ground::start().await;
    let mut lines = Vec::new();
    let mut wrong = Vec::new();
    for agent in Agent::ALL {
        let mut cells = Vec::new();
        for case in &ground.cases {
            let outcome = meet(agent, &ground, case).await;
            let cell = outcome.cell();
            show(&format!("{}, {}: {cell}", agent.name(), case.name));
            if !outcome.is_as_it_should_be() {
                wrong.push(format!("{}, {}: {cell}", agent.name(), case.name));
            }
            cells.push(cell);
        }
        lines.push((agent.name(), cells));
    }
    assert_eq!(ground.world.provider.received().len(), 1, "ours alone");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mut head = vec!["client"];
    head.extend(ground.cases.iter().map(|case| case.name));
    hold("agents", &table(&head, &lines));
}

/// The team's one place is taken until the agent has been refused once.
async fn wait_and_go_on(agent: Agent, ground: &Ground, key: &str) {
    let before = ground.refused().len();
    let held = ground
        .world
        .client
        .post(ground.world.gateway.url("/v1/messages"))
        .header("x-api-key", key)
        .json(&{
            let mut held = message(HELD);
            held["stream"] = true.into();
            held
        })
        .send()
        .await
        .expect("an answer");
    assert_eq!(held.status(), 200);
    let is_refused = || {
        ground
            .refused()
            .iter()
            .skip(before)
            .any(|row| *row == ("too_many_at_once".to_owned(), 429))
    };
    let release = async {
        ground
            .world
            .until("the agent is refused", async || is_refused())
            .await;
        drop(held);
    };
    let ask = Ask {
        gateway: ground.world.gateway.url(""),
        key,
        prompt: "say hi",
        lists_models: false,
    };
    let (told, ()) = tokio::join!(agent.ask(&ask, "nothing\n"), release);
    assert!(
        told.output.contains("all is well"),
        "{}: {}",
        agent.name(),
        told.output
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_agent_waits_for_a_place_and_goes_on() {
    let ground = Ground::start().await;
    let key = ground.world.home.create_key("single");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    ground.world.provider.answers(|request: &Received| {
        if String::from_utf8_lossy(&request.body).contains(HELD) {
            let events = vec![": wait\n\n".to_owned(); 3000];
            return stream(&events, Duration::from_millis(100));
        }
        say(request, &Said::Text("all is well".to_owned()))
    });
    for agent in Agent::ALL {
        wait_and_go_on(agent, &ground, &key).await;
        show(&format!("{}: went on", agent.name()));
    }
}
