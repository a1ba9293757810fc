//! A fleet in one process, in simulated time: real ledgers, a real redis-server, and a network that loses, doubles and delays.

mod node;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::node::Node;
use crate::budget::{
    Ask, BudgetSpec, OnStoreLoss, Purpose, Reply, Scope, Span, StoreNews, Window, Zone,
};
use crate::domain::{Moment, Name, Usd};
use crate::ledger_store::{Envelope, SCRIPT, read_reply};

/// How bad the world is. Chances are per thousand.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub nodes: usize,
    pub cap_micros: u64,
    /// The largest reservation.
    pub request_micros: u64,
    /// Chance that a node tries a request in a step.
    pub busy: u32,
    pub lost: u32,
    pub doubled: u32,
    pub delay_ms: u64,
    /// Chance of a kill in a step.
    pub kill: u32,
    /// Of killed nodes, how many lose their disk.
    pub disk_lost: u32,
    /// Chance that the store comes back as it was some time ago, or empty, in a step.
    pub rollback: u32,
    /// Chance in a step that an operator changes the caps.
    pub cap_moves: u32,
    /// Chance of a request that costs more than it reserved.
    pub overruns: u32,
    /// Whether nodes may die without a trace between the writes that a rollback takes back.
    pub kills_before_rollback: bool,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub admitted: u64,
    pub refused: u64,
    pub kills: u64,
    pub rollbacks: u64,
    pub cap_moves: u64,
    pub round_trips: u64,
    /// Worst committed amount, in nano-dollars, over all steps.
    pub committed: u64,
    /// By how much the cap was passed at worst.
    pub over: u64,
}

/// A message on its way.
enum Packet {
    ToStore(Ask),
    ToNode(Ask, Reply),
}

pub struct Fleet<'a> {
    weather: Weather,
    random: StdRng,
    now: Moment,
    specs: Vec<BudgetSpec>,
    /// The largest cap so far of the tighter budget, in nano-dollars.
    highest_cap: u64,
    nodes: Vec<Node>,
    wire: BTreeMap<(Moment, u64), Packet>,
    sent: u64,
    store: &'a mut redis::Connection,
    envelope: Envelope,
    /// Which life of the store this is.
    era: u64,
    /// The store as it was, oldest first.
    memory: Vec<Vec<(String, Vec<u8>)>>,
    last_kill: Moment,
    pub outcome: Outcome,
}

impl<'a> Fleet<'a> {
    pub fn new(weather: Weather, seed: u64, store: &'a mut redis::Connection) -> Self {
        // Some seconds before a midnight that most runs live to see.
        let now = Moment::from_seconds(1_795_305_600 - 6);
        let mut fleet = Self {
            random: StdRng::seed_from_u64(seed),
            now,
            highest_cap: weather.cap_micros * 1000,
            specs: vec![
                cap("org", Window::Month, weather.cap_micros * 3),
                cap("team", Window::Day, weather.cap_micros),
            ],
            nodes: (0..weather.nodes).map(Node::new).collect(),
            wire: BTreeMap::new(),
            sent: 0,
            store,
            envelope: Envelope::new(&format!("run{seed}"), false),
            era: 0,
            memory: Vec::new(),
            last_kill: Moment::default(),
            weather,
            outcome: Outcome::default(),
        };
        for n in 0..weather.nodes {
            fleet.start(n);
        }
        fleet
    }

    /// One step of a few milliseconds.
    pub fn step(&mut self) {
        self.now = self
            .now
            .plus(Duration::from_millis(self.random.random_range(1..60)));
        self.requests();
        self.speak();
        self.deliver();
        self.accidents();
        self.check();
    }

    /// Lets things settle: no new requests, no accidents, until all is answered.
    pub fn calm_down(&mut self) {
        self.weather = Weather {
            busy: 0,
            lost: 0,
            doubled: 0,
            kill: 0,
            rollback: 0,
            cap_moves: 0,
            ..self.weather
        };
        for _ in 0..200 {
            self.step();
        }
    }

