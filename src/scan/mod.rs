//! The scan engine: finds secrets and personal data in request bodies, wherever a body hides them.
//!
//! Decode, match once, confirm. A [`RuleSet`] comes from rule files, [`KnownValues`] from the operator; together they make
//! a [`Scanner`], which any number of workers share, each with its own [`Workspace`]. A [`Report`] names places and
//! fingerprints and holds no byte of what was found.
//!
//! This module does not read files, know teams' actions or decide what becomes of a finding.

mod confirm;
mod cost;
mod decode;
mod deeper;
mod engine;
pub mod examples;
mod finding;
#[doc(hidden)]
pub mod fuzzing;
mod known;
mod parse;
mod plan;
pub mod redact;
mod report;
pub mod restore;
mod rule;
#[cfg(test)]
mod rule_examples;
mod scanner;
mod seen;
mod sweep;
#[cfg(test)]
mod tests;
mod text;
mod turn;
#[cfg(test)]
mod turn_tests;
pub mod validate;
mod values;
mod workspace;
#[cfg(test)]
mod wrapping_tests;

pub use decode::encoding::Unpacked;
pub use engine::BuildError;
pub use finding::{Finding, Fingerprint, Layer, Place, Report, RuleId, Undecodable};
pub use known::KnownValues;
pub use parse::{RuleFault, RuleFile};
pub use rule::{Family, Rule, RuleSet};
pub use scanner::{Body, Limits, Scanner};
pub use seen::Seen;
pub use workspace::Workspace;
