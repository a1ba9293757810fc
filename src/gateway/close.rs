//! Ends a request: settles what it held, completes its row, counts it.

use std::collections::BTreeMap;
use std::time::Duration;

use pingora::proxy::Session;
use tracing::{error, warn};

use super::ctx::{Ctx, Passage};
use super::refusal::Refusal;
use super::restore::Counts;
use crate::audit::{Decision, Found, Label, Log, Row};
use crate::budget::Reservation;
use crate::config::OnDisconnect;
use crate::domain::{Category, Moment, Provenance, Usage, Usd};
use crate::live::Inspection;
use crate::metrics::Metrics;
use crate::pricing::PriceTable;

/// Settles, records and counts; called once for each request, whatever became of it.
pub async fn close(session: &Session, ctx: &mut Ctx, log: &Log, metrics: &Metrics) {
    let passage = ctx.passage.take();
    ctx.row.latency = ctx.started.elapsed();
    if ctx.row.bytes_in == 0 {
        ctx.row.bytes_in = session.body_bytes_read() as u64;
    }
    match passage {
        Some(mut passage) => {
            passage.left_with(session.upstream_body_bytes_sent());
            settle(passage, ctx, metrics);
        }
        // An answer from the cache has its decision already.
        None if ctx.row.cached => {}
        None => ctx.row.decision = refused(ctx.refusal.as_ref()),
    }
    let tokens = ctx
        .row
        .usage
        .total_input()
        .saturating_add(ctx.row.usage.total_output());
    ctx.passes.drain(..).for_each(|pass| pass.settle(tokens));
    count(&ctx.row, ctx.row.provenance, metrics);
    if ctx.undecodable || matches!(ctx.refusal, Some(Refusal::Undecodable(_))) {
        metrics.undecodable.inc();
    }
    let row = std::mem::replace(&mut ctx.row, Row::new(uuid::Uuid::nil(), Moment::default()));
    record(row, log, metrics).await;
}

fn refused(refusal: Option<&Refusal>) -> Decision {
    match refusal {
        None => Decision::Allowed,
        Some(Refusal::Secret { .. } | Refusal::Undecodable(_)) => Decision::Blocked,
        Some(_) => Decision::Refused,
    }
}

/// Charges an admitted request and notes what it was.
fn settle(mut passage: Box<Passage>, ctx: &mut Ctx, metrics: &Metrics) {
    let row = &mut ctx.row;
    row.attempts = passage.attempts;
    row.tries = std::mem::take(&mut passage.trail.tries);
    note_unrestored(&passage, row, &ctx.snapshot.inspection);
    let failed = !note_answer(&mut passage, row, metrics);
    // The provider's failures have said their code by now.
    let client_left = failed && row.code.is_empty();
    if failed {
        row.decision = Decision::Failed;
        if client_left {
            row.code = "client_gone";
        }
    }
    let hold = passage.hold.take();
    let prices = PricesAt {
        table: &ctx.snapshot.prices,
        at: row.at,
    };
    let upstream_failed = ctx.refusal.is_some();
    let charged = Charged::of(&mut passage, hold.as_ref(), prices, upstream_failed);
    let charged = charged.on_disconnect(&passage, hold.as_ref(), client_left);
    if let Some(relay) = &mut passage.relay {
        row.served = match charged.model {
            _ if row.model == Label::withheld() => Label::withheld(),
            Some(model) => Label::clean(&model, Label::MODEL),
            None => Label::clean(&passage.terms.model, Label::MODEL),
        };
        let whole = charged.whole && charged.provenance == Provenance::Exact;
        if let Some(keeper) = relay.keeper().filter(|_| whole && !failed) {
            keeper.keep(row.served.clone());
        }
    }
    if charged.error_event && !failed {
        row.decision = Decision::Failed;
        row.code = "upstream_error";
        let labels = [passage.upstream.name.as_str(), "event"];
        metrics.upstream_failures.with_label_values(&labels).inc();
    }
    row.usage = charged.usage;
    row.provenance = charged.provenance;
    row.cost = charged.cost;
    if let Some(hold) = hold {
        row.reserved = hold.amount();
        let settled = hold.settle(charged.cost);
        if settled.overrun > Usd::ZERO {
            warn!(request = %row.request, overrun = %settled.overrun, "an answer cost more than its worst case");
        }
    }
}

/// Notes what passed of an answer; whether that came to its end.
fn note_answer(passage: &mut Passage, row: &mut Row, metrics: &Metrics) -> bool {
    let Some(relay) = &mut passage.relay else {
        return false;
    };
    row.first_byte = relay.first_byte;
    row.upstream = Label::clean(&passage.upstream.addresses[passage.address].label, 128);
    row.bytes_out = relay.bytes;
    if let Some(counts) = relay.restored() {
        restored(row, counts, metrics);
    }
    if relay.is_cut() {
        row.code = "budget_cut";
    }
    relay.ended
}

/// Notes what could not be put back.
fn note_unrestored(passage: &Passage, row: &mut Row, inspection: &Inspection) {
    if let Some(relay) = &passage.relay {
        let unrestored = relay.unrestored(|category| inspection.knows(category));
        note(row, &unrestored, "unrestored");
    }
}

/// Notes what was put back, and what was not, by category.
fn restored(row: &mut Row, counts: &Counts, metrics: &Metrics) {
    row.restorations = number(counts.restored.values().sum());
    note(row, &counts.restored, "restored");
    note(row, &counts.withheld, "withheld");
    metrics
        .malformed
        .with_label_values(&[row.endpoint])
        .inc_by(counts.malformed);
}

