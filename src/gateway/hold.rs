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
use crate::budget::{Account, BudgetId, CapReached, Cause, Ledger, Reservation};
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

/// Where the amounts of one request are held.
struct Till<'a, C> {
    ledger: &'a Ledger,
    lines: &'a Lines,
    accounts: &'a [Arc<Account>],
    now: C,
    /// Until when a lease is waited for.
    until: Instant,
}

impl<C: Fn() -> Moment> Till<'_, C> {
    /// Holds an amount on every budget of the caller, or on none. A node of a fleet whose lease is used up is given a moment:
    /// the next one is being fetched. Whoever is admitted at once waits for nothing.
    async fn hold(&self, amount: Usd) -> Result<Reservation, CapReached> {
        let mut answer = self.reserve(amount);
        while let Err(reached) = &answer
            && reached.cause == Cause::Lease
        {
            let line = self.lines.of(&reached.budget).lock();
            let Ok(_first) = timeout_at(self.until, line).await else {
                break;
            };
            answer = self.wait(&reached.budget.clone(), amount).await;
            if Instant::now() >= self.until {
                break;
            }
        }
        answer
    }

    /// The first of a budget's line: tries until its lease came, another budget is in the way, or the time is up.
    async fn wait(&self, budget: &BudgetId, amount: Usd) -> Result<Reservation, CapReached> {
        loop {
            match self.reserve(amount) {
                Err(reached)
                    if reached.cause == Cause::Lease
                        && reached.budget == *budget
                        && Instant::now() < self.until =>
                {
                    sleep(LEASE_STEP).await;
                }
                decided => return decided,
            }
        }
    }

    /// Reserves in the periods of this moment, and not of the one in which the request began: a period that ended while the
    /// body came has given its lease back.
    fn reserve(&self, amount: Usd) -> Result<Reservation, CapReached> {
        self.ledger.reserve(self.accounts, amount, (self.now)())
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
        (ask.demand.background, Hidden::Background),
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
    let till = Till {
        ledger: &gateway.ledger,
        lines: &gateway.lines,
        accounts: &standing.accounts,
        now: Moment::now,
        until: Instant::now() + LEASE_TIME,
    };
    let (mut answer, mut clamp) = (till.hold(quote).await, None);
    if let Err(reached) = &answer
        && reached.cause == Cause::Cap
        && let Some(found) = Clamp::fitting(standing, destination.endpoint, ask, body, |demand| {
            quotes.dearest(chosen, demand)
        })
    {
        answer = till.hold(found.quote).await;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::budget::{
        Answer, Balances, Boot, BudgetSpec, FleetOptions, Micros, Reply, Scope, Status, StoreNews,
        Window, Zone,
    };
    use crate::domain::Name;

    const MIDNIGHT: Moment = Moment::from_seconds(1_795_305_600);

    /// Everything that the ledger asks for is lent.
    fn lend(ledger: &Ledger, now: Moment) {
        ledger.store(StoreNews::Heard { nodes: 1 }, now);
        for ask in ledger.asks(now) {
            let granted = ask.granted.plus(ask.want);
            let answer = Answer {
                status: Status::Ok,
                granted,
                returned: ask.returned,
                used: granted.minus(ask.returned),
                cap: ask.limit,
                spent: ask.spent,
                short: false,
                overdrawn: Micros::ZERO,
                limit: ask.limit,
                changes: ask.changes,
                alerts: Vec::new(),
            };
            ledger.answered(&ask, &Reply::Answer(answer), now);
        }
    }

    #[tokio::test]
    async fn a_request_that_midnight_overtakes_is_held_on_the_day_that_began() {
        let options = FleetOptions::new(Boot::new("node", "boot").unwrap());
        let ledger = Ledger::leased(Balances::new(), options, Arc::new(|| {}));
        let limit = Usd::from_nanos(10_000_000_000);
        let scope = Scope::Team(Name::new("payments"));
        let spec = BudgetSpec::new(scope, Window::Day, Zone::utc(), limit);
        let accounts = [ledger.account(&spec)];
        let clock = AtomicI64::new(MIDNIGHT.micros() - 100_000);
        let now = || Moment::from_micros(clock.load(Ordering::SeqCst));
        lend(&ledger, now());
        let lines = Lines::default();
        let till = Till {
            ledger: &ledger,
            lines: &lines,
            accounts: &accounts,
            now,
            until: Instant::now() + LEASE_TIME,
        };
        let midnight = async {
            sleep(LEASE_STEP * 2).await;
            clock.store(MIDNIGHT.micros() + 100_000, Ordering::SeqCst);
            for _ in 0..2 {
                sleep(LEASE_STEP * 2).await;
                lend(&ledger, now());
            }
        };
        // More than lies ready before somebody has asked for it.
        let (held, ()) = tokio::join!(till.hold(Usd::from_nanos(2_000_000_000)), midnight);
        let held = held.unwrap();
        let charged: Vec<_> = held.charges().map(|(_, period)| period).collect();
        assert_eq!(charged, [MIDNIGHT]);
    }
}
