//! Virtual keys: making, listing, revoking.

use hmac::Mac;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::apply::{note, write_budget};
use super::installation::{KeyFileError, random};
use super::organisation::Budget;
use super::records::{LimitsRecord, to_json};
use super::{Directory, DirectoryError};
use crate::budget::{BudgetSpec, Scope, Window, Zone};
use crate::domain::{KeyId, Moment, Name, Usd};
use crate::identity::{self, NewKey};
use crate::keyed;
use crate::policy::Limits;

/// A key to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyWish<'a> {
    pub team: &'a str,
    /// Absent: a key that the team shares.
    pub user: Option<&'a str>,
    pub expires: Option<Moment>,
    /// Caps of this key alone, in UTC, besides those of its user and team.
    pub budgets: &'a [(Window, Usd)],
    /// Limits of this key alone, besides those of its user and team.
    pub limits: Limits,
}

/// Whether a key's team, and user if it has one, are in the directory: otherwise it counts as revoked.
pub(super) const IS_OWNED: &str = "CASE WHEN keys.user IS NULL
    THEN EXISTS (SELECT 1 FROM teams WHERE teams.name = keys.team)
    ELSE EXISTS (SELECT 1 FROM users WHERE users.team = keys.team AND users.name = keys.user) END";

/// A key as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    pub id: KeyId,
    pub team: Name,
    pub user: Option<Name>,
    pub created: Moment,
    pub expires: Option<Moment>,
    pub revoked: Option<Moment>,
    /// Whether its team and user are still in the directory.
    pub is_owned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    Active,
    Expired,
    Revoked,
}

impl KeyState {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl KeyRow {
    /// What a gateway takes the key for.
    #[must_use]
    pub fn state(&self, now: Moment) -> KeyState {
        if self.revoked.is_some() || !self.is_owned {
            KeyState::Revoked
        } else if self.expires.is_some_and(|end| end <= now) {
            KeyState::Expired
        } else {
            KeyState::Active
        }
    }
}

/// What came of a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    Revoked(KeyId),
    /// It was revoked before; nothing changed.
    Already(KeyId),
}

