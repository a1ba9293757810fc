//! How asks and replies look on the wire to Redis: the arguments of lease.lua, and what it returns.

use redis::Value;

use crate::budget::{Answer, Ask, BudgetId, Changes, Micros, Purpose, Reply, Status};
use crate::domain::Moment;

/// The script, as the store runs it.
pub const SCRIPT: &str = include_str!("lease.lua");

/// What surrounds every ask to one store.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Before every key, so that several installations can share a store.
    pub prefix: String,
    /// Whether keys live on different servers, so that no key can speak for a server.
    pub cluster: bool,
    /// How long a store that lost something waits for all nodes to report.
    pub quarantine_ms: u64,
    /// After how long without news a lease counts as silent.
    pub liveness_ms: u64,
    /// Milliseconds since 1970 in place of the store's clock: for simulations.
    pub now_ms: Option<u64>,
    /// A name in place of the store's process id: for simulations.
    pub server: Option<String>,
}

impl Envelope {
    #[must_use]
    pub fn new(prefix: &str, cluster: bool) -> Self {
        Self {
            prefix: prefix.to_owned(),
            cluster,
            // In a cluster nobody hears of a lost server: leases show themselves in their own time.
            quarantine_ms: if cluster { 10_000 } else { 3_000 },
            liveness_ms: 30_000,
            now_ms: None,
            server: None,
        }
    }

    /// The keys of one ask: the budget's, and outside a cluster the server's and that of all budgets.
    #[must_use]
    pub fn keys(&self, ask: &Ask) -> Vec<String> {
        let mut keys = vec![self.key(&ask.budget, ask.span.start)];
        if let Some(server) = self.server_key() {
            keys.extend([server, format!("{}:budgets", self.prefix)]);
        }
        keys
    }

    /// What a server remembers of itself; `None` in a cluster, where a key cannot speak for its server.
    #[must_use]
    pub fn server_key(&self) -> Option<String> {
        (!self.cluster).then(|| format!("{}:server", self.prefix))
    }

    /// The key of one budget in one period. The braces keep it on one server whatever is added to it.
    #[must_use]
    pub fn key(&self, budget: &BudgetId, start: Moment) -> String {
        format!("{}:{{{budget}}}:{}", self.prefix, start.seconds())
    }

    /// The arguments of one ask, in the script's order.
    #[must_use]
    pub fn arguments(&self, ask: &Ask, now: Moment) -> Vec<String> {
        let purpose = match ask.purpose {
            Purpose::Beat => "beat",
            Purpose::Close => "close",
        };
        let mut arguments = vec![
            self.now_ms.unwrap_or(0).to_string(),
            ask.lease(),
            ask.boot.node.to_string(),
            ask.seq.to_string(),
            ask.granted.to_string(),
            ask.spent.to_string(),
            ask.returned.to_string(),
            ask.want.to_string(),
            ask.least.to_string(),
            purpose.to_owned(),
            ask.limit.to_string(),
            ask.limit_version.min(Micros::MAX.get()).to_string(),
            ask.share.to_string(),
            self.quarantine_ms.to_string(),
            expiry_ms(ask, now).to_string(),
            self.liveness_ms.to_string(),
            ask.node_total.to_string(),
            self.server.clone().unwrap_or_default(),
            ask.changes.granted.to_string(),
            ask.changes.charged.to_string(),
            ask.changes.credited.to_string(),
        ];
        arguments.extend(ask.alert_at.iter().map(u8::to_string));
        arguments
    }
}

/// When the store may forget a budget: eight days after its period, when late audits have been settled. One without an end
/// stays; a session's, thirty days after its last word.
fn expiry_ms(ask: &Ask, now: Moment) -> u64 {
    const DAY: i64 = 86_400_000;
    let session = ask.budget.as_str().starts_with("session/");
    let at = match ask.span.end {
        Some(end) => end.micros() / 1000 + 8 * DAY,
        None if session => now.micros() / 1000 + 30 * DAY,
        None => return 0,
    };
    u64::try_from(at).unwrap_or(0)
}

/// An answer that the script does not give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store answered something that the lease script does not say")]
pub struct Unintelligible;

/// Reads what the script returned.
///
/// # Errors
/// When it is not such an answer.
pub fn read_reply(value: &Value) -> Result<Reply, Unintelligible> {
    let Value::Array(parts) = value else {
        return Err(Unintelligible);
    };
    let texts: Vec<&str> = parts
        .iter()
        .map(text)
        .collect::<Option<_>>()
        .ok_or(Unintelligible)?;
    let (status, counts) = match texts.as_slice() {
        ["foreign"] => return Ok(Reply::Foreign),
        [status, rest @ ..] if rest.len() >= 11 => (*status, rest),
        _ => return Err(Unintelligible),
    };
    let status = match status {
        "ok" => Status::Ok,
        "duplicate" => Status::Duplicate,
        "warming" => Status::Warming,
        "exhausted" => Status::Exhausted,
        "closed" => Status::Closed,
        _ => return Err(Unintelligible),
    };
    Ok(Reply::Answer(Answer {
        status,
        granted: micros(counts[0])?,
        returned: micros(counts[1])?,
        used: micros(counts[2])?,
        cap: micros(counts[3])?,
        spent: micros(counts[4])?,
        short: counts[5] == "1",
        overdrawn: micros(counts[6])?,
        limit: micros(counts[7])?,
        changes: Changes {
            granted: micros(counts[8])?,
            charged: micros(counts[9])?,
            credited: micros(counts[10])?,
        },
        alerts: counts[11..]
            .iter()
            .map(|percent| percent.parse().map_err(|_| Unintelligible))
            .collect::<Result<_, _>>()?,
    }))
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn micros(text: &str) -> Result<Micros, Unintelligible> {
    let count = text.parse().map_err(|_| Unintelligible)?;
    Micros::new(count).ok_or(Unintelligible)
}
