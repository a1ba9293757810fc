//! Holds a request's worst case on every budget of its caller.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

use super::Gateway;
use super::admit::{Destination, Standing};
use super::choice::Chosen;
use super::clamp::Clamp;
use super::ctx::{Ctx, Passage};
use super::refusal::{Hidden, Refusal};
use crate::budget::{BudgetId, CapReached, Cause, Reservation};
use crate::config::Opaque;
use crate::domain::{Demand, Moment, Usd};
use crate::live::Snapshot;
use crate::provider::Ask;

/// The longest that a request waits for a lease that is being fetched.
const LEASE_TIME: Duration = Duration::from_secs(2);
/// How often the first of those who wait looks for it.
const LEASE_STEP: Duration = Duration::from_millis(2);
/// Lines of waiting requests. Budgets that share one wait for each other's leases too, so there are far more than budgets
/// that are short at one moment.
const LINES: usize = 256;

/// Where requests wait for their node's next lease, in the order of their coming. Only the first of a line looks for it:
/// thousands that wait for the same money cost nothing while it is away, and each is let in as soon as there is enough for it.
pub struct Lines([Mutex<()>; LINES]);

impl Default for Lines {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }
}

impl Lines {
    fn of(&self, budget: &BudgetId) -> &Mutex<()> {
        let mut hasher = DefaultHasher::new();
        budget.hash(&mut hasher);
        let lines = self.0.len() as u64;
        // Below the number of lines.
        &self.0[usize::try_from(hasher.finish() % lines).unwrap_or(0)]
    }
}

/// A cap that is spent already refuses before the body is read: not even the least amount fits. Where a lease is missing, it
/// is fetched while the body comes; the reservation waits for it.
pub(super) fn check_spent(
    gateway: &Gateway,
    standing: &Standing,
    ctx: &Ctx,
) -> Result<(), Refusal> {
    let least = Usd::from_nanos(1);
    let held = gateway
        .ledger
        .reserve(&standing.accounts, least, ctx.row.at);
    match held {
        Err(reached) if reached.cause != Cause::Lease => Err(Refusal::Budget {
            reached,
            asked: None,
        }),
        Ok(reservation) => {
            reservation.release();
            Ok(())
        }
        Err(_) => Ok(()),
    }
}

/// Holds an amount on every budget of the caller, or on none. A node of a fleet whose lease is used up is given a moment:
/// the next one is being fetched. Whoever is admitted at once waits for nothing.
async fn hold(
    gateway: &Gateway,
    standing: &Standing,
    amount: Usd,
    at: Moment,
    until: Instant,
) -> Result<Reservation, CapReached> {
    let reserve = || gateway.ledger.reserve(&standing.accounts, amount, at);
    let mut answer = reserve();
    while let Err(reached) = &answer
        && reached.cause == Cause::Lease
    {
        let Ok(_first) = timeout_at(until, gateway.lines.of(&reached.budget).lock()).await else {
            break;
        };
        answer = wait_for_lease(&reached.budget.clone(), until, reserve).await;
        if Instant::now() >= until {
            break;
        }
    }
    answer
}

