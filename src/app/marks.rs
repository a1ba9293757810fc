//! What an operator's files were, as digests: the audit can then say what a reload changed, and repeats nothing of it.
//!
//! Taken of the bytes that are parsed, while they are: a file that changes in between is another at the next reload.

use sha2::{Digest as _, Sha256};

use crate::config::{Settings, Source};
use crate::directory::InstallationKey;

/// Hexadecimal digits of a digest that are kept: enough to tell two versions of a file apart.
const DIGITS: usize = 12;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Configuration,
    Rules,
    /// The table and its overlays.
    Prices,
    KnownValues,
    /// The providers' certificate authorities.
    Authorities,
    /// The gateway's own certificate.
    Certificate,
}

impl Kind {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Configuration, "configuration"),
        (Self::Rules, "rules"),
        (Self::Prices, "prices"),
        (Self::KnownValues, "known values"),
        (Self::Authorities, "authorities"),
        (Self::Certificate, "certificate"),
    ];
}

/// The digests of files that are being read.
#[derive(Clone)]
pub struct Reading([Sha256; Kind::ALL.len()]);

impl Reading {
    #[must_use]
    pub fn new(key: &InstallationKey) -> Self {
        let mut new = Self(Kind::ALL.map(|_| Sha256::new()));
        // Whoever guesses a known value must not find it confirmed in the audit.
        let secret = key.derive("marks");
        new.0[Kind::KnownValues as usize].update(secret.expose());
        new
    }

    pub fn took(&mut self, kind: Kind, source: &Source) {
        self.text(kind, &source.name, &source.text);
    }

    /// Which of the rules count is said by the configuration.
    pub fn families(&mut self, settings: &Settings) {
        let families = format!("{:?}", settings.scan.families);
        self.text(Kind::Rules, "families", &families);
    }

    fn text(&mut self, kind: Kind, name: &str, text: &str) {
        let hasher = &mut self.0[kind as usize];
        for part in [name, text] {
            // Lengths keep a text from running into the next.
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
    }

    #[must_use]
    pub fn marks(self) -> Marks {
        Marks(self.0.map(|hasher| {
            let mut digits = format!("{:x}", hasher.finalize());
            digits.truncate(DIGITS);
            digits
        }))
    }
}

/// One digest for each kind of file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks([String; Kind::ALL.len()]);

impl Marks {
    /// What of a kind is another than before, as `what: before -> after`.
    pub fn change(&self, new: &Self, kind: Kind) -> Option<String> {
        let (_, what) = Kind::ALL[kind as usize];
        let (before, after) = (&self.0[kind as usize], &new.0[kind as usize]);
        (before != after).then(|| format!("{what}: {before} -> {after}"))
    }

    pub fn changes(&self, new: &Self) -> Vec<String> {
        let kinds = Kind::ALL.iter();
        kinds
            .filter_map(|(kind, _)| self.change(new, *kind))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> InstallationKey {
        InstallationKey::open_or_create(tempfile::tempdir().unwrap().path()).unwrap()
    }

    fn of(key: &InstallationKey, kind: Kind, texts: &[(&str, &str)]) -> Marks {
        let mut reading = Reading::new(key);
        for (name, text) in texts {
            reading.text(kind, name, text);
        }
        reading.marks()
    }

    #[test]
    fn a_mark_tells_texts_and_their_borders_apart() {
        let key = key();
        let of = |texts: &[(&str, &str)]| of(&key, Kind::Rules, texts);
        assert_eq!(of(&[("a", "b")]).0[Kind::Rules as usize].len(), DIGITS);
        assert_eq!(of(&[("a", "b")]), of(&[("a", "b")]));
        assert_ne!(of(&[("a", "b")]), of(&[("ab", "")]));
        assert_ne!(of(&[("a", "b"), ("c", "d")]), of(&[("a", "bcd")]));
    }

    #[test]
    fn only_what_changed_is_named() {
        let key = key();
        for (at, (kind, what)) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
            let (before, after) = (of(&key, kind, &[]), of(&key, kind, &[("a", "b")]));
            let changes = before.changes(&after);
            assert_eq!(changes.len(), 1);
            assert!(changes[0].starts_with(&format!("{what}: ")));
            assert!(after.changes(&after).is_empty());
        }
    }

    #[test]
    fn a_known_value_cannot_be_guessed_from_its_mark() {
        let of = |kind| {
            [
                of(&key(), kind, &[("a", "b")]),
                of(&key(), kind, &[("a", "b")]),
            ]
        };
        let [one, other] = of(Kind::KnownValues);
        assert_ne!(one, other, "of two installations");
    }
}
