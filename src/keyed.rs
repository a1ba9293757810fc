//! HMAC-SHA-256 under keys of 32 bytes: hashes of virtual keys, fingerprints, placeholders, sessions, derived keys.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::domain::Secret;

/// A code under this key, before any text: whoever adds texts keeps them apart.
///
/// HMAC takes a key of any length, and pads it so; with the whole block there is no error to deal with.
#[must_use]
pub fn mac(key: &Secret<[u8; 32]>) -> Hmac<Sha256> {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key.expose());
    Hmac::new(&block.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_that_of_the_short_key() {
        let key = [7; 32];
        let mut padded = mac(&Secret::new(key));
        let mut short = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        for code in [&mut padded, &mut short] {
            code.update(b"a text");
        }
        assert_eq!(
            padded.finalize().into_bytes(),
            short.finalize().into_bytes()
        );
    }
}
