//! The script alone: what it grants, what it refuses to touch, and what it remembers.

use redis::Connection;

use super::server::Server;
use crate::budget::{Answer, Ask, Boot, BudgetId, Changes, Micros, Purpose, Reply, Span, Status};
use crate::domain::{Moment, Usd};
use crate::ledger_store::{Envelope, SCRIPT, read_reply};

const NOW: Moment = Moment::from_seconds(1_795_262_400);

pub(super) struct Bench {
    store: Connection,
    envelope: Envelope,
    _server: Server,
}

impl Bench {
    pub fn new() -> Self {
        let server = Server::start();
        let mut envelope = Envelope::new("t", false);
        envelope.now_ms = Some(1_795_262_400_000);
        envelope.server = Some("first".to_owned());
        let mut bench = Self {
            store: server.connect(),
            envelope,
            _server: server,
        };
        // The store is known for long, so that keys are granted from at once.
        bench.say(&Ask {
            want: m(1),
            ..ask("warm-up")
        });
        bench.pass(10_000);
        bench
    }

    pub fn pass(&mut self, ms: u64) {
        self.envelope.now_ms = self.envelope.now_ms.map(|now| now + ms);
    }

    fn try_say(&mut self, ask: &Ask) -> redis::RedisResult<redis::Value> {
        let keys = self.envelope.keys(ask);
        let mut arguments = self.envelope.arguments(ask, NOW);
        // Months of simulated time must not expire keys by the server's clock.
        arguments[14] = "0".to_owned();
        let mut command = redis::cmd("EVAL");
        command.arg(SCRIPT).arg(keys.len()).arg(keys).arg(arguments);
        command.query(&mut self.store)
    }

    pub fn say(&mut self, ask: &Ask) -> Reply {
        read_reply(&self.try_say(ask).unwrap()).unwrap()
    }

    fn answer(&mut self, ask: &Ask) -> Answer {
        match self.say(ask) {
            Reply::Answer(answer) => answer,
            Reply::Foreign => panic!("foreign"),
        }
    }

    /// Since when the store has lost nothing that it knows of.
    fn since(&mut self) -> String {
        let key = self.envelope.server_key();
        let mut command = redis::cmd("HGET");
        command.arg(key).arg("since");
        command.query(&mut self.store).unwrap()
    }

    fn key(&self) -> String {
        self.envelope.key(&ask("a").budget, Span::EVER.start)
    }
}

fn m(micros: u64) -> Micros {
    Micros::new(micros).unwrap()
}

/// A first ask of one node, that wants nothing, under a cap of 1000.
fn ask(node: &str) -> Ask {
    let boot = Boot::new(node, "1").unwrap();
    let budget = BudgetId::new(if node == "warm-up" {
        "other"
    } else {
        "team/a/total"
    });
    let word = Ask::last_word(
        boot,
        budget,
        Span::EVER,
        Usd::ZERO,
        Usd::from_nanos(1_000_000),
    );
    Ask {
        purpose: Purpose::Beat,
        seq: 1,
        least: m(1),
        share: 1,
        ..word
    }
}

fn wants(node: &str, seq: u64, want: u64) -> Ask {
    Ask {
        seq,
        want: m(want),
        ..ask(node)
    }
}

#[test]
fn grants_end_at_the_cap() {
    let mut bench = Bench::new();
    assert_eq!(bench.answer(&wants("a", 1, 600)).granted, m(600));
    let rest = bench.answer(&wants("b", 1, 600));
    assert_eq!(
        (rest.granted, rest.used, rest.short),
        (m(400), m(1000), true)
    );
    assert_eq!(bench.answer(&wants("a", 2, 1)).status, Status::Exhausted);
}

#[test]
fn a_repeated_ask_is_granted_once() {
    let mut bench = Bench::new();
    bench.answer(&wants("a", 1, 300));
    let again = bench.answer(&wants("a", 1, 300));
    assert_eq!((again.status, again.granted), (Status::Duplicate, m(300)));
    assert_eq!(bench.answer(&wants("a", 2, 300)).granted, m(600));
    assert_eq!(bench.answer(&wants("a", 1, 300)).granted, m(600));
}

#[test]
fn old_reports_do_not_undo_new_ones() {
    let mut bench = Bench::new();
    bench.answer(&wants("a", 1, 500));
    let late = Ask {
        granted: m(500),
        spent: m(100),
        seq: 2,
        ..ask("a")
    };
    let newest = Ask {
        spent: m(200),
        returned: m(250),
        seq: 3,
        ..late.clone()
    };
    bench.answer(&newest);
    let after = bench.answer(&late);
    assert_eq!(
        (after.spent, after.returned, after.used),
        (m(200), m(250), m(250))
    );
}

