//! Our cost beside a provider's: what its usage export says that a day, a model and a key cost, and what our rows say.
//!
//! An export is CSV with a head. Its columns are found by name, so an export of any provider does, as it is or with
//! its head changed: a day, a cost, and if there are any a model and a key.

use std::collections::BTreeMap;

use super::entry::Entry;
use crate::domain::Usd;

/// Names of columns in exports that are known, lower case, blanks and underscores alike.
const DAYS: [&str; 5] = ["day", "date", "usage date", "usage date utc", "start time"];
const COSTS: [&str; 5] = [
    "cost usd",
    "cost",
    "amount",
    "amount value",
    "total cost usd",
];
const MODELS: [&str; 3] = ["model", "model version", "line item"];
const KEYS: [&str; 4] = ["key", "api key", "api key id", "key id"];

/// What a cost belongs to. An export without models or keys leaves them empty, and so are ours then.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    pub day: String,
    pub model: String,
    pub key: String,
}

/// Costs of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    sums: BTreeMap<Group, Usd>,
    has_model: bool,
    has_key: bool,
}

/// Two costs of one group that are not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    pub group: Group,
    pub ours: Usd,
    pub theirs: Usd,
}

/// Why an export does not read, and in which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ExportFault {
    pub line: usize,
    pub reason: String,
}

/// One line of CSV as cells; quotes may hold commas and doubled quotes, but no line ends.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let (mut quoted, mut chars) = (false, line.chars().peekable());
    while let Some(c) = chars.next() {
        let last = cells.len() - 1;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cells[last].push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            _ => cells[last].push(c),
        }
    }
    cells
}

fn column(head: &[String], names: &[&str]) -> Option<usize> {
    head.iter().position(|cell| {
        let name = cell.trim().to_ascii_lowercase().replace(['_', '.'], " ");
        names.contains(&name.as_str())
    })
}

/// A cost as exports write it: `12.5`, `$12.50`; digits finer than a nano-dollar count up.
fn cost(text: &str) -> Option<Usd> {
    let text = text.trim().trim_start_matches('$');
    let text = if text.starts_with('.') {
        format!("0{text}")
    } else {
        text.to_owned()
    };
    if let Ok(cost) = Usd::parse(&text) {
        return Some(cost);
    }
    let (whole, fraction) = text.split_once('.')?;
    let (kept, rest) = fraction.split_at_checked(9)?;
    let cost = Usd::parse(&format!("{whole}.{kept}")).ok()?;
    let finer = rest.bytes().all(|digit| digit.is_ascii_digit());
    let up = Usd::from_nanos(u64::from(rest.bytes().any(|digit| digit != b'0')));
    finer.then(|| cost.saturating_add(up))
}

