//! The whole scan (decode, walk, match, confirm) in bytes per second, beside the same bodies through Hyperscan alone and
//! through `regex::RegexSet`.
//!
//! `cargo bench --bench scan`. The bodies are this repository's sources as an agent sends them;
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
use tollgate::scan::{Body, Family, KnownValues, Limits, RuleSet, Scanner};

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
    let content = std::mem::take(blocks);
    let messages = json!([{ "role": "user", "content": content }]);
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
    whole(&mut group, &bodies, rules);
    hyperscan_alone(&mut group, &bodies, &patterns);
    group.sample_size(10);
    regex_set(&mut group, &bodies, &patterns);
    group.finish();
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn whole(group: &mut Group<'_>, bodies: &[Vec<u8>], rules: RuleSet) {
    let key = Secret::new([0; 32]);
    let scanner = Scanner::build(rules, KnownValues::new(), &key, Limits::default());
    let scanner = scanner.expect("the shipped rules compile");
    let mut workspace = scanner.workspace();
    group.bench_function("whole", |bencher| {
        bencher.iter(|| {
            for body in bodies {
                let body = Body {
                    bytes: body,
                    content_type: Some("application/json"),
                    content_encoding: None,
                };
                std::hint::black_box(scanner.scan(&mut workspace, body, None));
            }
        });
    });
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
