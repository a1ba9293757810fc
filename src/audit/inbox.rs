//! What operators do through the command line while a gateway runs: left as a file, taken into the log by its keeper.
//!
//! Only one process may write the log. A command therefore leaves its actions in `log/inbox/`; the running gateway takes
//! them within a second, the next one at its start. A file goes once its rows are durable; a gateway killed in between
//! finds the rows in its log and does not write them again.
//!
//! Commands often run as another user than the gateway: a folder or file here gets the owner of the folder around it, and
//! a mode that no umask changes.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};
use std::slice;

use rustix::fs::{Mode, OFlags};
use uuid::Uuid;

use super::convert;
use super::entry::Entry;
use super::label::Label;
use super::row::OperatorAction;
use super::wire;
use crate::domain::Moment;

/// Actions in one file.
const MOST: usize = 500;
/// The longest file that is looked at: more than `MOST` actions need.
const LONGEST: u64 = 1 << 20;
/// A pass ends with the file that brings it to so many actions.
const PASS: usize = 1000;
/// A file's only field, once for each action.
const ACTION: u32 = 1;
const SUFFIX: &str = "action";
/// Of actions that may not have been done: whoever wrote the file says so, or was interrupted.
const DRAFT: &str = "draft";
/// Of a file that is being written.
const UNFINISHED: &str = "new";
/// Of what is no action.
const ASIDE: &str = "aside";

/// Leaves an action for the log in this state directory.
///
/// # Errors
/// When the file cannot be written.
pub fn submit(state: &Path, action: &OperatorAction) -> io::Result<()> {
    let dir = make(state)?;
    write(&dir, slice::from_ref(action), SUFFIX)?;
    sync(&dir)
}

/// Actions that are about to be done, durable where [`settle`] finds them if this process is interrupted.
#[must_use = "a draft that is not submitted waits for the next command"]
#[derive(Debug)]
pub struct Draft {
    dir: PathBuf,
    files: Vec<PathBuf>,
}

/// Writes down actions before they are done.
///
/// # Errors
/// When that is not possible: then they must not be done.
pub fn draft(state: &Path, actions: &[OperatorAction]) -> io::Result<Draft> {
    let dir = make(state)?;
    let parts = actions.chunks(MOST);
    let files = parts.map(|part| write(&dir, part, DRAFT));
    let files = files.collect::<io::Result<_>>()?;
    sync(&dir)?;
    Ok(Draft { dir, files })
}

impl Draft {
    /// They have been done: leaves them for the log.
    ///
    /// # Errors
    /// When that is not possible; [`settle`] may do it later.
    pub fn submit(self) -> io::Result<()> {
        self.files.iter().try_for_each(|file| publish(file))?;
        sync(&self.dir)
    }
}

/// Leaves for the log what an interrupted command had done, and forgets what it had not. `done` answers for each moment
/// whether something was done then, once nobody else is about to do something.
///
/// # Errors
/// What `done` returned.
pub fn settle<E>(
    state: &Path,
    done: impl FnOnce(&[Moment]) -> Result<Vec<bool>, E>,
) -> Result<(), E> {
    let dir = state.join("log").join("inbox");
    let drafts = list(&dir, DRAFT).unwrap_or_default();
    let dated: Vec<(PathBuf, Moment)> = drafts
        .into_iter()
        .filter_map(|path| moment(&path).map(|at| (path, at)))
        .collect();
    if dated.is_empty() {
        return Ok(());
    }
    let moments: Vec<Moment> = dated.iter().map(|(_, at)| *at).collect();
    for ((path, _), done) in dated.iter().zip(done(&moments)?) {
        let settled = if done {
            publish(path)
        } else {
            fs::remove_file(path)
        };
        if let Err(error) = settled.and_then(|()| sync(&dir)) {
            tracing::warn!(%error, path = %path.display(), "an interrupted command's actions");
        }
    }
    Ok(())
}

/// When the actions of a draft were to be done; one command's have the same moment.
fn moment(draft: &Path) -> Option<Moment> {
    let action = read(draft).ok()??.into_iter().next()?;
    let at = Entry::decode(&action.entry).ok()?.at;
    Some(Moment::from_micros(i64::try_from(at).ok()?))
}

