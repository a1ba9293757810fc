//! The counters under schedules that a model checker picks: the very source of `pool`, over the checker's primitives.

#[expect(
    clippy::duplicate_mod,
    reason = "the point: the same source over other primitives"
)]
#[path = "../../pool.rs"]
mod pool;
mod sync;

use pool::{Pool, Taken};
use shuttle::sync::Arc;
use shuttle::thread;
use std::sync::atomic::{AtomicI64, Ordering};

const SCHEDULES: usize = 3000;

/// Runs `bodies` as threads, under many random schedules and under those with few, well-chosen switches.
fn under_all_schedules(body: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(body.clone(), SCHEDULES);
    shuttle::check_pct(body, SCHEDULES, 3);
}

fn join_all(threads: Vec<thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

fn takes(pool: &Pool, shard: usize, amount: u64) -> bool {
    pool.take(shard, amount) != Taken::Refused
}

/// At rest nothing is lost or made: what is free can be taken to the last nano, and no more.
fn assert_whole(pool: &Pool, committed: u64) {
    let standing = pool.standing();
    let free = standing.allowance.saturating_sub(committed);
    assert_eq!(
        (standing.spent + standing.held, standing.free),
        (committed, free)
    );
    assert!(!takes(pool, 1, free + 1));
    assert!(committed > standing.allowance || takes(pool, 2, free));
    assert!(!takes(pool, 0, 1));
}

#[test]
fn committed_money_never_passes_the_cap() {
    under_all_schedules(|| {
        let pool = Arc::new(Pool::new(2, 10, 0));
        let committed = Arc::new(AtomicI64::new(0));
        let threads = (0..3_usize).map(|n| {
            let (pool, committed) = (pool.clone(), committed.clone());
            thread::spawn(move || {
                for amount in [4_u8, 3] {
                    if !takes(&pool, n, u64::from(amount)) {
                        continue;
                    }
                    let sum = committed.fetch_add(i64::from(amount), Ordering::SeqCst);
                    assert!(sum + i64::from(amount) <= 10);
                    let actual = amount - 1;
                    committed.fetch_sub(1, Ordering::SeqCst);
                    assert_eq!(
                        pool.charge(n, u64::from(amount), u64::from(actual)).beyond,
                        0
                    );
                }
            })
        });
        join_all(threads.collect());
        assert_whole(
            &pool,
            u64::try_from(committed.load(Ordering::SeqCst)).unwrap(),
        );
    });
}

#[test]
fn nobody_is_refused_while_the_cap_has_room() {
    under_all_schedules(|| {
        let pool = Arc::new(Pool::new(3, 9, 0));
        let threads = (0..3_usize).map(|n| {
            let pool = pool.clone();
            thread::spawn(move || {
                assert!(takes(&pool, n, 2));
                pool.charge(n, 2, 1);
                assert!(takes(&pool, n, 2));
            })
        });
        join_all(threads.collect());
        assert_whole(&pool, 9);
    });
}

#[test]
fn nothing_is_admitted_after_an_overrun_until_it_is_paid() {
    under_all_schedules(|| {
        let pool = Arc::new(Pool::new(2, 10, 0));
        assert!(takes(&pool, 0, 4) && takes(&pool, 1, 4));
        let overrun = {
            let pool = pool.clone();
            thread::spawn(move || {
                pool.charge(0, 4, 8);
                // 8 spent and 4 held at most: room for 2 where the other was released, never for 3.
                assert!(!takes(&pool, 0, 3));
            })
        };
        let release = {
            let pool = pool.clone();
            thread::spawn(move || pool.give_back(1, 4))
        };
        join_all(vec![overrun, release]);
        assert_whole(&pool, 8);
    });
}

#[test]
fn a_limit_that_moves_among_spenders_loses_and_makes_nothing() {
    under_all_schedules(|| {
        let pool = Arc::new(Pool::new(2, 6, 0));
        let spent = Arc::new(AtomicI64::new(0));
        let mut threads: Vec<_> = (0..2_usize)
            .map(|n| {
                let (pool, spent) = (pool.clone(), spent.clone());
                thread::spawn(move || {
                    for actual in [2_u8, 4] {
                        if takes(&pool, n, 3) {
                            pool.charge(n, 3, u64::from(actual));
                            spent.fetch_add(i64::from(actual), Ordering::SeqCst);
                        }
                    }
                })
            })
            .collect();
        threads.push({
            let pool = pool.clone();
            thread::spawn(move || {
                pool.set_allowance(2);
                pool.set_allowance(8);
                pool.set_low(3);
                pool.set_alarms(3);
            })
        });
        join_all(threads);
        assert_whole(&pool, u64::try_from(spent.load(Ordering::SeqCst)).unwrap());
    });
}

#[test]
fn what_is_withdrawn_cannot_be_spent() {
    under_all_schedules(|| {
        let pool = Arc::new(Pool::new(2, 8, 0));
        let out = Arc::new(AtomicI64::new(0));
        let spender = {
            let (pool, out) = (pool.clone(), out.clone());
            thread::spawn(move || {
                if takes(&pool, 0, 5) {
                    assert!(out.fetch_add(5, Ordering::SeqCst) <= 3);
                }
            })
        };
        let lender = {
            let (pool, out) = (pool.clone(), out.clone());
            thread::spawn(move || {
                let got = i64::try_from(pool.withdraw(7, 2)).unwrap();
                assert!(got % 2 == 0);
                assert!(out.fetch_add(got, Ordering::SeqCst) + got <= 8);
            })
        };
        join_all(vec![spender, lender]);
        let standing = pool.standing();
        assert_eq!(standing.allowance - standing.held, standing.free);
    });
}
