//! National identity, tax, health and company numbers: what their check digits and parts allow.

use super::Check;

pub(super) const ALL: &[(&str, Check)] = &[];
