//! Which agent session a request belongs to, as a keyed digest: the client's own text is not kept.

use hmac::Mac;

use crate::domain::{KeyId, Secret};
use crate::keyed;

/// The digest of a session of a key; without the installation's key it tells nothing. The same name under another key is
/// another session.
#[must_use]
pub fn session_digest(pepper: &Secret<[u8; 32]>, key: &KeyId, name: &[u8]) -> [u8; 16] {
    let mut mac = keyed::mac(pepper);
    mac.update(key.as_str().as_bytes());
    mac.update(&[0]);
    mac.update(name);
    let whole: [u8; 32] = mac.finalize().into_bytes().into();
    std::array::from_fn(|at| whole[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_told_from_others_by_key_name_and_installation() {
        let digest = |pepper: u8, key: &str, name: &str| {
            session_digest(
                &Secret::new([pepper; 32]),
                &KeyId::new(key),
                name.as_bytes(),
            )
        };
        let one = digest(1, "key_a", "s");
        assert_eq!(one, digest(1, "key_a", "s"));
        for other in [
            digest(2, "key_a", "s"),
            digest(1, "key_b", "s"),
            digest(1, "key_a", "t"),
            digest(1, "key_", "as"),
        ] {
            assert_ne!(one, other);
        }
    }
}
