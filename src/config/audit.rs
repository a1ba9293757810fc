//! `[audit]` and `[audit.clickhouse]`.

use std::path::Path;
use std::time::Duration;

use super::Address;
use super::file::{GIB, MIB, TIMEOUTS, path, secret};
use super::settings::{Audit, ClickHouse, Durability, OnFull};
use crate::document::{Table, Value};

const DAY: Duration = Duration::from_hours(24);

pub(super) fn audit(t: &mut Table<'_>, base: &Path) -> Audit {
    let durabilities = [
        ("batched", Durability::Batched),
        ("strict", Durability::Strict),
    ];
    let fulls = [("refuse", OnFull::Refuse), ("shed", OnFull::Shed)];
    let audit = Audit {
        durability: t.or("durability", Durability::Batched, |v| {
            v.choice(&durabilities)
        }),
        on_full: t.or("on_full", OnFull::Refuse, |v| v.choice(&fulls)),
        retention: t.or("retention", DAY * 400, |v| v.duration(DAY..=DAY * 36_500)),
        flush_interval: t.or("flush_interval", Duration::from_millis(50), |v| {
            v.duration(Duration::from_millis(1)..=Duration::from_secs(10))
        }),
        segment: t.or("segment", 64 * MIB, |v| v.size(MIB..=4 * GIB)),
        spool: t.or("spool", 8 * GIB, |v| v.size(MIB..=16_384 * GIB)),
        seal_file: t.get("seal_file").and_then(|v| path(&v, base)),
        seal_url: t.get("seal_url").and_then(|v| url(&v)),
        clickhouse: t.section_if("clickhouse", |t| clickhouse(t, base)),
    };
    if audit.spool < audit.segment {
        t.fault("`spool` is smaller than one `segment`");
    }
    audit
}

/// An address with its path, written as it is used.
fn url(value: &Value<'_>) -> Option<String> {
    value.parsed(|text| Address::parse(text).map(|address| address.to_string()))
}

fn clickhouse(t: &mut Table<'_>, base: &Path) -> ClickHouse {
    let name = |text: &str| {
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if plain {
            Ok(text.to_owned())
        } else {
            Err(format!("\"{text}\" may hold letters, digits and `_` only"))
        }
    };
    ClickHouse {
        url: t.required("url", String::new(), |v| url(&v)),
        database: t.or("database", "tollgate".to_owned(), |v| v.parsed(name)),
        user: t.or("user", "default".to_owned(), |v| v.parsed(name)),
        password: t.get("password").and_then(|v| secret(&v, base)),
        timeout: t.or("timeout", Duration::from_secs(30), |v| v.duration(TIMEOUTS)),
    }
}
