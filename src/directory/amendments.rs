//! What operators grant and correct: totals for one budget and one of its periods. A gateway may hear them any number of
//! times, since totals said twice change nothing.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::apply::note;
use super::{Directory, DirectoryError, census};
use crate::budget::{Amendment, BudgetId, Span};
use crate::domain::{Moment, Usd};

/// The totals of one budget for the period that begins then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amended {
    pub budget: BudgetId,
    pub period: Moment,
    pub totals: Amendment,
}

/// One change to the totals of the current period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amend {
    /// Raises the cap.
    Grant(Usd),
    /// Counts spending that the ledger had not seen.
    Charge(Usd),
    /// Takes back spending that the ledger should not have counted.
    Credit(Usd),
}

impl Directory {
    /// Changes the totals of a budget for the period of `now`; answers them.
    ///
    /// # Errors
    /// When there is no such budget, the totals cannot be kept, or the directory cannot be written.
    pub fn amend(
        &self,
        id: &BudgetId,
        change: Amend,
        who: &str,
        now: Moment,
    ) -> Result<Amended, DirectoryError> {
        self.follow_file()?;
        let mut connection = self.connection.borrow_mut();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let budgets = census::organisation(&transaction)?.budgets;
        let budget = budgets.iter().find(|budget| budget.spec.id == *id);
        let spec = &budget
            .ok_or_else(|| DirectoryError::NoBudget(id.to_string()))?
            .spec;
        let period = Span::containing(spec.window, &spec.zone, now).start;
        let before = find(&transaction, id, period)?;
        let sum = |so_far: Usd, more: Usd| so_far.checked_add(more).ok_or(DirectoryError::TooLarge);
        let (totals, told) = match change {
            Amend::Grant(more) => (
                Amendment {
                    granted: sum(before.granted, more)?,
                    ..before
                },
                format!("granted {more}"),
            ),
            Amend::Charge(more) => (
                Amendment {
                    charged: sum(before.charged, more)?,
                    ..before
                },
                format!("charged {more}"),
            ),
            Amend::Credit(more) => (
                Amendment {
                    credited: sum(before.credited, more)?,
                    ..before
                },
                format!("credited {more}"),
            ),
        };
        write(&transaction, id, period, &totals)?;
        note(&transaction, now, who, &format!("budget {id}: {told}"))?;
        transaction.commit()?;
        Ok(Amended {
            budget: id.clone(),
            period,
            totals,
        })
    }
}

fn write(
    connection: &Connection,
    id: &BudgetId,
    period: Moment,
    totals: &Amendment,
) -> Result<(), DirectoryError> {
    connection.execute(
        "INSERT OR REPLACE INTO amendments (budget, period, granted, charged, credited) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            id.as_str(),
            period.micros(),
            totals.granted.to_string(),
            totals.charged.to_string(),
            totals.credited.to_string()
        ],
    )?;
    Ok(())
}

fn find(
    connection: &Connection,
    id: &BudgetId,
    period: Moment,
) -> Result<Amendment, DirectoryError> {
    let query =
        "SELECT granted, charged, credited FROM amendments WHERE budget = ?1 AND period = ?2";
    let found = connection
        .query_row(query, params![id.as_str(), period.micros()], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?])
        })
        .optional()?;
    found.map_or(Ok(Amendment::default()), |columns| read(id, &columns))
}

/// All amendments, of past periods too.
pub(super) fn all(connection: &Connection) -> Result<Vec<Amended>, DirectoryError> {
    let mut all = Vec::new();
    let mut statement =
        connection.prepare("SELECT budget, period, granted, charged, credited FROM amendments")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        let budget = BudgetId::parse(&text)
            .ok_or_else(|| DirectoryError::Corrupt("an amendment of no budget".to_owned()))?;
        let totals = read(&budget, &[row.get(2)?, row.get(3)?, row.get(4)?])?;
        all.push(Amended {
            budget,
            period: Moment::from_micros(row.get(1)?),
            totals,
        });
    }
    Ok(all)
}

fn read(id: &BudgetId, columns: &[String; 3]) -> Result<Amendment, DirectoryError> {
    let amount = |text: &str| {
        Usd::parse(text).map_err(|error| {
            DirectoryError::Corrupt(format!("amendment of {id}: \"{text}\" {error}"))
        })
    };
    Ok(Amendment {
        granted: amount(&columns[0])?,
        charged: amount(&columns[1])?,
        credited: amount(&columns[2])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::parse_file;

    fn usd(text: &str) -> Usd {
        Usd::parse(text).unwrap()
    }

    #[test]
    fn totals_add_up_within_a_period_and_begin_anew_in_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        let file = parse_file("d", include_str!("../../conf/directory.toml")).unwrap();
        let now = Moment::from_seconds(1_800_000_000);
        directory.apply(&file, false, "test", now).unwrap();
        let id = BudgetId::new("user/payments/ada/day");
        directory
            .amend(&id, Amend::Grant(usd("1.50")), "test", now)
            .unwrap();
        directory
            .amend(&id, Amend::Charge(usd("2")), "test", now)
            .unwrap();
        directory
            .amend(&id, Amend::Credit(usd("3")), "test", now)
            .unwrap();
        let amended = directory
            .amend(&id, Amend::Grant(usd("0.25")), "test", now)
            .unwrap();
        let totals = Amendment {
            granted: usd("1.75"),
            charged: usd("2"),
            credited: usd("3"),
        };
        assert_eq!(amended.totals, totals);
        assert_eq!(directory.load().unwrap().amendments, [amended]);
        let tomorrow = Moment::from_seconds(1_800_086_400);
        let later = directory
            .amend(&id, Amend::Grant(usd("4")), "test", tomorrow)
            .unwrap();
        assert_eq!(
            later.totals,
            Amendment {
                granted: usd("4"),
                ..Amendment::default()
            }
        );
    }

    #[test]
    fn an_unknown_budget_and_an_absurd_total_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        let file = parse_file("d", include_str!("../../conf/directory.toml")).unwrap();
        let now = Moment::from_seconds(1_800_000_000);
        directory.apply(&file, false, "test", now).unwrap();
        let amend = |id: &str, amount| {
            directory.amend(&BudgetId::new(id), Amend::Grant(amount), "test", now)
        };
        assert!(matches!(
            amend("team/none/day", usd("1")),
            Err(DirectoryError::NoBudget(_))
        ));
        amend("team/payments/month", Usd::MAX).unwrap();
        assert!(matches!(
            amend("team/payments/month", usd("1")),
            Err(DirectoryError::TooLarge)
        ));
    }
}
