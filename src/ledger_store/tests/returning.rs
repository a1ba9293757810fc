//! Budgets that leave a node and come back to it: a real ledger and the real script.

use std::sync::Arc;
use std::time::Duration;

use super::script::Bench;
use crate::budget::{
    Account, Ask, Balances, Boot, BudgetSpec, Cause, FleetOptions, Grace, Ledger, OnStoreLoss,
    Scope, Span, StoreNews, Window, Zone,
};
use crate::domain::{Moment, Name, Usd};

struct Node {
    ledger: Ledger,
    account: Option<Arc<Account>>,
    now: Moment,
}

impl Node {
    fn start(boot: &str, opening: Balances, spec: &BudgetSpec) -> Self {
        let mut options = FleetOptions::new(Boot::new("node", boot).unwrap());
        options.nodes = 1;
        let ledger = Ledger::leased(opening, options, Arc::new(|| {}));
        let account = Some(ledger.account(spec));
        Self {
            ledger,
            account,
            now: Moment::from_seconds(1_795_262_400),
        }
    }

    /// A second passes, and everything that there is to say is said and answered.
    fn talk(&mut self, bench: &mut Bench) {
        bench.pass(1_000);
        self.now = self.now.plus(Duration::from_secs(1));
        for ask in self.ledger.asks(self.now) {
            let reply = bench.say(&ask);
            self.ledger.answered(&ask, &reply, self.now);
        }
    }

    /// Ten seconds in which nothing reaches the store.
    fn is_cut_off(&mut self) {
        self.now = self.now.plus(Duration::from_secs(10));
        let _lost = self.ledger.asks(self.now);
    }

    /// What the node lends itself while the store is away.
    fn grace(&self) -> Usd {
        self.ledger.fleet_view(self.now).grace
    }

    /// Ends as a kill would, and starts again: with a journal that knows all, and a last word to say.
    fn starts_again(self, boot: &str, spec: &BudgetSpec) -> (Self, Ask) {
        let view = self.ledger.views(self.now).remove(0);
        let span = Span {
            start: view.since,
            end: view.resets,
        };
        let journal = self.ledger.balances();
        let spent = journal.spent(&spec.id, span.start);
        let dead = Boot::new("node", "first").unwrap();
        let word = Ask::last_word(dead, spec.id.clone(), span, spent, spec.limit);
        let now = self.now;
        let again = Self {
            now,
            ..Self::start(boot, journal, spec)
        };
        (again, word)
    }

    fn spend(&self, amount: Usd) -> Result<(), Cause> {
        let accounts: Vec<_> = self.account.iter().cloned().collect();
        let held = self.ledger.reserve(&accounts, amount, self.now);
        held.map(|held| {
            held.settle(amount);
        })
        .map_err(|reached| reached.cause)
    }
}

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

fn spec(on_store_loss: OnStoreLoss) -> BudgetSpec {
    let scope = Scope::Team(Name::new("payments"));
    let mut spec = BudgetSpec::new(scope, Window::Month, Zone::utc(), usd("10.00"));
    spec.on_store_loss = on_store_loss;
    spec
}

#[test]
fn a_budget_that_is_removed_and_comes_back_is_lent_to_at_once() {
    let mut bench = Bench::new();
    let spec = spec(OnStoreLoss::Deny);
    let mut node = Node::start("first", Balances::new(), &spec);
    let _hungry = node.spend(usd("0.05"));
    for _ in 0..60 {
        node.talk(&mut bench);
        node.spend(usd("0.05")).unwrap();
    }
    node.account = None;
    while node.ledger.retain(|_| false) > 0 {
        node.talk(&mut bench);
    }
    node.account = Some(node.ledger.account(&spec));
    let _hungry = node.spend(usd("1.00"));
    node.talk(&mut bench);
    assert_eq!(node.spend(usd("1.00")), Ok(()));
    node.talk(&mut bench);
    let view = node.ledger.views(node.now).remove(0);
    assert_eq!(view.spent, usd("4.00"), "once, and not again");
}

/// A node that had a lease and has spent this much of a grace of one dollar, since the store went away.
fn in_an_outage(bench: &mut Bench, spec: &BudgetSpec, of_grace: &str) -> Node {
    let mut node = Node::start("first", Balances::new(), spec);
    node.ledger.store(StoreNews::TotalKnown, node.now);
    for _ in 0..3 {
        node.ledger.want_leases(node.now);
        node.talk(bench);
    }
    node.spend(usd("0.05")).unwrap();
    node.talk(bench);
    node.is_cut_off();
    assert_eq!(node.grace(), usd("1.00"));
    let view = node.ledger.fleet_view(node.now);
    let rest = view.leased.left_after(view.spent);
    node.spend(rest.saturating_add(usd(of_grace))).unwrap();
    node
}

fn a_dollar_of_grace() -> BudgetSpec {
    spec(OnStoreLoss::Grace(Grace::Amount(usd("1.00"))))
}

#[test]
fn a_node_that_dies_while_the_store_is_away_has_no_new_grace() {
    let (mut bench, spec) = (Bench::new(), a_dollar_of_grace());
    let node = in_an_outage(&mut bench, &spec, "1.00");
    assert_eq!(node.spend(usd("0.01")), Err(Cause::StoreAway));
    let (mut node, _unsaid) = node.starts_again("second", &spec);
    assert_eq!(node.spend(usd("0.01")), Err(Cause::StoreAway));
    node.is_cut_off();
    assert_eq!(node.grace(), Usd::ZERO);
    assert_eq!(node.spend(usd("0.01")), Err(Cause::StoreAway));
}

#[test]
fn what_a_former_life_used_of_the_grace_is_gone_in_the_next_outage() {
    for (used, rest) in [("1.00", "0.00"), ("0.40", "0.60")] {
        let (mut bench, spec) = (Bench::new(), a_dollar_of_grace());
        let node = in_an_outage(&mut bench, &spec, used);
        let (mut node, last_word) = node.starts_again("second", &spec);
        node.talk(&mut bench);
        node.is_cut_off();
        assert_eq!(node.grace(), Usd::ZERO, "it has not been told yet");
        bench.say(&last_word);
        node.ledger.store(StoreNews::TotalKnown, node.now);
        node.ledger.want_leases(node.now);
        for _ in 0..3 {
            node.talk(&mut bench);
        }
        assert_eq!(node.spend(usd("0.01")), Ok(()));
        node.is_cut_off();
        assert_eq!(node.grace(), usd(rest));
    }
}
