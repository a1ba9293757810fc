//! A scan from end to end: decode, match, confirm, locate.

use std::sync::Arc;

use simdutf8::basic::from_utf8;

use super::confirm::{self, Confirmed, Kind};
use super::decode::body::{self, Format};
use super::decode::encoding::{self, Unpacked};
use super::decode::events::Gap;
use super::decode::runs::Digits;
use super::engine::{BuildError, Engine, Hit};
use super::finding::{Fingerprint, Layer, Report, RuleId, Undecodable};
use super::known::{Known, KnownValues};
use super::plan::{self, Slot};
use super::report;
use super::rule::{Family, RuleSet};
use super::sweep;
use super::text::Text;
use super::workspace::Workspace;
use crate::domain::{Category, Name, Secret};

/// The type of a body that is scanned as it is.
const RAW: &str = "application/octet-stream";

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

/// Rules and values, compiled. Immutable; a change of either makes a new one.
pub struct Scanner {
    pub(super) rules: RuleSet,
    slots: Vec<Slot>,
    quick: Option<Engine>,
    /// Patterns without a literal: a tenth as fast, and only there when such a family is on.
    slow: Option<Engine>,
    known: Known,
    labels: Labels,
    pub(super) digits: Digits,
    key: Secret<[u8; 32]>,
    limits: Limits,
    /// Tells a workspace whether it was prepared for this scanner.
    identity: Arc<()>,
}