    /// The store's own books of the tighter budget, for checking.
    pub fn books(&mut self) -> BTreeMap<String, String> {
        let key = self.envelope.key(&self.specs[1].id, self.today());
        redis::cmd("HGETALL").arg(key).query(self.store).unwrap()
    }

    /// What is committed of the tighter budget in the period that began at `start`.
    pub fn committed(&self, start: Moment) -> u64 {
        let spec = &self.specs[1];
        self.nodes
            .iter()
            .map(|node| node.committed(spec, start))
            .sum()
    }

    /// The start of the tighter budget's present period.
    pub fn today(&self) -> Moment {
        Span::containing(Window::Day, &Zone::utc(), self.now).start
    }

    pub fn now(&self) -> Moment {
        self.now
    }

    fn requests(&mut self) {
        for node in &mut self.nodes {
            node.land(self.now);
            if !self.random.random_ratio(self.weather.busy.min(1000), 1000) {
                continue;
            }
            let micros = self.random.random_range(1..=self.weather.request_micros);
            let amount = Usd::from_nanos(micros * 1000 - 1);
            if node.request(&mut self.random, amount, self.weather.overruns, self.now) {
                self.outcome.admitted += 1;
            } else {
                self.outcome.refused += 1;
            }
        }
    }

    fn speak(&mut self) {
        for n in 0..self.nodes.len() {
            let mut asks = self.nodes[n]
                .ledger()
                .map_or_else(Vec::new, |ledger| ledger.asks(self.now));
            if self.nodes[n].is_alive() && self.random.random_ratio(1, 10) {
                asks.extend(self.nodes[n].last_words.iter().cloned());
            }
            for ask in asks {
                self.send(|| Packet::ToStore(ask.clone()));
            }
        }
    }

