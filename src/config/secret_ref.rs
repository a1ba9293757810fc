//! Where a secret is to be found. The configuration holds only this; the value is read when the gateway is built.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::domain::Secret;

/// The most that is read of a secret's file.
const LONGEST: usize = 64 * 1024;

/// A reference to a secret: `env:NAME` or `file:PATH`. Safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    Env(String),
    File(PathBuf),
}

/// Why a secret could not be had. Names the reference, never a value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("environment variable {0} is not set")]
    NotSet(String),
    #[error("{0} is empty")]
    Empty(SecretRef),
    #[error("{0} is not one line of printable text")]
    NotALine(SecretRef),
    #[error("{file} cannot be read: {source}", file = .path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl SecretRef {
    /// Reads `env:NAME` or `file:PATH`; a relative path counts from `base`. What is neither may be a pasted secret, so
    /// the message never repeats it.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str, base: &Path) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => Ok(Self::Env(name.to_owned())),
            Some(("env", _)) => {
                Err("\"env:\" needs a variable's name: letters, digits and `_`".to_owned())
            }
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(base.join(path))),
            _ => Err(
                "is not a reference to a secret; write \"env:NAME\" or \"file:PATH\", \
                      never the secret itself"
                    .to_owned(),
            ),
        }
    }

    /// Fetches the secret: the variable through `env`, or the file's one line without its line end.
    ///
    /// # Errors
    /// When it is absent, unreadable, empty, or could not be a header's value.
    pub fn resolve(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Secret<String>, SecretError> {
        let text = match self {
            Self::Env(name) => env(name).ok_or_else(|| SecretError::NotSet(name.clone()))?,
            Self::File(path) => {
                fs::read_to_string(path).map_err(|source| SecretError::Unreadable {
                    path: path.clone(),
                    source,
                })?
            }
        };
        let value = text.trim();
        if value.is_empty() {
            return Err(SecretError::Empty(self.clone()));
        }
        if value.len() > LONGEST
            || !value
                .bytes()
                .all(|byte| byte.is_ascii_graphic() || byte == b' ')
        {
            return Err(SecretError::NotALine(self.clone()));
        }
        Ok(Secret::new(value.to_owned()))
    }

    /// [`SecretRef::resolve`] with the variables of this process.
    ///
    /// # Errors
    /// As there.
    pub fn resolve_here(&self) -> Result<Secret<String>, SecretError> {
        self.resolve(&|name| std::env::var(name).ok())
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_secret_is_refused_and_not_repeated() {
        let pasted = "sk-something-that-must-not-be-shown";
        let message = SecretRef::parse(pasted, Path::new("")).unwrap_err();
        assert!(!message.contains("something"), "{message}");
        assert!(SecretRef::parse("env:9X", Path::new("")).is_err());
        assert!(SecretRef::parse("env:", Path::new("")).is_err());
        assert!(SecretRef::parse("file:", Path::new("")).is_err());
    }

    #[test]
    fn a_file_secret_loses_its_line_end_only() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("key"), "abc def\n").unwrap();
        let found = SecretRef::parse("file:key", dir.path())
            .unwrap()
            .resolve(&|_| None);
        assert_eq!(
            found.map(|secret| secret.expose().clone()).ok().as_deref(),
            Some("abc def")
        );
    }

    #[test]
    fn what_cannot_be_a_header_value_is_refused() {
        let two_lines = |_: &str| Some("a\nb".to_owned());
        let missing = |_: &str| None;
        let blank = |_: &str| Some("  ".to_owned());
        let reference = SecretRef::Env("X".to_owned());
        assert!(matches!(
            reference.resolve(&two_lines),
            Err(SecretError::NotALine(_))
        ));
        assert!(matches!(
            reference.resolve(&missing),
            Err(SecretError::NotSet(_))
        ));
        assert!(matches!(
            reference.resolve(&blank),
            Err(SecretError::Empty(_))
        ));
    }
}
