//! What a rule costs: the time that a scan takes with it alone, less the time without any rule.

use std::time::{Duration, Instant};

use super::super::scan::shipped;
use crate::domain::Secret;
use crate::scan::{Body, KnownValues, Limits, RuleSet, Scanner};

/// Bytes of the text that is scanned.
const SIZE: usize = 256 << 10;
/// Scans of which the fastest counts.
const ROUNDS: usize = 7;

/// Text as agents send it: settings, words, long tokens of every alphabet.
pub fn text() -> Vec<u8> {
    let mut text = Vec::with_capacity(SIZE + 4096);
    let mut state: u64 = 1;
    while text.len() < SIZE {
        for line in shipped::RULES.iter().flat_map(|file| file.text.lines()) {
            // A multiplicative generator (Steele and Vigna): only its looks matter.
            state = state.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(
                format!(" fn get_{:x}(item: &[u8]) {}\n", state >> 40, state).as_bytes(),
            );
        }
    }
    text.truncate(SIZE);
    text
}

/// Nanoseconds per byte that the rules of this scanner add.
pub fn of(scanner: &Scanner, text: &[u8]) -> f64 {
    let key = Secret::new([0; 32]);
    let none = Scanner::build(
        RuleSet::default(),
        KnownValues::new(),
        &key,
        Limits::default(),
    );
    let base = none.map_or(Duration::ZERO, |none| fastest(&none, text));
    let with = fastest(scanner, text).saturating_sub(base);
    let bytes = u32::try_from(text.len()).map_or(f64::INFINITY, f64::from);
    with.as_secs_f64() * 1e9 / bytes
}

fn fastest(scanner: &Scanner, text: &[u8]) -> Duration {
    let mut workspace = scanner.workspace();
    let body = Body {
        bytes: text,
        content_type: Some("text/plain"),
        content_encoding: None,
    };
    let once = |_| {
        let before = Instant::now();
        let report = scanner.scan(&mut workspace, body, None);
        std::hint::black_box(report);
        before.elapsed()
    };
    (0..ROUNDS).map(once).min().unwrap_or_default()
}
