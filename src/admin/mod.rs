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
use tokio::sync::watch;

use crate::audit::Log;
use crate::budget::{BudgetView, Ledger};
use crate::domain::Moment;
use crate::live::Live;
use crate::metrics::Metrics;

/// What the admin listener shows.
#[derive(Clone)]
pub struct Admin {
    pub live: Arc<Live>,
    pub ledger: Arc<Ledger>,
    pub log: Log,
    pub metrics: Arc<Metrics>,
    /// Set once the process drains: a load balancer takes the node out.
    pub draining: Arc<AtomicBool>,
}

impl Admin {
    /// Serves until `stop` turns true.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        mut stop: watch::Receiver<bool>,
    ) -> std::io::Result<()> {
        let routes = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .route("/budgets", get(budgets))
            .with_state(self);
        axum::serve(listener, routes)
            .with_graceful_shutdown(async move {
                // The sender going away is a stop as well.
                let _stopped = stop.wait_for(|stopped| *stopped).await;
            })
            .await
    }

    /// Why requests should go to another node; empty when they may come.
    fn reasons(&self) -> Vec<&'static str> {
        let status = self.log.status();
        let snapshot = self.live.load();
        let mut reasons = Vec::new();
        if self.draining.load(Ordering::Relaxed) {
            reasons.push("draining");
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
    admin
        .metrics
        .observe_budgets(&admin.ledger.views(Moment::now()));
    admin
        .metrics
        .directory_available
        .set(i64::from(admin.live.load().people.available));
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        admin.metrics.render(),
    )
}

async fn budgets(State(admin): State<Admin>) -> Json<Value> {
    let views = admin.ledger.views(Moment::now());
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
