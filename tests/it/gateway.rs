//! Starts the real program, as an operator would, in front of a scripted provider.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::provider::Provider;

/// The provider's key in every test: it must never be seen by a caller.
pub const PROVIDER_KEY: &str = "provider-key-of-the-tests";

/// Prices that make sums easy: a dollar per million input tokens, ten per million output tokens.
pub const PRICES: &str = include_str!("prices.toml");

/// A directory of its own with the configuration, not yet running.
pub struct Home {
    pub dir: tempfile::TempDir,
    /// More of the environment of every command.
    pub env: Vec<(String, String)>,
}

/// What a test wants to be different.
#[derive(Clone, Default)]
pub struct Wish {
    /// Appended to tollgate.toml.
    pub settings: String,
    /// Added to `[limits]`.
    pub limits: String,
    /// Added to both providers.
    pub provider: String,
    /// Added to `[scan]`.
    pub scan: String,
    /// Added to `[scan.actions]`.
    pub actions: String,
    /// The teams of directory.toml; the usual one when empty.
    pub teams: String,
    /// The rules that are shipped, instead of a few that compile at once.
    pub shipped_rules: bool,
    /// More addresses of both providers, before the scripted one.
    pub addresses: Vec<String>,
}

pub const USUAL_TEAM: &str = "[[team]]\nname = \"payments\"\n";

impl Home {
    pub fn new(provider: &Provider, wish: &Wish) -> Self {
        let home = Self {
            dir: tempfile::tempdir().expect("a temporary directory"),
            env: Vec::new(),
        };
        let mut addresses = wish.addresses.clone();
        addresses.push(provider.url());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let rules = if wish.shipped_rules {
            "conf/rules/*.toml"
        } else {
            "tests/it/rules.toml"
        };
        let settings = format!(
            r#"
[listen]
data = "127.0.0.1:0"
admin = "127.0.0.1:0"
h2c = true
[state]
dir = "state"
[limits]
{limits}
[provider.anthropic]
dialect = "anthropic"
addresses = {addresses:?}
credential = "env:PROVIDER_KEY"
{provider}
[provider.openai]
dialect = "openai"
addresses = {addresses:?}
credential = "env:PROVIDER_KEY"
{provider}
[prices]
file = "prices.toml"
[scan]
rules = ["{rules}"]
{scan}
[scan.actions]
private_key = "block"
known_value = "block"
{actions}
{more}
"#,
            limits = wish.limits,
            provider = wish.provider,
            rules = root.join(rules).display(),
            scan = wish.scan,
            actions = wish.actions,
            more = wish.settings,
        );
        home.write("tollgate.toml", &settings);
        home.write("prices.toml", PRICES);
        let teams = if wish.teams.is_empty() {
            USUAL_TEAM
        } else {
            &wish.teams
        };
        home.write(
            "directory.toml",
            &format!("organisation = \"acme\"\n{teams}"),
        );
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file of the test");
    }

    /// Runs a subcommand to its end.
    pub fn tollgate(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("tollgate runs")
    }

    /// Runs a subcommand that must succeed; gives what it printed.
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.tollgate(args);
        assert!(
            output.status.success(),
            "tollgate {args:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    pub fn apply(&self) -> String {
        let file = self.path("directory.toml");
        self.run(&["apply", file.to_str().expect("UTF-8")])
    }

