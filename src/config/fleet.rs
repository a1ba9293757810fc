//! `[redis]`: where a fleet's leases are kept.

use std::path::Path;
use std::time::Duration;

use super::file::{TIMEOUTS, secret};
use super::settings::Redis;
use crate::document::Table;

const WRITE: &str = "is not an address of Redis; write \"redis://host:6379\", \"redis+cluster://a:6379,b:6379\" or \
                     \"redis+sentinel://a:26379,b:26379/service\"; with TLS \"rediss\" in place of \"redis\"";

pub(super) fn redis(t: &mut Table<'_>, base: &Path) -> Redis {
    Redis {
        url: t.required("url", String::new(), |v| v.parsed(address)),
        user: t.get("user").and_then(|v| v.text().map(str::to_owned)),
        password: t.get("password").and_then(|v| secret(&v, base)),
        prefix: t.or("prefix", "tollgate".to_owned(), |v| {
            v.text().map(str::to_owned)
        }),
        timeout: t.or("timeout", Duration::from_secs(2), |v| v.duration(TIMEOUTS)),
    }
}

/// An address that `ledger_store` reads: one server, a cluster, or a service that sentinels watch.
fn address(text: &str) -> Result<String, String> {
    let wrong = || WRITE.to_owned();
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    if hosts.contains('@') {
        return Err(
            "must not hold a user or password; name them as `user` and `password`".to_owned(),
        );
    }
    let several: Vec<&str> = hosts.split(',').collect();
    let fits = match scheme {
        "redis" | "rediss" => several.len() == 1 && path.bytes().all(|b| b.is_ascii_digit()),
        "redis+cluster" | "rediss+cluster" => path.is_empty(),
        "redis+sentinel" | "rediss+sentinel" => {
            !path.is_empty()
                && path
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !b"/?#".contains(&b))
        }
        _ => false,
    };
    if fits && several.into_iter().all(is_host) {
        Ok(text.to_owned())
    } else {
        Err(wrong())
    }
}

/// `host`, `host:port`, `[::1]:port`.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, port),
            _ => return false,
        },
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    let port_fits = match port.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok_and(|port| port > 0),
        None => port.is_empty(),
    };
    !host.is_empty() && host.bytes().all(plain) && port_fits
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn every_form_of_a_store_is_an_address() {
        for text in [
            "redis://127.0.0.1:6379",
            "redis://cache/3",
            "rediss://redis.internal:6380",
            "redis://[::1]:6379/0",
            "redis+cluster://a:6379,b:6379,c",
            "rediss+cluster://a:6379",
            "redis+sentinel://a:26379,b:26379/mymaster",
            "rediss+sentinel://[::1]:26379/my-master",
        ] {
            assert_eq!(address(text), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_none_is_told_what_to_write() {
        for text in [
            "",
            "localhost:6379",
            "http://a",
            "redis://",
            "redis://a:0",
            "redis://a:70000",
            "redis://a b",
            "redis://a/x",
            // Would switch the check of certificates off.
            "rediss://a/#insecure",
            "redis://a,b",
            "redis+cluster://a,,b",
            "redis+cluster://a/0",
            "redis+sentinel://a:26379",
            "redis+sentinel://a:26379/",
            "redis+sentinel:///mymaster",
            "redis://[::1",
        ] {
            let told = address(text).unwrap_err();
            assert!(told.contains("redis+sentinel://a:26379"), "{text}: {told}");
        }
        let told = address("redis+cluster://a,user:word@b").unwrap_err();
        assert!(
            told.contains("`password`") && !told.contains("word@"),
            "{told}"
        );
    }
}
