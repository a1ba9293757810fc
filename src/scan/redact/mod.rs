//! The way out: puts placeholders in place of secrets in a request body and touches no other byte of it.
//!
//! Works on JSON bodies, by the places that a scan found. It does not decide which findings are to be redacted, and what it
//! cannot rewrite it names: the caller then does what its policy says.

mod cut;
pub mod placeholder;
mod presented;
mod value;

use std::collections::BTreeMap;

use crate::domain::{Category, json::Tape};

use super::finding::{Finding, Place, Report};
use super::restore::{Collected, Restorations};
use cut::{Cut, Target};
pub use placeholder::{Placeholders, is_placeholder};

/// The most different placeholders in one request, unless the operator says otherwise.
pub const MOST: usize = 20_000;

/// A request body with placeholders in it.
pub struct Rewritten {
    pub body: Vec<u8>,
    /// The way back.
    pub restorations: Restorations,
    /// How many places were rewritten, by category.
    pub counts: BTreeMap<Category, u64>,
    /// Findings (as numbered in the report) that could not be rewritten in place and are still in the body.
    pub sealed: Vec<usize>,
}

/// More different placeholders than are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request needs more than {most} placeholders")]
pub struct TooMany {
    pub most: usize,
}

/// Replaces the findings that `chosen` names. `body` is the text that the report speaks of.
///
/// # Errors
/// When it takes more than `most` different placeholders.
pub fn rewrite(
    body: &[u8],
    report: &Report,
    placeholders: &Placeholders,
    most: usize,
    mut chosen: impl FnMut(&Finding) -> bool,
) -> Result<Rewritten, TooMany> {
    let mut sealed = Vec::new();
    let mut targets = Vec::new();
    for (number, finding) in report.findings.iter().enumerate() {
        if !chosen(finding) {
            continue;
        }
        match &finding.place {
            Place::Spans { ranges, .. } => targets.push(Target {
                number,
                ranges,
                category: &finding.category,
                echo: finding.echo,
            }),
            Place::Sealed(_) => sealed.push(number),
        }
    }
    let mut rewritten = replace(body, &targets, placeholders, most)?;
    rewritten.sealed.extend(sealed);
    rewritten.sealed.sort_unstable();
    rewritten.sealed.dedup();
    Ok(rewritten)
}

/// Whether what a finding found is a placeholder (of whomever) and nothing else: then it is no secret.
#[must_use]
pub fn finds_a_placeholder(body: &[u8], finding: &Finding) -> bool {
    match &finding.place {
        Place::Spans { ranges, .. } => ranges.iter().all(|range| cut::in_placeholder(body, range)),
        Place::Sealed(_) => false,
    }
}

fn replace(
    body: &[u8],
    targets: &[Target<'_>],
    placeholders: &Placeholders,
    most: usize,
) -> Result<Rewritten, TooMany> {
    let mut tape = Tape::default();
    let mut sealed = Vec::new();
    let cuts = match tape.read(body) {
        Ok(document) if !targets.is_empty() => cut::cuts(document, body, targets, &mut sealed),
        Ok(_) => Vec::new(),
        Err(_) => {
            sealed.extend(targets.iter().map(|target| target.number));
            Vec::new()
        }
    };
    let mut out = Output {
        body: Vec::with_capacity(body.len() + cuts.len() * 8),
        copied: 0,
        collected: Collected::default(),
        counts: BTreeMap::new(),
    };
    for cut in cuts {
        if !out.put(body, &cut, placeholders) {
            sealed.extend(cut.numbers);
        } else if out.collected.len() > most {
            return Err(TooMany { most });
        }
    }
    out.body.extend_from_slice(&body[out.copied..]);
    Ok(Rewritten {
        body: out.body,
        restorations: out.collected.finish(),
        counts: out.counts,
        sealed,
    })
}

struct Output {
    body: Vec<u8>,
    /// Bytes of the original that are dealt with.
    copied: usize,
    collected: Collected,
    counts: BTreeMap<Category, u64>,
}

impl Output {
    /// Copies what stands before the cut and puts a placeholder in its place; `false` if that cannot be undone.
    fn put(&mut self, body: &[u8], cut: &Cut, placeholders: &Placeholders) -> bool {
        let Some(value) = &cut.value else {
            return false;
        };
        let placeholder = placeholders.of(&cut.category, value);
        if !self.collected.add(&placeholder, value, &cut.category) {
            return false;
        }
        self.body
            .extend_from_slice(&body[self.copied..cut.at.start]);
        self.body.extend_from_slice(placeholder.as_bytes());
        self.copied = cut.at.end;
        *self.counts.entry(cut.category.clone()).or_default() += 1;
        true
    }
}

#[cfg(test)]
mod tests;
