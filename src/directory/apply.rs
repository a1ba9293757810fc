//! Makes the directory what a file says, in one transaction, and tells what that changed.
//!
//! A file is the whole truth of every team, user and budget that it names: a setting that it leaves out goes back to its
//! default. What it does not name at all stays, unless the operator asks to prune; keys are never touched, but those of
//! a pruned team or user no longer count.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde_json::Value;

use super::organisation::{Budget, Organisation};
use super::records::{BudgetRecord, LimitsRecord, TeamRecord, to_json};
use super::{Directory, DirectoryError, census};
use crate::budget::Scope;
use crate::domain::Moment;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Changed,
    Removed,
    /// Not in the file, and left as it is.
    Kept,
}

impl ChangeKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Kept => "kept",
        }
    }
}

/// One thing that an application changed, or left although the file does not name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    /// `team payments`, `user payments/ada`, `budget team/payments/month`.
    pub what: String,
    /// The fields that changed: `limit: "1.00" → "2.00"`.
    pub fields: Vec<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.what)?;
        if !self.fields.is_empty() {
            write!(f, " ({})", self.fields.join(", "))?;
        }
        Ok(())
    }
}

/// A row of the database, whichever table it belongs to. Ordered so that teams come before their users.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RowKey {
    Organisation,
    Team(String),
    User { team: String, user: String },
    Budget(String),
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation => f.write_str("organisation"),
            Self::Team(team) => write!(f, "team {team}"),
            Self::User { team, user } => write!(f, "user {team}/{user}"),
            Self::Budget(id) => write!(f, "budget {id}"),
        }
    }
}

struct RowValue<'o> {
    record: Value,
    budget: Option<&'o Budget>,
}

impl Directory {
    /// Makes the directory what the file says; all of it, or nothing. Applying the same file again changes nothing.
    ///
    /// # Errors
    /// When the directory cannot be read or written.
    pub fn apply(
        &self,
        wanted: &Organisation,
        prune: bool,
        who: &str,
        now: Moment,
    ) -> Result<Vec<Change>, DirectoryError> {
        let (changes, ()) = self.apply_told(wanted, prune, who, now, |_| Ok(()))?;
        Ok(changes)
    }

    /// [`apply`](Self::apply), with what must be done before the changes are made.
    ///
    /// # Errors
    /// When the directory cannot be read or written, or `before` fails: then nothing has changed.
    pub fn apply_told<T>(
        &self,
        wanted: &Organisation,
        prune: bool,
        who: &str,
        now: Moment,
        before: impl FnOnce(&[Change]) -> io::Result<T>,
    ) -> Result<(Vec<Change>, T), DirectoryError> {
        self.follow_file()?;
        let mut connection = self.connection.borrow_mut();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let stored = census::organisation(&transaction)?;
        let (old, new) = (rows(&stored)?, rows(wanted)?);
        let changes = differences(&old, &new, prune);
        for (key, kind) in &changes {
            match kind {
                ChangeKind::Kept => {}
                ChangeKind::Removed => remove(&transaction, key)?,
                ChangeKind::Added | ChangeKind::Changed => {
                    write(&transaction, key, &new[key], now)?;
                }
            }
        }
        let told: Vec<Change> = changes
            .into_iter()
            .map(|(key, kind)| tell(&key, kind, &old, &new))
            .collect();
        for change in told.iter().filter(|change| change.kind != ChangeKind::Kept) {
            note(&transaction, now, who, &change.to_string())?;
        }
        let answer = before(&told).map_err(DirectoryError::Untold)?;
        transaction.commit()?;
        Ok((told, answer))
    }

    /// Whether the history has something of each of these moments. Waits for whoever is changing the directory: what is
    /// not there afterwards never comes.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn was_done(&self, moments: &[Moment]) -> Result<Vec<bool>, DirectoryError> {
        self.follow_file()?;
        let mut connection = self.connection.borrow_mut();
        let alone = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut history = alone.prepare("SELECT 1 FROM history WHERE at = ?1")?;
        let done = |at: &Moment| Ok(history.exists(params![at.micros()])?);
        moments.iter().map(done).collect()
    }
}

fn rows(organisation: &Organisation) -> Result<BTreeMap<RowKey, RowValue<'_>>, DirectoryError> {
    let plain = |record| RowValue {
        record,
        budget: None,
    };
    let mut rows = BTreeMap::new();
    let name = serde_json::json!({ "name": organisation.name.as_str() });
    rows.insert(RowKey::Organisation, plain(name));
    for team in &organisation.teams {
        rows.insert(
            RowKey::Team(team.name.to_string()),
            plain(to_json(TeamRecord::from(&team.policy))?),
        );
        for user in &team.users {
            let key = RowKey::User {
                team: team.name.to_string(),
                user: user.name.to_string(),
            };
            rows.insert(key, plain(to_json(LimitsRecord::from(&user.limits))?));
        }
    }
    for budget in &organisation.budgets {
        let value = RowValue {
            record: to_json(BudgetRecord::from(budget))?,
            budget: Some(budget),
        };
        rows.insert(RowKey::Budget(budget_key(budget)), value);
    }
    Ok(rows)
}

