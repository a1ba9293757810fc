//! Answers kept for requests that are the same to the byte: of teams that asked for it, in memory only, bounded by bytes
//! and age.
//!
//! A request comes here after every check of policy and before anything is reserved. Its key covers the team and
//! everything that reaches the provider and could change the answer. Kept is what the client was shown, and only where
//! the provider said its whole usage and nothing had been redacted (docs/adr/response-cache.md).

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::admit::{Destination, Standing};
use crate::audit::Label;
use crate::config;
use crate::domain::Name;
use crate::provider::Ask;

/// What an entry takes besides its body.
const OVERHEAD: usize = 256;

/// Headers that are replaced or left out on the way to the provider, or tell about the client and not what it wants.
/// Whatever is not named here is part of the key.
const NOT_OF_THE_KEY: [&str; 19] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "host",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "expect",
    "accept-encoding",
    "x-request-id",
    "user-agent",
    "traceparent",
    "tracestate",
];
const NOT_OF_THE_KEY_FROM: [&str; 2] = ["x-stainless-", "x-claude-code-"];

/// The answers of all teams; none is ever given to another team than the one that paid for it.
pub struct ResponseCache {
    kept: Cache<Key, Arc<Kept>>,
    teams: HashSet<Name>,
    /// The longest answer that is kept.
    entry: usize,
}

/// What a request is known by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

/// An answer as the client was shown it.
pub struct Kept {
    pub content_type: Option<HeaderValue>,
    pub body: Bytes,
    /// The model that gave it.
    pub served: Label,
}

impl ResponseCache {
    #[must_use]
    pub fn new(settings: &config::Cache) -> Self {
        let weight = |_: &Key, kept: &Arc<Kept>| {
            u32::try_from(kept.body.len() + OVERHEAD).unwrap_or(u32::MAX)
        };
        Self {
            kept: Cache::builder()
                .weigher(weight)
                .max_capacity(settings.size)
                .time_to_live(settings.age)
                .build(),
            teams: settings.teams.iter().cloned().collect(),
            entry: usize::try_from(settings.entry).unwrap_or(usize::MAX),
        }
    }

    /// The key of a request that may be answered from here; `None` where its team has no cache, or the answer may depend on
    /// more than the request: on the provider's tools, on what it keeps, on time.
    #[must_use]
    pub(super) fn key(
        &self,
        standing: &Standing,
        destination: &Destination,
        headers: &HeaderMap,
        ask: &Ask,
        body: &[u8],
    ) -> Option<Key> {
        let caller = &standing.caller;
        let alone =
            ask.demand.server_calls == Some(0) && !ask.demand.opaque && !ask.demand.background;
        if !self.teams.contains(&caller.team) || !destination.endpoint.billed() || !alone {
            return None;
        }
        let mut key = Sha256::new();
        let mut part = |bytes: &[u8]| {
            key.update((bytes.len() as u64).to_le_bytes());
            key.update(bytes);
        };
        part(caller.organisation.as_str().as_bytes());
        part(caller.team.as_str().as_bytes());
        part(destination.upstream.name.as_str().as_bytes());
        part(destination.path.as_bytes());
        let mut told: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .filter(|(name, _)| !NOT_OF_THE_KEY.contains(name))
            .filter(|(name, _)| {
                !NOT_OF_THE_KEY_FROM
                    .iter()
                    .any(|from| name.starts_with(from))
            })
            .collect();
        // Of the same name in the order in which they came: that may mean something.
        told.sort_by_key(|(name, _)| *name);
        for (name, value) in told {
            part(name.as_bytes());
            part(value);
        }
        part(body);
        Some(Key(key.finalize().into()))
    }

    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<Kept>> {
        self.kept.get(key)
    }
}

/// The right to keep the answer to one request.
pub struct Ticket {
    pub cache: Arc<ResponseCache>,
    pub key: Key,
}

/// An answer that is kept if it turns out to be whole.
pub struct Keeper {
    ticket: Ticket,
    content_type: Option<HeaderValue>,
    body: Vec<u8>,
    too_long: bool,
}

impl Keeper {
    #[must_use]
    pub const fn new(ticket: Ticket, content_type: Option<HeaderValue>) -> Self {
        Self {
            ticket,
            content_type,
            body: Vec::new(),
            too_long: false,
        }
    }

    /// Sees what the client is shown.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.too_long || self.body.len() + bytes.len() > self.ticket.cache.entry {
            self.too_long = true;
            self.body = Vec::new();
        } else {
            self.body.extend_from_slice(bytes);
        }
    }

    /// Keeps the answer. To be called for one that came to its end and said its whole usage.
    pub fn keep(self, served: Label) {
        if !self.too_long {
            let kept = Kept {
                content_type: self.content_type,
                body: self.body.into(),
                served,
            };
            self.ticket
                .cache
                .kept
                .insert(self.ticket.key, Arc::new(kept));
        }
    }
}
