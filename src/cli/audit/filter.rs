//! The filters of every listing, and how a time is written.

use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::audit::Decision;
use crate::audit::query::{Exact, Filter};
use crate::domain::Moment;

/// Which rows: all that is given must hold.
#[derive(Clone, Debug, Default, Args)]
pub struct FilterArgs {
    /// From this time on: 2026-11-01, 2026-11-01T08:00:00Z, or 24h, 7d ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<Moment>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Moment>,
    #[arg(long)]
    pub organisation: Option<String>,
    #[arg(long)]
    pub team: Option<String>,
    #[arg(long)]
    pub user: Option<String>,
    /// A key's id: key_…
    #[arg(long)]
    pub key: Option<String>,
    /// A model, as asked for or as priced
    #[arg(long)]
    pub model: Option<String>,
    #[arg(long)]
    pub provider: Option<String>,
    /// What became of them
    #[arg(long, value_parser = PossibleValuesParser::new(Decision::ALL.map(Decision::as_str)))]
    pub decision: Option<String>,
    /// Rows with a finding of this category
    #[arg(long)]
    pub category: Option<String>,
    /// One request's id
    #[arg(long, value_name = "UUID")]
    pub request: Option<Uuid>,
    /// Only requests, without operators' actions and the audit's own rows
    #[arg(long)]
    pub requests: bool,
}

impl FilterArgs {
    #[must_use]
    pub fn filter(&self) -> Filter {
        let exact = [
            (Exact::Organisation, &self.organisation),
            (Exact::Team, &self.team),
            (Exact::User, &self.user),
            (Exact::Key, &self.key),
            (Exact::Provider, &self.provider),
            (Exact::Decision, &self.decision),
        ];
        Filter {
            since: self.since,
            until: self.until,
            request: self.request,
            category: self.category.clone(),
            model: self.model.clone(),
            equal: exact
                .into_iter()
                .filter_map(|(column, text)| Some((column, text.clone()?)))
                .collect(),
            requests_only: self.requests,
            with_findings: false,
        }
    }
}

/// Reads a time: a date or a moment in UTC, or how long ago.
pub fn time(text: &str) -> Result<Moment, String> {
    when(text, Moment::now()).ok_or_else(|| {
        format!("\"{text}\" is no time; write 2026-11-01, 2026-11-01T08:00:00Z, or 24h or 7d for so long ago")
    })
}

fn when(text: &str, now: Moment) -> Option<Moment> {
    if let Some(ago) = ago(text) {
        let micros = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
        // Nothing is older than 1970, and stores know no earlier time.
        let at = now.micros().saturating_sub(micros).max(0);
        return Some(Moment::from_micros(at));
    }
    let at = text.parse().or_else(|_| {
        let date: Date = text.parse()?;
        Ok::<Timestamp, jiff::Error>(date.to_zoned(TimeZone::UTC)?.timestamp())
    });
    Some(Moment::from_micros(at.ok()?.as_microsecond().max(0)))
}

/// `90s`, `30m`, `24h`, `7d`, `4w`.
fn ago(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_a_moment_or_so_long_ago() {
        let now = Moment::from_seconds(1_790_000_000);
        let seconds = |text| when(text, now).unwrap().seconds();
        assert_eq!(seconds("24h"), 1_790_000_000 - 86_400);
        assert_eq!(seconds("2026-11-01"), 1_793_491_200);
        assert_eq!(seconds("2026-11-01T01:00:00+01:00"), 1_793_491_200);
        for long_ago in ["999999d", "1000000h", "0001-01-01"] {
            assert_eq!(seconds(long_ago), 0, "{long_ago}");
        }
        for wrong in [
            "",
            "h",
            "yesterday",
            "2026-13-01",
            "-3d",
            "99999999999999999999d",
            "é",
        ] {
            assert!(when(wrong, now).is_none(), "{wrong}");
        }
    }
}