    pub fn create_key(&self, team: &str) -> String {
        let text = self.run(&["key", "create", "--team", team, "--json"]);
        let created: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        created["key"].as_str().expect("the key").to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("TOLLGATE_CONFIG", self.path("tollgate.toml"))
            .env("PROVIDER_KEY", PROVIDER_KEY)
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Starts `tollgate serve` and waits until it listens.
    pub fn serve(&self) -> Gateway {
        serve_by(self.command(&["serve"]))
    }

    /// The same, with every line that the program and its libraries can log.
    pub fn serve_telling_all(&self) -> Gateway {
        let mut serve = self.command(&["serve"]);
        serve.env("TOLLGATE_LOG", "trace");
        serve_by(serve)
    }

    /// The same, with files of at most so many KiB, as if the disk were full then; [`Gateway::unlimited`] ends that.
    pub fn serve_limited(&self, kib: u32) -> Gateway {
        // A write past the limit is an error then, and not the end of the process.
        self.serve_after(&format!("trap '' XFSZ; ulimit -S -f {kib}"))
    }

    /// The same, with leave to open few files, and to ask for more.
    pub fn serve_with_few_files(&self) -> Gateway {
        self.serve_after("ulimit -S -n 256")
    }

    /// The same, from a shell that has run this.
    fn serve_after(&self, first: &str) -> Gateway {
        let serve = self.command(&["serve"]);
        let mut limited = Command::new("bash");
        let script = format!("{first}; exec \"$0\" serve");
        limited.args(["-c", &script]).arg(serve.get_program());
        for (name, value) in serve.get_envs() {
            limited.env(name, value.expect("set"));
        }
        limited.current_dir(self.dir.path()).stdin(Stdio::null());
        serve_by(limited)
    }
}

/// Waits until the program listens.
fn serve_by(mut command: Command) -> Gateway {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tollgate serve starts");
    let log = Arc::new(Mutex::new(String::new()));
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let stderr = child.stderr.take().expect("piped");
    let kept = log.clone();
    std::thread::spawn(move || collect(stderr, &kept));
    let first = lines.next().and_then(Result::ok).unwrap_or_else(|| {
        std::thread::sleep(Duration::from_millis(100));
        panic!(
            "tollgate serve did not start: {}",
            log.lock().expect("not poisoned")
        )
    });
    let listening: serde_json::Value = serde_json::from_str(&first).expect("a line of JSON");
    Gateway {
        child,
        data: listening["data"].as_str().expect("an address").to_owned(),
        admin: listening["admin"].as_str().expect("an address").to_owned(),
        log,
    }
}

fn collect(mut from: impl Read, into: &Mutex<String>) {
    let mut piece = [0; 4096];
    while let Ok(n) = from.read(&mut piece) {
        if n == 0 {
            return;
        }
        into.lock()
            .expect("not poisoned")
            .push_str(&String::from_utf8_lossy(&piece[..n]));
    }
}

/// A running gateway; killed when dropped.
pub struct Gateway {
    child: Child,
    pub data: String,
    pub admin: String,
    pub log: Arc<Mutex<String>>,
}

impl Gateway {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.data)
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "kill -{name}");
    }

    /// Takes the limit of [`Home::serve_limited`] away.
    pub fn unlimited(&self) {
        let status = Command::new("prlimit")
            .args(["--fsize=unlimited:", "--pid", &self.child.id().to_string()])
            .status()
            .expect("prlimit runs");
        assert!(status.success(), "prlimit");
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self, most: Duration) -> Option<std::process::ExitStatus> {
        let until = Instant::now() + most;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().expect("the child is ours");
        self.child.wait().expect("the child is ours");
    }

    pub fn log(&self) -> String {
        self.log.lock().expect("not poisoned").clone()
    }

    pub async fn admin(&self, path: &str) -> reqwest::Response {
        reqwest::get(format!("http://{}{path}", self.admin))
            .await
            .expect("the admin listener answers")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            self.kill();
        }
    }
}

/// A provider, a gateway in front of it, and a key of the team `payments`.
pub struct World {
    pub provider: Provider,
    pub home: Home,
    pub gateway: Gateway,
    pub key: String,
    pub client: reqwest::Client,
}

impl World {
    pub async fn start(wish: Wish) -> Self {
        Self::with(wish, Home::serve).await
    }

    /// The same, with a gateway that the test starts.
    pub async fn with(wish: Wish, serve: impl FnOnce(&Home) -> Gateway) -> Self {
        let provider = Provider::start().await;
        let home = Home::new(&provider, &wish);
        home.apply();
        let key = home.create_key("payments");
        let gateway = serve(&home);
        Self {
            provider,
            home,
            gateway,
            key,
            client: reqwest::Client::new(),
        }
    }

    pub async fn usual() -> Self {
        Self::start(Wish::default()).await
    }

