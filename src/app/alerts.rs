//! Says aloud what happened to budgets: a line in the log, a count, and for a threshold a row of the audit. The ledger says
//! each thing once; in a fleet the store chooses the one node that reports a threshold.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;
use tracing::{info, warn};
use uuid::Uuid;

use super::Shared;
use crate::audit::{Label, OperatorAction};
use crate::budget::{Event, EventKind, Scope};
use crate::domain::{Moment, Name};

/// How often the ledger is asked what happened.
const TURN: Duration = Duration::from_millis(200);
/// Who did it, in the audit: nobody but the gateway.
const WHO: &str = "gateway";

/// Tells what happens until the process ends.
pub async fn watch(shared: Arc<Shared>) {
    let mut turn = interval(TURN);
    loop {
        turn.tick().await;
        tell(&shared);
    }
}

/// Tells what has happened since the last time.
pub fn tell(shared: &Shared) {
    for event in shared.ledger.events() {
        let scope = shared
            .ledger
            .find(&event.budget)
            .map(|account| account.spec().scope.clone());
        count(shared, &event, scope.as_ref());
        log(&event);
        if let EventKind::Threshold { percent } = event.kind {
            record(shared, &event, percent, scope.as_ref());
        }
    }
}

fn count(shared: &Shared, event: &Event, scope: Option<&Scope>) {
    let percent = match event.kind {
        EventKind::Threshold { percent } => percent.to_string(),
        EventKind::Refused | EventKind::Overrun { .. } => String::new(),
    };
    let scope = scope.map_or("", Scope::kind);
    shared
        .metrics
        .budget_events
        .with_label_values(&[event.kind.as_str(), scope, percent.as_str()])
        .inc();
}

fn log(event: &Event) {
    let Event {
        budget,
        kind,
        spent,
        limit,
        ..
    } = event;
    match kind {
        EventKind::Threshold { percent } => {
            warn!(%budget, percent, %spent, %limit, "a budget reached a threshold");
        }
        EventKind::Refused => {
            info!(%budget, %spent, %limit, "a budget refused its first request of this window");
        }
        EventKind::Overrun { beyond } => {
            warn!(%budget, %beyond, %spent, %limit, "an answer cost more than its budget had left");
        }
    }
}

/// Leaves a row in the audit.
fn record(shared: &Shared, event: &Event, percent: u8, scope: Option<&Scope>) {
    let people = &shared.live.load().people;
    let organisation = people
        .census
        .as_ref()
        .map(|census| census.organisation.clone());
    let (spent, limit) = (event.spent, event.limit);
    let action = OperatorAction {
        id: Uuid::now_v7(),
        at: Moment::now(),
        organisation,
        team: scope.and_then(team),
        who: Label::clean(WHO, 64),
        what: "budget.threshold",
        subject: Label::clean(event.budget.as_str(), 128),
        change: Label::clean(&format!("{percent}% reached: {spent} of {limit}"), 256),
    };
    if let Err(error) = shared.log.operator(action) {
        warn!(budget = %event.budget, %error, "the audit did not take a threshold");
    }
}

fn team(scope: &Scope) -> Option<Name> {
    match scope {
        Scope::Team(team) | Scope::User { team, .. } => Some(team.clone()),
        Scope::Organisation(_) | Scope::Key(_) | Scope::Session { .. } => None,
    }
}
