//! Virtual keys: what a client presents, and whose it is.
//!
//! Pure: random bytes, the hashing key and the time are handed in. After [`Roster::find`] only the caller and the public
//! [`KeyId`](crate::domain::KeyId) exist; the presented text is gone.

mod key;
mod roster;
mod session;

pub use key::{KeyHash, NewKey, PresentedKey, generate, parse, present};
pub use roster::{Entry, Roster};
pub use session::session_digest;

/// Why a presented key names no caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("no key was presented")]
    Missing,
    /// Not a virtual key at all: a provider's own key, or two different ones at once.
    #[error("what was presented is not a virtual key")]
    Malformed,
    /// Shaped like one, but its checksum is wrong: cut short or mistyped.
    #[error("the key is mistyped or incomplete: its checksum is wrong")]
    Mistyped,
    #[error("the key is not known")]
    Unknown,
    #[error("the key was revoked")]
    Revoked,
    #[error("the key has expired")]
    Expired,
    /// The directory cannot be read, so nothing can be said of any key.
    #[error("keys cannot be checked now")]
    Unavailable,
}
