//! One simulated node: a real ledger, its requests in flight, and what its journal would hold.

use std::sync::Arc;

use rand::Rng;
use rand::rngs::StdRng;

use crate::budget::{
    Account, Ask, Balances, Boot, BudgetSpec, FleetOptions, Ledger, Reservation, Span, StoreNews,
};
use crate::domain::{Moment, Usd};

/// A request that was admitted and is being answered.
struct Flight {
    lands_at: Moment,
    reservation: Reservation,
    actual: Usd,
}

pub struct Node {
    pub name: String,
    boots: u64,
    life: Option<Life>,
    /// Its disk is lost: it never comes back, and nobody can speak for it.
    pub gone: bool,
    /// What a journal on disk holds: everything settled, and at a crash everything reserved.
    journal: Balances,
    /// By how much requests have cost more than they had reserved.
    pub overrun: u64,
    /// Last words of former boots that the store has not confirmed.
    pub last_words: Vec<Ask>,
}

/// What a process has in memory.
struct Life {
    boot: Boot,
    ledger: Ledger,
    accounts: Vec<Arc<Account>>,
    flights: Vec<Flight>,
    opening: Balances,
}

impl Node {
    pub fn new(number: usize) -> Self {
        Self {
            name: format!("node{number}"),
            boots: 0,
            life: None,
            gone: false,
            journal: Balances::new(),
            overrun: 0,
            last_words: Vec::new(),
        }
    }

    pub fn is_alive(&self) -> bool {
        self.life.is_some()
    }

    /// Starts the process: from its journal, with a lease of its own.
    pub fn start(&mut self, specs: &[BudgetSpec], nodes: u32, now: Moment) {
        self.boots += 1;
        let boot = Boot::new(&self.name, &format!("b{}", self.boots)).unwrap();
        let mut options = FleetOptions::new(boot.clone());
        options.nodes = nodes;
        let ledger = Ledger::leased(self.journal.clone(), options, Arc::new(|| {}));
        let accounts = specs.iter().map(|spec| ledger.account(spec)).collect();
        if self.last_words.is_empty() {
            ledger.store(StoreNews::TotalKnown, now);
        }
        self.life = Some(Life {
            boot,
            ledger,
            accounts,
            flights: Vec::new(),
            opening: self.journal.clone(),
        });
    }

    pub fn ledger(&self) -> Option<&Ledger> {
        self.life.as_ref().map(|life| &life.ledger)
    }

    pub fn boot(&self) -> Option<&Boot> {
        self.life.as_ref().map(|life| &life.boot)
    }

    /// Tries to admit one request; it will cost at most what it reserves, or with this chance in a thousand half more.
    pub fn request(
        &mut self,
        random: &mut StdRng,
        amount: Usd,
        overruns: u32,
        now: Moment,
    ) -> bool {
        let Some(life) = &mut self.life else {
            return false;
        };
        let Ok(reservation) = life.ledger.reserve(&life.accounts, amount, now) else {
            return false;
        };
        let millis = random.random_range(50..2_000_u64);
        let actual = if random.random_ratio(overruns, 1000) {
            amount.nanos() / 2 * 3
        } else {
            random.random_range(0..=amount.nanos())
        };
        life.flights.push(Flight {
            lands_at: now.plus(std::time::Duration::from_millis(millis)),
            reservation,
            actual: Usd::from_nanos(actual),
        });
        true
    }

    /// Settles what has landed, and returns how many did.
    pub fn land(&mut self, now: Moment) -> usize {
        let Some(life) = &mut self.life else { return 0 };
        let mut landed = 0;
        let mut index = 0;
        while index < life.flights.len() {
            if life.flights[index].lands_at > now {
                index += 1;
                continue;
            }
            let flight = life.flights.swap_remove(index);
            for (budget, start) in flight.reservation.charges() {
                self.journal.add(budget.clone(), start, flight.actual);
            }
            self.overrun += flight.reservation.settle(flight.actual).overrun.nanos();
            landed += 1;
        }
        landed
    }

    /// What this node has made providers bill, or will: settled, and in flight at its worst.
    pub fn committed(&self, spec: &BudgetSpec, start: Moment) -> u64 {
        let here = |flight: &&Flight| {
            let mut charges = flight.reservation.charges();
            charges.any(|(budget, at)| *budget == spec.id && at == start)
        };
        let flying = self.life.iter().flat_map(|life| &life.flights);
        let held = flying
            .filter(here)
            .map(|flight| flight.reservation.amount().nanos())
            .sum::<u64>();
        self.journal.spent(&spec.id, start).nanos() + held
    }

    /// Kills the process. What was in flight counts in full. Without its disk, the node never comes back.
    pub fn kill(&mut self, specs: &[BudgetSpec], now: Moment, keeps_disk: bool) {
        let Some(life) = self.life.take() else { return };
        for flight in &life.flights {
            for (budget, start) in flight.reservation.charges() {
                let amount = flight.reservation.amount();
                self.journal.add(budget.clone(), start, amount);
            }
        }
        if !keeps_disk {
            self.gone = true;
            self.last_words.clear();
            return;
        }
        for spec in specs {
            let known = self.journal.periods(&spec.id).map(|(start, _)| start);
            let mut moments: Vec<_> = known.chain([now]).collect();
            moments.dedup();
            for at in moments {
                let span = Span::containing(spec.window, &spec.zone, at);
                let before = life.opening.spent(&spec.id, span.start);
                let spent = self.journal.spent(&spec.id, span.start).left_after(before);
                let (boot, id) = (life.boot.clone(), spec.id.clone());
                self.last_words
                    .push(Ask::last_word(boot, id, span, spent, spec.limit));
            }
        }
    }

    /// Follows changed specifications.
    pub fn follow(&self, specs: &[BudgetSpec]) {
        for spec in specs {
            if let Some(ledger) = self.ledger() {
                ledger.account(spec);
            }
        }
    }

    /// The store has confirmed a last word.
    pub fn confirmed(&mut self, ask: &Ask, now: Moment) {
        self.last_words.retain(|word| word != ask);
        if self.last_words.is_empty()
            && let Some(ledger) = self.ledger()
        {
            ledger.store(StoreNews::TotalKnown, now);
        }
    }
}
