//! What things cost: the price table, the worst case of a request, the cost of a usage.
//!
//! An engine: text and numbers in, whole nano-dollars out. It knows no dialect, no budget and no file; the caller reads
//! the table's text.

mod diff;
mod file;
mod forms;
mod price;
mod quote;
mod rates;
mod sane;
mod table;
#[cfg(test)]
mod tests;

pub use diff::{Change, ChangeKind, Difference, Figure};
pub use price::{Fees, Ladder, Price, Rates, Terms};
pub use quote::QuoteMode;
pub use table::{PriceTable, Priced};

use crate::document::Fault;

/// A mistake in a price table, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}  {message}")]
pub struct PriceFault {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl From<PriceFault> for Fault {
    fn from(fault: PriceFault) -> Self {
        Self {
            file: fault.file,
            line: fault.line,
            column: fault.column,
            message: fault.message,
        }
    }
}
