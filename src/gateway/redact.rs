//! Turns policy's "redact" into a body with placeholders, and what cannot be rewritten into what the configuration says of it.

use std::collections::BTreeMap;

use super::refusal::Refusal;
use crate::domain::Category;
use crate::policy::{Action, Actions};
use crate::scan::redact::{self, Placeholders};
use crate::scan::restore::Restorations;
use crate::scan::{Finding, Report};

/// A body as it goes out.
pub struct Redacted {
    pub body: Vec<u8>,
    /// The way back.
    pub restorations: Restorations,
    /// Places that were rewritten, by category.
    pub counts: BTreeMap<Category, u64>,
}

/// What the configuration says of redaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether what is to be redacted and cannot be rewritten in place is refused; else it leaves as it is, and is recorded.
    pub refuses_unredactable: bool,
    /// The most different placeholders in one request.
    pub most: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            refuses_unredactable: true,
            most: redact::MOST,
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
    let rewritten = redact::rewrite(body, report, placeholders, terms.most, chosen)
        .map_err(|redact::TooMany { most }| Refusal::TooManyPlaceholders { most })?;
    if let Some(first) = rewritten.sealed.first()
        && terms.refuses_unredactable
    {
        let finding = &report.findings[*first];
        return Err(Refusal::Secret {
            category: finding.category.clone(),
            path: finding.path.clone(),
            others: rewritten.sealed.len() - 1,
        });
    }
    Ok(Some(Redacted {
        body: rewritten.body,
        restorations: rewritten.restorations,
        counts: rewritten.counts,
    }))
}

/// Refuses what was to be redacted in the request's head: a path or a header cannot be restored.
///
/// # Errors
/// When there is such a finding and it may not leave as it is.
pub fn apply_to_head(report: &Report, actions: &Actions, terms: Terms) -> Result<(), Refusal> {
    let mut chosen = report
        .findings
        .iter()
        .filter(|finding| actions.action(&finding.category) == Action::Redact);
    match chosen.next() {
        Some(first) if terms.refuses_unredactable => Err(Refusal::Secret {
            category: first.category.clone(),
            path: "$head".to_owned(),
            others: chosen.count(),
        }),
        _ => Ok(()),
    }
}
