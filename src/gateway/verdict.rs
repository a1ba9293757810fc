//! What policy makes of what was found: the request passes, is redacted, or ends here.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::USER_AGENT;
use pingora::proxy::Session;

use super::admit::{Destination, Standing};
use super::ctx::Ctx;
use super::header;
use super::inspect;
use super::redact::{self, Redacted};
use super::refusal::Refusal;
use crate::audit::{Decision, Found, Label};
use crate::config::OnUndecodable;
use crate::domain::Category;
use crate::live::Team;
use crate::policy::Action;
use crate::scan::{Finding, Report};

/// Scans head and body; on a block the request ends here, and nothing has left. Gives the body back where it was redacted.
pub(super) async fn reach(
    session: &Session,
    ctx: &mut Ctx,
    standing: &Standing,
    destination: &Destination,
    plain: Option<&bytes::Bytes>,
) -> Result<Option<Redacted>, Refusal> {
    let inspection = Arc::clone(&ctx.snapshot.inspection);
    let text = inspect::head_text(&destination.path, &session.req_header().headers);
    let head = inspection.scan_text(&text, Some(&standing.caller.team));
    let mut reports = vec![(head, Some("$head"))];
    if let Some(bytes) = plain {
        let (name, team) = (&standing.caller.team, &standing.team);
        let mut report = inspect::scan(&inspection, bytes, name, team).await?;
        redact::forget_placeholders(bytes, &mut report);
        reports.push((report, None));
    }
    keep_agent(
        session,
        ctx,
        reports
            .first()
            .is_some_and(|(head, _)| head.findings.is_empty()),
    );
    if reports.iter().any(|(report, _)| {
        report
            .findings
            .iter()
            .any(|finding| finding.path == "$.model")
    }) {
        ctx.row.model = Label::withheld();
    }
    let borrowed: Vec<_> = reports
        .iter()
        .map(|(report, place)| (report, *place))
        .collect();
    let (found, refusal) = judge(&standing.team, &borrowed);
    ctx.row.decision = if found.is_empty() {
        Decision::Allowed
    } else {
        Decision::Alerted
    };
    ctx.row.findings = found;
    let undecodable = reports
        .iter()
        .find_map(|(report, _)| report.undecodable.as_ref());
    ctx.undecodable = undecodable.is_some();
    match (refusal, undecodable) {
        (Some(refusal), _) => Err(refusal),
        (None, Some(why)) if ctx.snapshot.settings.scan.on_undecodable == OnUndecodable::Block => {
            Err(Refusal::Undecodable(why.to_string()))
        }
        (None, _) => redact_all(ctx, standing, &reports, plain).inspect_err(|_| note_blocked(ctx)),
    }
}

/// Joins findings with the team's policy: what each category does, and the strictest of all.
pub fn judge(
    team: &Team,
    reports: &[(&Report, Option<&'static str>)],
) -> (Vec<Found>, Option<Refusal>) {
    let mut found: Vec<Found> = Vec::new();
    let mut first_blocked: Option<(Category, String)> = None;
    let mut blocked = 0;
    for (report, place) in reports {
        for finding in &report.findings {
            let action = team.actions.action(&finding.category);
            note(&mut found, &finding.category, action);
            if action == Action::Block {
                blocked += 1;
                first_blocked
                    .get_or_insert_with(|| (finding.category.clone(), path_of(finding, *place)));
            }
        }
    }
    let refusal = first_blocked.map(|(category, path)| Refusal::Secret {
        category,
        path,
        others: blocked - 1,
    });
    (found, refusal)
}

fn path_of(finding: &Finding, place: Option<&'static str>) -> String {
    place.map_or_else(|| finding.path.clone(), str::to_owned)
}

fn note(found: &mut Vec<Found>, category: &Category, action: Action) {
    match found.iter_mut().find(|f| f.category == *category) {
        Some(same) => same.count = same.count.saturating_add(1),
        None => found.push(Found {
            category: category.clone(),
            count: 1,
            action: action.as_str(),
        }),
    }
}

/// Redacts the body where policy says so; what cannot be rewritten is refused, or as the configuration says.
fn redact_all(
    ctx: &mut Ctx,
    standing: &Standing,
    reports: &[(Report, Option<&'static str>)],
    plain: Option<&bytes::Bytes>,
) -> Result<Option<Redacted>, Refusal> {
    let terms = redact::Terms::from(&ctx.snapshot.settings.scan);
    let actions = &standing.team.actions;
    let mut redacted = None;
    for (report, place) in reports {
        match (place, plain) {
            (None, Some(body)) => {
                let organisation = &standing.caller.organisation;
                let placeholders = ctx.snapshot.inspection.placeholders(organisation);
                redacted = redact::apply(body, report, actions, &placeholders, terms)?;
                if let Some(redacted) = &redacted {
                    note_redacted(ctx, redacted);
                }
            }
            _ => note_left(ctx, &redact::apply_to_head(report, actions, terms)?),
        }
    }
    Ok(redacted)
}

fn note_redacted(ctx: &mut Ctx, redacted: &Redacted) {
    let count: u64 = redacted.counts.values().sum();
    ctx.row.redactions = u32::try_from(count).unwrap_or(u32::MAX);
    if count > 0 {
        ctx.row.decision = Decision::Redacted;
    }
    note_left(ctx, &redacted.left);
}

/// Of a request that is refused nothing was redacted: what was to be is why it is refused.
fn note_blocked(ctx: &mut Ctx) {
    let redacted = |found: &&mut Found| found.action == Action::Redact.as_str();
    for found in ctx.row.findings.iter_mut().filter(redacted) {
        found.action = Action::Block.as_str();
    }
}

/// The row says what was to be redacted and left as it was.
fn note_left(ctx: &mut Ctx, left: &BTreeMap<Category, u64>) {
    let found = left.iter().map(|(category, count)| Found {
        category: category.clone(),
        count: u32::try_from(*count).unwrap_or(u32::MAX),
        action: "unredacted",
    });
    ctx.row.findings.extend(found);
}

/// A user agent is kept once the head has been scanned and nothing was found in it.
fn keep_agent(session: &Session, ctx: &mut Ctx, clean: bool) {
    if let Some(agent) = header(session, &USER_AGENT) {
        ctx.row.user_agent = if clean {
            Label::clean(&agent, Label::USER_AGENT)
        } else {
            Label::withheld()
        };
    }
}
