//! What operators do through the command line while a gateway runs: left as a file, taken into the log by its keeper.
//!
//! Only one process may write the log. A command therefore leaves its action in `log/inbox/`; the running gateway takes
//! it within a second, the next one at its start. Its file goes once its row is durable; a gateway killed in between finds
//! the row in its log and does not write it again.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::convert;
use super::entry::Entry;
use super::label::Label;
use super::row::OperatorAction;

/// The longest file that is looked at.
const LONGEST: u64 = 16 << 10;
/// Files taken in one pass.
const PASS: usize = 1000;
const SUFFIX: &str = "action";

/// Leaves an action for the log in this state directory.
///
/// # Errors
/// When the file cannot be written.
pub fn submit(state: &Path, action: &OperatorAction) -> io::Result<()> {
    let dir = state.join("log").join("inbox");
    fs::create_dir_all(&dir)?;
    let mut bytes = Vec::new();
    Entry::from(action).encode(&mut bytes);
    let unfinished = dir.join(format!("{}.new", action.id));
    let mut file = fs::File::create(&unfinished)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, dir.join(format!("{}.{SUFFIX}", action.id)))?;
    sync(&dir)
}

/// An action that waits for its row.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub id: Uuid,
    pub entry: Vec<u8>,
    path: PathBuf,
}

/// The actions that wait, in the order in which they were done. What is no action is removed.
pub(super) fn waiting(log: &Path) -> Vec<Waiting> {
    let Ok(files) = fs::read_dir(log.join("inbox")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for file in files.flatten().take(PASS) {
        let path = file.path();
        if path.extension().is_none_or(|suffix| suffix != SUFFIX) {
            continue;
        }
        if let Some((id, entry)) = read(&path).filter(|(id, _)| named(log, *id) == path) {
            found.push(Waiting { id, entry, path });
        } else {
            tracing::warn!(path = %path.display(), "no operator's action: removed");
            let _removed = fs::remove_file(&path);
        }
    }
    found.sort_by_key(|action| action.id);
    found
}

/// Where an action's file stands.
fn named(log: &Path, id: Uuid) -> PathBuf {
    log.join("inbox").join(format!("{id}.{SUFFIX}"))
}

/// Whether an action's file still stands.
pub(super) fn stands(log: &Path, id: Uuid) -> bool {
    named(log, id).exists()
}

/// Removes actions whose rows are durable.
pub(super) fn remove(log: &Path, actions: &[Waiting]) {
    for action in actions {
        if let Err(error) = fs::remove_file(&action.path) {
            tracing::warn!(%error, path = %action.path.display(), "an operator's action stays in the inbox");
        }
    }
    if let Err(error) = sync(&log.join("inbox")) {
        tracing::warn!(%error, "the inbox of operators' actions");
    }
}

fn sync(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

/// An action as it may be kept: whoever wrote the file, only an action's columns are taken, cleaned again.
fn read(path: &Path) -> Option<(Uuid, Vec<u8>)> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).ok()?;
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    let found = Entry::decode(&bytes).ok()?;
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
    Some((action.request, entry))
}
