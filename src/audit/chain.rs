//! The hash chain over a process's rows, and the signed seals that fix how far it had come.
//!
//! Each row's hash covers the one before it, its number and its bytes. A chain begins with the process (its boot), so
//! nodes never wait for each other; the first row of a boot names where the boot before it ended. Whoever can rewrite a
//! store can also compute a new chain: what they cannot do is sign the seals anew.

use std::fs;
use std::io;
use std::path::Path;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::wire::{self, Malformed};
use crate::domain::{Moment, Secret};

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// Where a boot's chain begins.
#[must_use]
pub fn genesis(boot: Uuid) -> Hash {
    Sha256::new()
        .chain_update(b"tollgate audit chain 1\n")
        .chain_update(boot.as_bytes())
        .finalize()
        .into()
}

/// The hash of row number `seq` with these bytes, after a row with the hash `before`.
#[must_use]
pub fn link(before: &Hash, seq: u64, bytes: &[u8]) -> Hash {
    Sha256::new()
        .chain_update(before)
        .chain_update(seq.to_le_bytes())
        .chain_update(bytes)
        .finalize()
        .into()
}

/// Says that a boot's chain had this hash at this row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    pub boot: Uuid,
    /// The last row that it covers.
    pub seq: u64,
    pub hash: Hash,
    pub at: Moment,
    pub signature: [u8; 64],
}

fn statement(boot: Uuid, seq: u64, hash: &Hash, at: Moment) -> Vec<u8> {
    let mut text = b"tollgate audit seal 1\n".to_vec();
    text.extend_from_slice(boot.as_bytes());
    text.extend_from_slice(&seq.to_le_bytes());
    text.extend_from_slice(hash);
    text.extend_from_slice(&at.micros().to_le_bytes());
    text
}

impl Seal {
    /// Whether the holder of the key made this seal, and nobody changed it since.
    #[must_use]
    pub fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        let text = statement(self.boot, self.seq, &self.hash, self.at);
        key.verify_strict(&text, &Signature::from_bytes(&self.signature))
            .is_ok()
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        wire::put_bytes(out, 1, self.boot.as_bytes());
        wire::put_whole(out, 2, self.seq);
        wire::put_bytes(out, 3, &self.hash);
        wire::put_whole(out, 4, self.at.micros().cast_unsigned());
        wire::put_bytes(out, 5, &self.signature);
    }

    /// As witnesses outside keep it: one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!({
            "boot": self.boot.to_string(), "seq": self.seq, "hash": hex(&self.hash),
            "at_micros": self.at.micros(), "signature": hex(&self.signature),
        })
        .to_string()
    }

    /// Reads what [`Seal::to_json`] wrote.
    #[must_use]
    pub fn from_json(line: &str) -> Option<Self> {
        let seal: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(Self {
            boot: Uuid::try_parse(seal["boot"].as_str()?).ok()?,
            seq: seal["seq"].as_u64()?,
            hash: unhex(seal["hash"].as_str()?)?,
            at: Moment::from_micros(seal["at_micros"].as_i64()?),
            signature: unhex(seal["signature"].as_str()?)?,
        })
    }

    /// # Errors
    /// When the bytes are no seal.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        let (mut boot, mut seq, mut hash, mut at, mut signature) = (None, None, None, None, None);
        while let Some(field) = wire::take(&mut rest)? {
            match field {
                (1, wire::Value::Bytes(value)) => boot = Uuid::from_slice(value).ok(),
                (2, wire::Value::Whole(value)) => seq = Some(value),
                (3, wire::Value::Bytes(value)) => hash = value.try_into().ok(),
                (4, wire::Value::Whole(value)) => {
                    at = Some(Moment::from_micros(value.cast_signed()));
                }
                (5, wire::Value::Bytes(value)) => signature = value.try_into().ok(),
                _ => {}
            }
        }
        match (boot, seq, hash, at, signature) {
            (Some(boot), Some(seq), Some(hash), Some(at), Some(signature)) => Ok(Self {
                boot,
                seq,
                hash,
                at,
                signature,
            }),
            _ => Err(Malformed("a seal with a part missing")),
        }
    }
}

/// Signs seals with the installation's key.
pub struct Signer(Secret<SigningKey>);

impl Signer {
    /// Reads the key, or makes one at the first start: `audit.key` (mode 0600), and `audit.pub` for whoever verifies.
    ///
    /// # Errors
    /// When the files can be neither read nor made, or the key is not 64 hexadecimal digits.
    pub fn open(state: &Path) -> io::Result<Self> {
        let path = state.join("audit.key");
        let seed = match fs::read_to_string(&path) {
            Ok(text) => unhex(text.trim())
                .ok_or_else(|| io::Error::other("audit.key is not 64 hexadecimal digits"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let seed: [u8; 32] = rand::random();
                write_private(&path, &hex(&seed))?;
                seed
            }
            Err(error) => return Err(error),
        };
        let key = SigningKey::from_bytes(&seed);
        fs::write(
            state.join("audit.pub"),
            format!("{}\n", hex(key.verifying_key().as_bytes())),
        )?;
        Ok(Self(Secret::new(key)))
    }

    #[must_use]
    pub fn seal(&self, boot: Uuid, seq: u64, hash: Hash, at: Moment) -> Seal {
        let text = statement(boot, seq, &hash, at);
        Seal {
            boot,
            seq,
            hash,
            at,
            signature: self.0.expose().sign(&text).to_bytes(),
        }
    }
}

/// Reads a public key as [`Signer::open`] wrote it.
///
/// # Errors
/// When the file cannot be read or holds no key.
pub fn read_public_key(path: &Path) -> io::Result<VerifyingKey> {
    let text = fs::read_to_string(path)?;
    unhex(text.trim())
        .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
        .ok_or_else(|| io::Error::other("not an Ed25519 public key in hexadecimal digits"))
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

/// Reads exactly as many bytes as asked for.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_seal_is_not_signed_any_more() {
        let state = tempfile::tempdir().unwrap();
        let signer = Signer::open(state.path()).unwrap();
        let seal = signer.seal(Uuid::from_u128(7), 12, [3; 32], Moment::from_seconds(5));
        let again = Signer::open(state.path()).unwrap();
        assert_eq!(
            again.seal(Uuid::from_u128(7), 12, [3; 32], Moment::from_seconds(5)),
            seal
        );
        let key = read_public_key(&state.path().join("audit.pub")).unwrap();
        assert!(seal.is_signed_by(&key));
        assert!(
            !Seal {
                seq: 11,
                ..seal.clone()
            }
            .is_signed_by(&key)
        );

        let mut bytes = Vec::new();
        seal.encode(&mut bytes);
        assert_eq!(Seal::decode(&bytes), Ok(seal));
        assert!(Seal::decode(&bytes[..40]).is_err());
    }

    #[test]
    fn a_hash_depends_on_everything_before_it() {
        let start = genesis(Uuid::from_u128(1));
        assert_ne!(start, genesis(Uuid::from_u128(2)));
        assert_ne!(link(&start, 0, b"row"), link(&start, 1, b"row"));
        assert_ne!(link(&start, 0, b"row"), link(&[0; 32], 0, b"row"));
    }
}
