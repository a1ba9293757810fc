//! What a rule costs: the processor's time for a scan with it alone, as a share of a scan without any rule.

use super::super::clock::processor_time;
use super::super::scan::shipped;
use crate::domain::Secret;
use crate::scan::{Body, BuildError, KnownValues, Limits, RuleSet, Scanner};

/// Looks at a rule that passes at once, and the most at one that does not.
const LOOKS: usize = 9;
const MOST_LOOKS: usize = 45;

/// Weighs rules against the same scan without any.
pub struct Scale {
    text: Vec<u8>,
    none: Scanner,
}

impl Scale {
    /// A scale with so many bytes of text to scan.
    pub fn new(size: usize) -> Result<Self, BuildError> {
        let key = Secret::new([0; 32]);
        let (rules, known) = (RuleSet::default(), KnownValues::new());
        Ok(Self {
            text: text(size),
            none: Scanner::build(rules, known, &key, Limits::default())?,
        })
    }

    /// What the rules of this scanner add to a scan, in percent of it; over `enough`, only what was seen many times.
    ///
    /// What else runs on a machine slows both scans of a look down, and seldom begins or ends between them: so each look is
    /// a share, and the middle one of all counts.
    pub fn weigh(&self, scanner: &Scanner, enough: u64) -> u64 {
        let mut looks = Vec::new();
        loop {
            let (without, with) = (nanos(&self.none, &self.text), nanos(scanner, &self.text));
            looks.push(with.saturating_sub(without) * 100 / without.max(1));
            let is_last = looks.len() == MOST_LOOKS;
            let middle = looks.len() / 2;
            let (_, cost, _) = looks.select_nth_unstable(middle);
            if is_last || middle >= LOOKS / 2 && *cost <= enough {
                return *cost;
            }
        }
    }
}

/// The processor's time for one scan.
fn nanos(scanner: &Scanner, text: &[u8]) -> u64 {
    let mut workspace = scanner.workspace();
    let body = Body {
        bytes: text,
        content_type: Some("text/plain"),
        content_encoding: None,
    };
    let before = processor_time();
    std::hint::black_box(scanner.scan(&mut workspace, body, None));
    let time = processor_time().saturating_sub(before);
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 100)
}

/// Text as agents send it: settings, words, long tokens of every alphabet.
fn text(size: usize) -> Vec<u8> {
    /// Lines of the shipped files that are left out between two, so that a short text has some of each.
    const STEP: usize = 31;
    let mut text = Vec::with_capacity(size + 4096);
    let mut state: u64 = 1;
    for first in (0..STEP).cycle() {
        let lines = shipped::RULES.iter().flat_map(|file| file.text.lines());
        for line in lines.skip(first).step_by(STEP) {
            // A multiplicative generator (Steele and Vigna): only its looks matter.
            state = state.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(
                format!(" fn get_{:x}(item: &[u8]) {}\n", state >> 40, state).as_bytes(),
            );
        }
        if text.len() >= size {
            break;
        }
    }
    text.truncate(size);
    text
}
