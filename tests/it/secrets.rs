//! Nothing leaves uninspected, and what is found is kept by nobody.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;
use tollgate::scan::examples::expand;

use crate::gateway::{Wish, World, message, planted};
use crate::provider::Step;

fn blocking() -> Wish {
    Wish {
        actions: "aws_access_key = \"block\"".to_owned(),
        ..Wish::default()
    }
}

#[tokio::test]
async fn a_blocked_request_opens_no_connection_and_names_the_place_but_not_the_value() {
    let world = World::start(blocking()).await;
    let secret = planted(1);
    let answer = world
        .message(&format!("creds:\n{secret}"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["x-should-retry"], "false");
    let body: serde_json::Value = answer.json().await.expect("JSON");
    let text = body["error"]["message"].as_str().expect("a message");
    assert!(
        text.contains("aws_access_key") && text.contains("$.messages[0].content"),
        "{text}"
    );
    assert!(!body.to_string().contains(&secret));
    assert_eq!(world.provider.connections(), 0);
    let rows = world.rows(1).await;
    assert_eq!(rows[0]["decision"], "blocked");
    assert_eq!(rows[0]["code"], "secret_blocked");
    assert_eq!(rows[0]["cost_usd"], "0.00");
}

#[tokio::test]
async fn every_place_of_a_body_is_read() {
    let world = World::start(blocking()).await;
    let secret = planted(2);
    let bodies = [
        json!({"model": "m", "system": secret, "messages": []}),
        json!({"model": "m", "messages": [{"role": "assistant", "content": [{"type": "tool_use", "input": {"a": {"b": secret}}}]}]}),
        json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": secret}]}]}]}),
        json!({"model": "m", "tools": [{"description": format!("x {secret} y")}], "messages": []}),
        json!({"model": "m", "messages": [], "unknown_field": {"deep": [[[secret]]]}}),
        json!({"model": "m", "messages": [], "metadata": {secret.clone(): 1}}),
        json!({"model": "m", "messages": [{"content": json!({"args": secret}).to_string()}]}),
    ];
    let count = bodies.len();
    for body in bodies {
        let mut body = body;
        body["model"] = json!("claude-haiku-4-5");
        body["max_tokens"] = json!(10);
        for path in ["/v1/messages", "/v1/messages/count_tokens"] {
            let answer = world
                .post(path)
                .json(&body)
                .send()
                .await
                .expect("an answer");
            assert_eq!(answer.status(), 400, "{path} {body}");
        }
    }
    let respond = json!({"model": "gpt-5.5", "max_output_tokens": 5, "input": [{"role": "user", "content": [{"type": "input_text", "text": secret}]}]});
    assert_eq!(
        world
            .post("/v1/responses")
            .json(&respond)
            .send()
            .await
            .expect("an answer")
            .status(),
        400
    );
    let embed = json!({"model": "text-embedding-3-small", "input": [secret]});
    assert_eq!(
        world
            .post("/v1/embeddings")
            .json(&embed)
            .send()
            .await
            .expect("an answer")
            .status(),
        400
    );
    assert_eq!(world.provider.connections(), 0);
    world.rows(count * 2 + 2).await;
}

/// Nobody here can read them.
#[tokio::test]
async fn token_ids_instead_of_text_are_refused_or_marked() {
    let world = World::start(blocking()).await;
    let send = |path: &'static str, body: serde_json::Value| world.post(path).json(&body).send();
    for input in [json!([[100, 101]]), json!([100, 101]), json!(["text", [7]])] {
        let body = json!({"model": "text-embedding-3-small", "input": input});
        let refused = send("/v1/embeddings", body).await.expect("an answer");
        assert_eq!(refused.status(), 400, "{input}");
        assert!(refused.text().await.expect("text").contains("token ids"));
    }
    let body = json!({"model": "gpt-3.5-turbo-instruct", "prompt": [5, 6], "max_tokens": 1});
    let refused = send("/v1/completions", body).await.expect("an answer");
    assert_eq!(refused.status(), 400);
    assert_eq!(world.provider.connections(), 0);
    let lenient = World::start(Wish {
        scan: "on_undecodable = \"scan\"".to_owned(),
        ..Wish::default()
    })
    .await;
    let body = json!({"model": "text-embedding-3-small", "input": [[100]]});
    let passed = lenient.post("/v1/embeddings").json(&body).send().await;
    assert_eq!(passed.expect("an answer").status(), 200);
    lenient.rows(1).await;
    assert_eq!(lenient.metric("tollgate_undecodable_total").await, Some(1));
}

#[tokio::test]
async fn the_query_and_the_headers_are_read_too() {
    let world = World::start(blocking()).await;
    let secret = planted(3);
    let query = world
        .post(&format!("/v1/messages?token={secret}"))
        .json(&message("hi"));
    assert_eq!(query.send().await.expect("an answer").status(), 400);
    let header = world
        .message("hi")
        .header("x-note", &secret)
        .send()
        .await
        .expect("an answer");
    assert_eq!(header.status(), 400);
    assert!(header.text().await.expect("text").contains("$head"));
    let listed = world
        .client
        .get(world.gateway.url(&format!("/v1/models?k={secret}")))
        .header("x-api-key", &world.key);
    assert_eq!(listed.send().await.expect("an answer").status(), 400);
    assert_eq!(world.provider.connections(), 0);
}

#[tokio::test]
async fn a_compressed_body_is_read_and_passes_as_it_came_and_a_bomb_does_not() {
    let world = World::start(blocking()).await;
    let pack = |body: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(body).expect("memory");
        packer.finish().expect("memory")
    };
    let send = |body: Vec<u8>| {
        let request = world
            .post("/v1/messages")
            .header("content-encoding", "gzip");
        request.body(body).send()
    };
    let secret = message(&planted(6)).to_string();
    let blocked = send(pack(secret.as_bytes())).await.expect("an answer");
    assert_eq!(blocked.status(), 400);
    let bomb = pack(&vec![b' '; 300 << 20]);
    let refused = send(bomb).await.expect("an answer");
    assert_eq!(refused.status(), 400);
    let broken = send(b"no gzip at all".to_vec()).await.expect("an answer");
    assert_eq!(broken.status(), 400);
    assert_eq!(world.provider.connections(), 0);
    let clean = pack(message("hi").to_string().as_bytes());
    world.provider.answers(|_| {
        crate::provider::json(
            200,
            &json!({"usage": {"input_tokens": 1, "output_tokens": 1}}),
        )
    });
    assert_eq!(send(clean.clone()).await.expect("an answer").status(), 200);
    let received = world.provider.last();
    assert_eq!(received.header("content-encoding"), Some("gzip"));
    assert!(received.body == clean);
    // What a decoder passes over was not inspected.
    let named = flate2::GzBuilder::new().comment("planted here");
    let mut packer = named.write(Vec::new(), flate2::Compression::fast());
    let body = message("hi").to_string();
    packer.write_all(body.as_bytes()).expect("memory");
    let named = packer.finish().expect("memory");
    assert_eq!(send(named).await.expect("an answer").status(), 200);
    let received = world.provider.last();
    assert_eq!(received.header("content-encoding"), None);
    assert!(received.body == body.as_bytes());
}