/// The first of a budget's line: tries until its lease came, another budget is in the way, or the time is up.
async fn wait_for_lease(
    budget: &BudgetId,
    until: Instant,
    reserve: impl Fn() -> Result<Reservation, CapReached>,
) -> Result<Reservation, CapReached> {
    loop {
        match reserve() {
            Err(reached)
                if reached.cause == Cause::Lease
                    && reached.budget == *budget
                    && Instant::now() < until =>
            {
                sleep(LEASE_STEP).await;
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

/// A request's worst case, held.
pub(super) struct Held {
    hold: Reservation,
    clamp: Option<Clamp>,
    /// What may be used up before the stream is ended, where a budget wants that.
    cut_at: Option<Usd>,
}

impl Held {
    /// The body with a lower bound, where there has to be one. It must be the one that was paid for.
    pub(super) fn clamp(&self, body: &[u8]) -> Option<Bytes> {
        let clamp = self.clamp.as_ref()?;
        Some(clamp.bound.lower(body, clamp.most))
    }

    pub(super) fn give_to(self, passage: &mut Passage) {
        passage.hold = Some(self.hold);
        passage.clamped = self.clamp.map(|clamp| clamp.most);
        if passage.clamped.is_some() {
            // Kept under what was asked for, it would be given to whoever asks when there is room for all of it.
            passage.ticket = None;
        }
        passage.cut_at = self.cut_at;
    }
}

/// Holds the worst case of the request on every budget of its caller, or on none. Near a cap whose budget clamps, the
/// worst case of the request with a lower bound of output tokens: `ask` has that bound then.
pub(super) async fn reserve(
    gateway: &Gateway,
    ctx: &mut Ctx,
    standing: &Standing,
    destination: &Destination,
    ask: &mut Ask,
    chosen: &Chosen,
    body: &[u8],
) -> Result<Held, Refusal> {
    check_opaque(ctx, ask)?;
    let snapshot = Arc::clone(&ctx.snapshot);
    let provider = destination.upstream.prices.as_str();
    let quotes = Quotes {
        snapshot: &snapshot,
        provider,
        at: ctx.row.at,
    };
    let priced = snapshot.prices.find_at(provider, &chosen.model, ctx.row.at);
    if !priced.known {
        let unknown = &gateway.metrics.unknown_model;
        unknown
            .with_label_values(&[destination.upstream.name.as_str()])
            .inc();
    }
    ctx.row.priced_as = Some(priced.model.clone());
    let quote = quotes.whole(chosen, ask).ok_or(Refusal::Unbounded)?;
    let (at, until) = (ctx.row.at, Instant::now() + LEASE_TIME);
    let (mut answer, mut clamp) = (hold(gateway, standing, quote, at, until).await, None);
    if let Err(reached) = &answer
        && reached.cause == Cause::Cap
        && let Some(found) = Clamp::fitting(standing, destination.endpoint, ask, body, |demand| {
            quotes.dearest(chosen, demand)
        })
    {
        answer = hold(gateway, standing, found.quote, at, until).await;
        ask.demand = found.demand;
        gateway.metrics.clamped.inc_by(u64::from(answer.is_ok()));
        clamp = Some(found);
    }
    let hold = answer.map_err(|reached| Refusal::Budget {
        reached,
        asked: Some(quote),
    })?;
    ctx.row.charges = hold
        .charges()
        .map(|(budget, period)| (budget.clone(), period))
        .collect();
    // Other models would be counted apart.
    let cuts = ask.others.is_empty() && standing.accounts.iter().any(|one| one.spec().cut);
    let cut_at = cuts.then(|| hold.amount());
    Ok(Held {
        hold,
        clamp,
        cut_at,
    })
}

/// Worst cases at one provider and moment; `None` where one passes every amount.
struct Quotes<'a> {
    snapshot: &'a Snapshot,
    provider: &'a str,
    at: Moment,
}

impl Quotes<'_> {
    fn one(&self, model: &str, demand: &Demand) -> Option<Usd> {
        let priced = self.snapshot.prices.find_at(self.provider, model, self.at);
        let mode = self.snapshot.settings.budget.quote;
        priced.price.quote(demand, mode)
    }

    /// Of the chosen model and the team's fallbacks: only one of them answers in the end.
    fn dearest(&self, chosen: &Chosen, demand: &Demand) -> Option<Usd> {
        let mut dearest = self.one(&chosen.model, demand)?;
        for model in &chosen.fallbacks {
            dearest = dearest.max(self.one(model, demand)?);
        }
        Some(dearest)
    }

    /// With the other models that the request itself names.
    fn whole(&self, chosen: &Chosen, ask: &Ask) -> Option<Usd> {
        let mut sum = self.dearest(chosen, &ask.demand)?;
        for other in &ask.others {
            let extra = self.one(other.name.as_deref().unwrap_or(""), &other.demand)?;
            sum = sum.checked_add(extra)?;
        }
        Some(sum)
    }
}
