//! Who sent a request, once its key has been recognised.

use super::ids::{KeyId, Name};

/// The owner of a request. Only `identity` makes one; the presented key itself is gone by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub key: KeyId,
    pub organisation: Name,
    pub team: Name,
    /// Absent for a team's shared key.
    pub user: Option<Name>,
}
