//! The whole directory at one moment, for a snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::amendments::{self, Amended};
use super::keys::IS_OWNED;
use super::organisation::{Budget, Organisation, Team, User};
use super::records::{BudgetRecord, LimitsRecord, TeamRecord, from_json};
use super::{Directory, DirectoryError};
use crate::budget::{BudgetSpec, OnStoreLoss, Scope, Window};
use crate::domain::{Caller, KeyId, Moment, Name};
use crate::identity::{Entry, KeyHash, Roster};
use crate::policy::{Limits, Subject};

/// What the organisation is called before anyone has said so.
const UNNAMED: &str = "default";

/// Everything that the directory holds, read in one transaction.
#[derive(Clone, Debug)]
pub struct Census {
    pub organisation: Name,
    pub teams: Vec<Team>,
    pub budgets: Vec<Budget>,
    /// What operators granted and corrected, by budget and period: to be put into the ledger.
    pub amendments: Vec<Amended>,
    /// Every key that was ever made, for a [`Roster`]. One whose team or user is gone counts as revoked.
    pub roster: Vec<(KeyHash, Entry)>,
    /// The limits of keys that have some of their own.
    pub key_limits: HashMap<KeyId, Limits>,
}

impl Census {
    /// All keys, ready for lookups.
    #[must_use]
    pub fn roster(&self) -> Roster {
        Roster::new(self.roster.iter().cloned())
    }

    /// All budgets, with the configuration's word where they have none of their own.
    pub fn all_budgets(&self, default: OnStoreLoss) -> Vec<BudgetSpec> {
        self.budgets
            .iter()
            .map(|budget| budget.resolved(default))
            .collect()
    }

    /// Whose limits hold for a caller: its team's, its user's, its key's. For [`RateLimiter::gate`].
    ///
    /// [`RateLimiter::gate`]: crate::policy::RateLimiter::gate
    #[must_use]
    pub fn limits_of(&self, caller: &Caller) -> Vec<(Subject, Limits)> {
        let mut limits = Vec::new();
        let Some(team) = self.teams.iter().find(|team| team.name == caller.team) else {
            return limits;
        };
        limits.push((Subject::Team(team.name.clone()), team.policy.limits));
        let user = team
            .users
            .iter()
            .find(|user| caller.user.as_ref() == Some(&user.name));
        if let Some(user) = user {
            limits.push((
                Subject::User {
                    team: team.name.clone(),
                    user: user.name.clone(),
                },
                user.limits,
            ));
        }
        if let Some(key) = self.key_limits.get(&caller.key) {
            limits.push((Subject::Key(caller.key.clone()), *key));
        }
        limits
    }
}

impl Directory {
    /// Reads everything, as it is at one moment.
    ///
    /// # Errors
    /// When the database is gone, cannot be read, or holds what this program does not understand.
    pub fn load(&self) -> Result<Census, DirectoryError> {
        self.follow_file()?;
        let mut connection = self.connection.borrow_mut();
        let transaction = connection.transaction()?;
        let organisation = organisation(&transaction)?;
        let roster = roster(&transaction, &organisation.name)?;
        let amendments = amendments::all(&transaction)?;
        let key_limits = key_limits(&transaction)?;
        let Organisation {
            name,
            teams,
            budgets,
        } = organisation;
        Ok(Census {
            organisation: name,
            teams,
            budgets,
            amendments,
            roster,
            key_limits,
        })
    }
}

/// Organisation, teams, users and budgets.
pub(super) fn organisation(connection: &Connection) -> Result<Organisation, DirectoryError> {
    let name = name(connection)?;
    let mut teams = Vec::new();
    let mut statement = connection.prepare("SELECT name, record FROM teams ORDER BY name")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let team = valid_name(row, 0)?;
        let what = format!("team {team}");
        let policy = from_json::<TeamRecord>(&row.get::<_, String>(1)?, &what)?.policy(&what)?;
        let users = users(connection, &team)?;
        teams.push(Team {
            name: team,
            policy,
            users,
        });
    }
    let budgets = budgets(connection, &name)?;
    Ok(Organisation {
        name,
        teams,
        budgets,
    })
}

