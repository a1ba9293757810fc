//! What may be spent, and that nothing passes it.

use std::time::Duration;

use serde_json::json;

use crate::gateway::{USUAL_TEAM, Wish, World, message};
use crate::provider::{Step, json as answer_json, usual};

/// A team with one budget of this limit for a month.
fn capped(limit: &str) -> Wish {
    Wish {
        teams: format!(
            "{USUAL_TEAM}models = [\"claude-*\", \"gpt-*\", \"strange\"]\n[[team.budget]]\nwindow = \"month\"\nlimit = \"{limit}\"\n\
             zone = \"Europe/Berlin\"\n"
        ),
        ..Wish::default()
    }
}

fn nanos(row: &serde_json::Value, column: &str) -> u64 {
    let text = row[column].as_str().expect("an amount");
    let (whole, fraction) = text.split_once('.').expect("a decimal");
    let nanos: u64 = format!("{fraction:0<9}").parse().expect("digits");
    whole.parse::<u64>().expect("digits") * 1_000_000_000 + nanos
}

/// What `message("hi")` costs here: 100 tokens in at $1, 20 out at $10, by the million.
const COST: u64 = 300_000;

#[tokio::test]
async fn a_hundred_parallel_requests_cannot_pass_a_cap_together() {
    // The worst case of one is a little over $0.001 (100 output tokens); the cap holds ten of them at once.
    let world = World::start(capped("0.0115")).await;
    world.provider.answers(|request| {
        let mut script = vec![Step::Wait(Duration::from_millis(1500))];
        script.extend(usual(request));
        script
    });
    let requests = (0..100).map(|_| world.message("hi").send());
    let answers = futures::future::join_all(requests).await;
    let statuses: Vec<u16> = answers
        .into_iter()
        .map(|answer| answer.expect("an answer").status().as_u16())
        .collect();
    let admitted = statuses.iter().filter(|status| **status == 200).count();
    assert!(
        statuses.iter().all(|status| matches!(status, 200 | 402)),
        "{statuses:?}"
    );
    assert!((1..=11).contains(&admitted), "{admitted} admitted");
    assert_eq!(world.provider.received().len(), admitted);
    let rows = world.rows(100).await;
    let spent: u64 = rows.iter().map(|row| nanos(row, "cost_usd")).sum();
    assert_eq!(spent, admitted as u64 * COST);
    assert!(spent <= 11_500_000);
}

#[tokio::test]
async fn a_reached_cap_says_which_how_much_and_until_when() {
    let world = World::start(capped("0.0012")).await;
    assert_eq!(world.status("hi").await, 200);
    let refused = world.message("hi").send().await.expect("an answer");
    assert_eq!(refused.status(), 402);
    assert_eq!(refused.headers()["x-should-retry"], "false");
    let body: serde_json::Value = refused.json().await.expect("JSON");
    let text = body["error"]["message"].as_str().expect("a message");
    assert!(
        text.contains("team/payments/month") && text.contains("resets at 20"),
        "{text}"
    );
    let chat = world
        .post("/v1/chat/completions")
        .json(&json!({"model": "gpt-5.5", "messages": []}));
    let body: serde_json::Value = chat
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(body["error"]["code"], "budget_exceeded");
    let codex = world
        .message("hi")
        .header("user-agent", "codex_exec/0.162")
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        codex.status(),
        400,
        "Codex asks again on a 402, and stops at a 400"
    );
    assert_eq!(world.provider.received().len(), 1);
    let shown: serde_json::Value =
        serde_json::from_str(&world.home.run(&["budget", "show", "--json"])).expect("JSON");
    assert_eq!(shown[0]["budget"], "team/payments/month");
    assert_eq!(shown[0]["spent"], "0.0003");
    assert_eq!(shown[0]["left"], "0.0009");
}

