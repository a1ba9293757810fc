//! Budgets: what may be spent, by whom, in which period.

pub mod balances;

pub use balances::{Balances, BudgetId};
