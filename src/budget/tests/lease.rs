//! A node's half of the lease protocol, with answers made by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{NOON, team, usd};
use crate::budget::{
    Account, Amendment, Answer, Ask, AtCap, Balances, Boot, BudgetSpec, Cause, Changes, EventKind,
    FleetOptions, Grace, Ledger, Micros, OnStoreLoss, Purpose, Reply, Reservation, SessionId,
    SessionTerms, Status, StoreNews,
};
use crate::domain::{KeyId, Moment, Usd};

struct Node {
    ledger: Ledger,
    accounts: [Arc<Account>; 1],
    now: Moment,
    calls: Arc<AtomicU64>,
}

impl Node {
    fn with(spec: &BudgetSpec) -> Self {
        let mut options = FleetOptions::new(Boot::new("node", "boot").unwrap());
        options.nodes = 2;
        let calls = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&calls);
        let wake = move || {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        let ledger = Ledger::leased(Balances::new(), options, Arc::new(wake));
        let accounts = [ledger.account(spec)];
        Self {
            ledger,
            accounts,
            now: NOON,
            calls,
        }
    }

    /// A node of a hard cap of ten dollars, without grace.
    fn new() -> Self {
        Self::with(&spec(OnStoreLoss::Deny))
    }

    fn ask(&self) -> Option<Ask> {
        self.ledger.asks(self.now).into_iter().next()
    }

    fn answer(&self, ask: &Ask, answer: Answer) {
        self.ledger.answered(ask, &Reply::Answer(answer), self.now);
    }

    /// Asks, and is lent this much in all.
    fn lent(&self, dollars: &str) -> Ask {
        let ask = self.ask().unwrap();
        self.answer(&ask, lent(dollars));
        ask
    }

    fn room(&self) -> Usd {
        self.ledger.room(&self.accounts, self.now).unwrap()
    }

    fn spend(&self, dollars: &str) -> Result<(), Cause> {
        let held = self.ledger.reserve(&self.accounts, usd(dollars), self.now);
        held.map(Reservation::release)
            .map_err(|reached| reached.cause)
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }
}

fn spec(on_store_loss: OnStoreLoss) -> BudgetSpec {
    BudgetSpec {
        on_store_loss,
        ..team("10.00")
    }
}

fn micros(dollars: &str) -> Micros {
    Micros::floor(usd(dollars))
}

fn lent(dollars: &str) -> Answer {
    Answer {
        status: Status::Ok,
        granted: micros(dollars),
        returned: Micros::ZERO,
        used: micros(dollars),
        cap: micros("10.00"),
        spent: Micros::ZERO,
        short: false,
        overdrawn: Micros::ZERO,
        limit: micros("10.00"),
        changes: Changes::default(),
        alerts: Vec::new(),
    }
}

#[test]
fn only_what_is_lent_can_be_spent() {
    let node = Node::new();
    assert_eq!(node.spend("0.01"), Err(Cause::StoreAway));
    node.lent("2.00");
    assert_eq!(node.spend("2.00"), Ok(()));
    assert_eq!(node.spend("2.01"), Err(Cause::Lease));
    assert_eq!(node.spend("10.01"), Err(Cause::Cap));
}

#[test]
fn what_others_hold_is_waited_for_but_not_for_long() {
    let mut node = Node::new();
    // Others were lent eight dollars of the ten, and have spent five of them.
    let others = |status, granted| Answer {
        status,
        used: micros("10.00"),
        spent: micros("5.00"),
        ..lent(granted)
    };
    let ask = node.ask().unwrap();
    node.answer(&ask, others(Status::Ok, "2.00"));
    assert_eq!(node.spend("3.00"), Err(Cause::Lease));
    assert_eq!(node.spend("3.01"), Err(Cause::Cap), "they hold no more");
    for (second, cause) in [Cause::Lease, Cause::Lease, Cause::Lease, Cause::Cap]
        .into_iter()
        .enumerate()
    {
        let ask = node.ask().unwrap();
        node.answer(&ask, others(Status::Exhausted, "2.00"));
        assert_eq!(node.spend("2.50"), Err(cause), "after {second} s");
        node.pass(1);
    }
    // One of them returned something: others may.
    let ask = node.ask().unwrap();
    node.answer(&ask, others(Status::Ok, "2.20"));
    assert_eq!(node.spend("2.50"), Err(Cause::Lease));
}

