//! Who else is told of each seal: a file or a URL, best on another machine, which whoever can rewrite the state directory
//! and the stores cannot rewrite with them.
//!
//! Each witness has a thread of its own, so that a disk or a server that hangs holds up nothing. Seals wait in a bounded
//! queue; where it is full the oldest goes, which loses nothing: a later seal of a boot covers what an earlier one did.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use hyper_tls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::{Condvar, Mutex};

use super::chain::Seal;
use super::sink::SinkStatus;

/// Seals that wait: two hours of them at one in two minutes.
const MOST_WAITING: usize = 60;
/// How long a server may take for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a witness waits after a failure, doubled up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Where a witness keeps what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealTo {
    /// A file to which each seal is appended as one line of JSON.
    File(PathBuf),
    /// A server to which each seal is sent, as JSON, by POST. Any answer of 2xx is a yes.
    Url(String),
}

impl SealTo {
    const fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "seal_file",
            Self::Url(_) => "seal_url",
        }
    }
}

#[derive(Default)]
struct Waiting {
    seals: VecDeque<Seal>,
    closing: bool,
    status: SinkStatus,
}

/// A running witness.
pub struct Witness {
    name: &'static str,
    waiting: Arc<(Mutex<Waiting>, Condvar)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Witness {
    /// # Errors
    /// When no thread can be started.
    pub fn start(to: &SealTo) -> io::Result<Self> {
        let waiting = Arc::new((Mutex::new(Waiting::default()), Condvar::new()));
        let (theirs, place, name) = (Arc::clone(&waiting), Place::of(to)?, to.name());
        let thread = thread::Builder::new()
            .name(format!("audit-{name}"))
            .spawn(move || keep(&theirs, &place))?;
        Ok(Self {
            name,
            waiting,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Hands a seal over; never waits.
    pub fn tell(&self, seal: &Seal) {
        let mut waiting = self.waiting.0.lock();
        if waiting.seals.len() >= MOST_WAITING {
            waiting.seals.pop_front();
        }
        waiting.seals.push_back(seal.clone());
        self.waiting.1.notify_all();
    }

    /// Ends the witness once it has tried what waits; a server that is away holds this up for one attempt.
    pub fn close(&self) {
        self.waiting.0.lock().closing = true;
        self.waiting.1.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            // A panic ended the witness before; there is nothing left to wait for.
            let _ended = thread.join();
        }
    }

    /// How it is doing, by its name.
    pub fn status(&self) -> (&'static str, SinkStatus) {
        (self.name, self.waiting.0.lock().status.clone())
    }
}

/// The thread of a witness.
fn keep((waiting, changed): &(Mutex<Waiting>, Condvar), place: &Place) {
    let mut wait = FIRST_WAIT;
    loop {
        let seal = {
            let mut now = waiting.lock();
            while now.seals.is_empty() && !now.closing {
                changed.wait(&mut now);
            }
            match now.seals.front() {
                Some(seal) => seal.clone(),
                None => return,
            }
        };
        let kept = place.keep(&seal);
        let mut now = waiting.lock();
        match kept {
            Ok(()) => {
                wait = FIRST_WAIT;
                if now.seals.front() == Some(&seal) {
                    now.seals.pop_front();
                }
                now.status.rows += 1;
                now.status.failing = None;
            }
            Err(error) => {
                tracing::error!(%error, to = %place, "a seal waits: its witness does not take it");
                now.status.failures += 1;
                now.status.failing = Some(error.to_string());
                if now.closing {
                    return;
                }
                let _told_or_not = changed.wait_for(&mut now, wait);
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

enum Place {
    File(PathBuf),
    Url {
        url: String,
        http: Box<Http>,
        runtime: Box<tokio::runtime::Runtime>,
    },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url { url, .. } => f.write_str(url),
        }
    }
}

impl Place {
    fn of(to: &SealTo) -> io::Result<Self> {
        Ok(match to {
            SealTo::File(path) => Self::File(path.clone()),
            SealTo::Url(url) => Self::Url {
                url: url.clone(),
                http: Box::new(Client::builder(TokioExecutor::new()).build(HttpsConnector::new())),
                runtime: Box::new(
                    tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()?,
                ),
            },
        })
    }

    fn keep(&self, seal: &Seal) -> io::Result<()> {
        match self {
            Self::File(path) => append(path, seal),
            Self::Url { url, http, runtime } => {
                // The clock belongs to the runtime, so the time begins within it.
                let sent =
                    async { tokio::time::timeout(ANSWER_TIMEOUT, send(http, url, seal)).await };
                runtime
                    .block_on(sent)
                    .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
            }
        }
    }
}

fn append(path: &Path, seal: &Seal) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    // One write, so that a line is whole even where several nodes share the file.
    file.write_all(format!("{}\n", seal.to_json()).as_bytes())?;
    file.sync_data()
}

async fn send(http: &Http, url: &str, seal: &Seal) -> io::Result<()> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(seal.to_json()))
        .map_err(io::Error::other)?;
    let answer = http.request(request).await.map_err(io::Error::other)?;
    if answer.status().is_success() {
        return Ok(());
    }
    let status = answer.status();
    Err(io::Error::other(format!("the answer is {status}")))
}

/// Reads the seals that a witness kept, one JSON object a line.
///
/// # Errors
/// When the file cannot be read, or a line is no seal.
pub fn read_seals(path: &Path) -> io::Result<Vec<Seal>> {
    let text = fs::read_to_string(path)?;
    let read = |(index, line): (usize, &str)| {
        Seal::from_json(line)
            .ok_or_else(|| io::Error::other(format!("line {} is no seal", index + 1)))
    };
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(read)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::net::TcpListener;

    use uuid::Uuid;

    use super::*;
    use crate::audit::chain::Signer;
    use crate::domain::Moment;

    fn seals(count: u64) -> Vec<Seal> {
        let state = tempfile::tempdir().unwrap();
        let signer = Signer::open(state.path()).unwrap();
        (0..count)
            .map(|seq| signer.seal(Uuid::from_u128(3), seq, [7; 32], Moment::from_micros(5)))
            .collect()
    }

    #[test]
    fn a_file_holds_every_seal_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seals.ndjson");
        let witness = Witness::start(&SealTo::File(path.clone())).unwrap();
        let told = seals(3);
        for seal in &told {
            witness.tell(seal);
        }
        witness.close();
        assert_eq!(read_seals(&path).unwrap(), told);
        assert_eq!(witness.status().1.rows, 3);
        fs::write(&path, "{\"boot\": 1}\n").unwrap();
        let wrong = read_seals(&path).unwrap_err();
        assert!(wrong.to_string().contains("line 1"), "{wrong}");
    }

    /// Takes one request and answers with this status; gives the request's body.
    fn answer(listener: &TcpListener, status: &str) -> String {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let line = line.to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        write!(
            &stream,
            "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn a_server_is_asked_again_until_it_says_yes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/seals", listener.local_addr().unwrap());
        let witness = Witness::start(&SealTo::Url(url)).unwrap();
        let told = seals(1).remove(0);
        witness.tell(&told);
        answer(&listener, "503 Service Unavailable");
        let body = answer(&listener, "204 No Content");
        assert_eq!(Seal::from_json(&body), Some(told));
        witness.close();
        let (_, status) = witness.status();
        assert_eq!((status.rows, status.failures, status.failing), (1, 1, None));
    }

    #[test]
    fn what_waits_is_bounded_and_the_newest_stays() {
        let dir = tempfile::tempdir().unwrap();
        // A directory cannot be appended to: every attempt fails.
        let witness = Witness::start(&SealTo::File(dir.path().to_owned())).unwrap();
        let told = seals(200);
        for seal in &told {
            witness.tell(seal);
        }
        {
            let waiting = witness.waiting.0.lock();
            assert_eq!(waiting.seals.len(), MOST_WAITING);
            assert_eq!(waiting.seals.back(), told.last());
        }
        witness.close();
        assert!(witness.status().1.failing.is_some());
    }
}
