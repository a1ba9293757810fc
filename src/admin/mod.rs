//! The admin listener: health, readiness, metrics and the budgets' standing. Bound to loopback unless told otherwise;
//! it shows names and amounts, never a key or content.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::audit::Log;
use crate::budget::{BudgetView, Ledger};
use crate::domain::Moment;
use crate::ledger_store::Traffic;
use crate::live::Live;
use crate::metrics::Metrics;

/// What the admin listener shows.
#[derive(Clone)]
pub struct Admin {
    pub live: Arc<Live>,
    pub ledger: Arc<Ledger>,
    pub log: Log,
    pub metrics: Arc<Metrics>,
    /// What goes between this node and the fleet's store; absent on a node alone.
    pub traffic: Option<Arc<Traffic>>,
    /// Set once a node of a fleet has its first leases; absent on a node alone.
    pub is_leased: Option<Arc<AtomicBool>>,
    /// Set once the process drains: a load balancer takes the node out.
    pub draining: Arc<AtomicBool>,
}

impl Admin {
    /// Serves as long as it is polled: through a drain as well, whose end an operator wants to see.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let routes = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .route("/budgets", get(budgets))
            .with_state(self);
        axum::serve(listener, routes).await
    }

    /// Why requests should go to another node; empty when they may come.
    fn reasons(&self) -> Vec<&'static str> {
        let status = self.log.status();
        let snapshot = self.live.load();
        let mut reasons = Vec::new();
        if self.draining.load(Ordering::Relaxed) {
            reasons.push("draining");
        }
        let leased = self.is_leased.as_ref();
        if leased.is_some_and(|leased| !leased.load(Ordering::Relaxed)) {
            reasons.push("the budgets' first leases have not come");
        }
        if !snapshot.people.available {
            reasons.push("the directory cannot be read");
        }
        reasons.extend(status.unready);
        reasons
    }
}

async fn ready(State(admin): State<Admin>) -> Response {
    let reasons = admin.reasons();
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("{}\n", reasons.join("\n")),
    )
        .into_response()
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    admin.metrics.observe_budgets(&admin.ledger, Moment::now());
    admin
        .metrics
        .directory_available
        .set(i64::from(admin.live.load().people.available));
    observe_audit(&admin.log, &admin.metrics);
    if let Some(traffic) = &admin.traffic {
        let fleet = admin.ledger.fleet_view(Moment::now());
        let view = traffic.view();
        let last_trip = u64::try_from(view.last_trip.as_micros()).unwrap_or(u64::MAX);
        let carried = [
            ("failed", view.failed),
            ("unintelligible", view.unintelligible),
            ("servers_changed", view.servers_changed),
            ("last_trip_microseconds", last_trip),
        ];
        admin
            .metrics
            .observe_fleet(&fleet, view.suspended, &carried);
    }
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        admin.metrics.render(),
    )
}

/// Notes how the audit's log and its sinks are doing.
fn observe_audit(log: &Log, metrics: &Metrics) {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let status = log.status();
    metrics.audit_spool.set(whole(status.spooled_bytes));
    metrics.audit_spool_bound.set(whole(status.spool_bound));
    for (what, rows) in [
        ("written", status.rows),
        ("queued", status.queued),
        ("shed", status.shed),
        ("in_flight", status.open),
    ] {
        let gauge = metrics.audit_rows.with_label_values(&[what]);
        gauge.set(whole(rows));
    }
    for (sink, status) in log.sinks() {
        for (what, count) in [
            ("rows", status.rows),
            ("rejected", status.rejected),
            ("failures", status.failures),
            ("failing", u64::from(status.failing.is_some())),
            ("damage", status.damage),
        ] {
            let gauge = metrics.audit_sink.with_label_values(&[sink, what]);
            gauge.set(whole(count));
        }
    }
}

async fn budgets(State(admin): State<Admin>) -> Json<Value> {
    let views = admin.ledger.standing_views(Moment::now());
    Json(Value::Array(views.iter().map(shown).collect()))
}

/// One budget as JSON: amounts are decimal strings in dollars, the reset is a Unix time in seconds.
fn shown(view: &BudgetView) -> Value {
    json!({
        "budget": view.id.as_str(),
        "limit": view.limit.to_string(),
        "spent": view.spent.to_string(),
        "reserved": view.held.to_string(),
        "left": view.left.to_string(),
        "resets": view.resets.map(Moment::seconds),
    })
}
