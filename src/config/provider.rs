//! `[provider.NAME]`: where requests go, and with which key.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use super::file::{TIMEOUTS, path, secret};
use super::settings::{
    Dialect, Health, HealthCheck, HttpVersion, OnDisconnect, Provider, Timeouts, WeightedAddress,
};
use super::{Address, SecretRef};
use crate::document::{Table, Value};
use crate::domain::Name;
use crate::policy::{BreakerTerms, Limits};

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
        name: name.clone(),
        dialect: t.required("dialect", Dialect::OpenAi, |v| v.choice(&DIALECTS)),
        addresses: addresses(t),
        credential: t.required("credential", SecretRef::Env(String::new()), |v| {
            secret(&v, base)
        }),
        ca: t.get("ca").and_then(|v| path(&v, base)),
        http: t.or("http", HttpVersion::One, |v| {
            v.choice(&[("1.1", HttpVersion::One), ("2", HttpVersion::Two)])
        }),
        timeouts: timeouts(t),
        attempts: t.or("attempts", NonZeroU32::MIN.saturating_add(1), |v| {
            positive(&v, 10)
        }),
        limits: limits(t),
        retry_wait: t.or("retry_wait", Duration::from_secs(2), |v| {
            v.duration(Duration::ZERO..=Duration::from_mins(1))
        }),
        breaker: breaker(t),
        health: health(t),
        on_disconnect: t.or("on_disconnect", OnDisconnect::Estimate, |v| {
            v.choice(&[
                ("estimate", OnDisconnect::Estimate),
                ("charge_reservation", OnDisconnect::ChargeReservation),
            ])
        }),
        asks_usage: t.or("ask_usage", true, |v| v.flag()),
        prices: t.or("prices", name.as_str().to_owned(), |v| {
            v.text().map(str::to_owned)
        }),
    })
}

fn limits(t: &mut Table<'_>) -> Limits {
    let mut limit = |key, most| t.get(key).and_then(|v| positive(&v, most));
    Limits {
        requests_per_minute: limit("requests_per_minute", 10_000_000),
        tokens_per_minute: limit("tokens_per_minute", u64::from(u32::MAX)),
        concurrent: limit("concurrent", 1_000_000),
    }
}

fn breaker(t: &mut Table<'_>) -> BreakerTerms {
    BreakerTerms {
        after: t.or("breaker", NonZeroU32::MIN.saturating_add(4), |v| {
            positive(&v, 1_000_000)
        }),
        pause: t.or("breaker_pause", Duration::from_secs(30), |v| {
            v.duration(TIMEOUTS)
        }),
    }
}

fn health(t: &mut Table<'_>) -> Health {
    let check = |text: &str| match text {
        "off" => Ok(HealthCheck::Off),
        "tcp" => Ok(HealthCheck::Tcp),
        path if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(HealthCheck::Http(path.to_owned()))
        }
        _ => Err("is no check; write \"off\", \"tcp\", or a path such as \"/health\"".to_owned()),
    };
    Health {
        check: t.or("health", HealthCheck::Off, |v| v.parsed(check)),
        interval: t.or("health_interval", Duration::from_secs(10), |v| {
            v.duration(Duration::from_millis(100)..=Duration::from_hours(1))
        }),
    }
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