/// Makes a draft the log's; another process may have done so.
fn publish(draft: &Path) -> io::Result<()> {
    match fs::rename(draft, draft.with_extension(SUFFIX)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The inbox of a state directory, made where it is missing.
///
/// # Errors
/// When it cannot be made.
pub(super) fn make(state: &Path) -> io::Result<PathBuf> {
    let mut dir = state.to_owned();
    for part in ["log", "inbox"] {
        let around = fs::metadata(&dir)?;
        dir.push(part);
        match fs::create_dir(&dir) {
            Ok(()) => {
                fs::set_permissions(&dir, Permissions::from_mode(around.mode() & 0o770))?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        give(&dir, &around)?;
    }
    Ok(dir)
}

/// Gives a file the owner and group of the folder around it. Only root may; whoever else writes here was let in by the
/// folder's group, or is the owner.
fn give(path: &Path, around: &fs::Metadata) -> io::Result<()> {
    let (owner, group) = (around.uid(), around.gid());
    let now = fs::symlink_metadata(path)?;
    if (now.uid(), now.gid()) != (owner, group) {
        let _given =
            lchown(path, Some(owner), Some(group)).or_else(|_| lchown(path, None, Some(group)));
    }
    Ok(())
}

/// Writes a file that is whole wherever it stands under its name.
fn write(dir: &Path, actions: &[OperatorAction], suffix: &str) -> io::Result<PathBuf> {
    let (mut bytes, mut entry) = (Vec::new(), Vec::new());
    for action in actions {
        entry.clear();
        Entry::from(action).encode(&mut entry);
        wire::put_bytes(&mut bytes, ACTION, &entry);
    }
    let name = actions.first().map_or(Uuid::nil(), |action| action.id);
    let unfinished = dir.join(format!("{name}.{UNFINISHED}"));
    let around = fs::metadata(dir)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.set_permissions(Permissions::from_mode(around.mode() & 0o660))?;
    give(&unfinished, &around)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    let path = unfinished.with_extension(suffix);
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The inbox's files of one kind, in the order in which they were written.
fn list(dir: &Path, suffix: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        if path.extension().is_some_and(|found| found == suffix) {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// An action that waits for its row.
#[derive(Clone, Debug)]
pub(super) struct Action {
    pub id: Uuid,
    pub entry: Vec<u8>,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub actions: Vec<Action>,
    path: PathBuf,
}

/// What one look at the inbox finds.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// In the order in which they were done.
    pub waiting: Vec<Waiting>,
    /// Every action whose file stands, taken or not; `None` while some file has not been read.
    pub standing: Option<HashSet<Uuid>>,
}

/// The keeper's side.
#[derive(Debug)]
pub(super) struct Inbox {
    dir: PathBuf,
    /// Files whose rows are durable and that still stand, with their actions.
    taken: HashMap<PathBuf, Vec<Uuid>>,
    /// What the log has been told of: once is enough.
    told: HashSet<PathBuf>,
}

impl Inbox {
    pub fn of(log: &Path) -> Self {
        Self {
            dir: log.join("inbox"),
            taken: HashMap::new(),
            told: HashSet::new(),
        }
    }

    /// The actions that wait. What was read and is no action is put aside; what cannot be read is tried again.
    pub fn look(&mut self) -> Look {
        self.clear();
        let files = match list(&self.dir, SUFFIX) {
            Ok(files) => files,
            Err(error) => {
                self.tell(&self.dir.clone(), &error, "the inbox cannot be read");
                return Look::default();
            }
        };
        self.told.retain(|path| files.binary_search(path).is_ok());
        let (mut waiting, mut count, mut whole) = (Vec::new(), 0, true);
        for path in files {
            if self.taken.contains_key(&path) {
                continue;
            }
            if count >= PASS {
                whole = false;
                break;
            }
            match read(&path) {
                Ok(Some(actions)) => {
                    count += actions.len();
                    waiting.push(Waiting { actions, path });
                }
                Ok(None) => self.put_aside(&path),
                Err(error) => {
                    whole = false;
                    self.tell(
                        &path,
                        &error,
                        "operators' actions cannot be read: they wait",
                    );
                }
            }
        }
        let read = waiting.iter().flat_map(|file| &file.actions);
        let standing = read.map(|action| action.id);
        let standing = standing.chain(self.taken.values().flatten().copied());
        Look {
            standing: whole.then(|| standing.collect()),
            waiting,
        }
    }

    /// Removes files whose rows are durable, and remembers those that stay.
    pub fn remove(&mut self, files: impl IntoIterator<Item = Waiting>) {
        for Waiting { actions, path } in files {
            let ids = actions.iter().map(|action| action.id).collect();
            self.taken.insert(path, ids);
        }
        self.clear();
    }

    fn clear(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        for (path, ids) in std::mem::take(&mut self.taken) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.tell(
                        &path,
                        &error,
                        "operators' actions have their rows, and stay",
                    );
                    self.taken.insert(path, ids);
                }
                _ => {}
            }
        }
        // A file that comes back with the power is taken for what it is.
        let _synced = sync(&self.dir);
    }

    fn put_aside(&mut self, path: &Path) {
        match fs::rename(path, path.with_extension(ASIDE)) {
            Ok(()) => tracing::warn!(path = %path.display(), "no operator's actions: put aside"),
            Err(error) => self.tell(path, &error, "no operator's actions"),
        }
    }

    fn tell(&mut self, path: &Path, error: &io::Error, what: &str) {
        if self.told.insert(path.to_owned()) {
            tracing::warn!(%error, path = %path.display(), "{what}");
        }
    }
}

/// What a file holds; `None` where that is something else.
fn read(path: &Path) -> io::Result<Option<Vec<Action>>> {
    // A pipe under this name would be waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(decode(&bytes))
}

fn decode(mut rest: &[u8]) -> Option<Vec<Action>> {
    let mut actions = Vec::new();
    while let Some(field) = wire::take(&mut rest).ok()? {
        let (ACTION, wire::Value::Bytes(bytes)) = field else {
            return None;
        };
        let entry = Entry::decode(bytes).ok()?;
        if entry.kind != convert::ACTION {
            return None;
        }
        actions.push(clean(&entry));
    }
    (!actions.is_empty()).then_some(actions)
}

/// An action as it may be kept: whoever wrote the file, only an action's columns are taken, cleaned again.
fn clean(found: &Entry<'_>) -> Action {
    let clean = |text: &str| Label::clean(text, usize::MAX).as_str().to_owned().into();
    let action = Entry {
        kind: convert::ACTION.into(),
        request: found.request,
        at: found.at,
        organisation: clean(&found.organisation),
        team: clean(&found.team),
        actor: clean(&found.actor),
        action: clean(&found.action),
        subject: clean(&found.subject),
        change: clean(&found.change),
        ..Entry::default()
    };
    let mut entry = Vec::new();
    action.encode(&mut entry);
    Action {
        id: action.request,
        entry,
    }
}

#[cfg(test)]
mod tests;
