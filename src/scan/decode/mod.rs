//! From the bytes of a body to the text that rules match.
//!
//! A body becomes a text (its leaves, one after another); pieces of that text that are coded once more become a second
//! text, and so on. Nothing here knows rules or findings.

pub mod blocks;
pub mod body;
mod chain;
pub mod chunks;
pub mod coding;
pub mod encoding;
pub mod escape;
pub mod events;
mod fold;
mod form;
pub mod joined;
pub mod json;
mod lanes;
mod leaves;
pub mod locate;
mod margin;
pub mod marks;
mod packed;
pub mod pieces;
pub mod runs;
