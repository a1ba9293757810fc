//! Which model answers: aliases, a team's default and fallbacks, and that nobody gets another one unasked.

use serde_json::{Value, json};

use crate::gateway::{Wish, World, message};
use crate::provider::{json as answer, usual};

const TEAM: &str = "[[team]]\nname = \"payments\"\nmodels = [\"claude-*\"]\n";
const ALIASES: &str = "[models.aliases]\nsonnet = \"claude-haiku-4-5\"\n\"quote\\\"d\" = \"claude-new\"\ngpt = \"gpt-5.5\"\n";

async fn world(team: &str) -> World {
    World::start(Wish {
        teams: format!("{TEAM}{team}"),
        settings: ALIASES.to_owned(),
        ..Wish::default()
    })
    .await
}

/// A request whose bytes would not survive being written anew.
fn odd(model: &str) -> String {
    format!(
        "{{ \"max_tokens\": 1e2,\n\t\"model\" : {model}, \"messages\":[{{\"role\":\"user\",\"content\":\"\\u00e9 \\/ é\"}}],\"x\":{{\"model\":\"gpt\"}} }}"
    )
}

async fn send(world: &World, body: String) -> reqwest::Response {
    let sent = world.post("/v1/messages").body(body).send().await;
    sent.expect("an answer")
}

#[tokio::test]
async fn an_alias_is_its_model_and_the_rest_of_the_body_passes_byte_for_byte() {
    let world = world("").await;
    for (asked, sent) in [
        ("\"sonnet\"", "\"claude-haiku-4-5\""),
        ("\"s\\u006fnnet\"", "\"claude-haiku-4-5\""),
        ("\"quote\\\"d\"", "\"claude-new\""),
        ("\"claude-haiku-4-5\"", "\"claude-haiku-4-5\""),
    ] {
        assert_eq!(send(&world, odd(asked)).await.status(), 200, "{asked}");
        let received = String::from_utf8(world.provider.last().body).expect("UTF-8");
        assert_eq!(received, odd(sent));
    }
    let rows = world.rows(4).await;
    let told = |row: &Value| (row["model"].clone(), row["served"].clone());
    assert_eq!(
        told(&rows[0]),
        (json!("sonnet"), json!("claude-haiku-4-5")),
        "requested and served"
    );
    assert_eq!(rows[0]["priced_as"], "claude-haiku-4-5");
    assert_eq!(rows[0]["cost_usd"], "0.0003");
}

#[tokio::test]
async fn policy_test_says_what_the_gateway_does() {
    let world = world("").await;
    let policy = |flag| world.home.tollgate(&["policy", "test", flag, "saved.json"]);
    for body in [
        "{}",
        "[]",
        "{",
        "{\"model\":3}",
        "{\"model\":\"gpt-4\"}",
        "{\"model\":\"gpt\"}",
        "{\"model\":\"claude-new\",\"fallbacks\":[\"gpt-5.5\"]}",
        "{\"model\":\"claude-new\",\"n\":0.5}",
    ] {
        world.home.write("saved.json", body);
        let told = policy("--team=payments");
        let told = (
            told.status.code(),
            String::from_utf8_lossy(&told.stdout).into_owned(),
        );
        let answer: Value = send(&world, body.to_owned())
            .await
            .json()
            .await
            .expect("JSON");
        let message = answer["error"]["message"].as_str().expect("a refusal");
        assert_eq!(told.0, Some(1), "{body}: {}", told.1);
        assert!(told.1.contains(message), "{body}: {message}\n{}", told.1);
        assert_eq!(policy("--body").stdout, b"", "{body}");
    }
    world.home.write("saved.json", &odd("\"sonnet\""));
    assert_eq!(send(&world, odd("\"sonnet\"")).await.status(), 200);
    assert_eq!(policy("--body").stdout, world.provider.last().body);
    let told = String::from_utf8(policy("--team=payments").stdout).expect("UTF-8");
    assert_eq!(
        told,
        "team payments: sent to the model `claude-haiku-4-5`\n"
    );
}

#[tokio::test]
async fn a_disallowed_model_is_refused_by_any_name_and_never_replaced() {
    let team = "default_model = \"claude-new\"\nfallback_models = [\"claude-haiku-4-5\"]\n";
    let world = world(team).await;
    for asked in ["gpt-5.5", "gpt", "unheard-of"] {
        let answer = world
            .post("/v1/messages")
            .json(&json!({"model": asked, "max_tokens": 5, "messages": []}))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 403, "{asked}");
        let body: Value = answer.json().await.expect("JSON");
        let text = body["error"]["message"].as_str().expect("a text");
        assert_eq!(text.contains("gpt-5.5"), asked != "unheard-of", "{text}");
        assert!(!text.contains("unheard-of"), "{text}");
    }
    assert_eq!(world.provider.connections(), 0);
    world.rows(3).await;
}

#[tokio::test]
async fn a_team_default_stands_in_for_no_model_and_for_nothing_else() {
    let with = world("default_model = \"claude-haiku-4-5\"\n").await;
    let nameless = r#"{"max_tokens":100,"messages":[]}"#;
    assert_eq!(send(&with, nameless.to_owned()).await.status(), 200);
    assert_eq!(
        String::from_utf8(with.provider.last().body).expect("UTF-8"),
        r#"{"model":"claude-haiku-4-5","max_tokens":100,"messages":[]}"#
    );
    for wrong in [
        r#"{"model":null}"#,
        r#"{"model":5}"#,
        r#"{"model":""}"#,
        r#"{"model":["sonnet"]}"#,
    ] {
        assert_eq!(send(&with, wrong.to_owned()).await.status(), 400, "{wrong}");
    }
    assert_eq!(with.provider.received().len(), 1);
    let without = world("").await;
    let answer = send(&without, nameless.to_owned()).await;
    assert_eq!(answer.status(), 400);
    let text = answer.text().await.expect("text");
    assert!(text.contains("no default model"), "{text}");
}

