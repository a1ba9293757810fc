//! Random fleets in all weathers: never more is committed than the cap, and most of it can be used.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::fleet::{Fleet, Outcome, Weather};
use super::server::Server;

const STEPS: usize = 400;

/// Runs that `cargo test` takes time for; `TOLLGATE_FLEET_RUNS` asks for more.
fn runs() -> u64 {
    let asked = std::env::var("TOLLGATE_FLEET_RUNS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(200)
}

fn weather(seed: u64) -> Weather {
    let mut random = StdRng::seed_from_u64(seed ^ 0x5eed);
    let cap_micros = random.random_range(2_000..2_000_000);
    Weather {
        nodes: random.random_range(2..=8),
        cap_micros,
        request_micros: (cap_micros / random.random_range(10..300)).max(1),
        busy: random.random_range(100..900),
        lost: random.random_range(0..150),
        doubled: random.random_range(0..150),
        delay_ms: random.random_range(0..400),
        kill: random.random_range(0..30),
        disk_lost: 300,
        rollback: if seed.is_multiple_of(2) { 0 } else { 10 },
        cap_moves: if seed.is_multiple_of(3) { 5 } else { 0 },
        overruns: if seed.is_multiple_of(5) { 20 } else { 0 },
        kills_before_rollback: false,
    }
}

#[test]
fn no_fleet_passes_its_cap_whatever_is_lost_doubled_late_killed_or_rolled_back() {
    let server = Server::start();
    let mut store = server.connect();
    let mut total = Outcome::default();
    for seed in 0..runs() {
        let weather = weather(seed);
        let mut fleet = Fleet::new(weather, seed, &mut store);
        for _ in 0..STEPS {
            fleet.step();
        }
        let outcome = fleet.outcome;
        assert_eq!(outcome.over, 0, "seed {seed}: {outcome:?} {weather:?}");
        fleet.calm_down();
        assert_eq!(fleet.outcome.over, 0, "seed {seed}");
        total.committed += outcome.committed;
        total.admitted += outcome.admitted;
        total.refused += outcome.refused;
        total.kills += outcome.kills;
        total.rollbacks += outcome.rollbacks;
        total.cap_moves += outcome.cap_moves;
        total.round_trips += outcome.round_trips;
        redis::cmd("FLUSHALL").exec(&mut store).unwrap();
    }
    println!("{} runs: {total:?}", runs());
}

/// Runs a fleet until nobody gets anything any more, and returns the used part of the cap in per mille.
fn utilisation(weather: Weather, seed: u64) -> u64 {
    let server = Server::start();
    let mut store = server.connect();
    let mut fleet = Fleet::new(weather, seed, &mut store);
    // Past midnight, so that it is one day's cap that ends.
    for _ in 0..300 {
        fleet.step();
    }
    let (mut last, mut since) = (0, fleet.now());
    while fleet.now().since(since).as_secs() < 10 {
        fleet.step();
        if fleet.outcome.admitted > last {
            (last, since) = (fleet.outcome.admitted, fleet.now());
        }
    }
    assert_eq!(fleet.outcome.over, 0, "seed {seed}");
    fleet.calm_down();
    let books = fleet.books();
    assert_eq!(books["used"], books["cap"], "nothing is left to lend");
    println!(
        "seed {seed}: {:?}, spent {} of {}",
        fleet.outcome, books["spent"], books["cap"]
    );
    fleet.committed(fleet.today()) / weather.cap_micros
}

fn steady(kill: u32) -> Weather {
    Weather {
        nodes: 8,
        cap_micros: 1_000_000,
        request_micros: 1_000,
        busy: 700,
        lost: 0,
        doubled: 0,
        delay_ms: 20,
        kill,
        disk_lost: 300,
        rollback: 0,
        cap_moves: 0,
        overruns: 0,
        kills_before_rollback: false,
    }
}

#[test]
fn without_faults_at_least_95_percent_of_a_cap_can_be_used() {
    for seed in 0..4 {
        let used = utilisation(steady(0), seed);
        assert!(used >= 950, "seed {seed}: {used} per mille");
    }
}

#[test]
fn with_a_kill_every_few_thousand_requests_at_least_85_percent_can_be_used() {
    for seed in 0..4 {
        // About 5 requests in a step: a kill every 2,500.
        let used = utilisation(steady(2), seed);
        assert!(used >= 850, "seed {seed}: {used} per mille");
    }
}
