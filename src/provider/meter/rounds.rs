//! Readings of the conversation that are told one by one, each by the model that made it.

use super::counts::Counts;

/// More models than this are not told apart; what they used counts for the last one.
const MOST: usize = 8;

/// Anthropic's `usage.iterations`.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    own: Counts,
    others: Vec<(String, Counts)>,
    /// The model of the first reading that is the answer's own.
    first: Option<String>,
    now: Counts,
    model: Option<String>,
    /// The reading at hand was made by another model than the one that was asked.
    foreign: bool,
}

impl Rounds {
    pub(super) fn begin(&mut self) {
        self.now = Counts::default();
        self.model = None;
        self.foreign = false;
    }

    pub(super) const fn now(&mut self) -> &mut Counts {
        &mut self.now
    }

    pub(super) fn model(&mut self, name: Option<String>) {
        self.model = name;
    }

    pub(super) fn kind(&mut self, kind: &[u8]) {
        self.foreign = matches!(kind, b"advisor_message" | b"fallback_message");
    }

    pub(super) fn end(&mut self) {
        let now = self.now;
        let Some(model) = self.model.take() else {
            return self.own.add(&now);
        };
        if !self.foreign && self.first.get_or_insert_with(|| model.clone()) == &model {
            return self.own.add(&now);
        }
        let full = self.others.len() >= MOST;
        let same = self.others.iter().position(|(name, _)| *name == model);
        match same.or(full.then_some(MOST - 1)) {
            Some(at) => self.others[at].1.add(&now),
            None => self.others.push((model, now)),
        }
    }

    pub(super) const fn own(&self) -> &Counts {
        &self.own
    }

    pub(super) fn others(&self) -> &[(String, Counts)] {
        &self.others
    }
}
