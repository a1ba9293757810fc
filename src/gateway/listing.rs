//! Shows a team the provider's list of models as policy lets it: held until it is whole, then filtered.

use bytes::Bytes;

use crate::policy::{Aliases, ModelList};
use crate::provider::{Dialect, LONGEST_LIST, Page, empty_list, shown_models};

/// The list on its way to the client.
pub struct Listing {
    dialect: Dialect,
    models: ModelList,
    aliases: Aliases,
    page: Page,
    held: Vec<u8>,
}

impl Listing {
    /// `None` where the team may use every model and no alias is configured: the list passes as it comes.
    #[must_use]
    pub fn new(dialect: Dialect, models: &ModelList, aliases: &Aliases) -> Option<Self> {
        let changes = models.patterns().is_some() || aliases.iter().next().is_some();
        changes.then(|| Self {
            dialect,
            models: models.clone(),
            aliases: aliases.clone(),
            page: Page::Whole,
            held: Vec::new(),
        })
    }

    /// As the answer to a request for this page.
    #[must_use]
    pub const fn of(mut self, page: Page) -> Self {
        self.page = page;
        self
    }

    /// Holds the next bytes; what is longer than any list is not kept, and shown as nothing.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.held.len() + bytes.len() <= LONGEST_LIST {
            self.held.extend_from_slice(bytes);
        } else {
            self.held = vec![0];
        }
    }

    /// The list as the team may see it.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held);
        if self.page == Page::Beside {
            return empty_list(self.dialect).into();
        }
        let allows = |model: &str| self.models.allows(model);
        shown_models(&held, self.dialect, allows, self.aliases.iter()).into()
    }
}
