//! What the process counts, for Prometheus. Labels come from closed sets (configuration, the directory, the price
//! table, code), never from what a client sent.

use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::budget::{FleetView, Ledger};
use crate::domain::{Moment, Usd};

/// Buckets for the gateway's own time, in seconds: from microseconds to a second.
const OWN_TIME: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_35, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 1.0,
];
/// Buckets for a provider's time, in seconds: answers take from a tenth of a second to ten minutes.
const PROVIDER_TIME: [f64; 13] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 90.0, 240.0, 600.0,
];

/// All counters of one process; a second gateway in the same process has its own.
pub struct Metrics {
    registry: Registry,
    pub requests: IntCounterVec,
    pub tokens: IntCounterVec,
    cost: prometheus::CounterVec,
    pub findings: IntCounterVec,
    pub undecodable: IntCounter,
    pub malformed: IntCounterVec,
    pub latency: HistogramVec,
    pub first_token: HistogramVec,
    pub own_time: Histogram,
    pub in_flight: IntGauge,
    pub upstream_failures: IntCounterVec,
    pub unknown_model: IntCounterVec,
    pub estimated: IntCounterVec,
    pub reloads: IntCounterVec,
    pub directory_available: IntGauge,
    pub audit_failures: IntCounter,
    pub audit_spool: IntGauge,
    pub audit_spool_bound: IntGauge,
    pub audit_rows: IntGaugeVec,
    pub audit_sink: IntGaugeVec,
    pub budget: IntGaugeVec,
    /// Requests whose output bound was lowered, and streams that were ended, for a budget.
    pub clamped: IntCounter,
    pub cut: IntCounter,
    /// Thresholds, first refusals, overruns.
    pub budget_events: IntCounterVec,
    budget_events_dropped: IntGauge,
    sessions: IntGauge,
    leases: IntGaugeVec,
    fleet: IntGaugeVec,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// When two metrics have the same name: a fault of this file.
    #[expect(
        clippy::too_many_lines,
        reason = "one statement for each metric, broken by the formatter"
    )]
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let made = Register(&registry);
        Ok(Self {
            requests: made.counters(
                "requests_total",
                "Requests by outcome.",
                &["dialect", "endpoint", "decision", "code"],
            )?,
            tokens: made.counters(
                "tokens_total",
                "Tokens that providers billed.",
                &["team", "model", "kind"],
            )?,
            cost: made.amounts(
                "cost_usd_total",
                "Dollars that requests cost.",
                &["team", "model"],
            )?,
            findings: made.counters(
                "findings_total",
                "Findings by category and what was done.",
                &["category", "action"],
            )?,
            undecodable: made.counter(
                "undecodable_total",
                "Bodies that could not be decoded for inspection.",
            )?,
            malformed: made.counters(
                "malformed_answers_total",
                "Events and bodies of answers that could not be read to restore secrets, and passed as they came.",
                &["endpoint"],
            )?,
            latency: made.times(
                "request_seconds",
                "From the request's head to the answer's end.",
                &["endpoint"],
            )?,
            first_token: made.times(
                "first_byte_seconds",
                "From the request's head to the answer's first byte.",
                &["endpoint"],
            )?,
            own_time: made.own_time(
                "overhead_seconds",
                "From the whole body to its dispatch: what the gateway itself adds.",
            )?,
            in_flight: made.gauge("in_flight", "Requests being served now.")?,
            upstream_failures: made.counters(
                "upstream_failures_total",
                "Attempts that failed.",
                &["provider", "kind"],
            )?,
            unknown_model: made.counters(
                "unknown_model_total",
                "Requests for a model without a price.",
                &["provider"],
            )?,
            estimated: made.counters(
                "estimated_cost_total",
                "Requests whose cost is not the provider's own count.",
                &["provenance"],
            )?,
            reloads: made.counters(
                "reloads_total",
                "Reloads of configuration and directory.",
                &["what", "result"],
            )?,
            directory_available: made.gauge(
                "directory_available",
                "1 while the directory can be read; 0 refuses all keys.",
            )?,
            audit_failures: made.counter(
                "audit_failures_total",
                "Records that the audit log did not take.",
            )?,
            audit_spool: made.gauge("audit_spool_bytes", "Bytes of the audit log's segments.")?,
            audit_spool_bound: made.gauge(
                "audit_spool_bound_bytes",
                "The most that the audit log's segments may hold.",
            )?,
            audit_rows: made.gauges(
                "audit_rows",
                "Rows since the start: written, waiting in memory, shed; and requests in flight.",
                &["what"],
            )?,
            audit_sink: made.gauges(
                "audit_sink",
                "Each sink since the start: rows, rejected rows, failures, whether it fails now.",
                &["sink", "what"],
            )?,
            budget: made.gauges(
                "budget_nanousd",
                "Budgets of the current window, in nano-dollars.",
                &["budget", "kind"],
            )?,
            clamped: made.counter(
                "clamped_total",
                "Requests whose bound of output tokens was lowered so that an answer fits a budget.",
            )?,
            cut: made.counter(
                "cut_total",
                "Streams that were ended because their reservation was used up.",
            )?,
            budget_events: made.counters(
                "budget_events_total",
                "Thresholds that budgets reached, first refusals of a window, costs past a cap.",
                &["event", "scope", "percent"],
            )?,
            budget_events_dropped: made.gauge(
                "budget_events_dropped",
                "Events of budgets that nobody fetched in time, since the start.",
            )?,
            sessions: made.gauge(
                "budget_sessions",
                "Agent sessions that have a budget of their own here.",
            )?,
            leases: made.gauges(
                "lease_nanousd",
                "This node's leases from the fleet's store, in nano-dollars.",
                &["kind"],
            )?,
            fleet: made.gauges(
                "fleet",
                "The fleet's store as this node sees it: counts, and seconds since its last answer.",
                &["kind"],
            )?,
            registry,
        })
    }

    /// Adds to the dollars spent. Shown as a float; the audit and the budgets hold the exact amount.
    pub fn add_cost(&self, team: &str, model: &str, cost: Usd) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a display value: Prometheus has only floats"
        )]
        let dollars = cost.nanos() as f64 / 1e9;
        self.cost.with_label_values(&[team, model]).inc_by(dollars);
    }

    /// Notes how the ledger stands, for the next exposition; a budget that is gone is forgotten. Sessions are only counted:
    /// there is no end of them.
    pub fn observe_budgets(&self, ledger: &Ledger, now: Moment) {
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.budget_events_dropped
            .set(whole(ledger.events_dropped()));
        self.sessions.set(whole(ledger.sessions() as u64));
        self.budget.reset();
        for view in ledger.standing_views(now) {
            for (kind, amount) in [
                ("limit", view.limit),
                ("spent", view.spent),
                ("reserved", view.held),
                ("left", view.left),
            ] {
                let nanos = i64::try_from(amount.nanos()).unwrap_or(i64::MAX);
                self.budget
                    .with_label_values(&[view.id.as_str(), kind])
                    .set(nanos);
            }
        }
    }

    /// Notes how the fleet's leases stand, for the next exposition; `carried` is what the courier counted.
    pub fn observe_fleet(
        &self,
        fleet: &FleetView,
        suspended: Usd,
        carried: &[(&'static str, u64)],
    ) {
        for (kind, amount) in [
            ("leased", fleet.leased),
            ("spent", fleet.spent),
            ("grace", fleet.grace),
            ("suspended", suspended),
        ] {
            let nanos = i64::try_from(amount.nanos()).unwrap_or(i64::MAX);
            self.leases.with_label_values(&[kind]).set(nanos);
        }
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for (kind, number) in [
            ("nodes", u64::from(fleet.nodes)),
            ("leases", fleet.leases),
            ("round_trips", fleet.round_trips),
            ("refused", fleet.refused),
            ("refused_away", fleet.refused_away),
            ("foreign", fleet.foreign),
            ("away", u64::from(fleet.away)),
        ] {
            self.fleet.with_label_values(&[kind]).set(count(number));
        }
        // Of a store that was never heard, `away` alone tells.
        if let Some(silence) = fleet.silence {
            let gauge = self.fleet.with_label_values(&["silence_seconds"]);
            gauge.set(count(silence.as_secs()));
        }
        for (kind, number) in carried {
            self.fleet.with_label_values(&[*kind]).set(count(*number));
        }
    }

    /// The text exposition of everything.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Vec::with_capacity(16 * 1024);
        match TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            Ok(()) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => format!("# metrics cannot be rendered: {error}\n"),
        }
    }

    /// A duration as histograms take it.
    #[must_use]
    pub fn seconds(duration: Duration) -> f64 {
        duration.as_secs_f64()
    }
}

