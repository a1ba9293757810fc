//! Asks a running gateway's admin listener.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

/// Time to connect: the listener is on this machine or near.
const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const LARGEST: u64 = 64 << 20;

/// The body of `GET path`; `None` where nobody listens.
///
/// # Errors
/// When somebody listens and the answer is not what a gateway gives.
pub fn get(address: SocketAddr, path: &str) -> anyhow::Result<Option<String>> {
    let address = reachable(address);
    let Ok(mut stream) = TcpStream::connect_timeout(&address, CONNECT) else {
        return Ok(None);
    };
    let ask = |stream: &mut TcpStream| -> std::io::Result<String> {
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        // HTTP/1.0: one answer, in one piece, then the end.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.take(LARGEST).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask(&mut stream).with_context(|| format!("asking the gateway at {address}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(Some(body.to_owned())),
        status => bail!(
            "{address} answered {path} with {}; is it the gateway's admin address?",
            status.unwrap_or("nothing")
        ),
    }
}

/// Where a listener on every address can be reached from here.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let read = stream.read(&mut asked).unwrap();
            assert!(asked[..read].starts_with(b"GET /budgets HTTP/1.0\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn the_body_of_an_answer_comes_back() {
        let address = answering("HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n[]");
        assert_eq!(get(address, "/budgets").unwrap().as_deref(), Some("[]"));
    }

    #[test]
    fn somebody_else_s_answer_is_an_error_and_nobody_s_is_none() {
        let address = answering("HTTP/1.1 404 Not Found\r\n\r\n");
        assert!(
            get(address, "/budgets")
                .unwrap_err()
                .to_string()
                .contains("is it the gateway's admin address?")
        );
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert_eq!(get(free, "/budgets").unwrap(), None);
    }
}
