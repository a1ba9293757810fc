//! Models besides the first: fallbacks that may answer in its place, advisors that it may ask.

use crate::domain::{CacheWrites, Demand, ServiceTier};

use super::OtherModel;
use super::field::Tag;

/// More models than this are not read; a body that names them is refused.
pub(super) const MOST: usize = 16;
/// How often an advisor may be asked where the request does not say.
const ADVICES: u32 = 10;

/// A model as its entry in the request tells it.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) model: Option<String>,
    pub(super) output_tokens: Option<u64>,
    pub(super) fast: bool,
    /// Of an advisor: how often it may be asked.
    pub(super) uses: Option<u32>,
    pub(super) advises: bool,
}

impl Entry {
    /// An advisor, from its entry in `tools`.
    pub(super) fn advisor(self, tag: Tag, uses: Option<u32>) -> Option<Self> {
        (tag == Tag::Advisor).then_some(Self {
            uses,
            advises: true,
            ..self
        })
    }

    /// What this model may be asked for, beside the first one.
    pub(super) fn model(self, first: &Demand) -> OtherModel {
        let mut demand = *first;
        if self.fast {
            demand.tier = Some(ServiceTier::Fast);
        }
        if self.advises {
            let uses = self.uses.unwrap_or(ADVICES).max(1);
            demand.answers = uses;
            demand.server_calls = Some(uses - 1);
            demand.output_tokens = self.output_tokens;
            demand.cache_writes = CacheWrites::Hour;
            demand.web_searches = Some(0);
            demand.tool_calls = Some(0);
            demand.code_sessions = Some(0);
            demand.images = Some(0);
        } else {
            demand.output_tokens = self.output_tokens.or(first.output_tokens);
        }
        OtherModel {
            name: self.model,
            demand,
        }
    }
}
