//! What there is to scan: files as git sees them, standard input, what is staged.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ignore::WalkBuilder;

use super::git::{self, Staged};

/// One thing to scan, read when its turn comes.
pub enum Input {
    File(PathBuf),
    Standard,
    Staged(Staged),
}

impl Input {
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Standard => "-".to_owned(),
            Self::Staged(staged) => staged.path.clone(),
        }
    }

    /// What it holds; UTF-16 as UTF-8.
    pub fn read(&self) -> anyhow::Result<Vec<u8>> {
        let bytes = match self {
            Self::File(path) => {
                fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            Self::Standard => {
                let mut bytes = Vec::new();
                stdin()
                    .lock()
                    .read_to_end(&mut bytes)
                    .context("cannot read standard input")?;
                bytes
            }
            Self::Staged(staged) => git::content(&staged.blob)?,
        };
        Ok(utf8(bytes))
    }
}

/// Turns text that tells by its byte order mark that it is UTF-16, as Windows programs write it, into UTF-8.
fn utf8(bytes: Vec<u8>) -> Vec<u8> {
    let unit: fn([u8; 2]) -> u16 = match bytes.as_slice() {
        [0xFF, 0xFE, ..] => u16::from_le_bytes,
        [0xFE, 0xFF, ..] => u16::from_be_bytes,
        _ => return bytes,
    };
    let (units, _) = bytes.as_chunks();
    let units: Vec<u16> = units.iter().skip(1).map(|two| unit(*two)).collect();
    String::from_utf16_lossy(&units).into_bytes()
}

/// What is named, whatever it is (a file, a pipe, a device), folders as git sees them, and what of them cannot be read.
pub fn of_paths(paths: &[PathBuf]) -> Vec<anyhow::Result<Input>> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            inputs.push(Ok(Input::Standard));
            continue;
        }
        match fs::metadata(path) {
            Ok(what) if what.is_dir() => of_folder(path, &mut inputs),
            // What cannot be looked at cannot be read either, and is told of then.
            _ => inputs.push(Ok(Input::File(path.clone()))),
        }
    }
    inputs
}

/// Files without what git ignores, and all that it tracks though a `.gitignore` names it. Hidden files count: that is where
/// `.env` is.
fn of_folder(folder: &Path, inputs: &mut Vec<anyhow::Result<Input>>) {
    let mut files = BTreeSet::new();
    // The folder may lie in a repository, and others in it.
    let mut repositories = BTreeSet::from([folder.to_owned()]);
    // Files called `.ignore` are another program's.
    let walk = WalkBuilder::new(folder)
        .hidden(false)
        .ignore(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                inputs.push(Err(error.into()));
                continue;
            }
        };
        let kind = entry.file_type();
        if kind.is_some_and(|kind| kind.is_file()) {
            files.insert(entry.into_path());
        } else if kind.is_some_and(|kind| kind.is_dir()) && entry.path().join(".git").exists() {
            repositories.insert(entry.into_path());
        }
    }
    for repository in repositories {
        match git::tracked(&repository) {
            Ok(tracked) => files.extend(tracked.into_iter().filter(|path| is_file(path))),
            Err(error) => inputs.push(Err(error)),
        }
    }
    inputs.extend(files.into_iter().map(|path| Ok(Input::File(path))));
}

/// Whether there is a file: git tracks links, and what was deleted, too.
fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|what| what.is_file())
}

/// Files that the next commit adds or changes, with their staged content.
pub fn staged() -> anyhow::Result<Vec<anyhow::Result<Input>>> {
    let staged = git::staged()?.into_iter();
    Ok(staged.map(|one| Ok(Input::Staged(one))).collect())
}