fn name(connection: &Connection) -> Result<Name, DirectoryError> {
    let mut statement = connection.prepare("SELECT value FROM meta WHERE name = 'organisation'")?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(Name::new(UNNAMED));
    };
    let bytes: Vec<u8> = row.get(0)?;
    let text = String::from_utf8(bytes)
        .ok()
        .filter(|text| Name::is_valid(text));
    text.map(|text| Name::new(&text))
        .ok_or_else(|| DirectoryError::Corrupt("the organisation's name".to_owned()))
}

fn users(connection: &Connection, team: &Name) -> Result<Vec<User>, DirectoryError> {
    let mut users = Vec::new();
    let mut statement = connection
        .prepare_cached("SELECT name, record FROM users WHERE team = ?1 ORDER BY name")?;
    let mut rows = statement.query(params![team.as_str()])?;
    while let Some(row) = rows.next()? {
        let name = valid_name(row, 0)?;
        let record: LimitsRecord = from_json(
            &row.get::<_, String>(1)?,
            &format!("user {name} of team {team}"),
        )?;
        users.push(User {
            name,
            limits: record.into(),
        });
    }
    Ok(users)
}

fn budgets(connection: &Connection, organisation: &Name) -> Result<Vec<Budget>, DirectoryError> {
    let mut budgets = Vec::new();
    let mut statement = connection
        .prepare("SELECT id, team, user, key, window, record, revision FROM budgets ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let corrupt = || DirectoryError::Corrupt(format!("budget {id}"));
        let scope = match (optional(row, 1)?, optional(row, 2)?, optional(row, 3)?) {
            (None, None, None) => Scope::Organisation(organisation.clone()),
            (Some(team), None, None) => Scope::Team(Name::new(&team)),
            (Some(team), Some(user), None) => Scope::User {
                team: Name::new(&team),
                user: Name::new(&user),
            },
            (None, None, Some(key)) => Scope::Key(KeyId::new(&key)),
            _ => return Err(corrupt()),
        };
        let window = Window::parse(&row.get::<_, String>(4)?).ok_or_else(corrupt)?;
        let record: BudgetRecord = from_json(&row.get::<_, String>(5)?, &format!("budget {id}"))?;
        let revision = u64::try_from(row.get::<_, i64>(6)?).map_err(|_| corrupt())?;
        budgets.push(record.budget(scope, window, revision)?);
    }
    Ok(budgets)
}

fn roster(
    connection: &Connection,
    organisation: &Name,
) -> Result<Vec<(KeyHash, Entry)>, DirectoryError> {
    let mut roster = Vec::new();
    let query = format!("SELECT hash, id, team, user, expires, revoked, {IS_OWNED} FROM keys");
    let mut statement = connection.prepare(&query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let entry = Entry {
            caller: Arc::new(Caller {
                key: KeyId::new(&row.get::<_, String>(1)?),
                organisation: organisation.clone(),
                team: valid_name(row, 2)?,
                user: optional(row, 3)?.map(|user| Name::new(&user)),
            }),
            revoked: !row.get::<_, bool>(6)? || row.get::<_, Option<i64>>(5)?.is_some(),
            expires: row.get::<_, Option<i64>>(4)?.map(Moment::from_micros),
        };
        roster.push((KeyHash::from_bytes(row.get(0)?), entry));
    }
    Ok(roster)
}

fn key_limits(connection: &Connection) -> Result<HashMap<KeyId, Limits>, DirectoryError> {
    let mut all = HashMap::new();
    let mut statement = connection.prepare("SELECT id, record FROM keys WHERE revoked IS NULL")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let record: LimitsRecord = from_json(&row.get::<_, String>(1)?, &format!("key {id}"))?;
        let limits = Limits::from(record);
        if limits != Limits::default() {
            all.insert(KeyId::new(&id), limits);
        }
    }
    Ok(all)
}

fn valid_name(row: &Row<'_>, column: usize) -> Result<Name, DirectoryError> {
    let text: String = row.get(column)?;
    let known = Name::is_valid(&text).then(|| Name::new(&text));
    known.ok_or_else(|| DirectoryError::Corrupt("a name that is none".to_owned()))
}

fn optional(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    row.get(column)
}
