//! Hard budgets: how much each owner may still spend, decided before a request leaves.
//!
//! A request reserves its worst case on every budget that covers it, all or none, and settles the actual cost later.
//! Spent plus reserved never passes a hard cap. The engine knows neither clock nor store: it is handed moments, and in a
//! fleet its allowances come from leases whose messages somebody else carries (`ledger_store`).

mod account;
mod alerts;
mod balances;
mod lease;
mod ledger;
mod period;
mod pool;
mod reservation;
mod sessions;
mod spec;
mod sync;
mod terms;
mod window;

pub use account::{Account, BudgetView, CapReached};
pub use alerts::{Event, EventKind};
pub use balances::Balances;
pub use lease::{
    Answer, Ask, Boot, Changes, FleetOptions, FleetView, Micros, Purpose, Reply, Status, StoreNews,
};
pub use ledger::{Ledger, NoSuchBudget};
pub use reservation::{Reservation, Settled};
pub use sessions::SessionTerms;
pub use spec::{
    AtCap, BudgetId, BudgetSpec, Grace, OnStoreLoss, Scope, SessionId, read_on_store_loss,
};
pub use terms::{Amendment, Cause};
pub use window::{Span, UnknownZone, Window, Zone};

#[cfg(test)]
mod tests;
