//! Parts of an answer: calls of the provider's own tools, and reasoning that is not shown.

use std::hash::{DefaultHasher, Hasher};

use super::field::ItemKind;

/// One content block or output item, as far as it has been read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Item {
    pub(super) kind: ItemKind,
    /// Of a web search: opening a page found before, which is not billed.
    pub(super) free: bool,
    /// Of a code interpreter's call: which container, as a hash.
    pub(super) container: u64,
    /// Of a server tool: runs code.
    pub(super) runs_code: bool,
    /// Bytes of reasoning in sealed form: at least as many as its tokens.
    pub(super) sealed: u64,
}

impl Item {
    pub(super) fn container(&mut self, id: &[u8]) {
        let mut hasher = DefaultHasher::new();
        hasher.write(id);
        self.container = hasher.finish() | 1;
    }
}

/// Tool calls of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) searches: u64,
    pub(super) tool_calls: u64,
    pub(super) sessions: u64,
    pub(super) images: u64,
    container: u64,
}

impl Tally {
    pub(super) fn add(&mut self, item: &Item) {
        match item.kind {
            ItemKind::WebSearch if !item.free => self.searches += 1,
            ItemKind::FileSearch => self.tool_calls += 1,
            ItemKind::Image => self.images += 1,
            // One session for as long as the container is the same.
            ItemKind::CodeInterpreter
                if item.container == 0 || item.container != self.container =>
            {
                self.container = item.container;
                self.sessions += 1;
            }
            ItemKind::ServerTool if item.runs_code => self.sessions = 1,
            _ => {}
        }
    }

    /// Of each count the larger one: an answer tells its items as they come, and once more at its end.
    pub(super) fn at_least(&mut self, other: &Self) {
        self.searches = self.searches.max(other.searches);
        self.tool_calls = self.tool_calls.max(other.tool_calls);
        self.sessions = self.sessions.max(other.sessions);
        self.images = self.images.max(other.images);
    }
}
