//! Turns policy's "redact" into a body with placeholders, and what cannot be rewritten into what the configuration says of it.

use std::collections::BTreeMap;

use super::refusal::Refusal;
use crate::config::{OnUnredactable, Scan};
use crate::domain::Category;
use crate::policy::{Action, Actions};
use crate::scan::redact::{self, Placeholders};
use crate::scan::restore::Restorations;
use crate::scan::{Finding, Report, Undecodable};

/// A body as it goes out.
pub struct Redacted {
    pub body: Vec<u8>,
    /// The way back.
    pub restorations: Restorations,
    /// Places that were rewritten, by category.
    pub counts: BTreeMap<Category, u64>,
    /// Findings that could not be rewritten and leave as they are, by category; none where such a request is refused.
    pub left: BTreeMap<Category, u64>,
}

/// What the configuration says of redaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether what is to be redacted and cannot be rewritten in place is refused; else it leaves as it is, and is recorded.
    pub refuses_unredactable: bool,
    /// The most different placeholders in one request.
    pub most: usize,
}

impl From<&Scan> for Terms {
    fn from(scan: &Scan) -> Self {
        Self {
            refuses_unredactable: scan.on_unredactable == OnUnredactable::Block,
            most: scan.placeholders,
        }
    }
}

/// Takes back the findings that are placeholders: the client sent them, they are nobody's secret, and they stay.
pub fn forget_placeholders(body: &[u8], report: &mut Report) {
    report
        .findings
        .retain(|finding| !redact::finds_a_placeholder(body, finding));
}

/// Redacts a body; `None` where policy asks for nothing. To be called when nothing is to be blocked.
///
/// # Errors
/// When a finding cannot be rewritten in place and may not leave as it is, or there are too many of them.
pub fn apply(
    body: &[u8],
    report: &Report,
    actions: &Actions,
    placeholders: &Placeholders,
    terms: Terms,
) -> Result<Option<Redacted>, Refusal> {
    let chosen = |finding: &Finding| actions.action(&finding.category) == Action::Redact;
    if !report.findings.iter().any(chosen) {
        return Ok(None);
    }
    // More findings than a report lists: the rest would leave unseen, whatever else the configuration lets pass.
    if report.undecodable == Some(Undecodable::TooManyFindings) {
        return Err(Refusal::TooManyPlaceholders { most: terms.most });
    }
    let rewritten = redact::rewrite(body, report, placeholders, terms.most, chosen)
        .map_err(|redact::TooMany { most }| Refusal::TooManyPlaceholders { most })?;
    let sealed = rewritten.sealed.iter().map(|one| &report.findings[*one]);
    let left = unredactable(sealed, None, terms)?;
    Ok(Some(Redacted {
        body: rewritten.body,
        restorations: rewritten.restorations,
        counts: rewritten.counts,
        left,
    }))
}

/// What the configuration says of findings that cannot be rewritten: a refusal, or their number by category.
fn unredactable<'a>(
    mut sealed: impl Iterator<Item = &'a Finding>,
    place: Option<&str>,
    terms: Terms,
) -> Result<BTreeMap<Category, u64>, Refusal> {
    let mut left = BTreeMap::new();
    if terms.refuses_unredactable {
        return match sealed.next() {
            None => Ok(left),
            Some(first) => Err(Refusal::Secret {
                category: first.category.clone(),
                path: place.unwrap_or(&first.path).to_owned(),
                others: sealed.count(),
            }),
        };
    }
    for finding in sealed {
        *left.entry(finding.category.clone()).or_default() += 1;
    }
    Ok(left)
}

/// What was to be redacted in the request's head, where nothing can be rewritten or restored: by category, what leaves as
/// it is.
///
/// # Errors
/// When there is such a finding and it may not leave as it is.
pub fn apply_to_head(
    report: &Report,
    actions: &Actions,
    terms: Terms,
) -> Result<BTreeMap<Category, u64>, Refusal> {
    let chosen = |finding: &&Finding| actions.action(&finding.category) == Action::Redact;
    unredactable(report.findings.iter().filter(chosen), Some("$head"), terms)
}