    /// Puts a packet on the wire: perhaps late, perhaps twice, perhaps never.
    fn send(&mut self, packet: impl Fn() -> Packet) {
        if self.random.random_ratio(self.weather.lost, 1000) {
            return;
        }
        let copies = if self.random.random_ratio(self.weather.doubled, 1000) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let late = Duration::from_millis(self.random.random_range(0..=self.weather.delay_ms));
            self.sent += 1;
            self.wire.insert((self.now.plus(late), self.sent), packet());
        }
    }

    fn deliver(&mut self) {
        while let Some(entry) = self.wire.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            match entry.remove() {
                Packet::ToStore(ask) => {
                    let reply = self.run(&ask);
                    self.send(|| Packet::ToNode(ask.clone(), reply.clone()));
                }
                Packet::ToNode(ask, reply) => self.hear(&ask, &reply),
            }
        }
    }

    fn hear(&mut self, ask: &Ask, reply: &Reply) {
        self.outcome.round_trips += 1;
        let now = self.now;
        for node in &mut self.nodes {
            if node.boot() == Some(&ask.boot) {
                node.ledger().unwrap().answered(ask, reply, now);
            } else if *node.name == *ask.boot.node && ask.purpose == Purpose::Close {
                node.confirmed(ask, now);
            }
        }
    }

    /// The real script on the real server.
    fn run(&mut self, ask: &Ask) -> Reply {
        self.envelope.now_ms = u64::try_from(self.now.micros() / 1000).ok();
        self.envelope.server = Some(format!("server{}", self.era));
        let mut command = redis::cmd("EVAL");
        let keys = self.envelope.keys(ask);
        command.arg(SCRIPT).arg(keys.len()).arg(keys);
        // The server's own clock must not expire keys of simulated months.
        let mut arguments = self.envelope.arguments(ask, self.now);
        arguments[14] = "0".to_owned();
        let value = command.arg(arguments).query(self.store).unwrap();
        read_reply(&value).unwrap()
    }

    fn accidents(&mut self) {
        if self.weather.rollback > 0 && self.random.random_ratio(1, 20) {
            self.remember();
        }
        let n = self.random.random_range(0..self.nodes.len());
        if !self.nodes[n].is_alive() {
            if !self.nodes[n].gone && self.random.random_ratio(1, 10) {
                self.start(n);
            }
        } else if self.random.random_ratio(self.weather.kill, 1000) {
            let keeps = !self.random.random_ratio(self.weather.disk_lost, 1000);
            self.nodes[n].kill(&self.specs, self.now, keeps);
            self.last_kill = self.now;
            self.outcome.kills += 1;
            if !keeps {
                // Its spending stays true, under a name that nobody speaks for; a new machine takes the place.
                self.nodes.push(Node::new(self.nodes.len()));
                self.start(self.nodes.len() - 1);
            }
        }
        if self.random.random_ratio(self.weather.rollback, 1000) {
            self.roll_back();
        }
        if self.random.random_ratio(self.weather.cap_moves, 1000) {
            self.move_caps();
        }
    }

    /// An operator sets other caps; every node hears of it, as its directory tells it.
    fn move_caps(&mut self) {
        let percent = self.random.random_range(20..180);
        for (spec, times) in self.specs.iter_mut().zip([3, 1]) {
            let micros = self.weather.cap_micros * times * percent / 100;
            spec.limit = Usd::from_nanos(micros * 1000);
            spec.revision += 1;
        }
        self.highest_cap = self.highest_cap.max(self.specs[1].limit.nanos());
        for node in &self.nodes {
            node.follow(&self.specs);
        }
        self.outcome.cap_moves += 1;
    }

    fn start(&mut self, n: usize) {
        let nodes = u32::try_from(self.weather.nodes).unwrap();
        self.nodes[n].start(&self.specs, nodes, self.now);
        if let Some(ledger) = self.nodes[n].ledger() {
            ledger.store(StoreNews::Heard { nodes }, self.now);
        }
    }

    /// Keeps the store's state as a later restart might find it.
    fn remember(&mut self) {
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg(format!("{}:*", self.envelope.prefix))
            .query(self.store)
            .unwrap();
        let dump = |key: String, store: &mut redis::Connection| {
            let bytes: Vec<u8> = redis::cmd("DUMP").arg(&key).query(store).unwrap();
            (key, bytes)
        };
        let state = keys.into_iter().map(|key| dump(key, self.store)).collect();
        if self.weather.kills_before_rollback
            || self.now.since(self.last_kill) > Duration::from_secs(4)
        {
            self.memory.push(state);
        } else {
            self.memory = vec![state];
        }
        if self.memory.len() > 4 {
            self.memory.remove(0);
        }
    }

    /// Another process takes the store's place, with what it finds: an older state, or nothing. Connections break.
    fn roll_back(&mut self) {
        if !self.weather.kills_before_rollback
            && self.now.since(self.last_kill) < Duration::from_secs(4)
        {
            return;
        }
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg(format!("{}:*", self.envelope.prefix))
            .query(self.store)
            .unwrap();
        for key in keys {
            redis::cmd("DEL").arg(key).exec(self.store).unwrap();
        }
        for (key, bytes) in self.memory.first().into_iter().flatten() {
            redis::cmd("RESTORE")
                .arg(key)
                .arg(0)
                .arg(bytes)
                .exec(self.store)
                .unwrap();
        }
        self.era += 1;
        self.wire.clear();
        self.outcome.rollbacks += 1;
        for node in &self.nodes {
            if let Some(ledger) = node.ledger() {
                ledger.store(StoreNews::Doubted, self.now);
            }
        }
    }

    fn check(&mut self) {
        let yesterday = Moment::from_seconds(self.today().seconds() - 86_400);
        let overruns: u64 = self.nodes.iter().map(|node| node.overrun).sum();
        for start in [self.today(), yesterday] {
            let committed = self.committed(start);
            let over = committed.saturating_sub(self.highest_cap + overruns);
            self.outcome.committed = self.outcome.committed.max(committed);
            self.outcome.over = self.outcome.over.max(over);
        }
    }
}

fn cap(name: &str, window: Window, micros: u64) -> BudgetSpec {
    let scope = Scope::Team(Name::new(name));
    let limit = Usd::from_nanos(micros * 1000);
    let mut spec = BudgetSpec::new(scope, window, Zone::utc(), limit);
    spec.on_store_loss = OnStoreLoss::Deny;
    spec.revision = 1;
    spec
}
