//! From the typed rows that the gateway hands in to their stored form, and the few facts that recovery reads back.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use super::entry::{Entry, LARGEST};
use super::row::{Charge, Found, OperatorAction, Outcome, Row, Try};
use crate::budget::BudgetId;
use crate::domain::{Moment, Name};

/// The kind of a request's row; all other kinds are the audit's own.
pub const REQUEST: &str = "request";
/// An operator's action.
pub const ACTION: &str = "action";
/// The first row of a process: its chain begins here, and names where the one before it ended.
pub const START: &str = "start";
/// Says how many rows could not be kept.
pub const SHED: &str = "shed";

const fn whole(number: u64) -> u64 {
    if number > LARGEST { LARGEST } else { number }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).map_or(LARGEST, whole)
}

fn moment(at: Moment) -> u64 {
    u64::try_from(at.micros()).unwrap_or(0)
}

fn name(name: Option<&Name>) -> Cow<'_, str> {
    Cow::Borrowed(name.map_or("", Name::as_str))
}

/// Findings as `category:count:action`, joined by commas; categories hold neither sign.
fn findings(found: &[Found]) -> String {
    let mut text = String::new();
    for Found {
        category,
        count,
        action,
    } in found
    {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a String cannot fail.
        let _written = write!(text, "{comma}{category}:{count}:{action}");
    }
    text
}

/// Attempts as `outcome address`, with the model where it is a fallback, joined by `; `: `529 a.example; 200 b.example`.
fn tries(tries: &[Try]) -> String {
    let mut text = String::new();
    for Try {
        address,
        fallback,
        outcome,
    } in tries
    {
        let gap = if text.is_empty() { "" } else { "; " };
        let _written = match outcome {
            Outcome::Status(status) => write!(text, "{gap}{status} {address}"),
            Outcome::Failed(how) => write!(text, "{gap}{how} {address}"),
        };
        if let Some(model) = fallback {
            let _written = write!(text, " {}", model.as_str());
        }
    }
    text
}

/// Charges as `period@budget`, joined by spaces; a space or `%` in a budget's id is written as `%20` or `%25`.
pub fn charges(charges: &[Charge]) -> String {
    let mut text = String::new();
    for (budget, period) in charges {
        let space = if text.is_empty() { "" } else { " " };
        let id = budget.as_str().replace('%', "%25").replace(' ', "%20");
        let _written = write!(text, "{space}{}@{id}", period.micros());
    }
    text
}

/// Reads what [`charges`] wrote; what is not a charge is `None`, so that no spend is dropped in silence.
pub fn read_charges(text: &str) -> Option<Vec<Charge>> {
    let charge = |text: &str| {
        let (period, id) = text.split_once('@')?;
        let id = id.replace("%20", " ").replace("%25", "%");
        Some((
            BudgetId::new(&id),
            Moment::from_micros(period.parse().ok()?),
        ))
    };
    text.split_ascii_whitespace().map(charge).collect()
}

impl<'a> From<&'a Row> for Entry<'a> {
    fn from(row: &'a Row) -> Self {
        let usage = &row.usage;
        Self {
            kind: REQUEST.into(),
            request: row.request,
            at: moment(row.at),
            organisation: name(row.organisation.as_ref()),
            team: name(row.team.as_ref()),
            user: name(row.user.as_ref()),
            key: row.key.as_ref().map_or("", |key| key.as_str()).into(),
            provider: name(row.provider.as_ref()),
            dialect: row.dialect.into(),
            endpoint: row.endpoint.into(),
            model: row.model.as_str().into(),
            priced_as: name(row.priced_as.as_ref()),
            stream: row.stream,
            decision: row.decision.as_str().into(),
            code: row.code.into(),
            status: u64::from(row.status),
            findings: findings(&row.findings).into(),
            redactions: u64::from(row.redactions),
            restorations: u64::from(row.restorations),
            input: whole(usage.input),
            cache_read: whole(usage.cache_read),
            cache_write_5m: whole(usage.cache_write_5m),
            cache_write_1h: whole(usage.cache_write_1h),
            output: whole(usage.output),
            reasoning: whole(usage.reasoning),
            audio_input: whole(usage.audio_input),
            audio_output: whole(usage.audio_output),
            image_input: whole(usage.image_input),
            image_output: whole(usage.image_output),
            web_searches: whole(usage.web_searches),
            tool_calls: whole(usage.tool_calls),
            tier: usage.tier.as_str().into(),
            provenance: row.provenance.as_str().into(),
            cost_nanos: whole(row.cost.nanos()),
            reserved_nanos: whole(row.reserved.nanos()),
            price_revision: row.price_revision.as_str().into(),
            charges: charges(&row.charges).into(),
            latency_us: micros(row.latency),
            first_byte_us: row.first_byte.map(micros),
            overhead_us: micros(row.overhead),
            bytes_in: whole(row.bytes_in),
            bytes_out: whole(row.bytes_out),
            client: row
                .client
                .map_or(Cow::Borrowed(""), |ip| ip.to_string().into()),
            user_agent: row.user_agent.as_str().into(),
            attempts: u64::from(row.attempts),
            upstream: row.upstream.as_str().into(),
            served: row.served.as_str().into(),
            tries: tries(&row.tries).into(),
            cached: row.cached,
            upstream_request: row.upstream_request.as_str().into(),
            ..Self::default()
        }
    }
}

impl<'a> From<&'a OperatorAction> for Entry<'a> {
    fn from(action: &'a OperatorAction) -> Self {
        Self {
            kind: ACTION.into(),
            request: action.id,
            at: moment(action.at),
            organisation: name(action.organisation.as_ref()),
            team: name(action.team.as_ref()),
            actor: action.who.as_str().into(),
            action: action.what.into(),
            subject: action.subject.as_str().into(),
            change: action.change.as_str().into(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Label;

    #[test]
    fn attempts_are_told_in_order() {
        let of = |outcome, fallback: Option<&str>| Try {
            address: "api.example".into(),
            fallback: fallback.map(|model| Label::clean(model, Label::MODEL)),
            outcome,
        };
        let all = [
            of(Outcome::Failed("connect"), None),
            of(Outcome::Status(529), None),
            of(Outcome::Status(200), Some("claude-haiku-4-5")),
        ];
        assert_eq!(
            tries(&all),
            "connect api.example; 529 api.example; 200 api.example claude-haiku-4-5"
        );
    }

    #[test]
    fn charges_read_back_whatever_a_budget_is_called() {
        let list = vec![
            (
                BudgetId::new("team/pay ments/50%20/month"),
                Moment::from_micros(-7),
            ),
            (BudgetId::new("a@b"), Moment::from_micros(1)),
        ];
        assert_eq!(read_charges(&charges(&list)), Some(list));
        assert_eq!(read_charges(""), Some(vec![]));
        assert_eq!(read_charges("5@ok broken"), None);
    }
}
