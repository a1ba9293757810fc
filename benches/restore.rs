//! What restoration adds to one event of an answer, and what redaction costs a request.
//!
//! `cargo bench --bench restore`. An event without a placeholder must stay below 5 µs.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tollgate::domain::{Category, Name, Secret};
use tollgate::gateway::restore::StreamRestorer;
use tollgate::provider::Endpoint;
use tollgate::scan::redact::Placeholders;
use tollgate::scan::restore::{Collected, Restorations};

const EVENTS: u64 = 1000;

fn known(count: usize) -> (Restorations, String) {
    let placeholders = Placeholders::new(&Secret::new([7; 32]), &Name::new("acme"));
    let category = Category::new("github_token");
    let mut collected = Collected::default();
    let mut first = String::new();
    for number in 0..count {
        let value = format!("value-{number:032}");
        let placeholder = placeholders.of(&category, &value);
        assert!(collected.add(&placeholder, &value, &category));
        if number == 0 {
            first = placeholder;
        }
    }
    (collected.finish(), first)
}

fn delta(endpoint: Endpoint, text: &str) -> String {
    match endpoint {
        Endpoint::Messages => format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
        ),
        Endpoint::ChatCompletions => format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-5.5\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
        ),
        _ => format!(
            "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"{text}\",\"sequence_number\":5,\"logprobs\":[]}}\n\n"
        ),
    }
}

fn run(endpoint: Endpoint, known: Restorations, event: &[u8], out: &mut Vec<u8>) {
    let mut restorer = StreamRestorer::new(endpoint, true, known);
    for _ in 0..EVENTS {
        out.clear();
        restorer.push(black_box(event), out);
    }
    restorer.finish(out);
}

fn events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("event");
    group.throughput(Throughput::Elements(EVENTS));
    for endpoint in [
        Endpoint::Messages,
        Endpoint::ChatCompletions,
        Endpoint::Responses,
    ] {
        for (name, count, holds) in [
            ("plain", 1, false),
            ("plain of 10000", 10_000, false),
            ("placeholder", 1, true),
        ] {
            let (_, placeholder) = known(1);
            let text = if holds {
                placeholder
            } else {
                " and then The value".to_owned()
            };
            let event = delta(endpoint, &text);
            let mut out = Vec::new();
            group.bench_function(BenchmarkId::new(endpoint.as_str(), name), |bench| {
                bench.iter_batched(
                    || known(count).0,
                    |known| run(endpoint, known, event.as_bytes(), &mut out),
                    criterion::BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

fn whole(criterion: &mut Criterion) {
    let (_, placeholder) = known(1);
    let text = "x".repeat(64 << 10);
    let body = format!(
        "{{\"type\":\"message\",\"content\":[{{\"type\":\"text\",\"text\":\"{text}{placeholder}\"}}]}}"
    );
    let mut group = criterion.benchmark_group("answer");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("64 KiB", |bench| {
        bench.iter_batched(
            || known(1).0,
            |known| {
                let mut restorer = StreamRestorer::new(Endpoint::Messages, false, known);
                let mut out = Vec::new();
                restorer.push(black_box(body.as_bytes()), &mut out);
                restorer.finish(&mut out);
                out
            },
            criterion::BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, events, whole);
criterion_main!(benches);
