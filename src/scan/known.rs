//! Values that must never leave, known beforehand: the gateway's own credentials, those of named files, names that a team
//! wants kept. Held in memory only.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

use super::confirm::{Confirmed, Kind};
use super::engine::{BuildError, Engine, Memory, Wanted};
use super::finding::Undecodable;
use super::values::Values;
use crate::domain::{Name, Secret};

/// Shorter values would match by chance.
pub const SHORTEST_VALUE: usize = 8;
/// Shorter names would match in any text.
pub const SHORTEST_ENTITY: usize = 3;

/// The values and names, collected before a scanner is built.
#[derive(Clone, Default)]
pub struct KnownValues {
    values: Vec<Secret<String>>,
    entities: Vec<(Name, String)>,
}

impl KnownValues {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value. `false`, and nothing is added, when it is too short to look for (under 8 bytes).
    pub fn add_value(&mut self, value: &Secret<String>) -> bool {
        let long_enough = value.expose().len() >= SHORTEST_VALUE;
        if long_enough {
            self.values.push(value.clone());
        }
        long_enough
    }

    /// Adds the values of a file that the caller has read: `.env`, TOML, YAML or properties (`NAME = value`), JSON, or one
    /// value a line. Of named values only those that look like secrets, or are called so; what was left out is told.
    pub fn add_file(&mut self, text: &str) -> LeftOut {
        let mut left = LeftOut::default();
        match serde_json::from_str(text) {
            Ok(json @ (Value::Object(_) | Value::Array(_))) => self.add_json("", &json, &mut left),
            _ => self.add_lines(text, &mut left),
        }
        left
    }

    fn add_json(&mut self, name: &str, json: &Value, left: &mut LeftOut) {
        match json {
            Value::String(value) => self.add_named(name, value, left),
            Value::Array(items) => items
                .iter()
                .for_each(|item| self.add_json(name, item, left)),
            Value::Object(members) => members
                .iter()
                .for_each(|(name, member)| self.add_json(name, member, left)),
            _ => {}
        }
    }

    fn add_lines(&mut self, text: &str, left: &mut LeftOut) {
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', ';', '[']) {
                continue;
            }
            if let Some((name, value)) = named(line) {
                self.add_named(name, value, left);
            } else if !self.add_value(&Secret::new(line.to_owned())) {
                left.short += 1;
            }
        }
    }

    fn add_named(&mut self, name: &str, value: &str, left: &mut LeftOut) {
        const TELLING: [&str; 9] = [
            "key",
            "token",
            "secret",
            "pass",
            "pwd",
            "credential",
            "auth",
            "private",
            "dsn",
        ];
        let name = name.to_ascii_lowercase();
        let named = TELLING.iter().any(|word| name.contains(word));
        let mixed = value.bytes().any(|b| b.is_ascii_digit())
            && value.bytes().any(|b| b.is_ascii_alphabetic());
        let is_secret = named || mixed && value.len() >= 12;
        if value.is_empty() {
            return;
        }
        if !is_secret {
            left.unlike += 1;
        } else if !self.add_value(&Secret::new(value.to_owned())) {
            left.short += 1;
        }
    }

    /// Adds a name that a team's requests must not hold: matched as whole words, in any case, with any white space
    /// between its words. `false`, and nothing is added, when it is under 3 bytes.
    pub fn add_entity(&mut self, team: &Name, entity: &str) -> bool {
        let entity = entity.trim();
        let long_enough = entity.len() >= SHORTEST_ENTITY;
        if long_enough {
            self.entities.push((team.clone(), entity.to_owned()));
        }
        long_enough
    }
}

/// The name and value of a line of settings.
fn named(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let is_name = |name: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        !name.is_empty() && name.len() <= 64 && name.bytes().all(plain)
    };
    let (name, value) = line.split_once('=').or_else(|| line.split_once(": "))?;
    let (name, value) = (name.trim(), value.trim());
    let fits = is_name(name) && !value.trim_matches('=').is_empty();
    fits.then(|| (name, value.trim_matches(|c| matches!(c, '"' | '\''))))
}

/// How many values of a file of settings nothing looks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Under [`SHORTEST_VALUE`] bytes.
    pub short: usize,
    /// Neither called nor looking like a secret.
    pub unlike: usize,
}

impl LeftOut {
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.short + self.unlike == 0
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { short, unlike } = self;
        write!(
            f,
            "values that are not looked for: {short} under {SHORTEST_VALUE} bytes, {unlike} neither called nor looking like secrets"
        )
    }
}

/// The same, ready to be looked for.
pub struct Known {
    values: Values,
    teams: HashMap<Name, Entities>,
}

/// The names of one team.
struct Entities {
    engine: Engine,
    names: Vec<String>,
}

impl Known {
    pub fn build(known: KnownValues) -> Result<Self, BuildError> {
        let values = known.values.iter().map(|value| value.expose().as_bytes());
        let mut names: HashMap<Name, Vec<String>> = HashMap::new();
        for (team, name) in known.entities {
            names.entry(team).or_default().push(name);
        }
        let mut teams = HashMap::new();
        for (team, names) in names {
            let wanted: Vec<Wanted<'_>> = names.iter().enumerate().map(wanted).collect();
            if let Some(engine) = Engine::build(&wanted)? {
                teams.insert(team, Entities { engine, names });
            }
        }
        Ok(Self {
            values: Values::new(values),
            teams,
        })
    }

