//! `[provider.NAME]`: where requests go, and with which key.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use super::file::{TIMEOUTS, path, secret};
use super::settings::{Dialect, OnDisconnect, Provider, Timeouts, WeightedAddress};
use super::{Address, SecretRef};
use crate::document::{Table, Value};
use crate::domain::Name;

const DIALECTS: [(&str, Dialect); 2] = [
    ("anthropic", Dialect::Anthropic),
    ("openai", Dialect::OpenAi),
];

/// Names that are the first segment of a route, and so cannot be a prefix.
const RESERVED: [&str; 1] = ["v1"];

pub(super) fn providers(top: &mut Table<'_>, base: &Path) -> Vec<Provider> {
    let all: Vec<Provider> = top.section("provider", |t| {
        t.entries()
            .into_iter()
            .filter_map(|value| provider(&value, base))
            .collect()
    });
    if all.is_empty() {
        top.fault_missing("no provider: write a [provider.NAME] table with `dialect`, `addresses` and `credential`");
    }
    all
}

fn provider(value: &Value<'_>, base: &Path) -> Option<Provider> {
    let name = value.key();
    let fits = name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !RESERVED.contains(&name);
    if name.is_empty() || !fits {
        value.key_fault(format!(
            "provider `{name}`: a name is up to 64 lower-case letters, digits and `-`, and not `v1`: it is a path prefix"
        ));
    }
    let name = Name::new(name);
    value.table(|t| Provider {
        name,
        dialect: t.required("dialect", Dialect::OpenAi, |v| v.choice(&DIALECTS)),
        addresses: addresses(t),
        credential: t.required("credential", SecretRef::Env(String::new()), |v| {
            secret(&v, base)
        }),
        ca: t.get("ca").and_then(|v| path(&v, base)),
        timeouts: timeouts(t),
        attempts: t.or("attempts", NonZeroU32::MIN.saturating_add(1), |v| {
            positive(&v, 10)
        }),
        concurrent: t.get("concurrent").and_then(|v| positive(&v, 1_000_000)),
        on_disconnect: t.or("on_disconnect", OnDisconnect::Estimate, |v| {
            v.choice(&[
                ("estimate", OnDisconnect::Estimate),
                ("charge_reservation", OnDisconnect::ChargeReservation),
            ])
        }),
    })
}

fn positive(value: &Value<'_>, most: u64) -> Option<NonZeroU32> {
    value.number::<u32>(1..=most).and_then(NonZeroU32::new)
}

/// A stream may pause for as long as a model thinks, so `read` is generous: clients wait 600 s.
fn timeouts(t: &mut Table<'_>) -> Timeouts {
    let mut read = |key, seconds| t.or(key, Duration::from_secs(seconds), |v| v.duration(TIMEOUTS));
    Timeouts {
        connect: read("connect_timeout", 10),
        read: read("read_timeout", 600),
        write: read("write_timeout", 60),
        idle: read("idle_timeout", 60),
    }
}

/// A list of `"https://…"` or `{ url = "https://…", weight = 3 }`, with one scheme and no address twice.
fn addresses(t: &mut Table<'_>) -> Vec<WeightedAddress> {
    let Some(values) = t
        .need("addresses")
        .and_then(|v| v.list().map(|list| (v, list)))
    else {
        return Vec::new();
    };
    let (whole, values) = values;
    if values.is_empty() {
        whole.fault("is empty; name at least one address");
    }
    let mut all: Vec<WeightedAddress> = Vec::new();
    for value in values {
        let Some(read) = address(&value) else {
            continue;
        };
        if all.iter().any(|other| other.address == read.address) {
            value.fault(format!(
                "{} is there twice; give it a weight instead",
                read.address
            ));
        }
        all.push(read);
    }
    all
}

fn address(value: &Value<'_>) -> Option<WeightedAddress> {
    let parse = |value: &Value<'_>| value.parsed(Address::parse);
    if value.is_text() {
        return Some(WeightedAddress {
            address: parse(value)?,
            weight: NonZeroU32::MIN,
        });
    }
    value.table(|t| {
        let address = t.need("url").and_then(|v| parse(&v));
        let weight = t.or("weight", NonZeroU32::MIN, |v| positive(&v, 1_000));
        Some(WeightedAddress {
            address: address?,
            weight,
        })
    })?
}
