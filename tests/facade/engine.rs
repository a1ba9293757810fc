// Starts the ClickHouse engine that the tests ask: shared by the unit tests of the sink and by those of the program.
// `CLICKHOUSE_URL` names a server instead (plain HTTP, its database `tollgate` is dropped), `CHDB_PYTHON` a Python with
// chdb-core; without any of them and without `.venv` there is no engine, which `REQUIRE_CHDB=1` makes a failure.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// An engine of its own for one test; ended with it.
pub struct Engine {
    pub url: String,
    process: Option<Child>,
    _data: tempfile::TempDir,
}

/// A Python with `chdb-core`: named by the environment, or where `setup` puts it.
fn python() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHDB_PYTHON") {
        return Some(named.into());
    }
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    usual.exists().then_some(usual)
}

impl Engine {
    /// `None`, said aloud, where there is no engine.
    pub fn start() -> Option<Self> {
        let data = tempfile::tempdir().expect("a temporary directory");
        if let Ok(url) = std::env::var("CLICKHOUSE_URL") {
            let engine = Self {
                url,
                process: None,
                _data: data,
            };
            engine.ask("DROP DATABASE IF EXISTS tollgate");
            return Some(engine);
        }
        let Some(python) = python() else {
            assert!(
                std::env::var_os("REQUIRE_CHDB").is_none(),
                "chdb-core is not installed"
            );
            let told =
                "SKIPPED: no ClickHouse engine; ./setup installs chdb-core, or set CLICKHOUSE_URL";
            writeln!(std::io::stderr(), "{told}").expect("standard error");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/facade/chdb_http.py");
        let mut process = Command::new(python)
            .arg(script)
            .arg("--path")
            .arg(data.path().join("chdb"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the engine starts");
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().expect("piped"));
        output.read_line(&mut line).expect("a line of the engine");
        let port = line.split(' ').nth(1).expect("the engine's port");
        Some(Self {
            url: format!("http://127.0.0.1:{port}"),
            process: Some(process),
            _data: data,
        })
    }

    /// Whether faults can be asked for: a real server has none.
    pub fn is_facade(&self) -> bool {
        self.process.is_some()
    }

    /// Runs a statement and returns its result as tab-separated text.
    pub fn ask(&self, sql: &str) -> String {
        let (status, body) = self.post("/", sql);
        assert!(status.contains(" 200"), "{sql}: {status} {body}");
        body
    }

    /// Lets something go wrong; false where only a facade can: a real server gets no faults.
    pub fn fault(&self, json: &str) -> bool {
        if !self.is_facade() {
            return false;
        }
        let (status, _) = self.post("/_fault", json);
        assert!(status.contains(" 200"), "{status}");
        true
    }

    /// The status line and the body of an answer.
    fn post(&self, path: &str, body: &str) -> (String, String) {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).expect("the engine listens");
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
        stream
            .write_all([head.as_bytes(), body.as_bytes()].concat().as_slice())
            .expect("the engine reads");
        let mut reader = BufReader::new(stream);
        let (mut status, mut length) = (String::new(), 0);
        reader.read_line(&mut status).expect("an answer");
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a header");
            let line = line.trim().to_ascii_lowercase();
            if let Some(number) = line.strip_prefix("content-length:") {
                length = number.trim().parse().expect("a length");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).expect("the whole answer");
        (status, String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _killed = process.kill();
            let _ended = process.wait();
        }
    }
}