/// The organisation's own budgets are told apart by window only, so that a new name keeps them.
fn budget_key(budget: &Budget) -> String {
    match &budget.spec.scope {
        Scope::Organisation(_) => format!("organisation/{}", budget.spec.window.as_str()),
        _ => budget.spec.id.to_string(),
    }
}

type Rows<'o> = BTreeMap<RowKey, RowValue<'o>>;

fn differences(old: &Rows<'_>, new: &Rows<'_>, prune: bool) -> Vec<(RowKey, ChangeKind)> {
    let mut changes = Vec::new();
    for (key, value) in new {
        match old.get(key) {
            None => changes.push((key.clone(), ChangeKind::Added)),
            Some(before) if before.record != value.record => {
                changes.push((key.clone(), ChangeKind::Changed));
            }
            Some(_) => {}
        }
    }
    // The budgets of keys are made with them, never by a file.
    let is_of_key = |key: &RowKey| matches!(key, RowKey::Budget(id) if id.starts_with("key/"));
    for key in old
        .keys()
        .filter(|key| !new.contains_key(key) && !is_of_key(key))
    {
        changes.push((
            key.clone(),
            if prune {
                ChangeKind::Removed
            } else {
                ChangeKind::Kept
            },
        ));
    }
    changes
}

fn tell(key: &RowKey, kind: ChangeKind, old: &Rows<'_>, new: &Rows<'_>) -> Change {
    let fields = match (kind, old.get(key), new.get(key)) {
        (ChangeKind::Changed, Some(before), Some(after)) => {
            changed_fields(&before.record, &after.record)
        }
        _ => Vec::new(),
    };
    let budget = new
        .get(key)
        .or_else(|| old.get(key))
        .and_then(|row| row.budget);
    Change {
        kind,
        what: budget.map_or_else(
            || key.to_string(),
            |budget| format!("budget {}", budget.spec.id),
        ),
        fields,
    }
}

fn changed_fields(before: &Value, after: &Value) -> Vec<String> {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return Vec::new();
    };
    let absent = Value::Null;
    let shown = |value: &Value| {
        if value.is_null() {
            "not set".to_owned()
        } else {
            value.to_string()
        }
    };
    after
        .iter()
        .map(|(name, value)| (name, before.get(name).unwrap_or(&absent), value))
        .filter(|(_, before, after)| before != after)
        .map(|(name, before, after)| format!("{name}: {} → {}", shown(before), shown(after)))
        .collect()
}

fn write(
    transaction: &Transaction<'_>,
    key: &RowKey,
    value: &RowValue<'_>,
    now: Moment,
) -> Result<(), DirectoryError> {
    let record = value.record.to_string();
    match key {
        RowKey::Organisation => {
            let name = value.record["name"].as_str().unwrap_or_default().as_bytes();
            transaction.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('organisation', ?1)", params![name])?
        }
        RowKey::Team(team) => transaction.execute(
            "INSERT INTO teams (name, record) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET record = ?2",
            params![team, record],
        )?,
        RowKey::User { team, user } => transaction.execute(
            "INSERT INTO users (team, name, record) VALUES (?1, ?2, ?3)
             ON CONFLICT (team, name) DO UPDATE SET record = ?3",
            params![team, user, record],
        )?,
        RowKey::Budget(_) => match value.budget {
            Some(budget) => write_budget(transaction, budget, now)?,
            None => 0,
        },
    };
    Ok(())
}

/// Writes a budget of whatever scope.
pub(super) fn write_budget(
    connection: &Connection,
    budget: &Budget,
    now: Moment,
) -> Result<usize, DirectoryError> {
    let (team, user, key) = match &budget.spec.scope {
        Scope::Organisation(_) => (None, None, None),
        Scope::Team(team) => (Some(team.as_str()), None, None),
        Scope::User { team, user } => (Some(team.as_str()), Some(user.as_str()), None),
        Scope::Key(key) | Scope::Session { key, .. } => (None, None, Some(key.as_str())),
    };
    let window = budget.spec.window.as_str();
    let record = to_json(BudgetRecord::from(budget))?.to_string();
    Ok(connection.execute(
        "INSERT INTO budgets (id, team, user, key, window, record, revision) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET record = ?6, revision = max(revision + 1, ?7)",
        params![budget_key(budget), team, user, key, window, record, now.micros()],
    )?)
}

fn remove(transaction: &Transaction<'_>, key: &RowKey) -> Result<(), DirectoryError> {
    match key {
        // A file always names the organisation.
        RowKey::Organisation => 0,
        RowKey::Team(team) => {
            transaction.execute("DELETE FROM teams WHERE name = ?1", params![team])?
        }
        RowKey::User { team, user } => transaction.execute(
            "DELETE FROM users WHERE team = ?1 AND name = ?2",
            params![team, user],
        )?,
        RowKey::Budget(id) => {
            transaction.execute("DELETE FROM budgets WHERE id = ?1", params![id])?
        }
    };
    Ok(())
}

/// Keeps who did what and when, beside the change itself.
pub(super) fn note(
    connection: &Connection,
    now: Moment,
    who: &str,
    what: &str,
) -> Result<(), DirectoryError> {
    connection.execute(
        "INSERT INTO history (at, who, what) VALUES (?1, ?2, ?3)",
        params![now.micros(), who, what],
    )?;
    Ok(())
}
