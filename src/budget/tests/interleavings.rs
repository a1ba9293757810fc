//! Random requests, on one thread in random order and on many at once: no cap is passed, nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use proptest::prelude::*;

use super::{NOON, team, usd, user};
use crate::budget::{Account, Balances, Ledger, Reservation};
use crate::domain::Usd;

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Reserve {
        accounts: u8,
        nanos: u64,
    },
    /// Settles a random open reservation at this percentage of it.
    Settle {
        which: usize,
        percent: u64,
    },
    Release {
        which: usize,
    },
    Drop {
        which: usize,
    },
    Limit {
        account: bool,
        nanos: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..4_u8, 0..400_u64).prop_map(|(accounts, nanos)| Step::Reserve { accounts, nanos }),
        3 => (any::<usize>(), 0..140_u64).prop_map(|(which, percent)| Step::Settle { which, percent }),
        1 => any::<usize>().prop_map(|which| Step::Release { which }),
        1 => any::<usize>().prop_map(|which| Step::Drop { which }),
        1 => (any::<bool>(), 0..2000_u64).prop_map(|(account, nanos)| Step::Limit { account, nanos }),
    ];
    proptest::collection::vec(step, 1..80)
}

/// What a ledger without cleverness would hold.
#[derive(Clone, Copy, Debug, Default)]
struct Plain {
    limit: u64,
    spent: u64,
    held: u64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// The sharded ledger decides and counts exactly as the obvious one.
    #[test]
    fn any_history_counts_as_plain_bookkeeping(history in steps()) {
        let ledger = Ledger::new(Balances::new());
        let specs = [team("0.000001"), user("0.0000005")];
        let accounts = specs.clone().map(|spec| ledger.account(&spec));
        let mut plain = specs.clone().map(|spec| Plain { limit: spec.limit.nanos(), ..Plain::default() });
        let mut open: Vec<(Reservation, u8)> = Vec::new();
        for step in history {
            match step {
                Step::Reserve { accounts: which, nanos } => {
                    let chosen = choose(&accounts, which);
                    let fits = named(which).all(|n| {
                        plain[n].spent + plain[n].held + nanos <= plain[n].limit
                    });
                    let got = ledger.reserve(&chosen, Usd::from_nanos(nanos), NOON);
                    prop_assert_eq!(got.is_ok(), fits);
                    if let Ok(held) = got {
                        named(which).for_each(|n| plain[n].held += nanos);
                        open.push((held, which));
                    }
                }
                Step::Limit { account, nanos } => {
                    let n = usize::from(account);
                    let mut spec = specs[n].clone();
                    spec.limit = Usd::from_nanos(nanos);
                    ledger.account(&spec);
                    plain[n].limit = nanos;
                }
                Step::Settle { which, .. } | Step::Release { which } | Step::Drop { which } => {
                    if open.is_empty() { continue; }
                    let (held, on) = open.swap_remove(which % open.len());
                    let nanos = held.amount().nanos();
                    let actual = match step {
                        Step::Settle { percent, .. } => nanos * percent / 100,
                        Step::Release { .. } => 0,
                        _ => nanos,
                    };
                    match step {
                        Step::Settle { .. } => { held.settle(Usd::from_nanos(actual)); }
                        Step::Release { .. } => held.release(),
                        _ => drop(held),
                    }
                    for n in named(on) {
                        plain[n].held -= nanos;
                        plain[n].spent += actual;
                    }
                }
            }
            for n in 0..2 {
                let view = accounts[n].view(NOON);
                prop_assert_eq!((view.spent.nanos(), view.held.nanos()), (plain[n].spent, plain[n].held));
            }
        }
        for (held, _) in open {
            held.release();
        }
    }
}

fn named(which: u8) -> impl Iterator<Item = usize> {
    (0..2).filter(move |n| which & (1 << n) != 0)
}

fn choose(accounts: &[Arc<Account>; 2], which: u8) -> Vec<Arc<Account>> {
    named(which).map(|n| Arc::clone(&accounts[n])).collect()
}

/// A small generator for threads: the same numbers every run.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

#[test]
fn many_threads_spend_a_cap_to_the_end_and_not_beyond() {
    for round in 1..=20_u64 {
        let ledger = Ledger::new(Balances::new());
        let accounts = [ledger.account(&team("1.00")), ledger.account(&user("0.70"))];
        let committed = AtomicU64::new(0);
        let cap = usd("0.70").nanos();
        thread::scope(|scope| {
            for n in 1..=8 {
                let (ledger, accounts, committed) = (&ledger, &accounts, &committed);
                scope.spawn(move || {
                    let mut seed = round * 1000 + n;
                    for _ in 0..500 {
                        let amount = Usd::from_nanos(1 + next(&mut seed) % 4_000_000);
                        let Ok(held) = ledger.reserve(accounts, amount, NOON) else {
                            continue;
                        };
                        let sum = committed.fetch_add(amount.nanos(), Ordering::SeqCst);
                        assert!(sum + amount.nanos() <= cap);
                        let actual = next(&mut seed) % (amount.nanos() + 1);
                        committed.fetch_sub(amount.nanos() - actual, Ordering::SeqCst);
                        held.settle(Usd::from_nanos(actual));
                    }
                });
            }
        });
        let views = accounts.each_ref().map(|account| account.view(NOON));
        let spent = committed.into_inner();
        assert!(
            views
                .iter()
                .all(|view| view.spent.nanos() == spent && view.held == Usd::ZERO)
        );
        assert!(spent > cap / 100 * 98, "{spent} of {cap}");
    }
}

#[test]
fn equal_small_requests_use_a_cap_exactly_on_any_number_of_threads() {
    for threads in [1, 2, 7, 16] {
        let ledger = Ledger::new(Balances::new());
        let accounts = [ledger.account(&team("1.00"))];
        let admitted = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Ok(held) = ledger.reserve(&accounts, usd("0.001"), NOON) {
                        held.settle(usd("0.001"));
                        admitted.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 1000, "{threads} threads");
    }
}

#[test]
fn thresholds_are_reported_once_by_many_threads() {
    let ledger = Ledger::new(Balances::new());
    let accounts = [ledger.account(&team("1.00"))];
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Ok(held) = ledger.reserve(&accounts, usd("0.0001"), NOON) {
                    held.settle(usd("0.0001"));
                }
            });
        }
    });
    let said: Vec<_> = ledger
        .events()
        .into_iter()
        .map(|event| (event.kind.as_str(), event.spent))
        .collect();
    let kinds: Vec<_> = said.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "threshold").count(),
        3,
        "{said:?}"
    );
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "refused").count(),
        1,
        "{said:?}"
    );
    assert!(
        said[0].1 >= usd("0.50") && said[0].1 < usd("0.51"),
        "{said:?}"
    );
}
