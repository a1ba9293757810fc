//! From the bytes of a body to the text that rules match.
//!
//! A body becomes a text (its leaves, one after another); pieces of that text that are coded once more become a second
//! text, and so on. Nothing here knows rules or findings.

pub mod body;
pub mod escape;
pub mod events;
pub mod json;
pub mod locate;
