//! Which endpoint of which dialect a request means, from its method and path alone.
//!
//! Knows the paths of both vendors' APIs. Does not know which providers are configured: it hands back the prefix as a name,
//! and the gateway says whether there is such a provider.

use super::models::asked_alone;
use super::refusal::Envelope;
use crate::domain::Name;

/// The wire language of a client and of the provider behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    Anthropic,
    OpenAi,
}

impl Dialect {
    /// The word in configuration, audit and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
        }
    }

    /// The dialect of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Anthropic, Self::OpenAi]
            .into_iter()
            .find(|dialect| dialect.as_str() == name)
    }
}

/// What a request asks the provider to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// Anthropic `POST /v1/messages`.
    Messages,
    /// Anthropic `POST /v1/messages/count_tokens`: free, but it carries the whole prompt.
    CountTokens,
    /// `GET /v1/models` and `GET /v1/models/ID`, of either dialect.
    Models,
    ChatCompletions,
    Responses,
    Embeddings,
    Completions,
    /// `HEAD /` or `HEAD /api/hello`, or GET: a client looking whether anything is there.
    Probe,
}

impl Endpoint {
    pub const ALL: [Self; 8] = [
        Self::Messages,
        Self::CountTokens,
        Self::Models,
        Self::ChatCompletions,
        Self::Responses,
        Self::Embeddings,
        Self::Completions,
        Self::Probe,
    ];

    /// The names of a request's bound of output tokens, the one that it should have first.
    #[must_use]
    pub const fn output_bounds(self) -> &'static [&'static str] {
        match self {
            Self::Messages | Self::Completions => &["max_tokens"],
            Self::ChatCompletions => &["max_completion_tokens", "max_tokens"],
            Self::Responses => &["max_output_tokens"],
            Self::CountTokens | Self::Models | Self::Embeddings | Self::Probe => &[],
        }
    }

    /// The word in audit and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::Models => "models",
            Self::ChatCompletions => "chat_completions",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
            Self::Completions => "completions",
            Self::Probe => "probe",
        }
    }

    /// Whether an answer costs money: then it needs a reservation.
    #[must_use]
    pub const fn billed(self) -> bool {
        matches!(
            self,
            Self::Messages
                | Self::ChatCompletions
                | Self::Responses
                | Self::Embeddings
                | Self::Completions
        )
    }

    /// Whether a request carries a body: then it must be read and scanned.
    #[must_use]
    pub const fn has_body(self) -> bool {
        self.billed() || matches!(self, Self::CountTokens)
    }
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    pub endpoint: Endpoint,
    pub dialect: Dialect,
    /// The provider that the path names before `/v1`, if it does; the gateway knows whether there is one.
    pub provider: Option<&'a str>,
    /// Path and query with the prefix removed, otherwise as they came.
    pub upstream_path: &'a str,
}

/// Headers that tell the vendors apart where their paths are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    pub anthropic_version: bool,
    pub x_api_key: bool,
}

impl Hints {
    const fn dialect(self) -> Dialect {
        if self.anthropic_version || self.x_api_key {
            Dialect::Anthropic
        } else {
            Dialect::OpenAi
        }
    }
}

/// No such endpoint: to be refused, never forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such endpoint")]
pub struct NoRoute {
    /// The form in which the caller will best understand the refusal.
    pub envelope: Envelope,
    pub why: Astray,
}

/// Why a path leads nowhere, as far as that shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Astray {
    /// It has `/v1` twice: the client's base URL ends with it and should not.
    TwiceV1,
    /// It lacks `/v1`: the client's base URL should end with it.
    NoV1,
    /// It begins with the name of no provider.
    NoProvider,
    /// It is none of those that are served.
    NotServed,
}

/// Finds the endpoint of a request. The path must match to the letter: no empty or dotted segments, no percent signs, no
/// trailing slash, so that the provider can never read it as another path than we did.
///
/// # Errors
/// For every path and method that is not listed here.
pub fn route<'a>(
    method: &str,
    path_and_query: &'a str,
    hints: Hints,
) -> Result<Route<'a>, NoRoute> {
    let (provider, upstream_path) = split_prefix(path_and_query);
    let path = upstream_path.split('?').next().unwrap_or(upstream_path);
    let forced = provider.and_then(Dialect::by_name);
    let found = endpoint(method, path).and_then(|(endpoint, own)| {
        let dialect = own.or(forced).unwrap_or_else(|| hints.dialect());
        let agrees = forced.is_none_or(|forced| forced == dialect);
        agrees.then_some(Route {
            endpoint,
            dialect,
            provider,
            upstream_path,
        })
    });
    found.ok_or_else(|| NoRoute {
        envelope: forced.map_or_else(|| guess(path, hints), Envelope::from),
        why: astray(method, path_and_query),
    })
}

