//! The refusals that a client may meet, each brought about by a key of its own, and the table of what clients make of them.

use std::path::Path;

use jiff::{ToSpan, Zoned, tz::TimeZone};

use crate::gateway::{Wish, World, planted};

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
        let case = |name, code, words, team: &str| Case {
            name,
            code,
            key: world.home.create_key(team),
            prompt: "say hi".to_owned(),
            words,
        };
        let mut cases = vec![
            case(
                "budget",
                "budget_exceeded",
                "the budget team/broke/month of $0.000001",
                "broke",
            ),
            case(
                "secret",
                "secret_blocked",
                "a secret was found and the request was not sent",
                "strict",
            ),
            case(
                "model",
                "model_not_allowed",
                "your team may not use th",
                "narrow",
            ),
            case(
                "hours",
                "outside_hours",
                "your team may not work at this hour",
                "asleep",
            ),
            case(
                "key",
                "key_malformed",
                "this is not a Tollgate key",
                "strict",
            ),
        ];
        for one in &mut cases {
            match one.name {
                "secret" => one.prompt = format!("say {}", planted(55)),
                "key" => "sk-of-somebody-else".clone_into(&mut one.key),
                _ => {}
            }
        }
        // Keys are known within a second of their making.
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        Self { world, cases }
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
        let plain = without_colours(printed);
        let words: Vec<&str> = plain.split_whitespace().collect();
        words.join(" ").contains(self.words)
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
  limit = "0.000001"
[[team]]
name = "narrow"
models = ["none-*"]
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