#[tokio::test]
async fn a_cap_lowered_below_what_is_spent_refuses_and_a_grant_admits_again() {
    let world = World::start(capped("1.00")).await;
    let status = async || {
        let answer = world.message("hi").send().await.expect("an answer");
        answer.status().as_u16()
    };
    assert_eq!(status().await, 200);
    let text = std::fs::read_to_string(world.home.path("directory.toml")).expect("it is there");
    let lowered = text.replace("\"1.00\"", "\"0.0001\"");
    world.home.write("directory.toml", &lowered);
    world.home.apply();
    let gauge = |kind: &str, value: u64| {
        format!(
            "tollgate_budget_nanousd{{budget=\"team/payments/month\",kind=\"{kind}\"}} {value}\n"
        )
    };
    let metrics = world.metrics_with(&gauge("limit", 100_000)).await;
    assert!(metrics.contains(&gauge("spent", COST)) && metrics.contains(&gauge("left", 0)));
    assert_eq!(status().await, 402);
    world
        .home
        .run(&["budget", "grant", "team/payments/month", "0.01"]);
    world.metrics_with(&gauge("limit", 10_100_000)).await;
    assert_eq!(status().await, 200);
}

#[tokio::test]
async fn every_budget_over_a_caller_counts_or_none_does() {
    let teams = format!(
        "{USUAL_TEAM}[[team.budget]]\nwindow = \"day\"\nlimit = \"1.00\"\n\
         [[team.user]]\nname = \"ada\"\n[[team.user.budget]]\nwindow = \"day\"\nlimit = \"0.0012\"\n"
    );
    let world = World::start(Wish {
        teams,
        ..Wish::default()
    })
    .await;
    let text = world.home.run(&[
        "key", "create", "--team", "payments", "--user", "ada", "--json",
    ]);
    let created: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let ada = created["key"].as_str().expect("a key").to_owned();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let send = |key: &str| {
        world
            .client
            .post(world.gateway.url("/v1/messages"))
            .header("x-api-key", key)
            .json(&message("hi"))
            .send()
    };
    assert_eq!(send(&ada).await.expect("an answer").status(), 200);
    let refused = send(&ada).await.expect("an answer");
    assert_eq!(refused.status(), 402);
    assert!(
        refused
            .text()
            .await
            .expect("text")
            .contains("user/payments/ada/day")
    );
    assert_eq!(
        send(&world.key).await.expect("an answer").status(),
        200,
        "the team still has room"
    );
    world.rows(3).await;
    let budgets = world.budgets().await;
    let team = budgets
        .as_array()
        .expect("a list")
        .iter()
        .find(|b| b["budget"] == "team/payments/day")
        .expect("the team's");
    assert_eq!(
        (team["spent"].as_str(), team["reserved"].as_str()),
        (Some("0.0006"), Some("0.00"))
    );
}

#[tokio::test]
async fn spend_survives_a_kill_and_a_request_in_flight_is_charged_its_reservation() {
    let mut world = World::start(capped("1.00")).await;
    assert_eq!(world.status("hi").await, 200);
    world
        .provider
        .answers(|_| vec![Step::Wait(Duration::from_secs(30))]);
    let hanging = tokio::spawn(world.message("hi").send());
    while world.provider.received().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.gateway.kill();
    assert!(hanging.await.expect("joined").is_err());
    world.gateway = world.home.serve();
    let budgets = world.budgets().await;
    let rows = world.rows(2).await;
    let lost = rows
        .iter()
        .find(|row| row["decision"] == "lost")
        .expect("the request that was in flight");
    assert_eq!(lost["cost_usd"], lost["reserved_usd"]);
    assert!(nanos(lost, "cost_usd") > 1_000_000);
    let spent = nanos(&budgets[0], "spent");
    assert_eq!(spent, COST + nanos(lost, "cost_usd"));
    assert_eq!(budgets[0]["reserved"], "0.00");
}

