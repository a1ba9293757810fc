//! `[audit]` and `[audit.clickhouse]`.

use std::path::Path;
use std::time::Duration;

use super::Address;
use super::file::{GIB, MIB, secret};
use super::settings::{Audit, ClickHouse, Durability, OnFull};
use crate::document::Table;

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
        flush_interval: t.or("flush_interval", Duration::from_millis(10), |v| {
            v.duration(Duration::from_millis(1)..=Duration::from_secs(10))
        }),
        segment: t.or("segment", 64 * MIB, |v| v.size(MIB..=4 * GIB)),
        spool: t.or("spool", 8 * GIB, |v| v.size(MIB..=16_384 * GIB)),
        clickhouse: t.section_if("clickhouse", |t| clickhouse(t, base)),
    };
    if audit.spool < audit.segment {
        t.fault("`spool` is smaller than one `segment`");
    }
    audit
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
        url: t.required("url", String::new(), |v| {
            v.parsed(|text| Address::parse(text).map(|address| address.to_string()))
        }),
        database: t.or("database", "tollgate".to_owned(), |v| v.parsed(name)),
        user: t.or("user", "default".to_owned(), |v| v.parsed(name)),
        password: t.get("password").and_then(|v| secret(&v, base)),
    }
}
