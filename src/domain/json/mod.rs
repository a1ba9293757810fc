//! JSON as bytes with places: where every string literal of a text stands, so that one can be changed and all else left.
//!
//! Two engines read JSON for its places (`scan` to splice placeholders in, `provider` to find the text of an answer), and
//! engines do not import each other; hence it stands here, on the ground floor, in plain `std`. It never writes JSON.

mod escapes;
mod literal;
mod tape;

pub use escapes::Escapes;
pub use literal::{Unit, decode, decode_exact, escape_into, is_literal, units};
pub use tape::{Broken, Document, Kind, Tape, Value};