    /// The engines that a workspace must be ready for.
    pub fn engines(&self) -> impl Iterator<Item = &Engine> {
        self.teams.values().map(|team| &team.engine)
    }

    /// Adds the values, and the team's names, that a text holds.
    pub fn find(
        &self,
        text: &[u8],
        team: Option<&Name>,
        memory: &mut Memory,
        found: &mut Vec<Confirmed>,
    ) -> Result<(), Undecodable> {
        self.values.find(text, |secret| {
            let kind = Kind::Value;
            found.push(Confirmed {
                kind,
                secret,
                echo: false,
            });
        });
        let Some(entities) = team.and_then(|team| self.teams.get(team)) else {
            return Ok(());
        };
        entities.engine.find(text, memory, |hit| {
            let name = entities.names.get(hit.slot as usize);
            let end = hit.first as usize;
            if let Some(start) = name.and_then(|name| start_of(text, end, name)) {
                let (kind, secret) = (Kind::Entity, start..end);
                found.push(Confirmed {
                    kind,
                    secret,
                    echo: false,
                });
            }
        })
    }
}

/// A name as a pattern: whole words, any case, any white space.
fn wanted((slot, name): (usize, &String)) -> Wanted<'static> {
    let words: Vec<String> = name.split_whitespace().map(regex_syntax::escape).collect();
    let is_word = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    let edge = |byte: Option<u8>| if is_word(byte) { r"\b" } else { "" };
    let (first, last) = (edge(name.bytes().next()), edge(name.bytes().last()));
    Wanted {
        slot,
        pattern: format!("(?i){first}{}{last}", words.join(r"\s+")),
        origin: None,
    }
}

/// Where the name that ends at `end` starts.
fn start_of(text: &[u8], end: usize, name: &str) -> Option<usize> {
    let mut at = end;
    for (index, word) in name.split_whitespace().rev().enumerate() {
        let before = text.get(..at)?;
        let blanks = before
            .iter()
            .rev()
            .take_while(|b| b.is_ascii_whitespace() || **b == 0x0B);
        let blanks = if index == 0 { 0 } else { blanks.count() };
        let word_end = at - blanks;
        at = word_end.checked_sub(word.len())?;
        if !text
            .get(at..word_end)?
            .eq_ignore_ascii_case(word.as_bytes())
        {
            return None;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, team: &str) -> Vec<String> {
        let mut known = KnownValues::new();
        assert!(known.add_entity(&Name::new("blue"), " Project Nimbus "));
        assert!(known.add_entity(&Name::new("blue"), "C++Next"));
        assert!(!known.add_entity(&Name::new("blue"), "ab"));
        let known = Known::build(known).unwrap();
        let mut memory = Memory::default();
        for engine in known.engines() {
            engine.prepare(&mut memory).unwrap();
        }
        let mut found = Vec::new();
        let team = Name::new(team);
        known
            .find(text.as_bytes(), Some(&team), &mut memory, &mut found)
            .unwrap();
        found
            .into_iter()
            .map(|one| text[one.secret].to_owned())
            .collect()
    }

    #[test]
    fn files_of_settings_give_their_values_and_not_their_names() {
        let values = |text: &str| {
            let mut known = KnownValues::new();
            known.add_file(text);
            let values = known.values.iter().map(|value| value.expose().clone());
            values.collect::<Vec<_>>()
        };
        let env = "# x\nexport DB_PASSWORD='hunter2hunter2'\nMODE=production\nURL = \"h0st.example.org\"\n";
        assert_eq!(values(env), ["hunter2hunter2", "h0st.example.org"]);
        assert_eq!(
            values(r#"{"a":{"token":"abcdefgh"},"b":"production"}"#),
            ["abcdefgh"]
        );
        assert_eq!(
            values("abcd-efgh-ijkl\nQUJDREVGRw==\n"),
            ["abcd-efgh-ijkl", "QUJDREVGRw=="]
        );
    }

    #[test]
    fn what_is_left_out_of_a_file_is_told() {
        let left = |text: &str| KnownValues::new().add_file(text);
        let of = |short, unlike| LeftOut { short, unlike };
        let env = "[a]\nMODE=production\nDB_PASSWORD='hunter2'\nTOKEN=abcdefgh\nEMPTY=\"\"\n";
        assert_eq!(left(env), of(1, 1));
        assert_eq!(left("db:\n  password: hunter2\n  host: db\n"), of(2, 1));
        assert_eq!(
            left(r#"{"a":{"token":"abc"},"b":["production","x"],"n":5}"#),
            of(1, 2)
        );
        assert_eq!(left("correct horse\n# a\nbattery staple\n"), of(0, 0));
        assert_eq!(left("correct horse\n\nhunter2\nabc\n"), of(2, 0));
    }

    #[test]
    fn names_are_whole_words_in_any_case_and_only_for_their_team() {
        assert_eq!(
            find("the PROJECT\n nimbus, and", "blue"),
            ["PROJECT\n nimbus"]
        );
        assert_eq!(find("project nimbuses", "blue"), Vec::<String>::new());
        assert_eq!(find("in c++next!", "blue"), ["c++next"]);
        assert_eq!(find("Project Nimbus", "red"), Vec::<String>::new());
    }
}
