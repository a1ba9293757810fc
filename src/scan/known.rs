//! Values that must never leave, known beforehand: the gateway's own credentials, those of named files, names that a team
//! wants kept. Held in memory only.

use crate::domain::{Name, Secret};

/// Shorter values would match by chance.
pub const SHORTEST_VALUE: usize = 8;
/// Shorter names would match in any text.
pub const SHORTEST_ENTITY: usize = 3;

/// The values and names, collected before a scanner is built.
#[derive(Clone, Default)]
pub struct KnownValues {
    pub(super) values: Vec<Secret<String>>,
    pub(super) entities: Vec<(Name, String)>,
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
