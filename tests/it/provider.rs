//! A scripted provider on real sockets: it records what reaches it and answers as the test says, byte by byte if need be.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub method: String,
    pub path: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the provider received JSON")
    }
}

/// One thing that the provider does for an answer.
#[derive(Clone, Debug)]
pub enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// Closes the connection in the middle of whatever was being said.
    Close,
}

pub type Script = Vec<Step>;
type Answer = dyn Fn(&Received) -> Script + Send + Sync;

/// The provider. It ends with the test's runtime.
pub struct Provider {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
    /// Connections before this one are closed when a request comes.
    forgotten: Arc<AtomicUsize>,
    answer: Arc<Mutex<Arc<Answer>>>,
}

impl Provider {
    /// Starts with [`usual`] answers.
    pub async fn start() -> Self {
        Self::at("127.0.0.1:0").await
    }

    /// Starts at this address.
    pub async fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let provider = Self {
            address: listener.local_addr().expect("bound"),
            received: Arc::default(),
            connections: Arc::default(),
            forgotten: Arc::default(),
            answer: Arc::new(Mutex::new(Arc::new(usual))),
        };
        let (received, answer) = (provider.received.clone(), provider.answer.clone());
        let (connections, forgotten) = (provider.connections.clone(), provider.forgotten.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                stream.set_nodelay(true).expect("a TCP stream");
                let forgotten = forgotten.clone();
                let known = move || number >= forgotten.load(Ordering::SeqCst);
                tokio::spawn(serve(stream, received.clone(), answer.clone(), known));
            }
        });
        provider
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn answers(&self, answer: impl Fn(&Received) -> Script + Send + Sync + 'static) {
        *self.answer.lock().expect("not poisoned") = Arc::new(answer);
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("not poisoned").clone()
    }

    pub fn last(&self) -> Received {
        self.received()
            .pop()
            .expect("the provider received a request")
    }

    /// Connections ever accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Closes the first `count` connections when a request comes over them.
    pub fn forgets(&self, count: usize) {
        self.forgotten.store(count, Ordering::SeqCst);
    }
}

async fn serve(
    mut stream: TcpStream,
    received: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Mutex<Arc<Answer>>>,
    known: impl Fn() -> bool,
) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        if !known() {
            return;
        }
        let script = {
            let answer = answer.lock().expect("not poisoned").clone();
            answer(&request)
        };
        received.lock().expect("not poisoned").push(request);
        for step in script {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::Close => return,
            }
        }
    }
}

async fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = vec![0; 65536];
    match stream.read(&mut piece).await {
        Ok(0) | Err(_) => None,
        Ok(n) => {
            buffer.extend_from_slice(&piece[..n]);
            Some(())
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        fill(stream, buffer).await?;
    };
    let head = String::from_utf8(buffer.drain(..end).collect()).expect("an ASCII head");
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let mut request = Received {
        method: first.next()?.to_owned(),
        path: first.next()?.to_owned(),
        ..Received::default()
    };
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').expect("a header");
        request
            .headers
            .push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if request.header("transfer-encoding").is_some() {
        request.body = read_chunks(stream, buffer).await?;
    } else {
        let length: usize = request
            .header("content-length")
            .map_or(0, |v| v.parse().expect("a length"));
        while buffer.len() < length {
            fill(stream, buffer).await?;
        }
        request.body = buffer.drain(..length).collect();
    }
    Some(request)
}

async fn read_chunks(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(2).position(|w| w == b"\r\n") {
                break at + 2;
            }
            fill(stream, buffer).await?;
        };
        let line: Vec<u8> = buffer.drain(..end).collect();
        let size = usize::from_str_radix(std::str::from_utf8(&line).ok()?.trim(), 16).ok()?;
        while buffer.len() < size + 2 {
            fill(stream, buffer).await?;
        }
        body.extend(buffer.drain(..size));
        buffer.drain(..2);
        if size == 0 {
            return Some(body);
        }
    }
}

/// An answer with a length.
pub fn respond(status: u16, content_type: &str, body: &str) -> Script {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nrequest-id: req_upstream\r\n\r\n",
        body.len()
    );
    vec![Step::Send([head.as_bytes(), body.as_bytes()].concat())]
}

pub fn json(status: u16, value: &serde_json::Value) -> Script {
    respond(status, "application/json", &value.to_string())
}

/// The head of a chunked event stream.
pub fn stream_head() -> Step {
    Step::Send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec(),
    )
}

/// Bytes as one chunk.
pub fn chunk(bytes: &[u8]) -> Step {
    Step::Send([format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat())
}

/// The end of a chunked body.
pub fn stream_end() -> Step {
    Step::Send(b"0\r\n\r\n".to_vec())
}

/// A whole event stream, each event a chunk, with a pause between them.
pub fn stream(events: &[String], pause: Duration) -> Script {
    let mut script = vec![stream_head()];
    for event in events {
        script.push(chunk(event.as_bytes()));
        if !pause.is_zero() {
            script.push(Step::Wait(pause));
        }
    }
    script.push(stream_end());
    script
}

/// The events of an Anthropic answer with these counts.
pub fn anthropic_events(text: &[&str], input: u64, output: u64) -> Vec<String> {
    let event = |kind: &str, data: serde_json::Value| format!("event: {kind}\ndata: {data}\n\n");
    let mut events = vec![
        event(
            "message_start",
            serde_json::json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
                "model": "claude-haiku-4-5", "content": [], "usage": {"input_tokens": input, "output_tokens": 1}}}),
        ),
        event(
            "content_block_start",
            serde_json::json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
    ];
    for piece in text {
        events.push(event(
            "content_block_delta",
            serde_json::json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}),
        ));
    }
    events.push(event(
        "content_block_stop",
        serde_json::json!({"type": "content_block_stop", "index": 0}),
    ));
    events.push(event(
        "message_delta",
        serde_json::json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": output}}),
    ));
    events.push(event(
        "message_stop",
        serde_json::json!({"type": "message_stop"}),
    ));
    events
}

/// What a real provider would say: 100 tokens in, 20 out.
pub fn usual(request: &Received) -> Script {
    let path = request.path.split('?').next().unwrap_or("");
    if path.ends_with("/models") {
        return json(
            200,
            &serde_json::json!({"data": [{"id": "claude-haiku-4-5"}, {"id": "gpt-5.5"}]}),
        );
    }
    if path.ends_with("/count_tokens") {
        return json(200, &serde_json::json!({"input_tokens": 100}));
    }
    let streams = request.json()["stream"] == serde_json::json!(true);
    if path.ends_with("/messages") {
        if streams {
            return stream(
                &anthropic_events(&["Hello", " there"], 100, 20),
                Duration::ZERO,
            );
        }
        return json(
            200,
            &serde_json::json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5",
                "content": [{"type": "text", "text": "Hello there"}],
                "usage": {"input_tokens": 100, "output_tokens": 20}}),
        );
    }
    if path.ends_with("/responses") {
        return json(
            200,
            &serde_json::json!({"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5.5",
                "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}],
                "usage": {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 0},
                    "output_tokens": 20, "total_tokens": 120}}),
        );
    }
    if path.ends_with("/embeddings") {
        return json(
            200,
            &serde_json::json!({"object": "list", "model": "text-embedding-3-small",
                "data": [{"embedding": [0.1, 0.2]}], "usage": {"prompt_tokens": 100, "total_tokens": 100}}),
        );
    }
    json(
        200,
        &serde_json::json!({"id": "c_1", "object": "chat.completion", "model": "gpt-5.5",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}}),
    )
}