#[test]
fn a_closed_lease_leaves_what_it_spent_and_never_spends_again() {
    let mut bench = Bench::new();
    bench.answer(&wants("a", 1, 500));
    let close = Ask {
        purpose: Purpose::Close,
        spent: m(120),
        ..ask("a")
    };
    let closed = bench.answer(&close);
    assert_eq!(
        (closed.status, closed.used, closed.spent),
        (Status::Closed, m(120), m(120))
    );
    let ghost = bench.answer(&wants("a", 9, 100));
    assert_eq!((ghost.status, ghost.used), (Status::Closed, m(120)));
    assert_eq!(bench.answer(&close).used, m(120));
}

#[test]
fn a_lease_that_the_store_forgot_is_adopted_and_nothing_granted_for_a_while() {
    let mut bench = Bench::new();
    let known = Ask {
        granted: m(700),
        spent: m(650),
        ..ask("a")
    };
    let adopted = bench.answer(&known);
    assert_eq!((adopted.used, adopted.spent), (m(700), m(650)));
    assert_eq!(bench.answer(&wants("b", 1, 500)).status, Status::Warming);
    bench.pass(3_001);
    assert_eq!(bench.answer(&wants("b", 2, 500)).granted, m(300));
}

#[test]
fn another_server_waits_for_all_nodes_before_it_grants() {
    let mut bench = Bench::new();
    bench.answer(&wants("a", 1, 100));
    bench.envelope.server = Some("second".to_owned());
    assert_eq!(bench.answer(&wants("a", 2, 100)).status, Status::Warming);
    bench.pass(3_001);
    assert_eq!(bench.answer(&wants("a", 3, 100)).granted, m(200));
    // And an empty one too, whoever comes first.
    redis::cmd("FLUSHALL").exec(&mut bench.store).unwrap();
    assert_eq!(bench.answer(&ask("a")).status, Status::Ok);
    assert_eq!(bench.answer(&wants("b", 1, 100)).status, Status::Warming);
}

/// What a node asks of a budget that nobody has asked for yet.
fn wants_another(name: &str) -> Ask {
    Ask {
        budget: BudgetId::new(name),
        ..wants("b", 1, 100)
    }
}

#[test]
fn a_budget_that_is_gone_is_lent_from_once_all_have_reported_and_one_that_never_was_at_once() {
    let mut bench = Bench::new();
    bench.answer(&wants("a", 1, 600));
    bench.pass(60_000);
    assert_eq!(bench.answer(&wants_another("team/b/total")).granted, m(100));
    let key = bench.key();
    redis::cmd("DEL").arg(key).exec(&mut bench.store).unwrap();
    let before = bench.since();
    assert_eq!(bench.answer(&wants("b", 1, 600)).status, Status::Warming);
    assert_ne!(bench.since(), before, "who shows itself must see it");
    bench.pass(1_500);
    let reported = bench.answer(&Ask {
        granted: m(600),
        spent: m(550),
        ..ask("a")
    });
    assert_eq!((reported.used, reported.spent), (m(600), m(550)));
    bench.pass(2_000);
    assert_eq!(bench.answer(&wants("b", 2, 600)).status, Status::Warming);
    bench.pass(3_001);
    assert_eq!(bench.answer(&wants("b", 3, 600)).granted, m(400));
    assert_eq!(bench.answer(&wants_another("team/c/total")).granted, m(100));
}

#[test]
fn where_it_is_not_known_which_budgets_were_a_first_one_waits_and_one_that_had_expired_does_not() {
    let mut bench = Bench::new();
    redis::cmd("DEL")
        .arg("t:budgets")
        .exec(&mut bench.store)
        .unwrap();
    assert_eq!(bench.answer(&wants("a", 1, 100)).status, Status::Warming);
    bench.pass(3_001);
    redis::cmd("ZADD")
        .arg("t:budgets")
        .arg(&["1795262400000", "t:{team/b/total}:0"])
        .exec(&mut bench.store)
        .unwrap();
    assert_eq!(bench.answer(&wants_another("team/b/total")).granted, m(100));
}

#[test]
fn spending_of_former_lives_is_told_once_and_counted_once() {
    let mut bench = Bench::new();
    let total = Ask {
        node_total: m(400),
        ..ask("a")
    };
    assert_eq!(bench.answer(&total).used, m(400));
    let later = Ask {
        node_total: m(450),
        spent: m(50),
        granted: m(0),
        seq: 2,
        ..ask("a")
    };
    assert_eq!(bench.answer(&later).used, m(450));
    assert_eq!(bench.answer(&later).spent, m(450));
}

