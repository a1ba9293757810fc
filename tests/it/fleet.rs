//! Several gateways, one cap: what a fleet spends together, with a real Redis beside it.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::gateway::{Gateway, Home, USUAL_TEAM, Wish, message};
use crate::provider::Provider;

/// A Redis of this test's own; ended when dropped.
struct Redis {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Redis {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed by ./setup");
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            child,
            port,
            _dir: dir,
        }
    }

    fn settings(&self) -> String {
        format!("[redis]\nurl = \"redis://127.0.0.1:{}\"\n", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It is ours; one that has ended already needs nothing more.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A node with a directory of its own and a key.
fn node(provider: &Provider, redis: &Redis, limit: &str) -> (Home, Gateway, String) {
    let wish = Wish {
        settings: redis.settings(),
        teams: format!("{USUAL_TEAM}[[team.budget]]\nwindow = \"total\"\nlimit = \"{limit}\"\n"),
        ..Wish::default()
    };
    let home = Home::new(provider, &wish);
    home.apply();
    let key = home.create_key("payments");
    let gateway = home.serve();
    (home, gateway, key)
}

/// Asks as the vendors' SDKs do: again when told that another try makes sense.
async fn ask(client: &reqwest::Client, gateway: &Gateway, key: &str) -> u16 {
    for _ in 0..5 {
        let request = client.post(gateway.url("/v1/messages"));
        let request = request.header("x-api-key", key).json(&message("hi"));
        let status = request
            .send()
            .await
            .map_or(0, |answer| answer.status().as_u16());
        if status != 503 {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    503
}

/// What one `message("hi")` costs: 100 tokens in at $1 and 20 out at $10, by the million.
const COST: u64 = 300_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_gateways_spend_one_cap_and_no_more() {
    let (provider, redis) = (Provider::start().await, Redis::start());
    // 3,000 requests would cost $0.90; the cap allows two thirds.
    let limit = 600_000_000;
    let nodes: Vec<_> = (0..3).map(|_| node(&provider, &redis, "0.60")).collect();
    let client = reqwest::Client::new();
    let mut served = 0;
    for _ in 0..30 {
        let requests = (0..100).map(|number| {
            let (_, gateway, key) = &nodes[number % 3];
            ask(&client, gateway, key)
        });
        let statuses = futures::future::join_all(requests).await;
        served += statuses.iter().filter(|status| **status == 200).count() as u64;
    }
    let billed = provider.received().len() as u64 * COST;
    assert_eq!(billed, served * COST);
    assert!(billed <= limit, "{billed} of {limit} nano-dollars");
    assert!(
        billed >= limit / 100 * 98,
        "{billed} of {limit} nano-dollars: too much was left"
    );
}

#[tokio::test]
async fn a_fleet_without_its_redis_spends_what_it_was_lent_and_the_grace() {
    let (provider, redis) = (Provider::start().await, Redis::start());
    let (_home, gateway, key) = node(&provider, &redis, "1.00");
    let client = reqwest::Client::new();
    // A Redis that has just started lends nothing for some seconds: an earlier one may have lent before it.
    let mut first = 503;
    for _ in 0..5 {
        first = ask(&client, &gateway, &key).await;
        if first != 503 {
            break;
        }
    }
    assert_eq!(first, 200, "with its Redis");
    drop(redis);
    let mut served = 0;
    for _ in 0..100 {
        match ask(&client, &gateway, &key).await {
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
    let metrics = gateway.admin("/metrics").await.text().await.expect("text");
    assert!(
        metrics.contains("tollgate_lease_nanousd{kind=\"leased\"}"),
        "{metrics}"
    );
}
