//! Real Redis servers of a test's own, on free ports, ended when dropped: one, with TLS, a cluster, one behind a sentinel.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Redis {
    servers: Vec<Child>,
    pub port: u16,
    /// As `[redis] url` has it.
    pub url: String,
    pub dir: tempfile::TempDir,
}

impl Redis {
    pub fn start() -> Self {
        let (dir, port) = (folder(), free_port());
        let server = serve(dir.path(), &["--port", &port.to_string()]);
        Self::with(vec![server], port, format!("redis://127.0.0.1:{port}"), dir)
    }

    /// With TLS alone, under an authority of its own: `ca.pem` in its folder.
    pub fn tls() -> Self {
        let (dir, port) = (folder(), free_port());
        make_certificates(dir.path());
        let port_text = port.to_string();
        let server = serve(
            dir.path(),
            &[
                "--port",
                "0",
                "--tls-port",
                &port_text,
                "--tls-cert-file",
                "server.pem",
                "--tls-key-file",
                "server.key",
                "--tls-ca-cert-file",
                "ca.pem",
                "--tls-auth-clients",
                "no",
            ],
        );
        Self::with(
            vec![server],
            port,
            format!("rediss://127.0.0.1:{port}"),
            dir,
        )
    }

    /// A cluster of one server that has all slots.
    pub fn cluster() -> Self {
        let (dir, port, bus) = (folder(), free_port(), free_port().to_string());
        let port_text = port.to_string();
        let server = serve(
            dir.path(),
            &[
                "--port",
                &port_text,
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
            ],
        );
        let url = format!("redis+cluster://127.0.0.1:{port}");
        let redis = Self::with(vec![server], port, url, dir);
        redis.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        redis.until("cluster_state:ok", &["CLUSTER", "INFO"]);
        redis
    }

    /// A server that is found through a sentinel.
    pub fn sentinel() -> Self {
        let mut redis = Self::start();
        let port = free_port();
        let conf = format!(
            "port {port}\nsentinel monitor leases 127.0.0.1 {} 1\n",
            redis.port
        );
        fs::write(redis.dir.path().join("sentinel.conf"), conf).expect("a file of the test");
        let server = serve(redis.dir.path(), &["sentinel.conf", "--sentinel"]);
        redis.servers.push(server);
        redis.url = format!("redis+sentinel://127.0.0.1:{port}/leases");
        wait_for(port);
        redis
    }

    fn with(servers: Vec<Child>, port: u16, url: String, dir: tempfile::TempDir) -> Self {
        wait_for(port);
        Self {
            servers,
            port,
            url,
            dir,
        }
    }

    /// Ends a lone server, which forgets all that it held.
    pub fn stop(&mut self) {
        for server in &mut self.servers {
            server.kill().expect("it is ours");
            server.wait().expect("it was killed");
        }
        self.servers.clear();
    }

    /// Starts a lone server again, empty, where the one before listened.
    pub fn go_on(&mut self) {
        let server = serve(self.dir.path(), &["--port", &self.port.to_string()]);
        self.servers.push(server);
        wait_for(self.port);
    }

    pub fn settings(&self) -> String {
        format!("[redis]\nurl = \"{}\"\n", self.url)
    }

    /// What `redis-cli` prints.
    pub fn cli(&self, command: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(command)
            .output()
            .expect("redis-cli is installed with redis-server");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn until(&self, text: &str, command: &[&str]) {
        let late = Instant::now() + Duration::from_secs(20);
        while !self.cli(command).contains(text) {
            assert!(Instant::now() < late, "{command:?}: never {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // They are ours; one that has ended already needs nothing more.
            let _killed = server.kill();
            let _ended = server.wait();
        }
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn serve(dir: &Path, arguments: &[&str]) -> Child {
    Command::new("redis-server")
        .args(arguments)
        .args(["--bind", "127.0.0.1"])
        .args(if arguments.contains(&"--sentinel") {
            &[][..]
        } else {
            &["--save", "", "--appendonly", "no"][..]
        })
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed by ./setup")
}

fn wait_for(port: u16) {
    let late = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < late, "nothing listens on {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An authority that lasts a day, and a certificate of it for 127.0.0.1.
fn make_certificates(dir: &Path) {
    fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1").expect("a file of the test");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for line in [
        format!("req -x509 {key} -keyout ca.key -out ca.pem -days 1 -subj /CN=throwaway"),
        format!("req {key} -keyout server.key -out server.csr -subj /CN=127.0.0.1"),
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 1 -extfile names"
            .to_owned(),
    ] {
        let output = Command::new("openssl")
            .args(line.split(' '))
            .current_dir(dir)
            .output()
            .expect("openssl is installed by ./setup");
        assert!(output.status.success(), "openssl {line}: {output:?}");
    }
}