#[tokio::test]
async fn each_agent_session_has_its_limit_and_its_name_is_kept_nowhere() {
    let mut world = World::start(Wish {
        teams: format!("{USUAL_TEAM}session_limit = \"0.0012\"\n"),
        ..Wish::default()
    })
    .await;
    let ask = |world: &World, header: Option<(&str, &str)>| {
        let request = world.message("hi");
        let request = match header {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        async move {
            let answer = request.send().await.expect("an answer");
            (answer.status().as_u16(), answer.text().await.expect("text"))
        }
    };
    let sessions = [
        Some(("x-claude-code-session-id", "name-of-a-session-1")),
        Some(("session-id", "name-of-a-session-2")),
        Some(("x-session-id", "name-of-a-session-3")),
        None,
    ];
    for session in sessions {
        assert_eq!(ask(&world, session).await.0, 200, "{session:?}");
        let (status, text) = ask(&world, session).await;
        assert_eq!(status, 402, "{session:?}");
        assert!(text.contains("budget session/key_"), "{text}");
    }
    world.metrics_with("tollgate_budget_sessions 3").await;
    world.gateway.kill();
    let seen = world.gateway.log();
    world.gateway = world.home.serve();
    for session in sessions {
        assert_eq!(
            ask(&world, session).await.0,
            402,
            "after a kill: {session:?}"
        );
    }
    assert_eq!(
        world.budgets_become(0).await.len(),
        0,
        "sessions are not listed"
    );
    let export = world.home.run(&["audit", "export", "--format", "ndjson"]);
    for text in [seen, export] {
        assert!(!text.contains("name-of-a-session"), "{text}");
    }
}

#[tokio::test]
async fn a_threshold_is_told_once_in_log_metric_and_audit() {
    let teams = format!(
        "{USUAL_TEAM}[[team.budget]]\nwindow = \"month\"\nlimit = \"0.003\"\nalert_at = [10, 40]\n"
    );
    let mut world = World::start(Wish {
        teams,
        ..Wish::default()
    })
    .await;
    for _ in 0..5 {
        let answer = world.message("hi").send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    let told = |percent: u8| {
        format!(
            "tollgate_budget_events_total{{event=\"threshold\",percent=\"{percent}\",scope=\"team\"}} 1"
        )
    };
    let metrics = world.metrics_with(&told(40)).await;
    assert!(metrics.contains(&told(10)), "{metrics}");
    // A kill: what was told before is old news to the next process.
    world.gateway.kill();
    assert_eq!(
        world.gateway.log().matches("reached a threshold").count(),
        2
    );
    world.gateway = world.home.serve();
    assert_eq!(world.status("hi").await, 200);
    // What the killed process had logged reaches SQLite before the row of this request.
    world.rows(6).await;
    let rows = world.actions("budget.threshold");
    let changes: Vec<_> = rows
        .iter()
        .filter_map(|row| row["change"].as_str())
        .collect();
    assert_eq!(
        changes,
        [
            "10% reached: 0.0003 of 0.003",
            "40% reached: 0.0012 of 0.003"
        ]
    );
    assert_eq!(
        (
            rows[0]["subject"].as_str(),
            rows[0]["team"].as_str(),
            rows[0]["actor"].as_str()
        ),
        (
            Some("team/payments/month"),
            Some("payments"),
            Some("gateway")
        )
    );
}

#[tokio::test]
async fn a_budget_that_the_directory_has_no_more_is_let_go_and_remembered() {
    let world = World::start(capped("0.0012")).await;
    assert_eq!(world.status("hi").await, 200);
    world.budgets_become(1).await;
    let with = std::fs::read_to_string(world.home.path("directory.toml")).expect("it is there");
    let (without, _) = with.split_once("[[team.budget]]").expect("a budget");
    world.home.write("directory.toml", without);
    let file = world.home.path("directory.toml");
    let file = file.to_str().expect("UTF-8");
    world.home.run(&["apply", "--prune", file]);
    world.budgets_become(0).await;
    let answer = world.message("hi").send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "nothing bounds it");
    world.home.write("directory.toml", &with);
    world.home.run(&["apply", file]);
    let budgets = world.budgets_become(1).await;
    assert_eq!(budgets[0]["spent"], "0.0003", "what it had spent is known");
}

#[tokio::test]
async fn what_does_not_show_its_cost_is_refused_where_the_operator_wants_it_so() {
    let world = World::start(Wish {
        settings: "[budget]\nopaque = \"refuse\"\n".to_owned(),
        ..capped("1.00")
    })
    .await;
    let plain = json!({"model": "gpt-5.5", "max_output_tokens": 50, "input": "hi"});
    let with = |key: &str, value: serde_json::Value| {
        let mut body = plain.clone();
        body[key] = value;
        body
    };
    let image = json!([{"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}]);
    let file = json!([{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]);
    for (body, word) in [
        (
            with("previous_response_id", json!("resp_1")),
            "earlier response",
        ),
        (with("input", file), "a file"),
        (
            with("tools", json!([{"type": "web_search"}])),
            "without a bound",
        ),
        (with("background", json!(true)), "background"),
    ] {
        let refused = world.post("/v1/responses").json(&body).send().await;
        let refused = refused.expect("an answer");
        assert_eq!(refused.status(), 400, "{body}");
        let told: serde_json::Value = refused.json().await.expect("JSON");
        assert_eq!(told["error"]["code"], "cost_opaque");
        let message = told["error"]["message"].as_str().expect("text");
        assert!(message.contains(word), "{message}");
    }
    assert!(world.provider.received().is_empty());
    let bounded = with("tools", json!([{"type": "function", "name": "f"}]));
    for body in [plain.clone(), bounded, with("input", image)] {
        let served = world.post("/v1/responses").json(&body).send().await;
        assert_eq!(served.expect("an answer").status(), 200, "{body}");
    }
}

/// Its usage is told to whoever fetches it, which is not served here.
#[tokio::test]
async fn an_answer_that_comes_later_is_charged_its_reservation() {
    let world = World::usual().await;
    let queued = json!({"id": "resp_1", "object": "response", "status": "queued", "usage": null});
    world
        .provider
        .answers(move |_| crate::provider::json(200, &queued));
    let body = json!({"model": "gpt-5.5", "input": "hi", "background": true});
    let taken = world.post("/v1/responses").json(&body).send().await;
    assert_eq!(taken.expect("an answer").status(), 200);
    let rows = world.rows(1).await;
    assert_ne!(rows[0]["cost_usd"], "0.00");
    assert_eq!(rows[0]["cost_usd"], rows[0]["reserved_usd"]);
}

#[tokio::test]
async fn an_unknown_model_costs_the_configured_price_and_never_nothing() {
    let world = World::start(capped("1.00")).await;
    let body = json!({"model": "strange", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(
        world
            .post("/v1/messages")
            .json(&body)
            .send()
            .await
            .expect("an answer")
            .status(),
        200
    );
    let rows = world.rows(1).await;
    // 100 tokens at $5 and 20 at $25.
    assert_eq!(rows[0]["cost_usd"], "0.001");
    let metrics = world
        .gateway
        .admin("/metrics")
        .await
        .text()
        .await
        .expect("text");
    assert!(
        metrics.contains("tollgate_unknown_model_total{provider=\"anthropic\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_model_outside_the_list_and_a_rate_over_the_limit_are_refused() {
    let teams = format!("{USUAL_TEAM}models = [\"claude-*\"]\nrequests_per_minute = 2\n");
    let world = World::start(Wish {
        teams,
        ..Wish::default()
    })
    .await;
    let chat = world
        .post("/v1/chat/completions")
        .json(&json!({"model": "gpt-5.5", "messages": []}));
    let refused = chat.send().await.expect("an answer");
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.expect("text").contains("gpt-5.5"));
    assert_eq!(world.status("hi").await, 200);
    let refused = world.message("hi").send().await.expect("an answer");
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .expect("ASCII")
        .parse()
        .expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(world.provider.received().len(), 1);
}

#[tokio::test]
async fn an_error_of_the_provider_passes_as_it_is_and_costs_nothing() {
    let world = World::start(capped("1.00")).await;
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "odd":  1});
    let sent = error.clone();
    world.provider.answers(move |_| answer_json(529, &sent));
    let answer = world.message("hi").send().await.expect("an answer");
    assert_eq!(answer.status(), 529);
    assert_eq!(answer.headers()["request-id"], "req_upstream");
    assert_eq!(answer.text().await.expect("text"), error.to_string());
    world.rows(1).await;
    let budgets = world.budgets().await;
    assert_eq!(
        (
            budgets[0]["spent"].as_str(),
            budgets[0]["reserved"].as_str()
        ),
        (Some("0.00"), Some("0.00"))
    );
}

#[tokio::test]
async fn no_more_requests_run_at_once_than_a_team_may_have() {
    let teams = format!("{USUAL_TEAM}concurrent = 2\n");
    let world = World::start(Wish {
        teams,
        ..Wish::default()
    })
    .await;
    world.provider.answers(|request| {
        let mut script = vec![Step::Wait(Duration::from_millis(800))];
        script.extend(usual(request));
        script
    });
    let answers = futures::future::join_all((0..5).map(|_| world.message("hi").send())).await;
    let statuses: Vec<u16> = answers
        .into_iter()
        .map(|answer| answer.expect("an answer").status().as_u16())
        .collect();
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(served, 2, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)));
    let rows = world.rows(5).await;
    let refused = rows
        .iter()
        .filter(|row| row["code"] == "too_many_at_once")
        .count();
    assert_eq!(refused, 3);
    let again = world.message("hi").send().await.expect("an answer");
    assert_eq!(again.status(), 200, "a slot is free again");
}
