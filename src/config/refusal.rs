//! `[refusal]` and `[[refusal.client]]`: the HTTP status of a refusal, in general and by client.

use std::collections::BTreeMap;

use crate::document::Table;
use crate::policy::{ClientStatuses, RefusalStatuses, SettableRefusal};

pub(super) fn statuses(t: &mut Table<'_>) -> RefusalStatuses {
    let general = table(t);
    let mut clients = t.each("client", |t| {
        let agent = t.required("user_agent", String::new(), |v| v.text().map(str::to_owned));
        let statuses = table(t);
        if statuses.is_empty() {
            t.fault("sets no status for this client");
        }
        ClientStatuses::new(&agent, statuses)
    });
    // The file's own come first: the first that fits and names the refusal decides.
    clients.extend(RefusalStatuses::known_clients());
    RefusalStatuses::new(general, clients)
}

/// Client errors only: another status would tell a client to try again, or that it was served.
fn table(t: &mut Table<'_>) -> BTreeMap<SettableRefusal, u16> {
    SettableRefusal::ALL
        .into_iter()
        .filter_map(|refusal| Some((refusal, t.get(refusal.as_str())?.number(400..=499)?)))
        .collect()
}
