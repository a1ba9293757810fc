//! Several gateways, one cap: what a fleet spends together, with a real Redis beside it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::gateway::{Gateway, Home, USUAL_TEAM, Wish, message};
use crate::provider::{Provider, json as answer_json};
use crate::redis::Redis;

/// A node with a directory of its own and a key.
struct Node {
    home: Home,
    gateway: Gateway,
    key: String,
}

impl Node {
    /// A node of a team that may spend so much in all; `terms` are added to its budget.
    fn start(provider: &Provider, redis: &Redis, limit: &str, terms: &str) -> Self {
        Self::under(Self::home(provider, redis, limit, terms))
    }

    fn home(provider: &Provider, redis: &Redis, limit: &str, terms: &str) -> Home {
        let budget = format!("[[team.budget]]\nwindow = \"total\"\nlimit = \"{limit}\"\n{terms}\n");
        let wish = Wish {
            settings: redis.settings(),
            teams: format!("{USUAL_TEAM}{budget}"),
            ..Wish::default()
        };
        Home::new(provider, &wish)
    }

    fn under(home: Home) -> Self {
        home.apply();
        let key = home.create_key("payments");
        let gateway = home.serve();
        Self { home, gateway, key }
    }

    async fn status(&self, client: &reqwest::Client) -> u16 {
        let request = client.post(self.gateway.url("/v1/messages"));
        let request = request.header("x-api-key", &self.key).json(&message("hi"));
        let answer = request.send().await;
        answer.map_or(0, |answer| answer.status().as_u16())
    }

