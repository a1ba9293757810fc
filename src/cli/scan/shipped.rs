//! The rules of `conf/rules`, built into the binary, so that `tollgate scan` works where no installation is.

use crate::scan::RuleFile;

/// Every file of `conf/rules`.
pub const RULES: &[RuleFile<'static>] = &[];