    /// A POST with the key.
    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client
            .post(self.gateway.url(path))
            .header("x-api-key", &self.key)
            .header("content-type", "application/json")
    }

    /// A small message to the Anthropic dialect.
    pub fn message(&self, content: &str) -> reqwest::RequestBuilder {
        self.post("/v1/messages").json(&message(content))
    }

    /// The status of one message's answer.
    pub async fn status(&self, content: &str) -> u16 {
        let answer = self.message(content).send().await.expect("an answer");
        answer.status().as_u16()
    }

    /// How the budgets stand.
    pub async fn budgets(&self) -> serde_json::Value {
        let answer = self.gateway.admin("/budgets").await;
        answer.json().await.expect("JSON")
    }

    /// The metrics, once they contain this.
    pub async fn metrics_with(&self, line: &str) -> String {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let answer = self.gateway.admin("/metrics").await;
            let metrics = answer.text().await.expect("text");
            if metrics.contains(line) {
                return metrics;
            }
            assert!(Instant::now() < until, "no {line} in: {metrics}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The budgets as the gateway shows them, once there are so many.
    pub async fn budgets_become(&self, count: usize) -> Vec<serde_json::Value> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let answer = self.gateway.admin("/budgets").await;
            let budgets: Vec<serde_json::Value> = answer.json().await.expect("JSON");
            if budgets.len() == count {
                return budgets;
            }
            assert!(Instant::now() < until, "{budgets:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The audit's rows, oldest first, once there are so many.
    pub async fn rows(&self, count: usize) -> Vec<serde_json::Value> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let rows = self.rows_now();
            if rows.len() >= count || Instant::now() > until {
                assert_eq!(rows.len(), count, "rows of the audit: {rows:#?}");
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The ids of the requests in the audit, once it has so many rows of them. Leaner than `rows`, for those of an hour.
    pub async fn requests(&self, count: usize) -> Vec<String> {
        #[derive(serde::Deserialize)]
        struct Row {
            kind: String,
            request: String,
        }
        let mut ids = Vec::new();
        for _ in 0..60 {
            let text = self.home.run(&["audit", "export", "--format", "ndjson"]);
            let rows = text.lines().map(|line| {
                let row: Row = serde_json::from_str(line).expect("a row is JSON");
                row
            });
            ids = rows
                .filter(|row| row.kind == "request")
                .map(|row| row.request)
                .collect();
            if ids.len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(ids.len(), count, "rows of the audit");
        ids
    }

    /// The audit's rows of this action, oldest first.
    pub fn actions(&self, what: &str) -> Vec<serde_json::Value> {
        let text = self.home.run(&["audit", "export", "--format", "ndjson"]);
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a row is JSON"))
            .filter(|row: &serde_json::Value| row["action"] == what)
            .collect()
    }

    /// One metric's line, without its value's fraction.
    pub async fn metric(&self, name: &str) -> Option<u64> {
        let answer = self.gateway.admin("/metrics").await;
        let text = answer.text().await.expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().parse().expect("a whole number"))
    }

    /// Waits until something holds.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        let until = Instant::now() + Duration::from_mins(1);
        while !holds().await {
            assert!(Instant::now() < until, "{what}\n{}", self.gateway.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends small messages, so many at once, and gives the answers' statuses.
    pub async fn messages(&self, count: usize) -> Vec<u16> {
        let sent = (0..count).map(|number| {
            let request = self.message(&format!("message {number}"));
            async move { request.send().await.expect("an answer").status().as_u16() }
        });
        futures::future::join_all(sent).await
    }

    pub fn rows_now(&self) -> Vec<serde_json::Value> {
        let text = self.home.run(&["audit", "export", "--format", "ndjson"]);
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a row is JSON"))
            .filter(|row: &serde_json::Value| row["kind"] == "request")
            .collect()
    }
}

/// A secret that looks live and was made up this moment: the same for the same seed.
pub fn planted(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let letters = (0..16).map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let index = usize::try_from(state >> 59).expect("five bits");
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[index])
    });
    format!("AKIA{}", letters.collect::<String>())
}

/// The body of a small Anthropic request.
pub fn message(content: &str) -> serde_json::Value {
    serde_json::json!({"model": "claude-haiku-4-5", "max_tokens": 100,
        "messages": [{"role": "user", "content": content}]})
}
