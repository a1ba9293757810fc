//! The tables of `tollgate.toml`, key by key. Every default is here, and nowhere else.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::settings::{
    Cache, Family, Limits, Listen, Models, OnUndecodable, OnUnredactable, Prices, Scan, Settings,
    State, Tls,
};
use super::{SecretRef, audit, budget, fleet, provider, refusal};
use crate::document::{Table, Value};
use crate::domain::Name;
use crate::policy::{Action, Actions, Aliases, read_actions};
use crate::scan::redact::MOST as MOST_PLACEHOLDERS;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
/// Bounds of every time-out: long enough for any answer, short enough to be meant.
pub(super) const TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_hours(24);

pub(super) fn settings(top: &mut Table<'_>, base: &Path) -> Settings {
    Settings {
        listen: top.section("listen", |t| listen(t, base)),
        state: top.section("state", |t| State {
            dir: t.or("dir", base.join("state"), |v| path(&v, base)),
        }),
        limits: top.section("limits", limits),
        providers: provider::providers(top, base),
        scan: top.section("scan", |t| scan(t, base)),
        budget: top.section("budget", budget::budget),
        prices: top.section("prices", |t| prices(t, base)),
        models: top.section("models", models),
        cache: top.section_if("cache", cache),
        redis: top.section_if("redis", |t| fleet::redis(t, base)),
        audit: top.section("audit", |t| audit::audit(t, base)),
        refusal: top.section("refusal", refusal::statuses),
    }
}

/// A path; a relative one counts from the folder of the configuration file.
pub(super) fn path(value: &Value<'_>, base: &Path) -> Option<PathBuf> {
    value.text().map(|text| base.join(text))
}

fn paths(value: &Value<'_>, base: &Path) -> Option<Vec<PathBuf>> {
    value.list_of(|each| path(&each, base))
}

pub(super) fn secret(value: &Value<'_>, base: &Path) -> Option<SecretRef> {
    value.parsed(|text| SecretRef::parse(text, base))
}

fn socket(value: &Value<'_>) -> Option<SocketAddr> {
    value.parsed(|text| {
        text.parse().map_err(|_| {
            format!("\"{text}\" is not an address; write IP and port, such as \"127.0.0.1:8080\"")
        })
    })
}

fn listen(t: &mut Table<'_>, base: &Path) -> Listen {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listen = Listen {
        data: t.or("data", loopback(8080), |v| socket(&v)),
        admin: t.or("admin", loopback(9090), |v| socket(&v)),
        tls: t.section_if("tls", |t| Tls {
            cert: t.required("cert", PathBuf::new(), |v| path(&v, base)),
            key: t.required("key", PathBuf::new(), |v| path(&v, base)),
        }),
        h2c: t.or("h2c", true, |v| v.flag()),
    };
    if listen.data == listen.admin && listen.data.port() != 0 {
        t.fault("`data` and `admin` are the same address");
    }
    listen
}

fn limits(t: &mut Table<'_>) -> Limits {
    let limits = Limits {
        body: t.or("body", 32 * MIB, |v| v.size(KIB..=GIB)),
        buffered: t.or("buffered", GIB, |v| v.size(KIB..=1024 * GIB)),
        headers: t.or("headers", 64 * KIB, |v| v.size(KIB..=MIB)),
        upload_timeout: t.or("upload_timeout", Duration::from_mins(1), |v| {
            v.duration(TIMEOUTS)
        }),
        stall_timeout: t.or("stall_timeout", Duration::from_mins(1), |v| {
            v.duration(TIMEOUTS)
        }),
        idle_timeout: t.or("idle_timeout", Duration::from_mins(2), |v| {
            v.duration(TIMEOUTS)
        }),
        drain_timeout: t.or("drain_timeout", Duration::from_mins(10), |v| {
            v.duration(Duration::ZERO..=Duration::from_hours(24))
        }),
    };
    if limits.buffered < limits.body {
        t.fault("`buffered` is smaller than `body`: no request of full size could pass");
    }
    limits
}

fn scan(t: &mut Table<'_>, base: &Path) -> Scan {
    let known = Family::ALL.map(|family| (family.as_str(), family));
    Scan {
        rules: t.or("rules", vec![base.join("rules/*.toml")], |v| {
            paths(&v, base)
        }),
        families: t.or("families", vec![Family::Secrets], |v| {
            v.list_of(|each| each.choice(&known))
        }),
        on_undecodable: t.or("on_undecodable", OnUndecodable::Block, |v| {
            v.choice(&[
                ("block", OnUndecodable::Block),
                ("scan", OnUndecodable::Scan),
            ])
        }),
        actions: Actions::new(
            t.or("action", Action::Alert, |v| v.choice(&Action::WORDS)),
            t.section("actions", read_actions),
        ),
        on_unredactable: t.or("on_unredactable", OnUnredactable::Block, |v| {
            v.choice(&OnUnredactable::WORDS)
        }),
        placeholders: t.or("placeholders", MOST_PLACEHOLDERS, |v| {
            v.number(1..=1_000_000)
        }),
        known_values: t.or("known_values", Vec::new(), |v| paths(&v, base)),
    }
}

fn prices(t: &mut Table<'_>, base: &Path) -> Prices {
    Prices {
        file: t.or("file", base.join("prices.toml"), |v| path(&v, base)),
        overlays: t.or("overlays", Vec::new(), |v| paths(&v, base)),
    }
}

fn cache(t: &mut Table<'_>) -> Cache {
    let team = |value: &Value<'_>| value.text().map(Name::new);
    let cache = Cache {
        teams: t.required("teams", Vec::new(), |v| v.list_of(|each| team(&each))),
        size: t.or("size", 64 * MIB, |v| v.size(MIB..=64 * GIB)),
        entry: t.or("entry", MIB, |v| v.size(KIB..=GIB)),
        age: t.or("age", Duration::from_mins(10), |v| {
            v.duration(Duration::from_secs(1)..=Duration::from_hours(24 * 7))
        }),
    };
    if cache.entry > cache.size {
        t.fault("`entry` is larger than `size`: no answer of that length would be kept");
    }
    cache
}

fn models(t: &mut Table<'_>) -> Models {
    let aliases = t.section("aliases", |t| {
        let entries = t.entries();
        let names: Vec<String> = entries.iter().map(|value| value.key().to_owned()).collect();
        let read = |value: Value<'_>| {
            if value.key().is_empty() {
                value.fault("needs a name before it");
            }
            let model = value.text()?;
            if names.iter().any(|name| name == model) {
                value.fault("names another alias; name the model itself");
            }
            Some((value.key().to_owned(), model.to_owned()))
        };
        entries.into_iter().filter_map(read).collect()
    });
    Models {
        aliases: Aliases::new(aliases),
    }
}