/// Whether a base URL with or without `/v1` is all that is wrong.
fn astray(method: &str, path_and_query: &str) -> Astray {
    let whole = path_and_query.split('?').next().unwrap_or_default();
    let rest = split_prefix(whole).1;
    let served = |path: &str| endpoint(method, path).is_some();
    if rest.strip_prefix("/v1").is_some_and(served) && rest.starts_with("/v1/v1/") {
        Astray::TwiceV1
    } else if [whole, rest]
        .iter()
        .any(|path| served(&format!("/v1{path}")))
    {
        Astray::NoV1
    } else {
        Astray::NotServed
    }
}

/// The longest name of a model in a path.
const LONGEST_NAME: usize = 200;

/// Where Claude Code looks whether anything is there.
const HELLO: &str = "/api/hello";

/// The endpoint of a method and path, with its dialect where only one vendor has it.
fn endpoint(method: &str, path: &str) -> Option<(Endpoint, Option<Dialect>)> {
    let anthropic = Some(Dialect::Anthropic);
    let openai = Some(Dialect::OpenAi);
    match (method, path) {
        ("POST", "/v1/messages") => Some((Endpoint::Messages, anthropic)),
        ("POST", "/v1/messages/count_tokens") => Some((Endpoint::CountTokens, anthropic)),
        ("POST", "/v1/chat/completions") => Some((Endpoint::ChatCompletions, openai)),
        ("POST", "/v1/responses") => Some((Endpoint::Responses, openai)),
        ("POST", "/v1/embeddings") => Some((Endpoint::Embeddings, openai)),
        ("POST", "/v1/completions") => Some((Endpoint::Completions, openai)),
        ("GET", "/v1/models") => Some((Endpoint::Models, None)),
        ("GET", one) if asked_alone(one).is_some_and(is_plain) => Some((Endpoint::Models, None)),
        ("HEAD" | "GET", "/" | HELLO) => Some((Endpoint::Probe, None)),
        _ => None,
    }
}

/// Whether a model's name is one segment of a path that nobody reads as another one.
fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'@');
    (1..=LONGEST_NAME).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(plain)
}

/// Splits `/anthropic/v1/messages` into its provider and the rest; a path without a prefix comes back whole.
fn split_prefix(path_and_query: &str) -> (Option<&str>, &str) {
    let Some(after) = path_and_query.strip_prefix('/') else {
        return (None, path_and_query);
    };
    let end = after.find(['/', '?']).unwrap_or(after.len());
    let (first, rest) = after.split_at(end);
    let is_provider = first != "v1"
        && path_and_query != HELLO
        && rest.starts_with('/')
        && Name::is_valid(first)
        && first.starts_with(|c: char| c.is_ascii_alphanumeric());
    if is_provider {
        (Some(first), rest)
    } else {
        (None, path_and_query)
    }
}