impl Costs {
    /// Reads an export.
    ///
    /// # Errors
    /// When it has no column for days or costs, or a line that does not read.
    pub fn read(text: &str) -> Result<Self, ExportFault> {
        let fault = |line: usize, reason: &str| ExportFault {
            line: line + 1,
            reason: reason.to_owned(),
        };
        let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
        let head = lines
            .next()
            .map(|(_, line)| cells(line))
            .unwrap_or_default();
        let day = column(&head, &DAYS).ok_or_else(|| fault(0, "no column `day` or `date`"))?;
        let amount = column(&head, &COSTS).ok_or_else(|| fault(0, "no column `cost_usd`"))?;
        let (model, key) = (column(&head, &MODELS), column(&head, &KEYS));
        let mut costs = Self {
            has_model: model.is_some(),
            has_key: key.is_some(),
            ..Self::default()
        };
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let cells = cells(line);
            let cell = |index: Option<usize>| {
                let text = index.and_then(|index| cells.get(index));
                text.map(|text| text.trim().to_owned()).unwrap_or_default()
            };
            let cost = cost(&cell(Some(amount)))
                .ok_or_else(|| fault(number, "its cost is not an amount in dollars"))?;
            let group = Group {
                // A time of day after the date is of no matter.
                day: cell(Some(day)).chars().take(10).collect(),
                model: cell(model),
                key: cell(key),
            };
            costs.add(group, cost);
        }
        Ok(costs)
    }

    /// An empty side that counts by what the other side names.
    #[must_use]
    pub fn like(&self) -> Self {
        Self {
            has_model: self.has_model,
            has_key: self.has_key,
            ..Self::default()
        }
    }

    fn add(&mut self, group: Group, cost: Usd) {
        let sum = self.sums.entry(group).or_default();
        *sum = sum.saturating_add(cost);
    }

    /// Adds one of our rows.
    pub fn add_row(&mut self, entry: &Entry<'_>) {
        let kept = |wanted: bool, text: &str| {
            if wanted {
                text.to_owned()
            } else {
                String::new()
            }
        };
        let group = Group {
            day: super::export::time(entry.at).chars().take(10).collect(),
            model: kept(self.has_model, &entry.priced_as),
            key: kept(self.has_key, &entry.key),
        };
        self.add(group, Usd::from_nanos(entry.cost_nanos));
    }

    /// The first and the last day, as they are written.
    #[must_use]
    pub fn days(&self) -> Option<(&str, &str)> {
        let first = &self.sums.first_key_value()?.0.day;
        let last = &self.sums.last_key_value()?.0.day;
        Some((first, last))
    }

    #[must_use]
    pub fn total(&self) -> Usd {
        self.sums
            .values()
            .fold(Usd::ZERO, |sum, cost| sum.saturating_add(*cost))
    }

    /// Groups whose costs differ by more than this many thousandths of the larger one.
    #[must_use]
    pub fn drift(&self, theirs: &Self, tolerance: u64) -> Vec<Drift> {
        let mut groups: Vec<&Group> = self.sums.keys().chain(theirs.sums.keys()).collect();
        groups.sort_unstable();
        groups.dedup();
        let cost = |side: &Self, group: &Group| side.sums.get(group).copied().unwrap_or(Usd::ZERO);
        let drift = |group: &Group| {
            let (ours, theirs) = (cost(self, group), cost(theirs, group));
            let apart = u128::from(ours.nanos().abs_diff(theirs.nanos())) * 1000;
            let allowed = u128::from(ours.max(theirs).nanos()) * u128::from(tolerance);
            (apart > allowed).then(|| Drift {
                group: group.clone(),
                ours,
                theirs,
            })
        };
        groups.into_iter().filter_map(drift).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_what_differs_by_more_than_the_tolerance() {
        let export = "usage_date_utc,model,\"Cost (USD)\",cost_usd\n\
                      2026-11-01,claude-sonnet-4-5,x,$10.00\n\
                      2026-11-01T23:00:00Z,claude-sonnet-4-5,x,2.5000000001\n\
                      2026-11-02,\"gpt, five\",x,.25\n";
        let theirs = Costs::read(export).unwrap();
        assert_eq!(theirs.total(), Usd::from_nanos(12_750_000_001));
        assert_eq!(theirs.days(), Some(("2026-11-01", "2026-11-02")));
        let mut ours = theirs.like();
        let row = |day: u64, model: &'static str, nanos| Entry {
            at: (1_793_491_200 + day * 86_400) * 1_000_000,
            priced_as: model.into(),
            key: "key_1".into(),
            cost_nanos: nanos,
            ..Entry::default()
        };
        ours.add_row(&row(0, "claude-sonnet-4-5", 12_450_000_000));
        ours.add_row(&row(2, "claude-opus-4-5", 5));
        assert_eq!(ours.drift(&theirs, 10).len(), 2);
        let strict = ours.drift(&theirs, 0);
        let told: Vec<_> = strict
            .iter()
            .map(|drift| {
                (
                    drift.group.model.as_str(),
                    drift.ours.nanos(),
                    drift.theirs.nanos(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("claude-sonnet-4-5", 12_450_000_000, 12_500_000_001),
                ("gpt, five", 0, 250_000_000),
                ("claude-opus-4-5", 5, 0),
            ]
        );
    }

    #[test]
    fn an_export_that_does_not_read_says_in_which_line() {
        let fault = |text| Costs::read(text).unwrap_err().to_string();
        assert_eq!(fault(""), "line 1: no column `day` or `date`");
        assert_eq!(fault("day,what\n"), "line 1: no column `cost_usd`");
        assert_eq!(
            fault("day,cost\n2026-11-01,1\n2026-11-01,-1\n"),
            "line 3: its cost is not an amount in dollars"
        );
    }
}
