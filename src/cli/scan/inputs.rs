//! What there is to scan: files as git sees them, standard input, what is staged.

use std::fs;
use std::io::{Read, stdin};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use ignore::WalkBuilder;

/// One thing to scan, read when its turn comes.
pub enum Input {
    File(PathBuf),
    Standard,
    /// The staged content of this path.
    Staged(String),
}

impl Input {
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Standard => "-".to_owned(),
            Self::Staged(path) => path.clone(),
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
            Self::Staged(path) => git(&["show", &format!(":{path}")])?,
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

/// Files as they are named, directories without what git ignores, and what of them cannot be read. Hidden files count: that
/// is where `.env` is.
pub fn of_paths(paths: &[PathBuf]) -> Vec<anyhow::Result<Input>> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            inputs.push(Ok(Input::Standard));
            continue;
        }
        let walk = WalkBuilder::new(path)
            .hidden(false)
            .filter_entry(|entry| entry.file_name() != ".git")
            .sort_by_file_path(Ord::cmp)
            .build();
        for entry in walk {
            match entry {
                Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                    inputs.push(Ok(Input::File(entry.into_path())));
                }
                Ok(_) => {}
                Err(error) => inputs.push(Err(error.into())),
            }
        }
    }
    inputs
}

/// Of a submodule: the index has its commit's name, and nothing to read.
const SUBMODULE: &[u8] = b"160000";

/// Files that the next commit adds or changes, with their staged content.
pub fn staged() -> anyhow::Result<Vec<anyhow::Result<Input>>> {
    // Outside of a repository `git diff` is another command, and answers with all that it could do.
    git(&["rev-parse", "--git-dir"])?;
    let changes = git(&[
        "diff",
        "--cached",
        "--raw",
        "--diff-filter=ACMRT",
        "--no-renames",
        "-z",
        "--relative",
    ])?;
    // `:100644 100755 1f2e3d4 4d3e2f1 M`, then the path.
    let mut parts = changes.split(|byte| *byte == 0);
    let mut inputs = Vec::new();
    while let (Some(change), Some(path)) = (parts.next(), parts.next()) {
        if change.split(|byte| *byte == b' ').nth(1) == Some(SUBMODULE) {
            continue;
        }
        let path = std::str::from_utf8(path).context("a staged path is not UTF-8");
        inputs.push(path.map(|path| Input::Staged(format!("./{path}"))));
    }
    Ok(inputs)
}

fn git(arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
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