/// Makes metrics with the product's prefix and registers them.
struct Register<'a>(&'a Registry);

impl Register<'_> {
    fn options(name: &str, help: &str) -> Opts {
        Opts::new(name, help).namespace("tollgate")
    }

    fn add<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        collector: C,
    ) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::with_opts(Self::options(name, help))?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(Self::options(name, help), labels)?)
    }

    fn amounts(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<prometheus::CounterVec, prometheus::Error> {
        self.add(prometheus::CounterVec::new(
            Self::options(name, help),
            labels,
        )?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::with_opts(Self::options(name, help))?)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.add(IntGaugeVec::new(Self::options(name, help), labels)?)
    }

    fn times(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        let options =
            HistogramOpts::from(Self::options(name, help)).buckets(PROVIDER_TIME.to_vec());
        self.add(HistogramVec::new(options, labels)?)
    }

    fn own_time(&self, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
        self.add(Histogram::with_opts(
            HistogramOpts::from(Self::options(name, help)).buckets(OWN_TIME.to_vec()),
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_the_prefix_and_renders() {
        let metrics = Metrics::new().expect("names are distinct");
        metrics.add_cost(
            "payments",
            "claude-opus-5-5",
            Usd::from_nanos(1_500_000_000),
        );
        let text = metrics.render();
        assert!(
            text.contains(
                r#"tollgate_cost_usd_total{model="claude-opus-5-5",team="payments"} 1.5"#
            ),
            "{text}"
        );
        assert!(
            text.lines()
                .all(|line| line.starts_with('#') || line.starts_with("tollgate_")),
            "{text}"
        );
    }
}