#[test]
fn answers_that_are_late_doubled_or_out_of_order_lend_nothing_twice() {
    let mut node = Node::new();
    let first = node.lent("1.00");
    node.spend("9.00").unwrap_err();
    node.pass(1);
    let second = node.lent("3.00");
    assert!(second.seq > first.seq);
    for (ask, total) in [(&first, "1.00"), (&second, "3.00"), (&first, "1.00")] {
        node.answer(ask, lent(total));
        assert_eq!(node.room(), usd("3.00"));
    }
}

#[test]
fn answers_for_another_boot_or_that_make_no_sense_lend_nothing() {
    let node = Node::new();
    let ask = node.ask().unwrap();
    let other = Ask {
        boot: Boot::new("node", "earlier").unwrap(),
        ..ask.clone()
    };
    node.answer(&other, lent("5.00"));
    assert_eq!(node.room(), Usd::ZERO);
    let generation = Ask {
        generation: 7,
        ..ask.clone()
    };
    node.answer(&generation, lent("5.00"));
    assert_eq!(node.room(), Usd::ZERO);
    node.answer(&ask, lent("11.00"));
    assert_eq!(node.room(), Usd::ZERO, "more than the cap");
    assert_eq!(node.ledger.fleet_view(node.now).foreign, 1);
    node.answer(&ask, lent("5.00"));
    assert_eq!(node.room(), usd("5.00"));
}

#[test]
fn an_ask_is_repeated_under_its_number_until_it_is_answered() {
    let mut node = Node::new();
    let first = node.ask().unwrap();
    assert_eq!(node.ask(), None);
    node.pass(2);
    let again = node.ask().unwrap();
    assert_eq!(again.seq, first.seq);
    node.answer(&again, lent("1.00"));
    node.spend("9.00").unwrap_err();
    node.pass(1);
    assert_eq!(node.ask().unwrap().seq, first.seq + 1);
}

#[test]
fn what_is_returned_can_no_longer_be_spent_when_the_message_leaves() {
    let mut node = Node::new();
    node.lent("8.00");
    node.pass(40);
    let ask = node.ask().unwrap();
    assert!(ask.returned > micros("5.00"), "{ask:?}");
    assert_eq!(node.room(), ask.granted.minus(ask.returned).usd());
    let rest = node.room().saturating_add(Usd::from_nanos(1));
    assert!(node.ledger.reserve(&node.accounts, rest, node.now).is_err());
}

#[test]
fn a_hungry_budget_calls_once_and_asks_for_what_it_needs() {
    let mut node = Node::new();
    node.lent("0.50");
    node.pass(1);
    let before = node.calls.load(Ordering::SeqCst);
    for _ in 0..3 {
        node.spend("2.00").unwrap_err();
    }
    assert_eq!(node.calls.load(Ordering::SeqCst), before + 1);
    let ask = node.ask().unwrap();
    assert!(
        ask.want >= micros("2.00") && ask.least >= micros("1.50"),
        "{ask:?}"
    );
}

#[test]
fn grace_is_a_share_and_is_owed_once_the_store_is_back() {
    let mut node = Node::with(&spec(OnStoreLoss::Grace(Grace::Amount(usd("1.00")))));
    // Two nodes are assumed: half of the grace each.
    assert_eq!(node.room(), usd("0.50"));
    node.lent("2.00");
    assert_eq!(node.room(), usd("2.00"));
    node.pass(60);
    node.ledger.asks(node.now);
    let away = node.ledger.fleet_view(node.now);
    assert!(away.away && away.grace == usd("0.50"));
    let held = node
        .ledger
        .reserve(&node.accounts, node.room(), node.now)
        .unwrap();
    held.settle(usd("2.40"));
    node.pass(3);
    let ask = node.ask().unwrap();
    assert_eq!(ask.spent, micros("2.40"));
    node.answer(&ask, lent("2.00"));
    assert_eq!(node.room(), Usd::ZERO);
    node.pass(3);
    let ask = node.ask().unwrap();
    node.answer(&ask, lent("2.90"));
    assert_eq!(node.room(), usd("0.50"));
    node.pass(60);
    node.ledger.asks(node.now);
    let again = node.ledger.fleet_view(node.now);
    assert_eq!(again.grace, usd("0.10"), "what the first outage left of it");
}

#[test]
fn allow_admits_everything_while_the_store_is_away_and_nothing_free_afterwards() {
    let mut node = Node::with(&spec(OnStoreLoss::Allow));
    assert_eq!(node.spend("500.00"), Ok(()));
    node.ledger
        .reserve(&node.accounts, usd("30.00"), node.now)
        .unwrap()
        .settle(usd("30.00"));
    let ask = node.ask().unwrap();
    node.answer(
        &ask,
        Answer {
            spent: micros("30.00"),
            ..lent("30.00")
        },
    );
    assert_eq!(node.room(), Usd::ZERO);
    assert_eq!(node.spend("0.01"), Err(Cause::Cap));
    node.pass(1);
}

