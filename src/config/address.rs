//! A provider's address: scheme, host, port, and a path that every request is put behind.

use std::fmt;

/// One address of a provider, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    pub tls: bool,
    /// Without brackets for IPv6.
    pub host: String,
    pub port: u16,
    /// `/base`, or empty; never ends with `/`.
    pub path: String,
}

impl Address {
    /// Reads `https://host[:port][/path]`. A user, query or fragment in it is a mistake.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            "is not an address; write \"https://host\", with a port and a path where needed"
                .to_owned()
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(wrong()),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if authority.contains('@') {
            return Err(
                "must not hold a user or password; name the key as `credential`".to_owned(),
            );
        }
        if text.contains(['?', '#']) || text.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return Err(wrong());
        }
        let (host, port) = split_port(authority).ok_or_else(wrong)?;
        let port = match port {
            None => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(wrong)?,
        };
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            tls,
            host: host.to_ascii_lowercase(),
            port,
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// The value of a `Host` header: the port only where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// Host and port; the host may be an IPv6 address in brackets.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => after.is_empty().then_some((host, None)),
        };
    }
    let (host, port) = authority
        .split_once(':')
        .map_or((authority, None), |(host, port)| (host, Some(port)));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    host.bytes().all(plain).then_some((host, port))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_reads_back_as_it_prints() {
        for text in [
            "https://api.anthropic.com",
            "http://127.0.0.1:9999",
            "https://[::1]:8443/base",
            "https://gw.corp/a/b",
        ] {
            assert_eq!(
                Address::parse(text).map(|address| address.to_string()),
                Ok(text.to_owned())
            );
        }
        assert_eq!(
            Address::parse("https://H.example:443/")
                .unwrap()
                .to_string(),
            "https://h.example"
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "api.anthropic.com",
            "ftp://x",
            "https://",
            "https://a:0",
            "https://a:99999",
            "https://a b",
            "https://u:p@a",
            "https://a/?x=1",
            "https://a#f",
            "https://[::1",
            "https://[zz]",
            "https://ä",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
