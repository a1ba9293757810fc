//! The whole scan (decode, walk, match, confirm) in bytes per second, beside the same bodies through Hyperscan alone and
//! through `regex::RegexSet`.
//!
//! And what an agent's next turn costs, of which nineteen twentieths were scanned before. `cargo bench --bench scan`. The bodies are this repository's sources as an agent sends them;
//! `TOLLGATE_BODIES=DIR cargo bench --bench scan` takes the files of a folder instead.

#![expect(clippy::expect_used, reason = "a benchmark may stop")]

use std::fs;
use std::path::Path;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use hyperscan::{BlockDatabase, Builder, CompileFlags, Matching, Pattern, Patterns};
use regex::bytes::RegexSetBuilder;
use serde_json::json;
use tollgate::cli::scan::shipped::RULES;
use tollgate::domain::Secret;
use tollgate::scan::{Body, Family, KnownValues, Limits, RuleSet, Scanner, Seen, examples};

/// Bytes of source in one body.
const BODY: usize = 200 << 10;

fn bodies() -> Vec<Vec<u8>> {
    if let Ok(folder) = std::env::var("TOLLGATE_BODIES") {
        let files = fs::read_dir(folder).expect("TOLLGATE_BODIES is a folder");
        return files
            .map(|file| fs::read(file.expect("an entry").path()).expect("a body"))
            .collect();
    }
    let mut sources = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut sources,
    );
    let mut bodies = Vec::new();
    let mut blocks = Vec::new();
    let mut size = 0;
    for source in sources {
        size += source.len();
        blocks.push(json!({ "type": "tool_result", "tool_use_id": "toolu_1", "content": source }));
        if size >= BODY {
            bodies.push(body(&mut blocks));
            size = 0;
        }
    }
    bodies.push(body(&mut blocks));
    bodies
}

fn body(blocks: &mut Vec<serde_json::Value>) -> Vec<u8> {
    let results = std::mem::take(blocks).into_iter();
    let said = results.map(|result| json!({ "role": "user", "content": [result] }));
    let messages: Vec<serde_json::Value> = said.collect();
    let body = json!({ "model": "claude-sonnet-4-5", "max_tokens": 1024, "messages": messages });
    serde_json::to_vec(&body).expect("it is JSON")
}

fn collect(folder: &Path, sources: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, sources);
        } else {
            sources.push(fs::read_to_string(path).expect("a source"));
        }
    }
}

fn scan(criterion: &mut Criterion) {
    let bodies = bodies();
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    let rules = RuleSet::parse(RULES, &[Family::Secrets]).expect("the shipped rules read");
    let patterns: Vec<String> = rules
        .rules()
        .iter()
        .filter_map(|rule| rule.sought().map(str::to_owned))
        .collect();
    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.sample_size(20);
    let key = Secret::new([0; 32]);
    let scanner = Scanner::build(rules, KnownValues::new(), &key, Limits::default());
    let scanner = scanner.expect("the shipped rules compile");
    whole(&mut group, &bodies, &scanner);
    hyperscan_alone(&mut group, &bodies, &patterns);
    group.sample_size(10);
    regex_set(&mut group, &bodies, &patterns);
    group.sample_size(20);
    next_turn(&mut group, &bodies, &scanner);
    group.finish();
    values(criterion, &bodies);
}