#[tokio::test]
async fn a_fallback_answers_where_the_asked_model_fails_and_says_so() {
    let world = world("fallback_models = [\"claude-haiku-4-5\"]\n").await;
    world.provider.answers(|request| {
        if request.json()["model"] == "claude-new" {
            return answer(
                529,
                &json!({"type": "error", "error": {"type": "overloaded_error"}}),
            );
        }
        usual(request)
    });
    let mut body = message("hi");
    body["model"] = json!("claude-new");
    let answer = send(&world, body.to_string()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["tollgate-model"], "claude-haiku-4-5");
    let sent: Vec<Value> = world
        .provider
        .received()
        .iter()
        .map(|r| r.json()["model"].clone())
        .collect();
    assert_eq!(sent, ["claude-new", "claude-new", "claude-haiku-4-5"]);
    let row = &world.rows(1).await[0];
    assert_eq!(
        (&row["model"], &row["served"]),
        (&json!("claude-new"), &json!("claude-haiku-4-5"))
    );
    assert_eq!(row["priced_as"], "claude-haiku-4-5");
    assert_eq!(
        row["cost_usd"], "0.0003",
        "one charge, of the one that answered"
    );
    let at = world.provider.address;
    assert_eq!(
        row["tries"],
        format!("529 {at}; 529 {at}; 200 {at} claude-haiku-4-5")
    );
}

#[tokio::test]
async fn each_dialect_lists_what_the_team_may_use_and_its_aliases() {
    let world = world("").await;
    let ids = async |path: &str| -> Vec<String> {
        let list = get(&world, path).await.json::<Value>().await.expect("JSON");
        let data = list["data"].as_array().expect("a list").iter();
        data.map(|model| model["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    for path in ["/v1/models?limit=1000", "/openai/v1/models"] {
        assert_eq!(ids(path).await, ["claude-haiku-4-5", "sonnet"], "{path}");
    }
    world
        .provider
        .answers(|_| crate::provider::respond(200, "text/html", "<html>gpt-5.5</html>"));
    assert!(ids("/v1/models").await.is_empty());
}

async fn get(world: &World, path: &str) -> reqwest::Response {
    let asked = world.client.get(world.gateway.url(path));
    let sent = asked.header("x-api-key", &world.key).send().await;
    sent.expect("an answer")
}

#[tokio::test]
async fn a_filtered_list_comes_whole_whatever_page_is_asked_for() {
    let world = world("").await;
    // The first page is of models that the team may not use.
    world.provider.answers(|request| {
        let all = ["gpt-5", "gpt-5.5", "claude-haiku-4-5", "claude-new"];
        let query = request.path.split_once('?').map_or("", |(_, query)| query);
        let limit = query.split('&').find_map(|one| one.strip_prefix("limit="));
        let limit: usize = limit.map_or(2, |limit| limit.parse().expect("a number"));
        let page = &all[..limit.min(all.len())];
        let data: Vec<Value> = page.iter().map(|id| json!({"id": id})).collect();
        answer(
            200,
            &json!({"data": data, "has_more": page.len() < all.len(), "first_id": page[0], "last_id": page.last()}),
        )
    });
    for path in [
        "/v1/models",
        "/v1/models?limit=2",
        "/v1/models?beta=true&limit=1",
    ] {
        let list: Value = get(&world, path).await.json().await.expect("JSON");
        let ids: Vec<_> = list["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| &one["id"])
            .collect();
        assert_eq!(
            ids,
            ["claude-haiku-4-5", "claude-new", "quote\"d", "sonnet"],
            "{path}"
        );
        assert_eq!(
            json!([list["has_more"], list["first_id"], list["last_id"]]),
            json!([false, "claude-haiku-4-5", "sonnet"]),
        );
    }
    assert_eq!(
        world.provider.last().path,
        "/v1/models?beta=true&limit=1000"
    );
    let next = get(&world, "/v1/models?after_id=sonnet&limit=2").await;
    let next: Value = next.json().await.expect("JSON");
    assert_eq!(
        next,
        json!({"data": [], "has_more": false, "first_id": null, "last_id": null}),
        "a page behind the whole list ends a client that pages by itself"
    );
}

#[tokio::test]
async fn one_model_is_shown_where_the_team_may_use_it() {
    let world = world("").await;
    world
        .provider
        .answers(|request| answer(200, &json!({"id": request.path.rsplit('/').next()})));
    for (path, sent) in [
        ("/v1/models/claude-new", "/v1/models/claude-new"),
        (
            "/openai/v1/models/claude-new?x=1",
            "/v1/models/claude-new?x=1",
        ),
        ("/v1/models/sonnet", "/v1/models/claude-haiku-4-5"),
    ] {
        assert_eq!(get(&world, path).await.status(), 200, "{path}");
        assert_eq!(world.provider.last().path, sent);
    }
    for path in [
        "/v1/models/gpt-5.5",
        "/v1/models/gpt",
        "/openai/v1/models/unheard-of",
    ] {
        let refused = get(&world, path).await;
        assert_eq!(refused.status(), 403, "{path}");
    }
    assert_eq!(world.provider.received().len(), 3);
    let rows = world.rows(6).await;
    assert_eq!(rows[2]["model"], "sonnet");
    assert_eq!(rows[4]["code"], "model_not_allowed");
}