#[test]
fn a_cost_above_the_lease_is_booked_past_the_cap() {
    let mut bench = Bench::new();
    bench.answer(&wants("a", 1, 1000));
    let over = bench.answer(&Ask {
        granted: m(1000),
        spent: m(1300),
        seq: 2,
        ..ask("a")
    });
    assert_eq!((over.used, over.granted), (m(1300), m(1300)));
    assert_eq!(bench.answer(&wants("b", 1, 1)).status, Status::Exhausted);
}

#[test]
fn the_newest_cap_counts_and_a_lowered_one_grants_nothing() {
    let mut bench = Bench::new();
    bench.answer(&Ask {
        limit_version: 5,
        ..wants("a", 1, 800)
    });
    let raised = Ask {
        limit: m(2000),
        limit_version: 7,
        ..wants("a", 2, 700)
    };
    assert_eq!(bench.answer(&raised).granted, m(1500));
    let stale = Ask {
        limit: m(9000),
        limit_version: 6,
        ..wants("b", 1, 5000)
    };
    assert_eq!(bench.answer(&stale).granted, m(500));
    let lowered = Ask {
        limit: m(100),
        limit_version: 8,
        ..wants("a", 3, 10)
    };
    let answer = bench.answer(&lowered);
    assert_eq!((answer.status, answer.cap), (Status::Exhausted, m(100)));
}

/// An ask of a node where operators granted, charged and credited so much.
fn changed(node: &str, seq: u64, changes: [u64; 3]) -> Ask {
    let [granted, charged, credited] = changes.map(m);
    Ask {
        limit_version: 5,
        changes: Changes {
            granted,
            charged,
            credited,
        },
        ..wants(node, seq, 0)
    }
}

#[test]
fn what_operators_change_adds_up_over_the_nodes_and_counts_once() {
    let mut bench = Bench::new();
    assert_eq!(bench.answer(&changed("a", 1, [100, 0, 0])).cap, m(1100));
    assert_eq!(bench.answer(&changed("b", 1, [10, 300, 0])).cap, m(810));
    assert_eq!(bench.answer(&changed("a", 2, [100, 0, 50])).cap, m(860));
    // A node that starts again tells the same totals under another lease, one that was set up anew tells none.
    let again = Ask {
        boot: Boot::new("a", "2").unwrap(),
        ..changed("a", 1, [100, 0, 50])
    };
    bench.answer(&again);
    let told = bench.answer(&changed("b", 2, [0, 0, 0]));
    assert_eq!((told.cap, told.limit), (m(860), m(1000)));
    assert_eq!(told.changes, changed("a", 0, [110, 300, 50]).changes);
    // A lowered limit holds whoever tells of changes later.
    let lowered = Ask {
        limit: m(500),
        limit_version: 6,
        ..changed("b", 3, [10, 300, 0])
    };
    assert_eq!(bench.answer(&lowered).cap, m(360));
    assert_eq!(bench.answer(&changed("a", 3, [120, 0, 50])).cap, m(380));
    let all = bench.answer(&changed("c", 1, [0, 999, 0]));
    assert_eq!((all.cap, all.status), (Micros::ZERO, Status::Ok));
}

#[test]
fn a_hash_of_an_older_release_keeps_its_spending() {
    let mut bench = Bench::new();
    let key = bench.key();
    let fields = [
        "v",
        "1",
        "cap",
        "1010",
        "capv",
        "1795262399000000",
        "used",
        "700",
    ];
    let rest = ["spent", "600", "warm", "0", "n:a", "600", "server", "first"];
    let mut command = redis::cmd("HSET");
    command.arg(key).arg(&fields).arg(&rest);
    command.exec(&mut bench.store).unwrap();
    let unversioned = bench.answer(&wants("b", 1, 0));
    assert_eq!((unversioned.cap, unversioned.used), (m(1010), m(700)));
    let told = bench.answer(&changed("a", 1, [10, 0, 0]));
    assert_eq!((told.limit, told.cap), (m(1000), m(1010)));
    assert_eq!((told.spent, told.used), (m(600), m(700)));
}

