//! Holds a request's worst case on every budget of its caller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Gateway;
use super::admit::{Destination, Standing};
use super::ctx::Ctx;
use super::prepare::Chosen;
use super::refusal::{Hidden, Refusal};
use crate::budget::{CapReached, Cause, Reservation};
use crate::config::Opaque;
use crate::domain::{Moment, Usd};
use crate::provider::Ask;

/// The longest that a request waits for a lease that is being fetched.
const LEASE_TIME: Duration = Duration::from_millis(500);
const LEASE_STEP: Duration = Duration::from_millis(2);

/// A cap that is spent already refuses before the body is read: not even the least amount fits.
pub(super) async fn check_spent(
    gateway: &Gateway,
    standing: &Standing,
    ctx: &Ctx,
) -> Result<(), Refusal> {
    let least = Usd::from_nanos(1);
    let held = hold(gateway, standing, least, ctx.row.at).await;
    held.map(Reservation::release)
        .map_err(|reached| Refusal::Budget {
            reached,
            asked: None,
        })
}

/// Holds an amount on every budget of the caller, or on none. A node of a fleet whose lease is used up is given a moment:
/// the next one is being fetched. Whoever is admitted at once waits for nothing.
async fn hold(
    gateway: &Gateway,
    standing: &Standing,
    amount: Usd,
    at: Moment,
) -> Result<Reservation, CapReached> {
    let until = Instant::now() + LEASE_TIME;
    loop {
        match gateway.ledger.reserve(&standing.accounts, amount, at) {
            Err(reached) if reached.cause == Cause::Lease && Instant::now() < until => {
                tokio::time::sleep(LEASE_STEP).await;
            }
            decided => return decided,
        }
    }
}

/// Refuses what does not show its cost, where the operator wants it so.
fn check_opaque(ctx: &Ctx, ask: &Ask) -> Result<(), Refusal> {
    if ctx.snapshot.settings.budget.opaque == Opaque::Window {
        return Ok(());
    }
    let hidden = [
        (ask.demand.opaque, Hidden::Input),
        (ask.demand.server_calls.is_none(), Hidden::Tools),
        (ask.background, Hidden::Background),
    ];
    hidden
        .into_iter()
        .find(|(hides, _)| *hides)
        .map_or(Ok(()), |(_, hidden)| Err(Refusal::Opaque(hidden)))
}

/// Holds the worst case of the request on every budget of its caller, or on none.
pub(super) async fn reserve(
    gateway: &Gateway,
    ctx: &mut Ctx,
    standing: &Standing,
    destination: &Destination,
    ask: &Ask,
    chosen: &Chosen,
) -> Result<Reservation, Refusal> {
    check_opaque(ctx, ask)?;
    let snapshot = Arc::clone(&ctx.snapshot);
    let provider = destination.upstream.prices.as_str();
    let priced = snapshot.prices.find_at(provider, &chosen.model, ctx.row.at);
    if !priced.known {
        gateway
            .metrics
            .unknown_model
            .with_label_values(&[destination.upstream.name.as_str()])
            .inc();
    }
    ctx.row.priced_as = Some(priced.model.clone());
    let mode = snapshot.settings.budget.quote;
    let mut quote = priced.price.quote(&ask.demand, mode);
    // Whichever of the team's fallbacks answers in the end: only one does.
    for model in &chosen.fallbacks {
        let priced = snapshot.prices.find_at(provider, model, ctx.row.at);
        let instead = priced.price.quote(&ask.demand, mode);
        quote = quote.zip(instead).map(|(one, other)| one.max(other));
    }
    for other in &ask.others {
        let name = other.name.as_deref().unwrap_or("");
        let priced = snapshot.prices.find_at(provider, name, ctx.row.at);
        let extra = priced.price.quote(&other.demand, mode);
        quote = quote
            .zip(extra)
            .and_then(|(sum, extra)| sum.checked_add(extra));
    }
    let quote = quote.ok_or(Refusal::Unbounded)?;
    let hold = hold(gateway, standing, quote, ctx.row.at)
        .await
        .map_err(|reached| Refusal::Budget {
            reached,
            asked: Some(quote),
        })?;
    ctx.row.charges = hold
        .charges()
        .map(|(budget, period)| (budget.clone(), period))
        .collect();
    Ok(hold)
}
