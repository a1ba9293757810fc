//! A provider that is asked over HTTP/2, as `http = "2"` wants it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::gateway::{Wish, World, message};

/// What the provider does with a request, by its header of this name.
const DOES: &str = "x-does";

/// A provider of HTTP/2 alone.
struct Provider {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let count = count.clone();
                tokio::spawn(async move {
                    let mut connection = server::handshake(stream).await.expect("HTTP/2");
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        count.fetch_add(1, Ordering::SeqCst);
                        tokio::spawn(serve(request, respond));
                    }
                });
            }
        });
        Self { address, asked }
    }
}

async fn serve(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let does = request.headers().get(DOES).cloned();
    match does.as_ref().and_then(|does| does.to_str().ok()) {
        Some("refuses") => respond.send_reset(Reason::REFUSED_STREAM),
        Some("takes nothing") => tokio::time::sleep(Duration::from_mins(1)).await,
        Some("breaks") => {
            tokio::time::sleep(Duration::from_millis(5_300)).await;
            respond.send_reset(Reason::INTERNAL_ERROR);
        }
        _ => {
            let mut body = request.into_body();
            while let Some(Ok(piece)) = body.data().await {
                let taken = body.flow_control().release_capacity(piece.len());
                taken.expect("what came may be given back");
            }
            let answer = json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": [],
                "stop_reason": "end_turn", "usage": {"input_tokens": 100, "output_tokens": 20},
            });
            let head = Response::builder().header("content-type", "application/json");
            let head = head.body(()).expect("a head");
            let mut sent = respond.send_response(head, false).expect("a client");
            let sent = sent.send_data(answer.to_string().into(), true);
            sent.expect("a client");
        }
    }
}

async fn world(provider: &Provider) -> World {
    World::start(Wish {
        settings: format!(
            "[provider.two]\ndialect = \"anthropic\"\nprices = \"anthropic\"\ncredential = \"env:PROVIDER_KEY\"\n\
             addresses = [\"http://{}\"]\nhttp = \"2\"\nattempts = 2\nwrite_timeout = \"6s\"\n",
            provider.address
        ),
        ..Wish::default()
    })
    .await
}

async fn ask(world: &World, does: &str, size: usize) -> u16 {
    let body = message(&"x".repeat(size));
    let request = world.post("/two/v1/messages").header(DOES, does);
    let sent = request.json(&body).send().await;
    sent.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn a_stream_that_is_refused_is_an_attempt_like_any() {
    let provider = Provider::start().await;
    let world = world(&provider).await;
    // Of several sizes: the upload is done, or waits for its window.
    for size in [10, 200_000] {
        assert_eq!(ask(&world, "answers", size).await, 200);
        let before = provider.asked.load(Ordering::SeqCst);
        assert_eq!(ask(&world, "refuses", size).await, 502);
        let asked = provider.asked.load(Ordering::SeqCst) - before;
        // An upload that broke is not made again.
        assert!(asked == 2 || asked == 1 && size > 65_535, "{size}: {asked}");
    }
    let rows = world.rows(4).await;
    let costs: Vec<&Value> = rows.iter().map(|row| &row["cost_usd"]).collect();
    assert_eq!(costs, ["0.0003", "0.00", "0.0003", "0.00"]);
}

#[tokio::test]
async fn a_request_that_never_left_whole_costs_nothing() {
    let provider = Provider::start().await;
    let world = world(&provider).await;
    let statuses = futures::join!(
        ask(&world, "takes nothing", 200_000),
        ask(&world, "breaks", 200_000),
        ask(&world, "breaks", 10),
    );
    assert_eq!(statuses, (504, 502, 502));
    let mut rows = world.rows(3).await;
    rows.sort_by_key(|row| row["bytes_in"].as_u64());
    // The short one had left whole, and the provider had it for long.
    assert_eq!(rows[0]["cost_usd"], rows[0]["reserved_usd"]);
    for row in &rows[1..] {
        assert_eq!(row["cost_usd"], "0.00", "{row:#?}");
        assert_ne!(row["reserved_usd"], "0.00");
    }
}
