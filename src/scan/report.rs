//! From confirmed secrets in decoded text to findings in the body as received.

use std::cmp::Reverse;
use std::mem;
use std::ops::Range;

use super::decode::body::{self, Format};
use super::decode::coding::Coding;
use super::decode::locate::{Locate, Target};
use super::finding::{Finding, Fingerprint, Layer, Place};
use super::scanner::{Label, Scanner};
use super::text::Text;

/// Findings before a new one that it is compared with.
const NEIGHBOURS: usize = 64;

/// A secret on its way from the text that it was found in to the body.
struct Trace<'a> {
    label: Label<'a>,
    fingerprint: Fingerprint,
    /// Bytes of the text that it has come to, finally of the body.
    ranges: Vec<Range<usize>>,
    /// Codings met on the way: the innermost first.
    layers: Vec<Layer>,
    /// It was put together from several lines.
    lines: bool,
    /// It is a secret because another place says so.
    echo: bool,
    path: String,
}

/// The findings of a scan, in the order of the body; each secret once per category. And whether they are all.
pub fn findings(
    scanner: &Scanner,
    format: Format,
    body: &[u8],
    texts: &[Text],
) -> (Vec<Finding>, bool) {
    let mut traces = Vec::new();
    for (level, text) in texts.iter().enumerate().rev() {
        start(scanner, text, &mut traces);
        if traces.is_empty() {
            continue;
        }
        let before = level.checked_sub(1).and_then(|level| texts.get(level));
        match before {
            Some(before) => step(&mut traces, |targets, seen| {
                text.locate(&before.bytes, targets, seen);
            }),
            None => step(&mut traces, |targets, _| {
                let mut locate = Locate::new(body, targets, 0);
                // It stops where it stopped before, and that is known already.
                let _ = body::read(format, body, scanner.limits().depth, &mut locate);
            }),
        }
    }
    for trace in &mut traces {
        trace.layers.extend(format.layer());
        trace.layers.reverse();
    }
    choose(scanner, traces)
}

/// Adds the secrets of one text.
fn start<'a>(scanner: &'a Scanner, text: &Text, traces: &mut Vec<Trace<'a>>) {
    for one in &text.confirmed {
        let secret = text.bytes.get(one.secret.clone());
        let (Some(label), Some(secret)) = (scanner.label(one.kind), secret) else {
            continue;
        };
        let fingerprint = scanner.fingerprint(secret);
        if !scanner.rules.allowed.contains(&fingerprint) {
            traces.push(Trace {
                label,
                fingerprint,
                ranges: vec![one.secret.clone()],
                layers: Vec::new(),
                lines: false,
                echo: one.echo,
                path: String::new(),
            });
        }
    }
}

/// Takes all traces one text back.
fn step(
    traces: &mut [Trace<'_>],
    locate: impl FnOnce(&mut [Target], &mut dyn FnMut(usize, Coding)),
) {
    let mut owners: Vec<(usize, Range<usize>)> = Vec::new();
    for (index, trace) in traces.iter_mut().enumerate() {
        let ranges = mem::take(&mut trace.ranges);
        owners.extend(ranges.into_iter().map(|range| (index, range)));
    }
    owners.sort_by_key(|(_, range)| range.start);
    let mut targets: Vec<Target> = owners
        .iter()
        .map(|(_, range)| Target::new(range.clone()))
        .collect();
    locate(&mut targets, &mut |index, coding| {
        let trace = owners
            .get(index)
            .and_then(|(owner, _)| traces.get_mut(*owner));
        let Some(trace) = trace else { return };
        trace.lines |= coding == Coding::Folded;
        trace
            .layers
            .extend(layer(coding).filter(|layer| trace.layers.last() != Some(layer)));
    });
    for ((owner, _), target) in owners.iter().zip(targets) {
        if let Some(trace) = traces.get_mut(*owner) {
            trace.ranges.extend(target.ranges);
            if trace.path.is_empty() {
                trace.path = target.path;
            }
        }
    }
}

const fn layer(coding: Coding) -> Option<Layer> {
    Some(match coding {
        Coding::Joined => return None,
        Coding::Escapes => Layer::Escapes,
        Coding::Percent => Layer::Percent,
        Coding::Entities => Layer::Entities,
        Coding::Folded | Coding::Continued | Coding::Quoted | Coding::Invisible => Layer::Folded,
        Coding::Base64 | Coding::Packed => Layer::Base64,
    })
}

/// Leaves out what another trace says better: the same bytes in the same category, or by a vaguer family of rules.
fn choose(scanner: &Scanner, mut traces: Vec<Trace<'_>>) -> (Vec<Finding>, bool) {
    traces.retain(|trace| !trace.ranges.is_empty());
    traces.sort_by_key(|trace| {
        let near = trace.near();
        // A secret that is whole at the end of its line must not take the start of the next line along.
        let (family, layers) = (trace.label.family, trace.layers.len());
        let place = (near.start, family, trace.lines, Reverse(near.end));
        (place, layers, trace.echo)
    });
    let mut kept: Vec<Trace<'_>> = Vec::new();
    let mut whole = true;
    for trace in traces {
        let mut before = kept.iter().rev().take(NEIGHBOURS);
        if before.any(|other| other.covers(&trace)) {
            continue;
        }
        whole = kept.len() < scanner.limits().findings;
        if !whole {
            break;
        }
        kept.push(trace);
    }
    (kept.into_iter().map(Trace::finding).collect(), whole)
}

impl Trace<'_> {
    fn near(&self) -> Range<usize> {
        let start = self.ranges.first().map_or(0, |range| range.start);
        start..self.ranges.last().map_or(start, |range| range.end)
    }

    fn covers(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.near(), other.near());
        if self.echo || other.echo {
            // Both are to be cut out, and what one has more than the other must not stay.
            return mine.start <= theirs.start && theirs.end <= mine.end;
        }
        let overlap = mine.start < theirs.end && theirs.start < mine.end;
        let (mine, theirs) = (self.label, other.label);
        overlap && (mine.category == theirs.category || mine.family < theirs.family)
    }

    fn finding(self) -> Finding {
        let near = self.near();
        let sealed = self.layers.contains(&Layer::Base64);
        Finding {
            rule: self.label.id.clone(),
            category: self.label.category.clone(),
            path: self.path,
            span: (!sealed).then(|| near.clone()),
            near: Some(near),
            fingerprint: self.fingerprint,
            echo: self.echo,
            place: if sealed {
                Place::Sealed(Layer::Base64)
            } else {
                Place::Spans {
                    ranges: self.ranges,
                    layers: self.layers,
                }
            },
        }
    }
}
