//! From confirmed secrets in decoded text to findings in the body as received.

use super::confirm::Confirmed;
use super::decode::body::{self, Format};
use super::decode::locate::{Locate, Target};
use super::finding::{Finding, Place};
use super::rule::{Family, Rule};
use super::scanner::{Scanner, Workspace};

/// The findings of a scan, in the order of the body; each secret once per category.
pub fn findings(
    scanner: &Scanner,
    format: Format,
    body: &[u8],
    workspace: &Workspace,
) -> Vec<Finding> {
    if workspace.confirmed().is_empty() {
        return Vec::new();
    }
    let rules = &scanner.rules.rules;
    let mut confirmed: Vec<(&Rule, &Confirmed)> = workspace
        .confirmed()
        .iter()
        .filter_map(|one| Some((rules.get(one.rule)?, one)))
        .collect();
    // At one place the most telling family first, then the longest.
    confirmed.sort_by_key(|(rule, one)| {
        (
            one.secret.start,
            rule.family,
            std::cmp::Reverse(one.secret.end),
        )
    });
    let mut targets: Vec<Target> = confirmed
        .iter()
        .map(|(_, one)| Target::new(one.secret.clone()))
        .collect();
    let mut locate = Locate::new(body, &mut targets, 0);
    // It stops where it stopped before, and that is known already.
    let _ = body::read(format, body, scanner.limits().depth, &mut locate);
    let mut findings: Vec<(Family, Finding)> = Vec::new();
    for ((rule, one), target) in confirmed.iter().zip(targets) {
        let secret = workspace.text().get(one.secret.clone());
        let fingerprint = scanner.fingerprint(secret.unwrap_or_default());
        let (Some(first), Some(last)) = (target.ranges.first(), target.ranges.last()) else {
            continue;
        };
        let span = first.start..last.end;
        if scanner.rules.allowed.contains(&fingerprint)
            || findings
                .iter()
                .any(|(family, other)| covers(*family, other, rule, &span))
        {
            continue;
        }
        let finding = Finding {
            rule: rule.id.clone(),
            category: rule.category.clone(),
            path: target.path,
            span: Some(span.clone()),
            near: Some(span),
            fingerprint,
            place: Place::Spans {
                ranges: target.ranges,
                layers: format.layer().into_iter().collect(),
            },
        };
        findings.push((rule.family, finding));
        if findings.len() >= scanner.limits().findings {
            break;
        }
    }
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// Whether a finding already says what this one would: the same category, or a vaguer family, over the same bytes.
fn covers(family: Family, other: &Finding, rule: &Rule, span: &std::ops::Range<usize>) -> bool {
    let overlap = other
        .near
        .as_ref()
        .is_some_and(|near| near.start < span.end && span.start < near.end);
    overlap && (other.category == rule.category || family < rule.family)
}