/// What so many known values cost: random ones, as the shipped rules' examples are.
fn values(criterion: &mut Criterion, bodies: &[Vec<u8>]) {
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    let mut group = criterion.benchmark_group("known values");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.sample_size(20);
    for count in [0, 16, 1_000, 100_000] {
        let mut known = KnownValues::new();
        for seed in 0..count {
            let template = ["{alnum:40}", "{hex:32}", "{b64:24}"][seed % 3];
            let value = examples::expand(template, seed as u64).expect("a template");
            known.add_value(&Secret::new(value.text));
        }
        let rules = RuleSet::parse(RULES, &[Family::Secrets]).expect("the shipped rules read");
        let scanner = Scanner::build(rules, known, &Secret::new([0; 32]), Limits::default());
        let scanner = scanner.expect("the shipped rules compile");
        let mut workspace = scanner.workspace();
        group.bench_function(count.to_string(), |bencher| {
            bencher.iter(|| {
                for body in bodies {
                    std::hint::black_box(scanner.scan(&mut workspace, json_body(body), None));
                }
            });
        });
    }
    group.finish();
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn whole(group: &mut Group<'_>, bodies: &[Vec<u8>], scanner: &Scanner) {
    let mut workspace = scanner.workspace();
    group.bench_function("whole", |bencher| {
        bencher.iter(|| {
            for body in bodies {
                std::hint::black_box(scanner.scan(&mut workspace, json_body(body), None));
            }
        });
    });
}

const fn json_body(bytes: &[u8]) -> Body<'_> {
    Body {
        bytes,
        content_type: Some("application/json"),
        content_encoding: None,
    }
}

/// Every body with one more message, a twentieth of its size and never the same; those without messages are left out.
fn next_turn(group: &mut Group<'_>, bodies: &[Vec<u8>], scanner: &Scanner) {
    let mut turns: Vec<(Vec<u8>, usize)> = bodies.iter().filter_map(|body| turn(body)).collect();
    let bytes: usize = turns.iter().map(|(body, _)| body.len()).sum();
    group.throughput(Throughput::Bytes(bytes as u64));
    let (mut workspace, seen, mut count) = (scanner.workspace(), Seen::new(), 0);
    for (name, remembers) in [("next turn", true), ("next turn, scanned whole", false)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                count += 1;
                for (body, number) in &mut turns {
                    body[*number..*number + MARK.len()]
                        .copy_from_slice(format!("{count:016}").as_bytes());
                    let body = json_body(body);
                    let report = if remembers {
                        scanner.scan_turn(&mut workspace, body, None, &|_| false, &seen)
                    } else {
                        scanner.scan(&mut workspace, body, None)
                    };
                    std::hint::black_box(report);
                }
            });
        });
    }
}

/// Stands where each turn has a number of its own.
const MARK: &str = "0000-the-number-";

/// The turn after a body, and where its number is.
fn turn(body: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut turn: serde_json::Value = serde_json::from_slice(body).ok()?;
    let list = ["messages", "input"]
        .into_iter()
        .find(|name| turn[name].is_array())?;
    let words = "and so it goes on, as it went before; ".repeat(body.len() / 20 / 38);
    let said = json!({ "role": "user", "content": format!("{MARK}{words}") });
    turn[list].as_array_mut()?.push(said);
    let turn = serde_json::to_vec(&turn).ok()?;
    let number = memchr::memmem::find(&turn, MARK.as_bytes())?;
    Some((turn, number))
}

fn hyperscan_alone(group: &mut Group<'_>, bodies: &[Vec<u8>], patterns: &[String]) {
    let database: Patterns = patterns
        .iter()
        .enumerate()
        .map(|(id, pattern)| Pattern {
            id: Some(id),
            ..Pattern::with_flags(pattern.as_str(), CompileFlags::empty()).expect("a pattern")
        })
        .collect();
    let database: BlockDatabase = database.build().expect("the patterns compile");
    let scratch = database.alloc_scratch().expect("memory");
    group.bench_function("hyperscan alone", |bencher| {
        bencher.iter(|| {
            for body in bodies {
                let found = database.scan(body, &scratch, |_, _, _, _| Matching::Continue);
                found.expect("a scan");
            }
        });
    });
}

fn regex_set(group: &mut Group<'_>, bodies: &[Vec<u8>], patterns: &[String]) {
    let set = RegexSetBuilder::new(patterns)
        .unicode(false)
        .size_limit(1 << 30)
        .dfa_size_limit(1 << 30)
        .build()
        .expect("the patterns compile");
    group.bench_function("regex set", |bencher| {
        bencher.iter(|| {
            for body in bodies {
                std::hint::black_box(set.matches(body));
            }
        });
    });
}

criterion_group!(benches, scan);
criterion_main!(benches);