#[test]
fn a_clock_that_was_wrong_makes_nobody_wait_once_it_is_right() {
    let mut bench = Bench::new();
    let hour = 3_600_000;
    bench.pass(hour);
    bench.envelope.server = Some("second".to_owned());
    assert_eq!(bench.answer(&wants("a", 1, 1)).status, Status::Warming);
    bench.envelope.now_ms = bench.envelope.now_ms.map(|now| now - hour);
    assert_eq!(bench.answer(&wants("a", 2, 1)).status, Status::Warming);
    // A budget that is new waits for as long as after a loss, once.
    assert_eq!(bench.answer(&wants_another("new")).status, Status::Warming);
    bench.pass(3_000);
    assert_eq!(bench.answer(&wants("a", 3, 1)).granted, m(1));
    assert_eq!(bench.answer(&wants_another("newer")).status, Status::Ok);
    let short = bench.answer(&wants("a", 4, 5_000));
    assert!(short.short);
    bench.envelope.now_ms = bench.envelope.now_ms.map(|now| now - hour);
    bench.answer(&wants("a", 5, 0));
    bench.pass(6_000);
    assert!(!bench.answer(&wants("a", 6, 0)).short);
}

#[test]
fn each_threshold_is_told_to_one_lease_only_and_again_if_the_answer_was_lost() {
    let mut bench = Bench::new();
    let spent = |node, seq, spent| Ask {
        spent: m(spent),
        alert_at: vec![50, 80],
        ..wants(node, seq, 1000)
    };
    assert!(bench.answer(&spent("a", 1, 499)).alerts.is_empty());
    assert_eq!(bench.answer(&spent("b", 1, 1)).alerts, [50]);
    assert!(bench.answer(&spent("a", 2, 499)).alerts.is_empty());
    assert_eq!(bench.answer(&spent("b", 2, 1)).alerts, [50]);
    assert_eq!(bench.answer(&spent("a", 3, 800)).alerts, [80]);
}

#[test]
fn the_largest_amounts_stay_exact() {
    let mut bench = Bench::new();
    let most = Micros::MAX.get();
    let all = |node, seq, want| Ask {
        limit: Micros::MAX,
        limit_version: 9,
        ..wants(node, seq, want)
    };
    assert_eq!(bench.answer(&all("a", 1, most - 1)).granted, m(most - 1));
    let last = bench.answer(&all("b", 1, 5));
    assert_eq!((last.granted, last.used), (m(1), Micros::MAX));
}

#[test]
fn foreign_data_is_left_alone() {
    let mut bench = Bench::new();
    let key = bench.key();
    let cases: [&[&str]; 7] = [
        &["SET", &key, "a text"],
        &["RPUSH", &key, "a", "list"],
        &["HSET", &key, "their", "hash"],
        &["HSET", &key, "v", "2", "cap", "1000", "used", "0"],
        &["HSET", &key, "v", "1", "cap", "1000", "used", "-5"],
        &["HSET", &key, "v", "1", "cap", "1e3", "used", "0"],
        &[
            "HSET",
            &key,
            "v",
            "1",
            "cap",
            "1000",
            "used",
            "99999999999999999999",
        ],
    ];
    for case in cases {
        redis::cmd(case[0])
            .arg(&case[1..])
            .exec(&mut bench.store)
            .unwrap();
        let before: Vec<u8> = redis::cmd("DUMP")
            .arg(&key)
            .query(&mut bench.store)
            .unwrap();
        assert_eq!(bench.say(&wants("a", 1, 10)), Reply::Foreign, "{case:?}");
        let after: Vec<u8> = redis::cmd("DUMP")
            .arg(&key)
            .query(&mut bench.store)
            .unwrap();
        assert_eq!(before, after, "{case:?}");
        redis::cmd("DEL").arg(&key).exec(&mut bench.store).unwrap();
    }
}

#[test]
fn arguments_that_are_no_counts_change_nothing() {
    let mut bench = Bench::new();
    for (at, bad) in [
        (4, "-1"),
        (5, "1.5"),
        (7, ""),
        (10, "1e9"),
        (3, "99999999999999999"),
    ] {
        let asked = wants("a", 1, 10);
        let mut arguments = bench.envelope.arguments(&asked, NOW);
        arguments[at] = bad.to_owned();
        let keys = bench.envelope.keys(&asked);
        let mut command = redis::cmd("EVAL");
        command.arg(SCRIPT).arg(keys.len()).arg(keys).arg(arguments);
        let error = command.exec(&mut bench.store).unwrap_err().to_string();
        assert!(error.contains("is not a count"), "{error}");
    }
    let exists: bool = redis::cmd("EXISTS")
        .arg(bench.key())
        .query(&mut bench.store)
        .unwrap();
    assert!(!exists);
}
