//! A redis-server of our own: on a free port, in a temporary directory, ended with the test.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Server {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
    arguments: Vec<String>,
}

impl Server {
    /// Starts one that keeps nothing on disk.
    pub fn start() -> Self {
        Self::with(&["--save", "", "--appendonly", "no"])
    }

    /// Starts one that logs every write, and syncs once a second.
    pub fn durable() -> Self {
        Self::with(&[
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
        ])
    }

    /// Starts a cluster of one server that has all slots.
    pub fn cluster() -> Self {
        let bus = free_port().to_string();
        let server = Self::with(&[
            "--save",
            "",
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus,
        ]);
        let mut admin = server.connect();
        redis::cmd("CLUSTER")
            .arg(&["ADDSLOTSRANGE", "0", "16383"])
            .exec(&mut admin)
            .unwrap();
        until("the cluster is up", || {
            let info: String = redis::cmd("CLUSTER").arg("INFO").query(&mut admin).unwrap();
            info.contains("cluster_state:ok")
        });
        server
    }

    /// Starts a replica, and waits until it has everything.
    pub fn replica_of(master: &Self) -> Self {
        let of = master.port.to_string();
        let server = Self::with(&["--save", "", "--replicaof", "127.0.0.1", &of]);
        let mut admin = server.connect();
        until("the replica is in step", || {
            let info: String = redis::cmd("INFO")
                .arg("replication")
                .query(&mut admin)
                .unwrap();
            info.contains("master_link_status:up")
        });
        server
    }

    /// Starts a sentinel that watches a master and knows of its replicas.
    pub fn sentinel_of(master: &Self) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sentinel.conf");
        let watch = format!("sentinel monitor mymaster 127.0.0.1 {} 1\n", master.port);
        std::fs::write(&path, watch).unwrap();
        let path = path.to_str().unwrap();
        let server = Self::in_directory(directory, &|port| {
            vec![
                path.to_owned(),
                "--sentinel".to_owned(),
                "--port".to_owned(),
                port.to_string(),
            ]
        });
        let mut admin = server.connect();
        until("the sentinel knows the replica", || {
            let master: Vec<String> = redis::cmd("SENTINEL")
                .arg(&["MASTER", "mymaster"])
                .query(&mut admin)
                .unwrap();
            let at = master.iter().position(|word| word == "num-slaves");
            at.is_some_and(|at| master[at + 1] == "1")
        });
        server
    }

    /// Has the sentinel make the replica the master.
    pub fn promote(&self, replica: &Self) {
        let mut admin = self.connect();
        let failover = || {
            let mut command = redis::cmd("SENTINEL");
            command
                .arg(&["FAILOVER", "mymaster"])
                .exec(&mut admin)
                .is_ok()
        };
        until("the failover has begun", failover);
        // A server that changes its role drops its clients.
        until("the replica is master", || {
            let role = redis::cmd("ROLE").query::<redis::Value>(&mut replica.connect());
            role.is_ok_and(|role| format!("{role:?}").contains("master"))
        });
    }

    fn with(arguments: &[&str]) -> Self {
        let own: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        Self::in_directory(tempfile::tempdir().unwrap(), &|port| {
            let port = ["--port".to_owned(), port.to_string()];
            port.into_iter().chain(own.iter().cloned()).collect()
        })
    }

    fn in_directory(directory: tempfile::TempDir, arguments: &dyn Fn(u16) -> Vec<String>) -> Self {
        let port = free_port();
        let arguments = arguments(port);
        let child = spawn(&directory, &arguments);
        let server = Self {
            child,
            port,
            directory,
            arguments,
        };
        server.wait();
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn connect(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_connection().unwrap()
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, with what is on its disk.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.directory, &self.arguments);
        self.wait();
    }

    /// Waits until it answers.
    fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let client = redis::Client::open(self.url()).unwrap();
            let pong = client
                .get_connection_with_timeout(Duration::from_secs(1))
                .and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection));
            match pong {
                Ok(_) => return,
                Err(error) => assert!(Instant::now() < until, "redis-server: {error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(directory: &tempfile::TempDir, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(arguments)
        .args(["--bind", "127.0.0.1"])
        .args(["--dir", directory.path().to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed by ./setup")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits for a condition that other processes bring about.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let late = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < late, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}
