//! Requests byte by byte, for what no client library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest that a test waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the gateway listens");
        stream.set_nodelay(true).expect("a TCP stream");
        Self(stream)
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0
            .write_all(bytes.as_ref())
            .await
            .expect("the gateway reads");
    }

    /// The next line, without its end.
    pub async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read = async {
            while !line.ends_with(b"\r\n") {
                line.push(self.0.read_u8().await.expect("a byte"));
            }
        };
        timeout(PATIENCE, read).await.expect("a line in time");
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    /// The status and text of an answer with a Content-Length.
    pub async fn answer(&mut self) -> (u16, String) {
        let mut text = Vec::new();
        let read = async {
            loop {
                let mut piece = [0; 4096];
                let n = self.0.read(&mut piece).await.unwrap_or(0);
                text.extend_from_slice(&piece[..n]);
                if n == 0 || whole(&text) {
                    return;
                }
            }
        };
        timeout(PATIENCE, read).await.expect("an answer in time");
        let text = String::from_utf8_lossy(&text).into_owned();
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .unwrap_or(0);
        (status, text)
    }
}

fn whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}
