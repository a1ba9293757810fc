//! What each category would have blocked: the audit's rows added up, so that an operator sees whom a promotion from
//! `alert` or `redact` to `block` would have stopped, before it does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Write};

use serde_json::json;

use crate::audit::export::found;
use crate::audit::query::{By, Filter, Order, QueryError, Source, for_each};
use crate::audit::record::Record;
use crate::cli::table::write_table;

const HEADS: [&str; 10] = [
    "CATEGORY",
    "TEAM",
    "REQUESTS",
    "OF ALL",
    "USERS",
    "FINDINGS",
    "ALERT",
    "REDACT",
    "BLOCK",
    "WOULD BLOCK",
];

/// Requests of one team in which one category was found.
#[derive(Debug, Default)]
struct Line {
    requests: u64,
    findings: u64,
    users: BTreeSet<String>,
    alert: u64,
    redact: u64,
    block: u64,
    /// Requests that went to a provider and would not have, had this category been set to `block`.
    would_block: u64,
}

/// Category and team; what was found there; and how many requests of any kind a team made.
pub struct Report {
    lines: BTreeMap<(String, String), Line>,
    requests: HashMap<String, u64>,
}

impl Report {
    /// Adds up the rows that pass the filter. One category's lines only, where the filter names one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(source: &mut dyn Source, filter: &Filter) -> Result<Self, QueryError> {
        let all = Filter {
            category: None,
            requests_only: true,
            ..filter.clone()
        };
        let sums = source.sums(&all, By::Team)?;
        let mut report = Self {
            lines: BTreeMap::new(),
            requests: sums
                .into_iter()
                .map(|sum| (sum.group, sum.requests))
                .collect(),
        };
        let with_findings = Filter {
            with_findings: true,
            requests_only: true,
            ..filter.clone()
        };
        for_each::<QueryError>(source, &with_findings, Order::Oldest, |record| {
            report.add(record, filter.category.as_deref());
            Ok(true)
        })?;
        Ok(report)
    }

    fn add(&mut self, record: &Record<'_>, only: Option<&str>) {
        let entry = &record.entry;
        let left = !matches!(&*entry.decision, "blocked" | "refused");
        let found = found(&entry.findings);
        // What was put back into the answer, or could not be rewritten, is noted beside what was found.
        for (category, count, action) in found.filter(|(.., action)| is_policy(action)) {
            if only.is_some_and(|only| only != category) {
                continue;
            }
            let place = (category.to_owned(), entry.team.to_string());
            let line = self.lines.entry(place).or_default();
            line.requests += 1;
            line.findings = line.findings.saturating_add(count);
            if !entry.user.is_empty() {
                line.users.insert(entry.user.to_string());
            }
            match action {
                "alert" => line.alert += 1,
                "redact" => line.redact += 1,
                _ => line.block += 1,
            }
            line.would_block += u64::from(left && action != "block");
        }
    }

    /// A table for people, or one JSON object for each line.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn write(&self, json: bool, out: &mut dyn Write) -> io::Result<()> {
        if json {
            for ((category, team), line) in &self.lines {
                let shown = json!({"category": category, "team": team, "requests": line.requests,
                    "all_requests": self.all(team), "users": line.users.len(), "findings": line.findings,
                    "alert": line.alert, "redact": line.redact, "block": line.block, "would_block": line.would_block});
                writeln!(out, "{shown}")?;
            }
            return Ok(());
        }
        let lines = self.lines.iter();
        let rows: Vec<Vec<String>> = lines
            .map(|((category, team), line)| {
                let share = share(line.requests, self.all(team));
                let users = line.users.len().to_string();
                let mut cells = vec![
                    category.clone(),
                    team.clone(),
                    line.requests.to_string(),
                    share,
                    users,
                ];
                let numbers = [
                    line.findings,
                    line.alert,
                    line.redact,
                    line.block,
                    line.would_block,
                ];
                cells.extend(numbers.map(|number| number.to_string()));
                cells
            })
            .collect();
        write_table(out, &HEADS, &rows)
    }

    fn all(&self, team: &str) -> u64 {
        self.requests.get(team).copied().unwrap_or(0)
    }
}

fn is_policy(action: &str) -> bool {
    matches!(action, "alert" | "redact" | "block")
}

/// A share in percent, rounded down to a tenth.
fn share(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::Entry;
    use crate::audit::query::Sum;
    use crate::audit::record::Place;

    /// Rows that are there; it hears what it is asked for.
    struct Rows {
        rows: Vec<Record<'static>>,
        asked: Vec<Filter>,
    }

    impl Source for Rows {
        fn page(
            &mut self,
            filter: &Filter,
            _: Order,
            after: Option<Place>,
            _: usize,
        ) -> Result<Vec<Record<'static>>, QueryError> {
            assert!(after.is_none());
            self.asked.push(filter.clone());
            Ok(self.rows.clone())
        }

        fn sums(&mut self, filter: &Filter, by: By) -> Result<Vec<Sum>, QueryError> {
            assert_eq!(by, By::Team);
            self.asked.push(filter.clone());
            let sum = |group: &str, requests| Sum {
                group: group.to_owned(),
                requests,
                ..Sum::default()
            };
            Ok(vec![sum("pay", 40), sum("web", 3)])
        }
    }

    fn row(
        team: &'static str,
        user: &'static str,
        decision: &'static str,
        findings: &'static str,
    ) -> Record<'static> {
        let entry = Entry {
            kind: "request".into(),
            team: team.into(),
            user: user.into(),
            decision: decision.into(),
            findings: findings.into(),
            ..Entry::default()
        };
        Record {
            entry,
            ..Record::default()
        }
    }

    fn told(only: Option<&str>, json: bool) -> String {
        let mut rows = Rows {
            rows: vec![
                row(
                    "pay",
                    "ann",
                    "alerted",
                    "email:2:alert,jwt:1:redact,jwt:1:restored",
                ),
                row("pay", "bob", "blocked", "email:1:alert,private_key:1:block"),
                row("pay", "ann", "failed", "email:4:alert"),
                row("web", "", "refused", "email:1:alert"),
            ],
            asked: Vec::new(),
        };
        let filter = Filter {
            category: only.map(str::to_owned),
            ..Filter::default()
        };
        let report = Report::of(&mut rows, &filter).unwrap();
        assert!(rows.asked[0].category.is_none() && rows.asked[0].requests_only);
        assert!(rows.asked[1].with_findings && rows.asked[1].category.as_deref() == only);
        let mut out = Vec::new();
        report.write(json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_category_and_team_says_what_it_found_and_what_it_would_have_stopped() {
        insta::assert_snapshot!(told(None, false), @"
        CATEGORY     TEAM  REQUESTS  OF ALL  USERS  FINDINGS  ALERT  REDACT  BLOCK  WOULD BLOCK
        email        pay   3         7.5 %   2      7         3      0       0      2
        email        web   1         33.3 %  0      1         1      0       0      0
        jwt          pay   1         2.5 %   1      1         0      1       0      1
        private_key  pay   1         2.5 %   1      1         0      0       1      0
        ");
        assert_eq!(
            told(Some("jwt"), true),
            concat!(
                r#"{"category":"jwt","team":"pay","requests":1,"all_requests":40,"users":1,"findings":1,"#,
                r#""alert":0,"redact":1,"block":0,"would_block":1}"#,
                "\n"
            )
        );
    }
}
