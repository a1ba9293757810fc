//! Every agent works through the gateway as it does without it: it has a file read by its own tool, or edits it, and says
//! what stands there, a secret that the provider never sees among it; each request has its row and its price.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::agent::{Agent, Ask};
use crate::gateway::{Wish, World, planted};
use crate::provider::{Received, Script};
use crate::refusals::{hold, table};
use crate::script::{Call, Said, has_result, offers, say};

/// How an agent reads a file; `None` for one that sends the file itself and edits it as it is told.
fn tool(agent: Agent) -> Option<Call> {
    let (name, arguments) = match agent {
        Agent::ClaudeCode | Agent::Continue => ("Bash", json!({"command": "cat note.txt"})),
        Agent::Codex => ("exec_command", json!({"cmd": "cat note.txt"})),
        Agent::Opencode => (
            "bash",
            json!({"command": "cat note.txt", "description": "Reads the note"}),
        ),
        Agent::Cline => ("run_commands", json!({"commands": ["cat note.txt"]})),
        Agent::AiderAnthropic | Agent::AiderOpenAi => return None,
    };
    Some(Call { name, arguments })
}

/// Has the file read, and says what stands in it as far as it has come.
fn answer(request: &Received, tool: Option<&Call>) -> Script {
    let text = String::from_utf8_lossy(&request.body);
    let seen = text
        .find("TG_aws_access_key_")
        .and_then(|at| text.get(at..at + 34))
        .unwrap_or("nothing");
    let said = match tool {
        _ if request.body.is_empty() => Said::Text(String::new()),
        Some(call) if offers(&request.json(), call.name) && !has_result(&request.json()) => {
            Said::Call(call.clone())
        }
        Some(_) => Said::Text(format!("the note holds {seen}")),
        None => Said::Text(format!(
            "Copied:\n\nnote.txt\n```\nKEY={seen}\nCOPY={seen}\n```\n"
        )),
    };
    say(request, &said)
}

/// What an agent asked of the gateway, its tool, and what that cost: a line of the table.
async fn turn(agent: Agent, number: u64) -> Vec<String> {
    let world = World::start(Wish {
        actions: "aws_access_key = \"redact\"".to_owned(),
        ..Wish::default()
    })
    .await;
    let (tool, secret) = (tool(agent), planted(700 + number));
    let call = tool.clone();
    world
        .provider
        .answers(move |request| answer(request, call.as_ref()));
    let ask = Ask {
        gateway: world.gateway.url(""),
        key: &world.key,
        prompt: "say what stands in note.txt",
        lists_models: true,
    };
    let told = agent.ask(&ask, &format!("KEY={secret}\n")).await;
    let note = std::fs::read_to_string(told.home.path().join("work/note.txt")).expect("a file");
    match &tool {
        Some(_) => assert!(
            told.output.contains(&format!("the note holds {secret}")),
            "{}: {}",
            agent.name(),
            told.output
        ),
        None => assert_eq!(note, format!("KEY={secret}\nCOPY={secret}\n")),
    }
    for request in world.provider.received() {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        assert!(!body.contains(&secret), "{}", agent.name());
    }
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let rows = world.rows_now();
    let did = tool.map_or("edits the file", |call| call.name);
    vec![asked(&rows), did.to_owned(), paid(agent, &rows)]
}

/// Its requests, by endpoint. A refused one has its status.
fn asked(rows: &[Value]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        let name = match text("code") {
            "" => text("endpoint").to_owned(),
            code => format!("{code} ({})", row["status"]),
        };
        *counts.entry(name).or_default() += 1;
    }
    let all: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    all.join(", ")
}

/// Tokens and cost of the streamed requests that were served: as the provider counted them, each of them.
fn paid(agent: Agent, rows: &[Value]) -> String {
    let served = rows.iter().filter(|row| row["output"] != 0);
    let mut count = 0;
    for row in served {
        assert_eq!(
            (&row["status"], &row["stream"], &row["provenance"]),
            (&json!(200), &json!(true), &json!("exact")),
            "{}: {row}",
            agent.name()
        );
        assert_eq!(
            (&row["input"], &row["output"], &row["cost_usd"]),
            (&json!(100), &json!(20), &json!("0.0003")),
            "{}: {row}",
            agent.name()
        );
        count += 1;
    }
    format!("{count} × (100 + 20 tokens, $0.0003)")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_agent_has_its_turn_with_a_tool_and_is_billed_for_it() {
    let mut lines = Vec::new();
    for (number, agent) in (0..).zip(Agent::ALL) {
        lines.push((agent.name(), turn(agent, number).await));
    }
    hold(
        "turns",
        &table(&["client", "requests", "tool", "billed"], &lines),
    );
}
