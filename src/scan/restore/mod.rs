//! The way back: puts secrets in place of their placeholders in the text of an answer, wherever that text was cut.
//!
//! Works on decoded text and on the insides of string literals. It does not know which literals of an answer are text (the
//! providers' APIs do), nor how an answer travels.

mod network;
mod restorations;
mod splice;
mod thread;

pub use network::{Tool, judge, sends, tool};
pub use restorations::{Collected, Match, Restorations};
pub use splice::{Nesting, splice};
pub use thread::{Edit, Settled, Thread};
