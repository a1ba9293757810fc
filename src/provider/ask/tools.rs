//! The tools of a request that the provider runs by itself, and what they can add to the bill.

use crate::domain::{Demand, SearchTool};

use super::field::Tag;

/// Tokens of the words in which a provider describes tools to the model, unseen in the request: for having any tool
/// (Anthropic documents up to about 700), and for each tool of the provider's own (about 750 for the largest).
const ANY_TOOL: u64 = 1_000;
const KNOWN_TOOL: u64 = 2_000;

/// What the tools seen so far may add.
#[derive(Debug, Default)]
pub(super) struct Tools {
    any: bool,
    known: u64,
    calls: Calls,
    searches: Calls,
    /// What is billed as a search may be one of the earlier tool: there is one, a chat searches without a tool, or what the
    /// tools are does not show.
    pub(super) preview: bool,
    others: Calls,
    sessions: Calls,
    images: Calls,
    /// `max_tool_calls` bounds all kinds together.
    pub(super) bound: Option<u32>,
    /// Gigabytes of the largest code interpreter: what its sessions are priced by.
    units: u32,
}

/// A number of calls that may be unbounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Calls(Option<u32>);

impl Default for Calls {
    fn default() -> Self {
        Self(Some(0))
    }
}

impl Calls {
    fn add(&mut self, more: Option<u32>) {
        self.0 = self
            .0
            .zip(more)
            .and_then(|(sum, more)| sum.checked_add(more));
    }

    fn within(self, bound: Option<u32>) -> Option<u32> {
        match (self.0, bound) {
            (Some(calls), Some(bound)) => Some(calls.min(bound)),
            (calls, bound) => calls.or(bound),
        }
    }
}

impl Tools {
    /// One entry of `tools`, with its own bound if it has one.
    pub(super) fn add(&mut self, tag: Tag, max_uses: Option<u32>) {
        self.any = true;
        self.preview |= matches!(tag, Tag::WebSearchPreview | Tag::ServerTool);
        match tag {
            Tag::Absent | Tag::ClientTool => return,
            Tag::KnownClientTool => {}
            Tag::WebSearch | Tag::WebSearchPreview => {
                self.may_call(max_uses, |tools| &mut tools.searches);
            }
            Tag::CodeInterpreter => self.may_call(max_uses, |tools| &mut tools.sessions),
            Tag::ImageGeneration => self.may_call(max_uses, |tools| &mut tools.images),
            Tag::FreeServerTool | Tag::Advisor => self.may_read_again(max_uses),
            _ => self.may_call(max_uses, |tools| &mut tools.others),
        }
        self.known += 1;
    }

    /// The provider may search the web, without being given a tool for it.
    pub(super) fn may_search(&mut self, times: Option<u32>) {
        self.preview = true;
        self.may_call(times, |tools| &mut tools.searches);
    }

    /// The provider may read the conversation so many times again.
    pub(super) fn may_read_again(&mut self, times: Option<u32>) {
        self.calls.add(times);
    }

    /// A code interpreter with so much memory, such as `4g`; what we do not know is the most that there is.
    pub(super) fn memory(&mut self, limit: &[u8]) {
        let units = match limit {
            b"1g" => 1,
            b"4g" => 4,
            b"16g" => 16,
            _ => 64,
        };
        self.units = self.units.max(units);
    }

    fn may_call(&mut self, times: Option<u32>, kind: impl Fn(&mut Self) -> &mut Calls) {
        kind(self).add(times);
        self.calls.add(times);
    }

    /// Writes down what all tools together may add.
    pub(super) fn settle(&self, demand: &mut Demand) {
        demand.server_calls = self.calls.within(self.bound);
        demand.web_searches = self.searches.within(self.bound);
        if self.preview {
            demand.search = SearchTool::Preview;
        }
        demand.tool_calls = self.others.within(self.bound);
        demand.code_sessions = self.sessions.within(self.bound);
        demand.session_units = self.units.max(1);
        demand.images = self.images.within(self.bound);
        demand.input_bytes += KNOWN_TOOL * self.known + if self.any { ANY_TOOL } else { 0 };
    }
}