/// What one scan is asked for, besides the rules.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub team: Option<&'a Name>,
    pub everywhere: &'a dyn Fn(&Category) -> bool,
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
        let (slots, quick, slow) = plan::plan(&rules.rules);
        let quick = Engine::build(&quick)?;
        let slow = Engine::build(&slow)?;
        Ok(Self {
            slots,
            quick,
            slow,
            known: Known::build(known)?,
            labels: Labels::new(),
            rules,
            digits: Digits::new(),
            key: fingerprint_key.clone(),
            limits,
            identity: Arc::new(()),
        })
    }

    /// Whether anything is found as this category.
    #[must_use]
    pub fn knows(&self, category: &Category) -> bool {
        let Labels { value, entity } = &self.labels;
        let mut rules = self.rules.rules.iter();
        rules.any(|rule| rule.category == *category)
            || [value, entity].iter().any(|(_, own)| own == category)
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

    /// Undoes a body's content encodings, within the bounds of a scan and to at most `most` bytes; `None` where there is
    /// nothing to undo.
    ///
    /// # Errors
    /// An encoding that is not known, data that break it, or more data than a scan may decode.
    pub fn unpack(
        &self,
        encodings: &str,
        body: &[u8],
        most: usize,
    ) -> Result<Option<Unpacked>, Undecodable> {
        if encoding::is_identity(encodings) {
            return Ok(None);
        }
        let limits = Limits {
            decoded_bytes: self.limits.decoded_bytes.min(most),
            ..self.limits
        };
        encoding::unpack(encodings, body, &limits).map(Some)
    }

    /// Scans one body. `team` chooses whose entities are looked for. Never fails: what cannot be decoded is scanned as it
    /// is and said in the report.
    #[must_use]
    pub fn scan(&self, workspace: &mut Workspace, body: Body<'_>, team: Option<&Name>) -> Report {
        self.scan_for(workspace, body, team, &|_| false)
    }

    /// The same; and what was found in a category that `everywhere` takes is a finding wherever else it stands in the
    /// body, though nothing there tells that it is a secret.
    #[must_use]
    pub fn scan_for(
        &self,
        workspace: &mut Workspace,
        body: Body<'_>,
        team: Option<&Name>,
        everywhere: &dyn Fn(&Category) -> bool,
    ) -> Report {
        self.scan_whole(workspace, body, Asked { team, everywhere })
    }

    pub(super) fn scan_whole(
        &self,
        workspace: &mut Workspace,
        body: Body<'_>,
        asked: Asked<'_>,
    ) -> Report {
        if let Err(why) = self.prepare(workspace) {
            return Report {
                undecodable: Some(why),
                ..Report::default()
            };
        }
        let encodings = body.content_encoding.unwrap_or_default();
        if encoding::is_identity(encodings) {
            return self.scan_plain(workspace, body.bytes, body.content_type, asked);
        }
        match encoding::unpack(encodings, body.bytes, &self.limits) {
            Ok(unpacked) => self
                .scan_plain(workspace, &unpacked.bytes, body.content_type, asked)
                .sealed(Layer::Compressed),
            Err(why) => {
                let raw = self.scan_plain(workspace, body.bytes, Some(RAW), asked);
                let undecodable = Some(why);
                Report { undecodable, ..raw }
            }
        }
    }

    /// Scans a body that is not compressed.
    fn scan_plain(
        &self,
        workspace: &mut Workspace,
        body: &[u8],
        content_type: Option<&str>,
        asked: Asked<'_>,
    ) -> Report {
        let (format, problem) = self.look(workspace, body, content_type, asked);
        let (findings, whole) = report::findings(self, format, body, &workspace.texts);
        let unlisted = (!whole).then_some(Undecodable::TooManyFindings);
        let report = Report {
            findings,
            undecodable: unlisted.or(problem),
            decoded_bytes: workspace.decoded_bytes(),
        };
        workspace.shrink();
        report
    }

    /// Fills the workspace's texts and what was found in them; the format that the body was read as, and what of it could
    /// not be.
    pub(super) fn look(
        &self,
        workspace: &mut Workspace,
        body: &[u8],
        content_type: Option<&str>,
        asked: Asked<'_>,
    ) -> (Format, Option<Undecodable>) {
        let (format, declared) = Format::of(content_type, body);
        let stopped = self.read(workspace, format, body).filter(|_| declared);
        let json = matches!(format, Format::Json | Format::JsonLines);
        let not_text = declared && json && !is_text(body, &workspace.gaps);
        let stopped = stopped.or(not_text.then_some(Undecodable::BadText));
        let depth = self.read_deeper(workspace, body.len(), asked.team);
        let swept = self.sweep(workspace, asked.everywhere).err();
        (format, stopped.or(depth).or(swept))
    }

    /// Makes the first text of the body.
    fn read(&self, workspace: &mut Workspace, format: Format, body: &[u8]) -> Option<Undecodable> {
        let Workspace {
            texts,
            blocks,
            gaps,
            ..
        } = workspace;
        blocks.clear();
        texts.resize_with(self.limits.nesting + 1, Text::default);
        let first = texts.first_mut()?;
        first.clear();
        let bytes = &mut first.bytes;
        body::append(format, body, self.limits.depth, bytes, blocks, gaps)
    }

    /// Adds the other places of what was found in these categories.
    fn sweep(
        &self,
        workspace: &mut Workspace,
        everywhere: &dyn Fn(&Category) -> bool,
    ) -> Result<(), Undecodable> {
        sweep::sweep(&mut workspace.texts, |kind, value| {
            let label = self
                .label(kind)
                .filter(|label| everywhere(label.category))?;
            let allowed = self.rules.allowed.contains(&self.fingerprint(value));
            (!allowed).then(|| (label.family, label.category.clone()))
        })
    }

    pub(super) fn prepare(&self, workspace: &mut Workspace) -> Result<(), Undecodable> {
        let known = workspace.prepared_for.as_ref();
        if known.is_some_and(|known| Arc::ptr_eq(known, &self.identity)) {
            return Ok(());
        }
        for engine in self
            .quick
            .iter()
            .chain(&self.slow)
            .chain(self.known.engines())
        {
            engine.prepare(&mut workspace.memory)?;
        }
        workspace.resume.resize(self.rules.rules.len(), 0);
        workspace.prepared_for = Some(Arc::clone(&self.identity));
        Ok(())
    }

    /// Finds the secrets of one text.
    pub(super) fn matches(
        &self,
        workspace: &mut Workspace,
        level: usize,
        team: Option<&Name>,
    ) -> Result<(), Undecodable> {
        let Workspace {
            memory,
            texts,
            resume,
            ..
        } = workspace;
        let text = texts.get_mut(level).ok_or(Undecodable::Engine)?;
        resume.fill(0);
        let Text {
            bytes, confirmed, ..
        } = text;
        let mut outcome = self.known.find(bytes, team, memory, confirmed);
        for engine in self.quick.iter().chain(&self.slow) {
            let found = engine.find(bytes, memory, |hit| {
                let (rules, how): (_, confirm::How) = match self.slots.get(hit.slot as usize) {
                    Some(Slot::Pattern(rules)) => (rules, confirm::pattern),
                    Some(Slot::Keyword(rules)) => (rules, confirm::keyword),
                    None => return,
                };
                self.confirm(rules, how, hit, bytes, resume, confirmed);
            });
            outcome = outcome.and(found);
        }
        outcome
    }

    fn confirm(
        &self,
        rules: &[usize],
        how: confirm::How,
        hit: Hit,
        text: &[u8],
        resume: &mut [usize],
        confirmed: &mut Vec<Confirmed>,
    ) {
        for &index in rules {
            let parts = self.rules.rules.get(index).zip(resume.get_mut(index));
            if let Some((rule, resume)) = parts {
                how((index, rule), hit, text, resume, confirmed);
            }
        }
    }

    pub(super) fn fingerprint(&self, secret: &[u8]) -> Fingerprint {
        Fingerprint::of(&self.key, secret)
    }

    /// What a finding of this kind is called.
    pub(super) fn label(&self, kind: Kind) -> Option<Label<'_>> {
        let (id, category) = match kind {
            Kind::Rule(index) => {
                let rule = self.rules.rules.get(index)?;
                return Some(Label {
                    id: &rule.id,
                    category: &rule.category,
                    family: rule.family,
                });
            }
            Kind::Value => &self.labels.value,
            Kind::Entity => &self.labels.entity,
        };
        Some(Label {
            id,
            category,
            family: Family::Secrets,
        })
    }

    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// What findings without a rule are called.
struct Labels {
    value: (RuleId, Category),
    entity: (RuleId, Category),
}

impl Labels {
    fn new() -> Self {
        let label = |id, category| (RuleId::new(id), Category::new(category));
        Self {
            value: label("known-value", "known_value"),
            entity: label("entity", "entity"),
        }
    }
}

/// What a finding is called.
#[derive(Clone, Copy)]
pub(super) struct Label<'a> {
    pub id: &'a RuleId,
    pub category: &'a Category,
    pub family: Family,
}

/// Whether all that is not left out is UTF-8. What is left out begins and ends with a comma.
fn is_text(body: &[u8], gaps: &[Gap]) -> bool {
    let starts = std::iter::once(0).chain(gaps.iter().map(|gap| gap.end));
    let ends = gaps.iter().map(|gap| gap.start);
    let mut parts = starts.zip(ends.chain([body.len()]));
    let is_text = |part: &[u8]| from_utf8(part).is_ok();
    parts.all(|(start, end)| body.get(start..end).is_some_and(is_text))
}