#[test]
fn a_lease_closed_by_somebody_else_is_followed_by_a_new_one() {
    let mut node = Node::new();
    node.lent("2.00");
    let held = node
        .ledger
        .reserve(&node.accounts, usd("1.00"), node.now)
        .unwrap();
    node.pass(6);
    let ask = node.ask().unwrap();
    node.answer(
        &ask,
        Answer {
            status: Status::Closed,
            ..lent("2.00")
        },
    );
    assert_eq!(node.room(), Usd::ZERO);
    held.settle(usd("0.75"));
    node.pass(3);
    let next = node.ask().unwrap();
    assert_eq!((next.generation, next.granted), (1, Micros::ZERO));
    assert_eq!(
        next.spent,
        micros("0.75"),
        "what was in flight is told under the new lease"
    );
}

#[test]
fn a_node_that_stops_returns_and_closes_once_nothing_is_in_flight() {
    let mut node = Node::new();
    node.lent("2.00");
    let held = node
        .ledger
        .reserve(&node.accounts, usd("1.00"), node.now)
        .unwrap();
    node.ledger.store(StoreNews::Draining, node.now);
    node.pass(1);
    let ask = node.ask().unwrap();
    assert_eq!((ask.purpose, ask.returned), (Purpose::Beat, micros("1.00")));
    node.answer(
        &ask,
        Answer {
            returned: ask.returned,
            ..lent("2.00")
        },
    );
    held.settle(usd("0.25"));
    node.pass(1);
    let last = node.ask().unwrap();
    assert_eq!((last.purpose, last.spent), (Purpose::Close, micros("0.25")));
    assert!(!node.ledger.is_drained());
    node.answer(
        &last,
        Answer {
            status: Status::Closed,
            ..lent("2.00")
        },
    );
    assert!(node.ledger.is_drained());
    assert_eq!(node.ask(), None);
    assert!(node.spend("0.01").is_err());
}

#[test]
fn a_clock_that_goes_back_neither_silences_nor_frees() {
    let mut node = Node::new();
    node.lent("2.00");
    node.now = Moment::from_seconds(NOON.seconds() - 7200);
    assert!(node.ask().is_some());
    assert!(node.room() <= usd("2.00"));
}

#[test]
fn an_alerting_budget_spends_freely_reports_and_is_told_thresholds_once() {
    let node = Node::with(&BudgetSpec {
        at_cap: AtCap::Alert,
        ..team("10.00")
    });
    node.ledger
        .reserve(&node.accounts, usd("50.00"), node.now)
        .unwrap()
        .settle(usd("50.00"));
    let ask = node.ask().unwrap();
    assert_eq!((ask.want, ask.spent), (Micros::ZERO, micros("50.00")));
    for _ in 0..2 {
        node.answer(
            &ask,
            Answer {
                alerts: vec![50, 80],
                spent: ask.spent,
                ..lent("50.00")
            },
        );
    }
    let percents: Vec<_> = node
        .ledger
        .events()
        .into_iter()
        .map(|event| event.kind)
        .collect();
    let at = |percent| EventKind::Threshold { percent };
    assert_eq!(percents, [at(50), at(80)]);
}

#[test]
fn a_changed_cap_is_told_under_a_newer_version() {
    let mut node = Node::new();
    let first = node.lent("1.00");
    node.ledger.account(&BudgetSpec {
        limit: usd("20.00"),
        ..spec(OnStoreLoss::Deny)
    });
    node.pass(6);
    let ask = node.ask().unwrap();
    assert_eq!(ask.limit, micros("20.00"));
    assert!(ask.limit_version > first.limit_version);
}

#[test]
fn a_grant_is_told_at_once_and_makes_no_old_limit_new() {
    let known = BudgetSpec {
        revision: 7,
        ..spec(OnStoreLoss::Deny)
    };
    let node = Node::with(&known);
    let since = node.accounts[0].view(node.now).since;
    let grant = Amendment {
        granted: usd("0.50"),
        ..Amendment::default()
    };
    let amend = |totals| node.ledger.amend(&known.id, vec![(since, totals)]).unwrap();
    amend(grant);
    let first = node.lent("1.00");
    assert_eq!((first.limit_version, first.limit), (7, micros("10.00")));
    assert_eq!(first.changes.granted, micros("0.50"));
    assert_eq!(node.ask(), None);
    amend(Amendment {
        charged: usd("2.00"),
        ..grant
    });
    let view = node.accounts[0].view(node.now);
    assert_eq!(view.spent, usd("2.00"), "before the store has heard of it");
    let second = node.ask().unwrap();
    assert_eq!((second.limit_version, second.want), (7, Micros::ZERO));
    assert_eq!(second.changes.charged, micros("2.00"));
}