/// The bounds on bodies are of what they are once unpacked.
#[tokio::test]
async fn what_a_body_unpacks_to_is_bounded_as_the_body_is() {
    let world = World::start(Wish {
        limits: "body = \"3MiB\"\nbuffered = \"3MiB\"\n".to_owned(),
        ..Wish::default()
    })
    .await;
    world.provider.answers(|_| {
        let usage = json!({"usage": {"input_tokens": 1, "output_tokens": 1}});
        crate::provider::json(200, &usage)
    });
    let send = |length: usize| {
        // Packed well, and far from what only a bomb is.
        let lines =
            (0..length / 40).map(|line| format!("{line:07} is a line of forty characters.\n"));
        let body = message(&lines.collect::<String>()).to_string();
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(body.as_bytes()).expect("memory");
        let request = world
            .post("/v1/messages")
            .header("content-encoding", "gzip");
        request.body(packer.finish().expect("memory")).send()
    };
    for (length, status) in [(1_000_000, 200), (3_500_000, 400), (1_000_000, 200)] {
        let answer = send(length).await.expect("an answer");
        assert_eq!(answer.status(), status, "{length}");
    }
    assert_eq!(world.rows(3).await[1]["code"], "undecodable");
    // While one of two megabytes waits for its answer, there is no room for another.
    world
        .provider
        .answers(|_| vec![Step::Wait(Duration::from_secs(2)), Step::Close]);
    let waiting = tokio::spawn(send(2_000_000));
    let until = Instant::now() + Duration::from_secs(10);
    while world.provider.received().len() < 3 {
        assert!(Instant::now() < until, "it was not sent on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(send(2_000_000).await.expect("an answer").status(), 503);
    assert_eq!(
        waiting.await.expect("no panic").expect("sent").status(),
        502
    );
}

#[tokio::test]
async fn an_alert_forwards_and_records() {
    let world = World::usual().await;
    let secret = planted(4);
    let body = message(&format!("key {secret}"));
    let answer = world
        .post("/v1/messages")
        .json(&body)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(world.provider.last().json(), body);
    let rows = world.rows(1).await;
    assert_eq!(rows[0]["decision"], "alerted");
    assert_eq!(rows[0]["findings"][0]["category"], "aws_access_key");
    let metrics = world
        .gateway
        .admin("/metrics")
        .await
        .text()
        .await
        .expect("text");
    assert!(
        metrics.contains("tollgate_findings_total{action=\"alert\",category=\"aws_access_key\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn the_gateways_own_provider_key_never_leaves_in_a_body() {
    let world = World::usual().await;
    let answer = world
        .message(crate::gateway::PROVIDER_KEY)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 400);
    assert_eq!(world.provider.connections(), 0);
}

#[tokio::test]
async fn the_shipped_rules_block_a_private_key_by_default() {
    let world = World::start(Wish {
        shipped_rules: true,
        ..Wish::default()
    })
    .await;
    let pem = expand("«{pem:RSA PRIVATE KEY}»", 1)
        .expect("a template")
        .text;
    let answer = world.message(&pem).send().await.expect("an answer");
    assert_eq!(
        answer.status(),
        400,
        "{}",
        answer.text().await.unwrap_or_default()
    );
}

#[tokio::test]
async fn a_secret_in_a_later_turn_of_a_clean_conversation_is_blocked() {
    let world = World::start(blocking()).await;
    let prose = |bytes: usize| "It is so, and then not. ".repeat(bytes / 24);
    let mut said = vec![prose(20_000), prose(6_000)];
    for (news, status) in [("so", 200), (planted(3).as_str(), 400), ("so", 200)] {
        said.push(format!("{}{news}", prose(6_000)));
        let turn = said
            .iter()
            .map(|text| json!({"role": "user", "content": text}));
        let turn: Vec<_> = turn.collect();
        let body = json!({"model": "claude-haiku-4-5", "max_tokens": 5, "messages": turn});
        let answer = world.post("/v1/messages").json(&body);
        let answer = answer.send().await.expect("an answer");
        assert_eq!(answer.status(), status);
        if status == 400 {
            let text = answer.text().await.expect("a body");
            assert!(text.contains("$.messages[3].content"), "{text}");
            said.pop();
        }
    }
}

/// A planted canary is in no log, metric, audit row, database file or error body.
#[tokio::test]
async fn a_canary_is_kept_nowhere() {
    let world = World::usual().await;
    let secret = planted(5);
    let mut bodies = String::new();
    for request in [
        world.message(&format!("a {secret}")),
        world
            .post("/v1/messages")
            .json(&json!({"model": secret, "max_tokens": 5, "messages": []})),
        world.message("hi").header("user-agent", &secret),
        world
            .post(&format!("/v1/messages?k={secret}"))
            .json(&message("hi")),
        world.post(&format!("/v1/{secret}")).json(&message("hi")),
        world
            .post("/v1/messages")
            .body(format!("{{\"model\": \"{secret}")),
        world
            .post("/v1/messages")
            .body(format!("{{\"{secret}\": 1, \"model\": 3}}")),
        world
            .client
            .post(world.gateway.url("/v1/messages"))
            .header("x-api-key", &secret)
            .body("{}"),
        world.message("hi").header("anthropic-beta", &secret),
    ] {
        let answer = request.send().await.expect("an answer");
        if answer.status() != 200 {
            bodies.push_str(&answer.text().await.expect("text"));
        }
    }
    world.rows(9).await;
    let metrics = world
        .gateway
        .admin("/metrics")
        .await
        .text()
        .await
        .expect("text");
    for (place, text) in [
        ("an error", &bodies),
        ("a metric", &metrics),
        ("the log", &world.gateway.log()),
    ] {
        assert!(!text.contains(&secret), "the canary is in {place}");
    }
    let needle = secret.as_bytes();
    for entry in walk(world.home.dir.path()) {
        let bytes = std::fs::read(&entry).expect("a file");
        assert!(
            !bytes.windows(needle.len()).any(|w| w == needle),
            "the canary is in {}",
            entry.display()
        );
    }
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn a_report_says_what_each_category_would_have_blocked() {
    let world = World::start(Wish::default()).await;
    for content in [
        planted(91),
        format!("{} {}", planted(92), planted(93)),
        "hi".to_owned(),
    ] {
        world.message(&content).send().await.expect("an answer");
    }
    let pem = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----";
    world.message(pem).send().await.expect("an answer");
    world.rows(4).await;
    let report = |more: &[&str]| {
        let asked = [&["rules", "report", "--since", "7d", "--json"][..], more].concat();
        let told = world.home.run(&asked);
        let lines = told
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        lines.collect::<Vec<serde_json::Value>>()
    };
    let told = report(&[]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        told[0],
        json!({"category": "aws_access_key", "team": "payments", "requests": 2, "all_requests": 4, "users": 0,
            "findings": 3, "alert": 2, "redact": 0, "block": 0, "would_block": 2})
    );
    assert_eq!(
        (
            &told[1]["category"],
            &told[1]["block"],
            &told[1]["would_block"]
        ),
        (&json!("private_key"), &json!(1), &json!(0))
    );
    assert_eq!(report(&["--category", "private_key"]).len(), 1);
    assert!(report(&["--team", "search"]).is_empty());
    let shown = world.home.run(&["rules", "report"]);
    assert!(
        shown.contains("WOULD BLOCK") && shown.contains("50.0 %"),
        "{shown}"
    );
}