impl Directory {
    /// Makes a key. Its text is in the answer, and nowhere else.
    ///
    /// # Errors
    /// When there is no such team or user, or the directory cannot be written.
    pub fn create_key(
        &self,
        wish: KeyWish<'_>,
        who: &str,
        now: Moment,
    ) -> Result<NewKey, DirectoryError> {
        self.follow_file()?;
        let key = identity::generate(random::<24>().map_err(KeyFileError::Random)?);
        let hash = key.hash(&self.key.virtual_keys());
        let mut connection = self.connection.borrow_mut();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        check_owner(&transaction, wish)?;
        transaction.execute(
            "INSERT INTO keys (id, hash, team, user, created, expires, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                key.id.as_str(),
                hash.as_bytes(),
                wish.team,
                wish.user,
                now.micros(),
                wish.expires.map(Moment::micros),
                to_json(LimitsRecord::from(&wish.limits))?.to_string()
            ],
        )?;
        for (window, limit) in wish.budgets {
            let spec = BudgetSpec::new(Scope::Key(key.id.clone()), *window, Zone::utc(), *limit);
            write_budget(
                &transaction,
                &Budget {
                    spec,
                    on_store_loss: None,
                },
                now,
            )?;
        }
        let owner = wish
            .user
            .map_or(wish.team.to_owned(), |user| format!("{}/{user}", wish.team));
        note(
            &transaction,
            now,
            who,
            &format!("key {} created for {owner}", key.id),
        )?;
        transaction.commit()?;
        Ok(key)
    }

    /// Revokes a key, by its public id or by its text: whoever finds a leaked key has only that.
    ///
    /// # Errors
    /// When there is no such key, or the directory cannot be written.
    pub fn revoke_key(
        &self,
        id_or_text: &str,
        who: &str,
        now: Moment,
    ) -> Result<Revocation, DirectoryError> {
        self.follow_file()?;
        let mut connection = self.connection.borrow_mut();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = self.find_key(&transaction, id_or_text)?;
        // A text that looks like a key is not repeated.
        let (id, revoked) = found.ok_or_else(|| {
            let shown = if id_or_text.starts_with("key_") {
                id_or_text
            } else {
                "(as given)"
            };
            DirectoryError::NoKey(shown.to_owned())
        })?;
        let key = KeyId::new(&id);
        if revoked.is_some() {
            return Ok(Revocation::Already(key));
        }
        transaction.execute(
            "UPDATE keys SET revoked = ?2 WHERE id = ?1",
            params![id, now.micros()],
        )?;
        note(&transaction, now, who, &format!("key {id} revoked"))?;
        transaction.commit()?;
        Ok(Revocation::Revoked(key))
    }

    /// Id and time of revocation of a key, by its text or its id.
    fn find_key(
        &self,
        connection: &Connection,
        id_or_text: &str,
    ) -> rusqlite::Result<Option<(String, Option<i64>)>> {
        let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        if let Ok(key) = identity::parse(id_or_text) {
            let hash = key.hash(&self.key.virtual_keys());
            let query = "SELECT id, revoked FROM keys WHERE hash = ?1";
            return connection
                .query_row(query, params![hash.as_bytes()], columns)
                .optional();
        }
        let query = "SELECT id, revoked FROM keys WHERE id = ?1";
        connection
            .query_row(query, params![id_or_text], columns)
            .optional()
    }

    /// All keys, the newest first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn keys(&self) -> Result<Vec<KeyRow>, DirectoryError> {
        self.follow_file()?;
        let connection = self.connection.borrow();
        let query = format!(
            "SELECT id, team, user, created, expires, revoked, {IS_OWNED} FROM keys ORDER BY created DESC, id"
        );
        let mut statement = connection.prepare(&query)?;
        let rows = statement.query_map([], |row| {
            Ok(KeyRow {
                id: KeyId::new(&row.get::<_, String>(0)?),
                team: Name::new(&row.get::<_, String>(1)?),
                user: row
                    .get::<_, Option<String>>(2)?
                    .map(|user| Name::new(&user)),
                created: Moment::from_micros(row.get(3)?),
                expires: row.get::<_, Option<i64>>(4)?.map(Moment::from_micros),
                revoked: row.get::<_, Option<i64>>(5)?.map(Moment::from_micros),
                is_owned: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Refuses an installation key under which none of the stored hashes was made; adopts it where there are none.
    pub(super) fn check_key(&self) -> Result<(), DirectoryError> {
        let mut mac = keyed::mac(&self.key.virtual_keys());
        mac.update(b"directory");
        let mark = mac.finalize().into_bytes().to_vec();
        let mut connection = self.connection.borrow_mut();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let query = "SELECT value FROM meta WHERE name = 'installation'";
        let known: Option<Vec<u8>> = transaction
            .query_row(query, [], |row| row.get(0))
            .optional()?;
        if known.as_ref() == Some(&mark) {
            return Ok(());
        }
        let keys: i64 = transaction.query_row("SELECT count(*) FROM keys", [], |row| row.get(0))?;
        if known.is_some() && keys > 0 {
            return Err(DirectoryError::OtherInstallation(
                self.path.with_file_name("installation.key"),
            ));
        }
        transaction.execute(
            "INSERT OR REPLACE INTO meta (name, value) VALUES ('installation', ?1)",
            params![mark],
        )?;
        transaction.commit()?;
        Ok(())
    }
}

fn check_owner(connection: &Connection, wish: KeyWish<'_>) -> Result<(), DirectoryError> {
    let exists = |query: &str, values: &[&str]| {
        connection
            .prepare(query)?
            .exists(rusqlite::params_from_iter(values))
    };
    if !exists("SELECT 1 FROM teams WHERE name = ?1", &[wish.team])? {
        return Err(DirectoryError::NoTeam(wish.team.to_owned()));
    }
    if let Some(user) = wish.user
        && !exists(
            "SELECT 1 FROM users WHERE team = ?1 AND name = ?2",
            &[wish.team, user],
        )?
    {
        return Err(DirectoryError::NoUser {
            team: wish.team.to_owned(),
            user: user.to_owned(),
        });
    }
    Ok(())
}
