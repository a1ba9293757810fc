//! Ways to reach a person or a machine: e-mail, telephone, IP and MAC addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::bank::digits;

/// Names that stand for nobody (RFC 2606), or for a role in code and documentation.
const NO_MAILBOX: &[&[u8]] = &[
    b"example.com",
    b"example.org",
    b"example.net",
    b".example",
    b".test",
    b".invalid",
    b".localhost",
    b".local",
];
/// What follows a file's dot more often than a host's: `icon@2x.png`, `pkg@1.2.3.tgz`.
const NO_DOMAIN: &[&[u8]] = &[
    b".png",
    b".jpg",
    b".jpeg",
    b".gif",
    b".svg",
    b".webp",
    b".js",
    b".ts",
    b".css",
    b".json",
    b".tgz",
    b".service",
];

pub fn is_email(secret: &[u8], _: &[u8]) -> bool {
    let small = secret.to_ascii_lowercase();
    let Some(at) = small.iter().rposition(|&byte| byte == b'@') else {
        return false;
    };
    let (local, host) = (&small[..at], &small[at + 1..]);
    let label = |label: &[u8]| {
        !label.is_empty() && label.len() <= 63 && label[0] != b'-' && label[label.len() - 1] != b'-'
    };
    let dots = !local.starts_with(b".")
        && !local.ends_with(b".")
        && !local.windows(2).any(|pair| pair == b"..");
    let top = host.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    (1..=64).contains(&local.len())
        && dots
        && host.contains(&b'.')
        && host.split(|&byte| byte == b'.').all(label)
        && top.len() >= 2
        && top.iter().all(u8::is_ascii_alphabetic)
        && local != b"git"
        && local != b"noreply"
        && local != b"no-reply"
        && !NO_MAILBOX
            .iter()
            .chain(NO_DOMAIN)
            .any(|end| host.ends_with(end))
        && !host.ends_with(b"noreply.github.com")
}

/// Seven to fifteen digits (E.164), not all alike, with a plus sign, brackets or separators that mark a number as one to call.
pub fn is_phone(secret: &[u8], _: &[u8]) -> bool {
    let bare: Vec<u8> = secret
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'+' | b'(' | b')'))
        .collect();
    let Some(digits) = digits(&bare) else {
        return false;
    };
    let distinct = (0..10).filter(|digit| digits.contains(digit)).count();
    let marked = secret
        .iter()
        .any(|byte| matches!(byte, b'+' | b'(' | b'-' | b' ' | b'.'));
    // 555-0100 to 555-0199 are kept for stories.
    let fictional = digits.windows(5).any(|five| five == [5, 5, 5, 0, 1]);
    (7..=15).contains(&digits.len()) && distinct >= 3 && marked && !fictional
}

/// An address, not one of documentation, loopback or "any".
pub fn is_ip(secret: &[u8], _: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(secret) else {
        return false;
    };
    let bare = text.split_once('/').map_or(text, |(address, _)| address);
    let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
    match bare.parse() {
        Ok(IpAddr::V4(address)) => is_host_v4(address),
        Ok(IpAddr::V6(address)) => is_host_v6(address),
        Err(_) => false,
    }
}

fn is_host_v4(address: Ipv4Addr) -> bool {
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_documentation())
        && address.octets()[0] != 0
        // A section or a version: `4.2.1.9`.
        && address.octets().iter().any(|&octet| octet > 9)
}

fn is_host_v6(address: Ipv6Addr) -> bool {
    let documentation = address.segments()[0] == 0x2001 && address.segments()[1] == 0x0db8;
    // `a::b` is a path in many languages: an address has more to it.
    let groups = address
        .segments()
        .iter()
        .filter(|&&group| group != 0)
        .count();
    !(address.is_loopback() || address.is_unspecified() || documentation) && groups >= 3
}

/// Six pairs with one kind of separator; neither all zeros nor broadcast.
pub fn is_mac(secret: &[u8], _: &[u8]) -> bool {
    let pairs: Vec<u8> = secret
        .iter()
        .copied()
        .filter(u8::is_ascii_hexdigit)
        .map(|byte| byte.to_ascii_lowercase())
        .collect();
    let mut marks: Vec<u8> = secret
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_hexdigit())
        .collect();
    marks.dedup();
    pairs.len() == 12 && marks.len() == 1 && !pairs.iter().all(|&digit| digit == pairs[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_of_people_are_known_from_file_names_and_examples() {
        assert!(is_email(b"ada.lovelace@analytical.co.uk", b""));
        for other in [
            "git@github.com",
            "a@example.com",
            "icon@2x.png",
            "a..b@c.org",
            "x@localhost",
            ".a@b.co",
        ] {
            assert!(!is_email(other.as_bytes(), b""), "{other}");
        }
    }

    #[test]
    fn numbers_to_call_have_a_mark_and_enough_digits() {
        assert!(is_phone(b"+44 20 7946 0958", b""));
        assert!(is_phone(b"(212) 736-5000", b""));
        assert!(!is_phone(b"2127365000", b""));
        assert!(!is_phone(b"(212) 555-0123", b""));
        assert!(!is_phone(b"111-111-1111", b""));
    }

    #[test]
    fn addresses_of_hosts_are_known_from_loopback_and_paths() {
        assert!(is_ip(b"17.4.90.6", b""));
        assert!(is_ip(b"2a00:1450:4001:81b::200e", b""));
        for other in [
            "127.0.0.1",
            "0.0.0.0",
            "192.0.2.1",
            "::1",
            "a::b",
            "999.1.1.1",
        ] {
            assert!(!is_ip(other.as_bytes(), b""), "{other}");
        }
        assert!(is_mac(b"3c:22:fb:01:9a:e4", b""));
        assert!(!is_mac(b"00:00:00:00:00:00", b""));
        assert!(!is_mac(b"3c:22-fb:01:9a:e4", b""));
    }
}
