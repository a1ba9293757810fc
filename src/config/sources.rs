//! The files that a configuration names: rules by pattern, prices, known values. Read whole, bounded, never parsed here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Fault, Settings};
use crate::policy::Glob;

/// The largest file that is read.
const LARGEST: u64 = 64 << 20;

/// A file's name, as messages show it, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    pub text: String,
}

impl Source {
    /// Reads one file.
    ///
    /// # Errors
    /// That it cannot be read, is no UTF-8, or is larger than 64 MiB.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let name = path.display().to_string();
        let size = fs::metadata(path).map(|found| found.len());
        let text = match size {
            Ok(size) if size > LARGEST => Err(io::Error::other("it is larger than 64 MiB")),
            Ok(_) => fs::read_to_string(path),
            Err(error) => Err(error),
        };
        match text {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => Err(Fault::of_file(&name, format!("cannot be read: {error}"))),
        }
    }
}

impl Settings {
    /// All rule files, in the order of the patterns and then of their names.
    ///
    /// # Errors
    /// Every pattern that names no file, and every file that cannot be read.
    pub fn rule_sources(&self) -> Result<Vec<Source>, Vec<Fault>> {
        let mut sources = Vec::new();
        let mut faults = Vec::new();
        for pattern in &self.scan.rules {
            match matching(pattern) {
                Ok(paths) => {
                    for path in paths {
                        Source::read(&path)
                            .map_or_else(|fault| faults.push(fault), |source| sources.push(source));
                    }
                }
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            Ok(sources)
        } else {
            Err(faults)
        }
    }
}

/// The files that a pattern names, sorted. Only its last part may hold `*`.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>, Fault> {
    let name = pattern
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    if !name.contains('*') {
        return Ok(vec![pattern.to_owned()]);
    }
    let wrong = |message: String| Fault::of_file(&pattern.display().to_string(), message);
    let parent = pattern
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let glob = Glob::new(&name);
    let entries =
        fs::read_dir(parent).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| glob.matches(&name.to_string_lossy()))
        })
        .collect();
    found.sort();
    if found.is_empty() {
        Err(wrong("names no file".to_owned()))
    } else {
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_its_files_in_order_and_one_without_any_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", "c.txt"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            let found = matching(&dir.path().join(pattern)).unwrap_or_default();
            found
                .iter()
                .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(names("*.toml"), ["a.toml", "b.toml"]);
        assert_eq!(names("c.txt"), ["c.txt"]);
        assert!(
            matching(&dir.path().join("*.json"))
                .unwrap_err()
                .message
                .contains("names no file")
        );
        assert!(
            matching(&dir.path().join("none/*.toml"))
                .unwrap_err()
                .message
                .contains("cannot be read")
        );
    }
}
