//! Budgets that leave a node and come back to it: a real ledger and the real script.

use std::sync::Arc;
use std::time::Duration;

use super::script::Bench;
use crate::budget::{
    Account, Balances, Boot, BudgetSpec, Cause, FleetOptions, Ledger, OnStoreLoss, Scope, Window,
    Zone,
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