fn guess(path: &str, hints: Hints) -> Envelope {
    let under_v1 = path == "/v1" || path.starts_with("/v1/");
    if path.contains("/messages") || hints.dialect() == Dialect::Anthropic {
        Envelope::Anthropic
    } else if under_v1 {
        Envelope::OpenAi
    } else {
        Envelope::Neutral
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Hints = Hints {
        anthropic_version: false,
        x_api_key: false,
    };

    #[test]
    fn every_listed_endpoint_is_found_with_and_without_a_prefix() {
        for (method, path, endpoint, dialect) in [
            ("POST", "/v1/messages", "messages", "anthropic"),
            (
                "POST",
                "/v1/messages/count_tokens",
                "count_tokens",
                "anthropic",
            ),
            ("POST", "/v1/chat/completions", "chat_completions", "openai"),
            ("POST", "/v1/responses", "responses", "openai"),
            ("POST", "/v1/embeddings", "embeddings", "openai"),
            ("POST", "/v1/completions", "completions", "openai"),
            ("GET", "/v1/models/gpt-5.5", "models", "openai"),
            ("GET", "/v1/models/ft:gpt-4o:acme::x1", "models", "openai"),
        ] {
            for (prefix, query) in [
                ("", ""),
                ("", "?beta=true"),
                (dialect, "?a=%2e//b"),
                ("eu.prod-1", ""),
            ] {
                let slash = if prefix.is_empty() { "" } else { "/" };
                let full = format!("{slash}{prefix}{path}{query}");
                let route = route(method, &full, NONE).unwrap();
                assert_eq!(
                    (route.endpoint.as_str(), route.dialect.as_str()),
                    (endpoint, dialect)
                );
                assert_eq!(route.upstream_path, format!("{path}{query}"));
                assert_eq!(route.provider, (!prefix.is_empty()).then_some(prefix));
            }
        }
    }

    #[test]
    fn models_belongs_to_whoever_the_headers_or_the_prefix_say() {
        let anthropic = Hints {
            anthropic_version: true,
            x_api_key: false,
        };
        let of = |path, hints| route("GET", path, hints).map(|r| (r.endpoint, r.dialect));
        assert_eq!(
            of("/v1/models", NONE),
            Ok((Endpoint::Models, Dialect::OpenAi))
        );
        assert_eq!(
            of("/v1/models?limit=1000", anthropic),
            Ok((Endpoint::Models, Dialect::Anthropic))
        );
        assert_eq!(
            of("/openai/v1/models", anthropic),
            Ok((Endpoint::Models, Dialect::OpenAi))
        );
        assert_eq!(
            of("/anthropic/v1/models", NONE),
            Ok((Endpoint::Models, Dialect::Anthropic))
        );
    }

    #[test]
    fn a_probe_is_answered() {
        for (method, path) in [
            ("HEAD", "/"),
            ("GET", "/"),
            ("HEAD", "/anthropic/"),
            ("HEAD", "/api/hello"),
            ("HEAD", "/anthropic/api/hello"),
        ] {
            assert_eq!(
                route(method, path, NONE).map(|r| r.endpoint),
                Ok(Endpoint::Probe)
            );
        }
    }

    #[test]
    fn nothing_else_is_forwarded() {
        for path in [
            "",
            "*",
            "//v1/messages",
            "/v1//messages",
            "/v1/messages/",
            "/v1/messages/batches",
            "/v1/%6dessages",
            "/v1/messages%2e",
            "/./v1/messages",
            "/../v1/messages",
            "/a/../v1/messages",
            "/v1/messages;x",
            "/v1/messages\\",
            "/V1/messages",
            "/v1/messages#",
            "/anthropic//v1/messages",
            "/an%20thropic/v1/messages",
            "/openai/v1/messages",
            "/anthropic/v1/responses",
            "/anthropic/openai/v1/responses",
            "/v1",
            "/anthropic",
            "/v1/files",
            "/v1/models/",
            "/v1/models/..",
            "/v1/models/a/b",
            "/v1/models/a%2fb",
            "http://elsewhere/v1/messages",
        ] {
            for method in ["POST", "GET", "HEAD", "PUT", "post"] {
                assert!(route(method, path, NONE).is_err(), "{method} {path}");
            }
        }
        assert!(
            route("GET", "/v1/responses", NONE).is_err(),
            "a WebSocket is the gateway's 426"
        );
    }

    #[test]
    fn a_base_url_with_v1_twice_or_not_at_all_shows() {
        for (method, path, why) in [
            ("POST", "/v1/v1/messages", Astray::TwiceV1),
            (
                "POST",
                "/anthropic/v1/v1/messages?beta=true",
                Astray::TwiceV1,
            ),
            ("GET", "/v1/v1/models", Astray::TwiceV1),
            ("POST", "/chat/completions", Astray::NoV1),
            ("POST", "/responses", Astray::NoV1),
            ("POST", "/openai/responses?x=1", Astray::NoV1),
            ("POST", "/messages/count_tokens", Astray::NoV1),
            ("GET", "/models/gpt-5", Astray::NoV1),
            ("POST", "/v1/v1/v1/messages", Astray::NotServed),
            ("POST", "/v1/files", Astray::NotServed),
            ("GET", "/v1/messages", Astray::NotServed),
            ("POST", "", Astray::NotServed),
        ] {
            assert_eq!(route(method, path, NONE).unwrap_err().why, why, "{path}");
        }
    }

    #[test]
    fn a_refusal_speaks_the_likely_dialect() {
        let of = |path, hints| route("POST", path, hints).unwrap_err().envelope;
        assert_eq!(of("/v1/messages/batches", NONE), Envelope::Anthropic);
        assert_eq!(of("/anthropic/v1/files", NONE), Envelope::Anthropic);
        assert_eq!(of("/v1/files", NONE), Envelope::OpenAi);
        for path in ["/", "/favicon.ico", "/v2/files", "/elsewhere/else", ""] {
            assert_eq!(of(path, NONE), Envelope::Neutral, "{path}");
        }
        assert_eq!(
            of(
                "/v1/files",
                Hints {
                    x_api_key: true,
                    anthropic_version: false
                }
            ),
            Envelope::Anthropic
        );
    }
}
