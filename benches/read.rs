//! What reading costs: a request's body for what it asks (the walk), and an answer for what it used (the meter).
//!
//! `cargo bench --bench read`. An event of a stream that tells no usage must not allocate.

#![expect(clippy::expect_used, reason = "a benchmark may stop")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use tollgate::provider::Endpoint;
use tollgate::provider::ask::read_ask;
use tollgate::provider::meter::{Meter, MeterInput};

const EVENTS: usize = 1000;
const LINE: &str = "let total = parts.iter().map(|part| part.len()).sum::<usize>(); // \"all\"\n";

fn walk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("walk");
    for (name, lines) in [("2 KiB", 20), ("300 KiB", 3800)] {
        let messages: Vec<_> = (0..4)
            .map(|_| json!({ "role": "user", "content": LINE.repeat(lines / 4) }))
            .collect();
        let body =
            json!({ "model": "claude-sonnet-4-5", "max_tokens": 1024, "messages": messages });
        let body = body.to_string();
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| read_ask(Endpoint::Messages, black_box(body.as_bytes())));
        });
    }
    group.finish();
}

fn event(name: &str, data: &serde_json::Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

fn meter(criterion: &mut Criterion) {
    let usage = json!({ "input_tokens": 100, "output_tokens": 1 });
    let start = event(
        "message_start",
        &json!({ "type": "message_start",
        "message": { "model": "claude-sonnet-4-5", "usage": usage } }),
    );
    let delta = event(
        "content_block_delta",
        &json!({ "type": "content_block_delta", "index": 0,
        "delta": { "type": "text_delta", "text": " and then" } }),
    );
    let body = json!({ "model": "claude-sonnet-4-5", "max_tokens": 1024, "messages": [] });
    let body = body.to_string();
    let demand = read_ask(Endpoint::Messages, body.as_bytes())
        .expect("a request")
        .demand;
    let begun = || {
        let mut meter = Meter::new(Endpoint::Messages, MeterInput::Sse, demand);
        meter.push(start.as_bytes());
        meter.push(delta.as_bytes());
        meter
    };
    let mut warm = begun();
    let counted = allocation_counter::measure(|| {
        (0..EVENTS).for_each(|_| warm.push(black_box(delta.as_bytes())));
    });
    assert_eq!(counted.count_total, 0, "an event of text allocates nothing");
    let mut group = criterion.benchmark_group("meter");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("events of text", |bencher| {
        bencher.iter_batched_ref(
            begun,
            |meter| (0..EVENTS).for_each(|_| meter.push(black_box(delta.as_bytes()))),
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, walk, meter);
criterion_main!(benches);
