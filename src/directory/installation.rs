//! The installation's own key: 32 random bytes in `state/installation.key`, made at the first start. Hashes of virtual
//! keys, fingerprints and placeholders each use a key derived from it, so none of them tells anything about another.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hmac::Mac;
use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::domain::Secret;
use crate::keyed;

const FILE: &str = "installation.key";

/// The key from which every other key of this installation is derived. Nodes of a fleet share one.
pub struct InstallationKey(Secret<[u8; 32]>);

/// Why there is no installation key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("{path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not an installation key: it must hold exactly 32 bytes", path = .0.display())]
    NotAKey(PathBuf),
    #[error("{path} can be read by others (mode {mode:03o}); run: chmod 600 {path}", path = .path.display())]
    TooOpen { path: PathBuf, mode: u32 },
    #[error("the system gives no random bytes: {0}")]
    Random(String),
}

impl InstallationKey {
    /// Reads the key of a state folder, or makes folder and key. Two processes that start at once agree on one key.
    ///
    /// # Errors
    /// When it cannot be read or made, is no key, or can be read by others.
    pub fn open_or_create(dir: &Path) -> Result<Self, KeyFileError> {
        let path = dir.join(FILE);
        if let Some(key) = read(&path)? {
            return Ok(key);
        }
        create(dir, &path).map_err(|error| match error {
            Failure::Io(source) => KeyFileError::Io {
                path: path.clone(),
                source,
            },
            Failure::Random(text) => KeyFileError::Random(text),
        })?;
        read(&path)?.ok_or(KeyFileError::NotAKey(path))
    }

    /// A key for one purpose. The same label always gives the same key; different labels give unrelated ones.
    #[must_use]
    pub fn derive(&self, label: &str) -> Secret<[u8; 32]> {
        let mut mac = keyed::mac(&self.0);
        mac.update(b"tollgate/1/");
        mac.update(label.as_bytes());
        Secret::new(mac.finalize().into_bytes().into())
    }

    /// The key under which virtual keys are hashed.
    #[must_use]
    pub fn virtual_keys(&self) -> Secret<[u8; 32]> {
        self.derive("virtual keys")
    }
}

fn read(path: &Path) -> Result<Option<InstallationKey>, KeyFileError> {
    let failed = |source| KeyFileError::Io {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::TooOpen {
            path: path.to_owned(),
            mode,
        });
    }
    let mut bytes = Vec::with_capacity(33);
    file.take(33).read_to_end(&mut bytes).map_err(failed)?;
    let key = <[u8; 32]>::try_from(bytes).map_err(|_| KeyFileError::NotAKey(path.to_owned()))?;
    Ok(Some(InstallationKey(Secret::new(key))))
}

enum Failure {
    Io(io::Error),
    Random(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes a new key beside its place and links it there whole: whoever comes second finds the first one's.
fn create(dir: &Path, path: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let bytes = random::<32>().map_err(Failure::Random)?;
    let suffix = u64::from_be_bytes(random::<8>().map_err(Failure::Random)?);
    let beside = dir.join(format!("{FILE}.{suffix:016x}"));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(File::open(dir)?.sync_all()?),
    }
}

/// Bytes from the system's generator.
pub(super) fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/state");
        let first = InstallationKey::open_or_create(&state).unwrap();
        let again = InstallationKey::open_or_create(&state).unwrap();
        assert_eq!(first.derive("x").expose(), again.derive("x").expose());
        assert_ne!(first.derive("x").expose(), first.derive("y").expose());
        let mode = fs::metadata(state.join(FILE)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert_eq!(
            fs::read_dir(&state).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn processes_that_start_at_once_agree() {
        let dir = tempfile::tempdir().unwrap();
        let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let open = || {
                *InstallationKey::open_or_create(dir.path())
                    .unwrap()
                    .derive("x")
                    .expose()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(keys.iter().all(|key| key == &keys[0]));
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_cut_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, [1; 31]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            InstallationKey::open_or_create(dir.path()),
            Err(KeyFileError::TooOpen { mode: 0o644, .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(
            InstallationKey::open_or_create(dir.path()),
            Err(KeyFileError::NotAKey(_))
        ));
    }
}