fn note(row: &mut Row, counts: &BTreeMap<Category, u64>, action: &'static str) {
    let found = counts.iter().map(|(category, count)| Found {
        category: category.clone(),
        count: number(*count),
        action,
    });
    row.findings.extend(found);
}

fn number(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The prices at the moment when the request came: those of its quote.
#[derive(Clone, Copy)]
struct PricesAt<'a> {
    table: &'a PriceTable,
    at: Moment,
}

/// What an admitted request is charged.
struct Charged {
    /// The model that answered, where the provider named it.
    model: Option<String>,
    /// Whether the answer told its final usage, and no error.
    whole: bool,
    /// Whether the provider ended its answer with an error.
    error_event: bool,
    usage: Usage,
    provenance: Provenance,
    cost: Usd,
}

impl Charged {
    fn free() -> Self {
        Self {
            model: None,
            whole: false,
            error_event: false,
            usage: Usage::default(),
            provenance: Provenance::Exact,
            cost: Usd::ZERO,
        }
    }

    /// Where the client left before the provider had told the final count, what its setting says.
    fn on_disconnect(
        self,
        passage: &Passage,
        hold: Option<&Reservation>,
        client_left: bool,
    ) -> Self {
        let keeps_all = passage.upstream.on_disconnect == OnDisconnect::ChargeReservation;
        let told = self.provenance == Provenance::Exact;
        match hold {
            Some(hold) if client_left && keeps_all && !told => Self {
                cost: hold.amount(),
                ..self
            },
            _ => self,
        }
    }

    /// Nothing for an error before output; the provider's count where it is complete; else the count that there is,
    /// completed by an upper estimate; and the reservation where a request was sent and nobody told what became of it:
    /// the client left, or the provider kept it for long and broke off.
    fn of(
        passage: &mut Passage,
        hold: Option<&Reservation>,
        prices: PricesAt<'_>,
        upstream_failed: bool,
    ) -> Self {
        let Some(hold) = hold else {
            return Self::free();
        };
        let mut whole = Self {
            model: None,
            whole: false,
            error_event: false,
            usage: Usage::default(),
            provenance: Provenance::Estimated,
            cost: hold.amount(),
        };
        let Some(relay) = &mut passage.relay else {
            let failed = upstream_failed && !passage.may_be_billed;
            return if failed || passage.sent.is_none() {
                Self::free()
            } else {
                whole
            };
        };
        let Some(metered) = relay.metered() else {
            return Self::free();
        };
        whole.model = metered.model;
        whole.error_event = metered.error_event;
        whole.whole = metered.complete && !metered.error_event;
        let others = metered.others.iter();
        let usage = others
            .clone()
            .fold(metered.usage, |sum, (_, usage)| sum.plus(usage));
        let cost = |model: &str, usage: &Usage| {
            let provider = passage.upstream.prices.as_str();
            let found = prices.table.find_at(provider, model, prices.at);
            found.price.cost(usage)
        };
        let mut total = cost(&passage.terms.model, &metered.usage);
        for (model, usage) in others {
            let more = cost(model, usage);
            total = total
                .zip(more)
                .and_then(|(sum, more)| sum.checked_add(more));
        }
        let told = cost(&passage.terms.model, &metered.told).unwrap_or(hold.amount());
        let (provenance, cost) = match total {
            _ if metered.hidden_output => (whole.provenance, whole.cost.max(told)),
            None => (whole.provenance, whole.cost),
            Some(cost) if metered.provenance == Provenance::Exact => (metered.provenance, cost),
            // An estimate is an upper bound; so is the reservation, unless more than that was told.
            Some(cost) => (metered.provenance, cost.min(hold.amount()).max(told)),
        };
        Self {
            usage,
            provenance,
            cost,
            ..whole
        }
    }
}

fn count(row: &Row, provenance: Provenance, metrics: &Metrics) {
    metrics
        .requests
        .with_label_values(&[row.dialect, row.endpoint, row.decision.as_str(), row.code])
        .inc();
    metrics
        .latency
        .with_label_values(&[row.endpoint])
        .observe(Metrics::seconds(row.latency));
    if let Some(first) = row.first_byte {
        metrics
            .first_token
            .with_label_values(&[row.endpoint])
            .observe(Metrics::seconds(first));
    }
    if row.overhead > Duration::ZERO {
        metrics.own_time.observe(Metrics::seconds(row.overhead));
    }
    for found in &row.findings {
        metrics
            .findings
            .with_label_values(&[found.category.as_str(), found.action])
            .inc_by(u64::from(found.count));
    }
    let (Some(team), Some(model)) = (&row.team, &row.priced_as) else {
        return;
    };
    if row.cost > Usd::ZERO {
        metrics.add_cost(team.as_str(), model.as_str(), row.cost);
        if provenance != Provenance::Exact {
            metrics
                .estimated
                .with_label_values(&[provenance.as_str()])
                .inc();
        }
    }
    let usage = &row.usage;
    for (kind, tokens) in [
        ("input", usage.fresh_input()),
        ("cache_read", usage.cache_read),
        (
            "cache_write",
            usage.cache_write_5m.saturating_add(usage.cache_write_1h),
        ),
        ("output", usage.total_output()),
    ] {
        if tokens > 0 {
            metrics
                .tokens
                .with_label_values(&[team.as_str(), model.as_str(), kind])
                .inc_by(tokens);
        }
    }
}

async fn record(row: Row, log: &Log, metrics: &Metrics) {
    let committed = match log.end(row) {
        Ok(committed) => committed.wait().await,
        Err(error) => Err(error),
    };
    if let Err(error) = committed {
        metrics.audit_failures.inc();
        error!(%error, "the audit log did not take a row");
    }
}
