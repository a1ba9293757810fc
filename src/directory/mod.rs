//! The directory: organisation, teams, users, keys and budgets in `state/directory.db`, a `SQLite` file.
//!
//! The command line changes it, a running gateway reads it and looks several times a second whether it changed. What
//! cannot be read is an error, never an empty answer: the gateway then refuses every key.

mod amendments;
mod apply;
mod census;
mod file;
mod installation;
mod keys;
mod organisation;
mod records;
mod schema;

use std::cell::{Cell, RefCell};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

pub use amendments::{Amend, Amended};
pub use apply::{Change, ChangeKind};
pub use census::Census;
pub use file::parse as parse_file;
pub use installation::{InstallationKey, KeyFileError};
pub use keys::{KeyRow, KeyState, KeyWish, Revocation};
pub use organisation::{Budget, Organisation, Team, User};

const FILE: &str = "directory.db";
/// How long a change waits for another process's.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the directory gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error("the directory cannot be used: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {why}{advice}", path = .path.display(), advice = advice(why))]
    At { path: PathBuf, why: Box<Self> },
    #[error("the directory is damaged: {0}{RESTORE}")]
    Corrupt(String),
    #[error("the directory is of version {found}, newer than the {known} that this program knows")]
    Newer { found: usize, known: usize },
    #[error(transparent)]
    Key(#[from] KeyFileError),
    #[error(
        "{path} is not the installation key under which the directory's keys were made; restore the former one",
        path = .0.display()
    )]
    OtherInstallation(PathBuf),
    #[error("nothing was changed: the audit could not be told: {0}")]
    Untold(io::Error),
    #[error("there is no team `{0}`")]
    NoTeam(String),
    #[error("there is no user `{user}` in team `{team}`")]
    NoUser { team: String, user: String },
    #[error("there is no budget `{0}`; `tollgate budget show` lists them")]
    NoBudget(String),
    #[error("the sum is larger than any amount that can be kept")]
    TooLarge,
    #[error("there is no key `{0}`")]
    NoKey(String),
}

/// What helps.
fn advice(error: &DirectoryError) -> &'static str {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};

    let code = |error: &rusqlite::Error| error.sqlite_error_code();
    match error {
        DirectoryError::Newer { .. } => "; it needs the program that wrote it, or a newer one",
        DirectoryError::Sqlite(error)
            if matches!(code(error), Some(DatabaseCorrupt | NotADatabase)) =>
        {
            RESTORE
        }
        _ => "",
    }
}

const RESTORE: &str = "; restore it from a backup";

/// The directory of one state folder. One thread's at a time; every process opens its own.
pub struct Directory {
    path: PathBuf,
    key: InstallationKey,
    connection: RefCell<Connection>,
    /// The file behind the connection, and how often it was another one: a restored backup must be seen too.
    file: Cell<FileId>,
    reopened: Cell<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl Directory {
    /// Opens the directory of a state folder, making what is missing: the folder, the installation key, the database.
    ///
    /// # Errors
    /// When it cannot be opened, is damaged or newer, or belongs to another installation key.
    pub fn open(state: &Path) -> Result<Self, DirectoryError> {
        let key = InstallationKey::open_or_create(state)?;
        let path = state.join(FILE);
        create_file(state, &path).map_err(|source| DirectoryError::Io {
            path: path.clone(),
            source,
        })?;
        let (connection, file) = connect(&path)?;
        let directory = Self {
            path,
            key,
            connection: RefCell::new(connection),
            file: Cell::new(file),
            reopened: Cell::new(0),
        };
        directory.check_key()?;
        Ok(directory)
    }

    /// A number that changes whenever another process changes the directory. Cheap: it reads no table.
    ///
    /// # Errors
    /// When the database is gone or cannot be read.
    pub fn version(&self) -> Result<u64, DirectoryError> {
        self.follow_file()?;
        let connection = self.connection.borrow();
        let version: u32 = connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        Ok(u64::from(self.reopened.get()) << 32 | u64::from(version))
    }

    /// Connects again where the file is another one than was opened; fails where there is none.
    fn follow_file(&self) -> Result<(), DirectoryError> {
        let now = file_id(&self.path)?;
        if now != self.file.get() {
            let (connection, file) = connect(&self.path)?;
            self.connection.replace(connection);
            self.file.set(file);
            self.reopened.set(self.reopened.get().wrapping_add(1));
            self.check_key()?;
        }
        Ok(())
    }
}

fn create_file(state: &Path, path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)?;
    // SQLite gives its own files the mode of this one.
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn connect(path: &Path) -> Result<(Connection, FileId), DirectoryError> {
    let file = file_id(path)?;
    let connection = prepared(path).map_err(|error| DirectoryError::At {
        path: path.to_owned(),
        why: Box::new(error),
    })?;
    Ok((connection, file))
}

fn prepared(path: &Path) -> Result<Connection, DirectoryError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    schema::migrate(&mut connection)?;
    Ok(connection)
}

fn file_id(path: &Path) -> Result<FileId, DirectoryError> {
    let found = fs::metadata(path).map_err(|source| DirectoryError::Io {
        path: path.to_owned(),
        source,
    })?;
    Ok(FileId {
        device: found.dev(),
        inode: found.ino(),
    })
}

#[cfg(test)]
mod tests;