#[test]
fn how_a_budget_stands_is_what_the_fleet_holds_it_to() {
    let node = Node::new();
    let ask = node.ask().unwrap();
    // At other nodes the limit was set to eight dollars, one was granted and three were charged.
    let others = Answer {
        cap: micros("6.00"),
        limit: micros("8.00"),
        changes: Changes {
            granted: micros("1.00"),
            charged: micros("3.00"),
            credited: Micros::ZERO,
        },
        spent: micros("1.00"),
        used: micros("2.50"),
        ..lent("1.00")
    };
    node.answer(&ask, others);
    let view = node.accounts[0].view(node.now);
    let amounts = [view.limit, view.spent, view.left];
    assert_eq!(amounts, ["9.00", "4.00", "4.50"].map(usd));
}

#[test]
fn nothing_lies_ready_under_a_cap_that_is_passed() {
    let mut node = Node::new();
    let ask = node.ask().unwrap();
    node.answer(&ask, lent("1.00"));
    assert!(node.room() > Usd::ZERO);
    node.pass(1);
    let ask = node.ask().unwrap();
    let lowered = Answer {
        cap: micros("0.50"),
        limit: micros("0.50"),
        ..lent("1.00")
    };
    node.answer(&ask, lowered);
    node.pass(1);
    assert_eq!(node.ask().unwrap().returned, micros("1.00"));
    assert_eq!(node.room(), Usd::ZERO);
}

#[test]
fn what_an_alerting_budget_has_left_is_told() {
    let node = Node::with(&BudgetSpec {
        at_cap: AtCap::Alert,
        ..spec(OnStoreLoss::Deny)
    });
    let ask = node.ask().unwrap();
    let spent = Answer {
        spent: micros("4.00"),
        ..lent("0.00")
    };
    node.answer(&ask, spent);
    assert_eq!(node.accounts[0].view(node.now).left, usd("6.00"));
}

#[test]
fn only_the_cap_is_told_of_as_a_refusal() {
    let mut node = Node::new();
    node.lent("1.00");
    node.pass(9);
    assert_eq!(node.spend("5.00"), Err(Cause::StoreAway));
    assert!(node.ledger.events().is_empty());
    let view = node.ledger.fleet_view(node.now);
    assert_eq!((view.refused, view.refused_away), (1, 1));
    assert_eq!(node.spend("11.00"), Err(Cause::Cap));
    let kinds: Vec<_> = node
        .ledger
        .events()
        .into_iter()
        .map(|one| one.kind)
        .collect();
    assert_eq!(kinds, [EventKind::Refused]);
}

#[test]
fn a_session_that_rests_holds_nothing_and_says_nothing() {
    let mut node = Node::new();
    let terms = SessionTerms {
        limit: usd("5.00"),
        on_store_loss: OnStoreLoss::Deny,
    };
    let key = KeyId::new("key_0123456789ab");
    let name = Some(SessionId([1; 16]));
    let account = [node.ledger.session(&key, name, terms, node.now)];
    assert!(
        node.ledger
            .reserve(&account, usd("1.00"), node.now)
            .is_err()
    );
    let mut spent = false;
    let mut last_word = 0;
    for second in 0..120 {
        for ask in node.ledger.asks(node.now) {
            let granted = ask.granted.plus(ask.want);
            let mut answer = lent("0.00");
            (answer.granted, answer.returned, answer.spent) = (granted, ask.returned, ask.spent);
            node.answer(&ask, answer);
            if ask.budget == *account[0].id() {
                last_word = second;
            }
        }
        if !spent {
            let held = node.ledger.reserve(&account, usd("1.00"), node.now);
            held.unwrap().settle(usd("0.40"));
            spent = true;
        }
        node.pass(1);
    }
    // Idle after thirty seconds; what it held at once is forgotten within as many looks again.
    assert!((30..90).contains(&last_word), "{last_word}");
    assert_eq!(node.ledger.room(&account, node.now), Some(Usd::ZERO));
    assert!(node.ask().is_some(), "the team's lease shows itself");
}
