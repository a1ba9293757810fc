//! The refusals that a client may meet, each brought about by a key of its own, and the table of what clients make of them.

use std::path::Path;

use jiff::{ToSpan, Zoned, tz::TimeZone};

use crate::gateway::{Wish, World, message, planted};

/// One refusal.
pub struct Case {
    pub name: &'static str,
    /// Its code in the audit.
    pub code: &'static str,
    pub key: String,
    pub prompt: String,
    /// What of our own text must reach whoever sits before the client.
    words: &'static str,
}

/// A gateway that refuses, by key.
pub struct Ground {
    pub world: World,
    pub cases: Vec<Case>,
}

/// Name, code, words and team of each case. The cap holds a number that opencode takes for a status.
const CASES: [(&str, &str, &str, &str); 7] = [
    (
        "budget",
        "budget_exceeded",
        "the budget team/broke/month of $0.00005003",
        "broke",
    ),
    (
        "secret",
        "secret_blocked",
        "a secret was found and the request was not sent",
        "strict",
    ),
    (
        "model",
        "model_not_allowed",
        "your team may not use th",
        "narrow",
    ),
    (
        "hours",
        "outside_hours",
        "your team may not work at this hour",
        "asleep",
    ),
    (
        "wait",
        "tokens_limited",
        "limit of tokens per minute is reached; the next request passes after",
        "hasty",
    ),
    ("key", "key_malformed", "this is not a Tollgate key", ""),
    (
        "revoked",
        "key_revoked",
        "this Tollgate key has been revoked",
        "left",
    ),
];

/// What a client made of one refusal.
pub struct Outcome {
    pub status: u64,
    pub attempts: usize,
    pub shown: bool,
}

impl Ground {
    pub async fn start() -> Self {
        let world = World::start(Wish {
            teams: teams(),
            ..Wish::default()
        })
        .await;
        let cases = CASES.map(|(name, code, words, team)| Case {
            name,
            code,
            key: match name {
                "key" => "sk-of-somebody-else".to_owned(),
                _ => world.home.create_key(team),
            },
            prompt: match name {
                "secret" => format!("say {}", planted(55)),
                _ => "say hi".to_owned(),
            },
            words,
        });
        revoke(&world, "left");
        // Keys are known within a second of their making.
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        let ground = Self {
            world,
            cases: cases.into(),
        };
        ground.spend_tokens().await;
        ground
    }

    /// Serves the hasty team one request, the only one that reaches the provider: its tokens are gone for hours.
    async fn spend_tokens(&self) {
        let hasty = self.cases.iter().find(|case| case.name == "wait");
        let served = self
            .world
            .client
            .post(self.world.gateway.url("/v1/messages"))
            .header("x-api-key", &hasty.expect("a case").key)
            .json(&message("hi"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(served.status(), 200);
        served.bytes().await.expect("a body");
    }

    /// Code and status of every refused request so far, oldest first.
    pub fn refused(&self) -> Vec<(String, u64)> {
        let rows = self.world.rows_now();
        let of = |row: &serde_json::Value| {
            let code = row["code"].as_str().unwrap_or_default().to_owned();
            (code, row["status"].as_u64().unwrap_or_default())
        };
        rows.iter()
            .map(of)
            .filter(|(code, _)| !code.is_empty())
            .collect()
    }
}

impl Case {
    /// Whether what a client printed tells its user why. Clients break lines and colour words.
    pub fn is_shown_in(&self, printed: &str) -> bool {
        let plain = without_colours(printed).replace('\u{2060}', "");
        let words: Vec<&str> = plain.split_whitespace().collect();
        words.join(" ").contains(self.words)
    }
}

/// Revokes the keys of a team.
fn revoke(world: &World, team: &str) {
    let keys: serde_json::Value =
        serde_json::from_str(&world.home.run(&["key", "list", "--json"])).expect("JSON");
    let of_team = |key: &&serde_json::Value| key["team"] == team;
    for key in keys.as_array().expect("a list").iter().filter(of_team) {
        let id = key["id"].as_str().expect("an id");
        world.home.run(&["key", "revoke", id]);
    }
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| {
        plain + part.split_once('m').map_or(part, |(_, rest)| rest)
    })
}

fn teams() -> String {
    // A day on which it is not today, in no time zone.
    let day = Zoned::now()
        .with_time_zone(TimeZone::UTC)
        .checked_add(3.days())
        .expect("a day")
        .strftime("%a")
        .to_string()
        .to_lowercase();
    format!(
        r#"
[[team]]
name = "payments"
actions = {{ aws_access_key = "redact" }}
[[team]]
name = "strict"
actions = {{ aws_access_key = "block" }}
[[team]]
name = "broke"
  [[team.budget]]
  window = "month"
  limit = "0.00005003"
[[team]]
name = "narrow"
models = ["none-*"]
[[team]]
name = "hasty"
tokens_per_minute = 1
[[team]]
name = "single"
concurrent = 1
[[team]]
name = "left"
[[team]]
name = "asleep"
  [team.hours]
  days = ["{day}"]
  from = "00:00"
  to = "00:00"
"#
    )
}

/// The table of docs/CLIENTS.md: a line for each client, a column for each refusal.
pub fn table(head: &[&str], clients: &[(String, Vec<String>)]) -> String {
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head);
    text += &line(&vec!["---"; head.len()]);
    for (client, cells) in clients {
        let mut all = vec![client.as_str()];
        all.extend(cells.iter().map(String::as_str));
        text += &line(&all);
    }
    text
}

impl Outcome {
    /// Asked once, and the user knows why not.
    pub fn is_as_it_should_be(&self) -> bool {
        self.attempts == 1 && self.shown
    }

    pub fn cell(&self) -> String {
        let attempts = match self.attempts {
            1 => "1 attempt".to_owned(),
            more => format!("{more} attempts"),
        };
        let shown = if self.shown { "shown" } else { "not shown" };
        format!("{}, {attempts}, {shown}", self.status)
    }
}

/// Holds a table of docs/CLIENTS.md to what was seen; `UPDATE_CLIENTS=1` writes it.
pub fn hold(section: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CLIENTS.md");
    let text = std::fs::read_to_string(&path).expect("docs/CLIENTS.md");
    let begin = format!("<!-- {section} -->\n");
    let (before, rest) = text.split_once(&begin).expect("the section begins");
    let (stands, after) = rest.split_once("<!-- end -->").expect("the section ends");
    if std::env::var_os("UPDATE_CLIENTS").is_some() {
        let whole = format!("{before}{begin}{table}<!-- end -->{after}");
        std::fs::write(&path, whole).expect("docs/CLIENTS.md is writable");
        return;
    }
    assert_eq!(
        stands, table,
        "run with UPDATE_CLIENTS=1 to write docs/CLIENTS.md anew"
    );
}
