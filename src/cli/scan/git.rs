//! What git knows: which files it tracks, and what the next commit holds.

use std::env;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Content that the next commit adds or changes.
pub struct Staged {
    /// From the top of the repository.
    pub path: String,
    /// The name of the content.
    pub blob: String,
}

/// Of a submodule: the index has its commit's name, and nothing to read.
const SUBMODULE: &str = "160000";

/// Files that the next commit adds or changes, of the whole repository.
pub fn staged() -> anyhow::Result<Vec<Staged>> {
    // Outside of a repository `git diff` is another command, and answers with all that it could do.
    run(&["rev-parse", "--git-dir"])?;
    let changes = run(&[
        "diff",
        "--cached",
        "--raw",
        "--no-abbrev",
        "--diff-filter=ACMRT",
        "--no-renames",
        "--no-relative",
        "-z",
    ])?;
    let mut parts = changes.split(|byte| *byte == 0);
    let mut staged = Vec::new();
    while let (Some(change), Some(path)) = (parts.next(), parts.next()) {
        // `:100644 100755 1f2e… 4d3e… M`
        let change = String::from_utf8_lossy(change);
        let mut fields = change.split(' ').skip(1);
        let (Some(mode), Some(blob)) = (fields.next(), fields.nth(1)) else {
            bail!("git diff: a line that is none");
        };
        if mode != SUBMODULE {
            staged.push(Staged {
                path: String::from_utf8_lossy(path).into_owned(),
                blob: blob.to_owned(),
            });
        }
    }
    Ok(staged)
}

/// The content that has this name.
pub fn content(blob: &str) -> anyhow::Result<Vec<u8>> {
    run(&["cat-file", "blob", blob])
}

fn run(arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new("git")
        .args(arguments)
        .output()
        .context("cannot run git")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("git {}: {}", arguments.join(" "), said.trim());
    }
    Ok(output.stdout)
}

/// What a hook's environment says of another repository than the one that a folder lies in.
const ELSEWHERE: [&str; 5] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
];
/// What git says where it tracks nothing: outside of a repository, and in one that has no files laid out.
const NO_TREE: [&str; 2] = ["not a git repository", "must be run in a work tree"];

/// The files below a folder that git tracks, those of submodules too; none where there is no repository.
pub fn tracked(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder);
    // A folder that came from elsewhere must not name a program to run.
    command.args(["-c", "core.fsmonitor=false"]);
    command.args(["ls-files", "-z", "--recurse-submodules"]);
    command.env("LC_ALL", "C");
    for name in ELSEWHERE {
        command.env_remove(name);
    }
    let asked = || format!("cannot ask git what it tracks in {}", folder.display());
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound && !in_repository(folder) => {
            return Ok(Vec::new());
        }
        output => output.with_context(asked)?,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        if NO_TREE.iter().any(|words| said.contains(words)) {
            return Ok(Vec::new());
        }
        bail!("{}: {}", asked(), said.trim());
    }
    let names = output.stdout.split(|byte| *byte == 0);
    let names = names.filter(|name| !name.is_empty());
    Ok(names
        .map(|name| folder.join(OsStr::from_bytes(name)))
        .collect())
}

/// Whether a repository begins in this folder or above it.
fn in_repository(folder: &Path) -> bool {
    let from = env::current_dir().unwrap_or_default().join(folder);
    from.ancestors().any(|above| above.join(".git").exists())
}