    /// Asks as the vendors' SDKs do: twice again when told that another try makes sense.
    async fn ask(&self, client: &reqwest::Client) -> u16 {
        for _ in 0..2 {
            let status = self.status(client).await;
            if status != 503 {
                return status;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.status(client).await
    }

    /// One gauge or counter by its name and labels; 0 where there is none.
    async fn metric(&self, name: &str) -> u64 {
        let text = self.gateway.admin("/metrics").await.text().await;
        let text = text.expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |value| value.trim().parse().expect("a number"))
    }

    async fn metric_becomes(&self, name: &str, holds: impl Fn(u64) -> bool) -> u64 {
        let late = Instant::now() + Duration::from_secs(20);
        loop {
            let value = self.metric(name).await;
            if holds(value) {
                return value;
            }
            assert!(Instant::now() < late, "{name} stays {value}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn readiness(&self) -> (u16, String) {
        let answer = self.gateway.admin("/readyz").await;
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }
}

fn leased(kind: &str) -> String {
    format!("tollgate_lease_nanousd{{kind=\"{kind}\"}}")
}

fn fleet(kind: &str) -> String {
    format!("tollgate_fleet{{kind=\"{kind}\"}}")
}

/// What one `message("hi")` costs: 100 tokens in at $1 and 20 out at $10, by the million.
const COST: u64 = 300_000;

/// What it costs where the provider bills the worst case: a token for each byte and 64 around them, and all that was asked for.
fn worst_case(body: usize) -> u64 {
    (body as u64 + 64) * 1000 + 100 * 10_000
}

/// Lets this process and its children have as many files as they may: 3,000 requests at once are as many sockets, twice.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum.map(|most| most.min(20_000)).or(Some(20_000)),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("below the hard limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_gateways_spend_one_cap_and_no_more() {
    raise_file_limit();
    let (provider, redis) = (Provider::start().await, Redis::start());
    provider.answers(|request| {
        let usage = json!({"input_tokens": request.body.len() + 64, "output_tokens": 100});
        answer_json(
            200,
            &json!({"type": "message", "content": [], "usage": usage}),
        )
    });
    // The cap is what 2,000 of the 3,000 cost.
    let cost = worst_case(message("hi").to_string().len());
    let cap = 2000 * cost;
    let limit = format!("{}.{:09}", cap / 1_000_000_000, cap % 1_000_000_000);
    let nodes: Vec<_> = (0..3)
        .map(|_| Node::start(&provider, &redis, &limit, ""))
        .collect();
    let client = reqwest::Client::new();
    let requests = (0..3000).map(|number| nodes[number % 3].ask(&client));
    let statuses = futures::future::join_all(requests).await;
    let served = statuses.iter().filter(|status| **status == 200).count() as u64;
    let refused = statuses.iter().filter(|status| **status == 402).count() as u64;
    let billed: u64 = provider
        .received()
        .iter()
        .map(|request| worst_case(request.body.len()))
        .sum();
    println!("{served} served, {refused} refused: {billed} of {cap} nano-dollars");
    assert_eq!(billed, served * cost);
    assert!(billed <= cap, "{billed} of {cap} nano-dollars");
    assert!(
        billed >= cap / 100 * 98,
        "{billed} of {cap}: too much was left"
    );
    tell_thresholds_once(&nodes).await;
}

/// Over all nodes, each threshold is told by one, and has one row.
async fn tell_thresholds_once(nodes: &[Node]) {
    let sum = async |percent: u8| {
        let name = format!(
            "tollgate_budget_events_total{{event=\"threshold\",percent=\"{percent}\",scope=\"team\"}}"
        );
        let mut sum = 0;
        for node in nodes {
            sum += node.metric(&name).await;
        }
        sum
    };
    let late = Instant::now() + Duration::from_secs(20);
    while sum(50).await + sum(80).await < 2 {
        assert!(Instant::now() < late, "a threshold was not told");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Reports go on for a while: nobody must tell it again.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((sum(50).await, sum(80).await), (1, 1));
    let rows = nodes.iter().map(|node| {
        let text = node.home.run(&["audit", "export", "--format", "ndjson"]);
        text.matches("\"50% reached").count()
    });
    assert_eq!(rows.sum::<usize>(), 1);
}

#[tokio::test]
async fn a_fleet_without_its_redis_spends_what_it_was_lent_and_the_grace() {
    let (provider, redis) = (Provider::start().await, Redis::start());
    let node = Node::start(&provider, &redis, "1.00", "");
    let client = reqwest::Client::new();
    assert_eq!(node.status(&client).await, 200, "with its Redis");
    drop(redis);
    let mut served = 0;
    for _ in 0..100 {
        match node.ask(&client).await {
            200 => served += 1,
            status => assert_eq!(status, 503, "the cap is not reached"),
        }
        if served == 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Five fit the two hundredths of the cap that may be spent without it.
    assert_eq!(served, 5, "without its Redis");
}

/// Waits until Redis holds the budget to a cap of so many micro-dollars.
async fn cap_becomes(redis: &Redis, cap: &str) {
    let late = Instant::now() + Duration::from_secs(10);
    loop {
        let told = redis.cli(&["HGET", "tollgate:{team/payments/total}:0", "cap"]);
        if told.trim() == cap {
            return;
        }
        assert!(Instant::now() < late, "the cap stays {told}, not {cap}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn grants_at_several_nodes_add_up_and_a_restart_makes_no_old_limit_new() {
    let (provider, redis) = (Provider::start().await, Redis::start());
    let budget = "team/payments/total";
    let [one, mut two] = [(); 2].map(|()| Node::start(&provider, &redis, "1.00", ""));
    two.home.run(&["budget", "grant", budget, "0.01"]);
    cap_becomes(&redis, "1010000").await;
    one.home.run(&["budget", "grant", budget, "0.02"]);
    one.home.run(&["budget", "adjust", budget, "+0.20"]);
    cap_becomes(&redis, "830000").await;
    let told = one.gateway.admin("/budgets").await.text().await;
    let told = told.expect("text");
    assert!(told.contains(r#""limit":"1.03""#), "{told}");
    assert!(told.contains(r#""spent":"0.20""#), "{told}");
    two.gateway.kill();
    two.gateway.wait(Duration::from_secs(5));
    let text = std::fs::read_to_string(one.home.path("directory.toml")).expect("it is there");
    one.home
        .write("directory.toml", &text.replace("\"1.00\"", "\"0.50\""));
    one.home.apply();
    cap_becomes(&redis, "330000").await;
    // The directory of the other node says 1.00 still.
    let gateway = two.home.serve();
    tokio::time::sleep(Duration::from_secs(1)).await;
    cap_becomes(&redis, "330000").await;
    drop(gateway);
}

#[tokio::test]
async fn a_redis_that_cannot_be_used_is_told_of_once_and_is_no_budgets_doing() {
    let (provider, redis) = (Provider::start().await, Redis::start());
    let home = Node::home(&provider, &redis, "1.00", "on_store_loss = \"deny\"");
    redis.cli(&["CONFIG", "SET", "requirepass", "opensesame"]);
    let node = Node::under(home);
    let client = reqwest::Client::new();
    assert_eq!(node.status(&client).await, 503);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(node.status(&client).await, 503);
    let log = node.gateway.log();
    assert_eq!(log.matches("the lease store is away").count(), 1, "{log}");
    assert!(log.contains("NOAUTH"), "{log}");
    assert!(!log.contains("refused its first request"), "{log}");
    let metrics = node.gateway.admin("/metrics").await.text().await;
    let metrics = metrics.expect("text");
    assert!(!metrics.contains("silence_seconds"), "{metrics}");
    assert!(!metrics.contains("event=\"refused\""), "{metrics}");
    redis.cli(&["-a", "opensesame", "CONFIG", "SET", "requirepass", ""]);
    let late = Instant::now() + Duration::from_secs(10);
    while !node.gateway.log().contains("the lease store is back") {
        assert!(Instant::now() < late, "{}", node.gateway.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_node_that_listens_serves_its_first_request() {
    let (provider, redis) = (Provider::start().await, Redis::start());
    // A Redis that has just started lends nothing for three seconds: the start waits for it.
    let nodes: Vec<_> = (0..2)
        .map(|_| Node::start(&provider, &redis, "1.00", "on_store_loss = \"deny\""))
        .collect();
    let client = reqwest::Client::new();
    for node in &nodes {
        assert_eq!(node.status(&client).await, 200);
        assert_eq!(node.readiness().await.0, 200);
        assert_eq!(node.metric(&fleet("refused")).await, 0);
    }
}

#[tokio::test]
async fn a_node_whose_redis_is_away_starts_and_does_what_its_setting_says() {
    let (provider, redis) = (Provider::start().await, Redis::start());
    let home = Node::home(&provider, &redis, "1.00", "on_store_loss = \"deny\"");
    drop(redis);
    let node = Node::under(home);
    assert_eq!(node.readiness().await.0, 200);
    let client = reqwest::Client::new();
    assert_eq!(node.status(&client).await, 503, "and not a 402");
    assert!(provider.received().is_empty());
}

#[tokio::test]
async fn leases_come_over_tls_and_not_from_a_server_that_nobody_vouches_for() {
    let (provider, redis) = (Provider::start().await, Redis::tls());
    let client = reqwest::Client::new();
    let terms = "on_store_loss = \"deny\"";
    let stranger = Node::start(&provider, &redis, "1.00", terms);
    assert_eq!(stranger.status(&client).await, 503);
    assert!(stranger.metric(&fleet("failed")).await > 0);
    let mut home = Node::home(&provider, &redis, "1.00", terms);
    let authority = redis.dir.path().join("ca.pem");
    let authority = authority.to_str().expect("UTF-8").to_owned();
    home.env.push(("SSL_CERT_FILE".to_owned(), authority));
    let node = Node::under(home);
    assert_eq!(node.status(&client).await, 200);
    assert!(node.metric(&leased("leased")).await > 0);
}

#[tokio::test]
async fn leases_come_from_a_cluster_and_readiness_waits_for_them() {
    let (provider, redis) = (Provider::start().await, Redis::cluster());
    let node = Node::start(&provider, &redis, "1.00", "on_store_loss = \"deny\"");
    // A cluster lends nothing of a key that it does not know for ten seconds.
    let (status, reasons) = node.readiness().await;
    assert_eq!(status, 503);
    assert!(reasons.contains("first leases"), "{reasons}");
    let client = reqwest::Client::new();
    assert_eq!(node.status(&client).await, 503, "and not a 402");
    node.metric_becomes(&leased("leased"), |leased| leased > 0)
        .await;
    let late = Instant::now() + Duration::from_secs(5);
    while node.readiness().await.0 != 200 {
        assert!(Instant::now() < late, "{:?}", node.readiness().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(node.status(&client).await, 200);
}

#[tokio::test]
async fn leases_come_from_a_server_that_sentinels_name() {
    let (provider, redis) = (Provider::start().await, Redis::sentinel());
    let node = Node::start(&provider, &redis, "1.00", "on_store_loss = \"deny\"");
    assert_eq!(node.ask(&reqwest::Client::new()).await, 200);
    assert!(node.metric(&leased("leased")).await > 0);
}

#[tokio::test]
async fn the_fleets_metrics_move() {
    let (provider, redis) = (Provider::start().await, Redis::start());
    let mut dead = Node::start(&provider, &redis, "1.00", "");
    assert!(dead.metric(&leased("leased")).await > 0);
    dead.gateway.kill();
    let node = Node::start(&provider, &redis, "1.00", "");
    let client = reqwest::Client::new();
    assert_eq!(node.status(&client).await, 200);
    node.metric_becomes(&leased("spent"), |spent| spent == COST)
        .await;
    let trips = node.metric(&fleet("round_trips")).await;
    node.metric_becomes(&fleet("round_trips"), |now| now > trips)
        .await;
    assert_eq!(node.metric(&leased("suspended")).await, 0);
    silence_the_dead(&redis);
    node.metric_becomes(&leased("suspended"), |held| held > 0)
        .await;
    let body = json!({"model": "claude-haiku-4-5", "max_tokens": 1_000_000, "messages": []});
    let costly = client.post(node.gateway.url("/v1/messages"));
    let costly = costly
        .header("x-api-key", &node.key)
        .json(&body)
        .send()
        .await;
    assert_eq!(costly.expect("an answer").status(), 402);
    assert!(node.metric(&fleet("refused")).await > 0);
    assert!(node.metric(&fleet("silence_seconds")).await < 3);
    drop(redis);
    node.metric_becomes(&fleet("silence_seconds"), |silent| silent >= 2)
        .await;
    node.metric_becomes(&fleet("failed"), |failed| failed > 0)
        .await;
    node.metric_becomes(&fleet("away"), |away| away == 1).await;
}

/// Makes the first lease in the budget's hash as if it had been silent for long. The living one shows itself again.
fn silence_the_dead(redis: &Redis) {
    let key = "tollgate:{team/payments/total}:0";
    let fields = redis.cli(&["HKEYS", key]);
    for field in fields.lines().filter(|field| field.starts_with("x:")) {
        redis.cli(&["HSET", key, field, "1"]);
    }
}
