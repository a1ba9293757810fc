//! The segments' files: `log/0000000001.seg` and on, and the lock that keeps a second process out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::LogError;

/// The directory of the segments.
#[derive(Clone, Debug)]
pub struct Segments {
    dir: PathBuf,
}

/// Held for as long as this process may write.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

/// Adds the path to an I/O error.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> LogError + '_ {
    move |source| LogError::Io {
        path: path.to_owned(),
        source,
    }
}

impl Segments {
    /// The segments of a state directory; nothing is read or made.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self {
            dir: state.join("log"),
        }
    }

    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the directory where it is missing and takes its lock.
    ///
    /// # Errors
    /// When that is not possible, or another process has the lock.
    pub fn lock(&self) -> Result<Lock, LogError> {
        fs::create_dir_all(&self.dir).map_err(at(&self.dir))?;
        let path = self.dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(at(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(LogError::Locked {
                path: self.dir.clone(),
            }),
            Err(TryLockError::Error(source)) => Err(LogError::Io { path, source }),
        }
    }

    #[must_use]
    pub fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:010}.seg"))
    }

    /// The numbers of the segments that stand, in order. A directory that is not there has none.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<Vec<u64>, LogError> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(at(&self.dir))?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.map_err(at(&self.dir))?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
            numbers.extend(number.and_then(|digits| digits.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A new segment, its name already durable. Every write goes to its end.
    ///
    /// # Errors
    /// When it exists or cannot be made.
    pub fn create(&self, number: u64) -> Result<File, LogError> {
        let path = self.path(number);
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(at(&path))?;
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(at(&self.dir))?;
        Ok(file)
    }

    /// Bytes of a segment; none for one that is not there.
    #[must_use]
    pub fn size(&self, number: u64) -> u64 {
        fs::metadata(self.path(number)).map_or(0, |meta| meta.len())
    }
}
