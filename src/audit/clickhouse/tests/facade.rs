//! Starts the engine that the tests ask.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::audit::clickhouse::{Server, migrate};

/// An engine of its own for one test; ended with it.
pub struct Facade {
    url: String,
    process: Option<Child>,
    _data: TempDir,
}

/// A Python with `chdb-core`: named by the environment, or where `setup` puts it.
fn python() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHDB_PYTHON") {
        return Some(named.into());
    }
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    usual.exists().then_some(usual)
}

impl Facade {
    /// `None`, said aloud, where there is no engine.
    pub fn start() -> Option<Self> {
        let data = tempfile::tempdir().unwrap();
        if let Ok(url) = std::env::var("CLICKHOUSE_URL") {
            let facade = Self {
                url,
                process: None,
                _data: data,
            };
            facade.ask("DROP DATABASE IF EXISTS tollgate");
            return Some(facade);
        }
        let Some(python) = python() else {
            assert!(
                std::env::var_os("REQUIRE_CHDB").is_none(),
                "chdb-core is not installed"
            );
            println!(
                "SKIPPED: no ClickHouse engine; ./setup installs chdb-core, or set CLICKHOUSE_URL"
            );
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
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let port = line.split(' ').nth(1).unwrap();
        Some(Self {
            url: format!("http://127.0.0.1:{port}"),
            process: Some(process),
            _data: data,
        })
    }

    pub fn server(&self) -> Server {
        Self::server_at(self.url.clone())
    }

    /// An engine that another process has started.
    pub fn server_at(url: String) -> Server {
        Server {
            url,
            database: "tollgate".to_owned(),
            user: "default".to_owned(),
            password: None,
        }
    }

    pub fn migrate(&self) -> Vec<&'static str> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(migrate(&self.server())).unwrap()
    }

    /// Runs a statement.
    pub fn ask(&self, sql: &str) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = self.server().client();
        let answer = runtime.block_on(async {
            if sql.starts_with("SELECT") {
                client
                    .query_raw(sql)
                    .fetch_bytes("TabSeparated")?
                    .collect()
                    .await
            } else {
                client
                    .query_raw(sql)
                    .execute()
                    .await
                    .map(|()| Vec::new().into())
            }
        });
        String::from_utf8(answer.unwrap().to_vec()).unwrap()
    }

    /// Lets something go wrong; false where only a facade can: a real server gets no faults.
    pub fn fault(&self, json: &str) -> bool {
        if self.process.is_none() {
            return false;
        }
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "POST /_fault HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{json}",
            json.len()
        )
        .unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(line.contains("200"), "{line}");
        true
    }
}

impl Drop for Facade {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _killed = process.kill();
            let _ended = process.wait();
        }
    }
}
