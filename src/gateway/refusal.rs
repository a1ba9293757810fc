//! Every "no" of the gateway, in one vocabulary: its status, its code (also the metric label and the audit column), and
//! the words that a client may see. Inner errors go to the log, never into these words.

use crate::budget::{CapReached, Cause};
use crate::domain::{Category, Moment, Name, Usd};
use crate::identity::KeyError;
use crate::policy::{Closed, Denied, RetryAfter, SettableRefusal, Subject};
use crate::provider::{Astray, RefusalKind};

/// Why a request is not served. Rendered in the caller's dialect by `respond`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Key(KeyError),
    UnknownPath(Astray),
    WebSocket,
    HeadersTooLarge,
    /// The head names headers of the connection that are none.
    InvalidHead,
    AmbiguousLength,
    LengthRequired,
    BodyTooLarge {
        limit: u64,
    },
    UploadStalled,
    UploadBroken,
    Busy,
    InvalidBody(String),
    Limited(Denied),
    ModelNotAllowed {
        model: Option<String>,
    },
    Budget {
        reached: CapReached,
        /// The worst case of the request, where it was known by then.
        asked: Option<Usd>,
    },
    /// The worst case cannot be bounded, or is larger than any amount.
    Unbounded,
    /// The worst case is the model's whole context, and the operator refuses such requests.
    Opaque(Hidden),
    Secret {
        category: Category,
        path: String,
        others: usize,
    },
    Undecodable(String),
    TooManyPlaceholders {
        most: usize,
    },
    AuditUnavailable,
    NoProvider {
        dialect: &'static str,
    },
    NoCredential {
        provider: Name,
    },
    UpstreamUnreachable,
    UpstreamTimeout,
    UpstreamBroken,
    /// Every address of the provider has failed again and again.
    UpstreamPaused {
        wait: RetryAfter,
    },
    Internal,
}

/// What of a request's cost does not show in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// Input that the provider keeps or fetches.
    Input,
    /// The provider's own tools, without a bound of their calls.
    Tools,
    /// An answer that comes by a later request.
    Background,
}

impl Hidden {
    const fn advice(self) -> &'static str {
        match self {
            Self::Input => {
                "it refers to an earlier response, a file or an address; send the input itself"
            }
            Self::Tools => {
                "it lets the provider's tools run without a bound; bound their calls or leave them out"
            }
            Self::Background => "its answer would come later; ask without `background`",
        }
    }
}

/// The most seconds that a client is asked to wait by itself: by then a limit per minute has let go of what was usual.
const LONGEST_WAIT: u64 = 60;

/// The vendors' words for a kind of error: status and code come from the refusal, these from its kind.
const INVALID_REQUEST: (&str, &str) = ("invalid_request_error", "invalid_request_error");
const AUTHENTICATION: (&str, &str) = ("authentication_error", "invalid_request_error");
const PERMISSION: (&str, &str) = ("permission_error", "invalid_request_error");
const BILLING: (&str, &str) = ("billing_error", "insufficient_quota");
const RATE_LIMIT: (&str, &str) = ("rate_limit_error", "rate_limit_exceeded");
const NOT_FOUND: (&str, &str) = ("not_found_error", "invalid_request_error");
const TOO_LARGE: (&str, &str) = ("request_too_large", "invalid_request_error");
const TIMEOUT: (&str, &str) = ("timeout_error", "server_error");
const SERVER: (&str, &str) = ("api_error", "server_error");

impl Refusal {
    /// Status, code and the vendors' error types: the one table.
    fn row(&self) -> (u16, &'static str, (&'static str, &'static str)) {
        match self {
            Self::Key(KeyError::Missing) => (401, "key_missing", AUTHENTICATION),
            Self::Key(KeyError::Malformed) => (401, "key_malformed", AUTHENTICATION),
            Self::Key(KeyError::Mistyped) => (401, "key_mistyped", AUTHENTICATION),
            Self::Key(KeyError::Unknown) => (401, "key_unknown", AUTHENTICATION),
            Self::Key(KeyError::Revoked) => (401, "key_revoked", AUTHENTICATION),
            Self::Key(KeyError::Expired) => (401, "key_expired", AUTHENTICATION),
            Self::Key(KeyError::Unavailable) => (503, "directory_unavailable", SERVER),
            Self::UnknownPath(_) => (404, "unknown_path", NOT_FOUND),
            Self::WebSocket => (426, "websocket_refused", INVALID_REQUEST),
            Self::HeadersTooLarge => (431, "headers_too_large", INVALID_REQUEST),
            Self::InvalidHead => (400, "invalid_head", INVALID_REQUEST),
            Self::AmbiguousLength => (400, "ambiguous_length", INVALID_REQUEST),
            Self::LengthRequired => (411, "length_required", INVALID_REQUEST),
            Self::BodyTooLarge { .. } => (413, "body_too_large", TOO_LARGE),
            Self::UploadStalled => (408, "upload_stalled", TIMEOUT),
            Self::UploadBroken => (400, "upload_broken", INVALID_REQUEST),
            Self::Busy => (503, "busy", SERVER),
            Self::InvalidBody(_) => (400, "invalid_body", INVALID_REQUEST),
            Self::Limited(Denied::Closed(_)) => (403, "outside_hours", PERMISSION),
            Self::Limited(Denied::Requests { .. }) => (429, "rate_limited", RATE_LIMIT),
            Self::Limited(Denied::Tokens { .. }) => (429, "tokens_limited", RATE_LIMIT),
            Self::Limited(Denied::Concurrent { .. }) => (429, "too_many_at_once", RATE_LIMIT),
            Self::ModelNotAllowed { .. } => (403, "model_not_allowed", PERMISSION),
            Self::Budget { reached, .. } => match reached.cause {
                Cause::Cap => (402, "budget_exceeded", BILLING),
                Cause::Lease => (503, "budget_lease_pending", SERVER),
                Cause::StoreAway => (503, "budget_store_away", SERVER),
            },
            Self::Unbounded => (400, "cost_unbounded", INVALID_REQUEST),
            Self::Opaque(_) => (400, "cost_opaque", INVALID_REQUEST),
            Self::Secret { .. } => (400, "secret_blocked", INVALID_REQUEST),
            Self::Undecodable(_) => (400, "undecodable", INVALID_REQUEST),
            Self::TooManyPlaceholders { .. } => (400, "too_many_placeholders", INVALID_REQUEST),
            Self::AuditUnavailable => (503, "audit_unavailable", SERVER),
            Self::NoProvider { .. } => (404, "no_provider", NOT_FOUND),
            Self::NoCredential { .. } => (503, "no_credential", SERVER),
            Self::UpstreamUnreachable => (502, "upstream_unreachable", SERVER),
            Self::UpstreamTimeout => (504, "upstream_timeout", TIMEOUT),
            Self::UpstreamBroken => (502, "upstream_broken", SERVER),
            Self::UpstreamPaused { .. } => (503, "upstream_paused", SERVER),
            Self::Internal => (500, "internal", SERVER),
        }
    }

    #[must_use]
    pub fn status(&self) -> u16 {
        self.row().0
    }

    /// The stable name: metric label, audit column and `error.code` for `OpenAI`'s clients.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.row().1
    }

    /// What the dialects' error bodies are made of, with the status that the configuration may have set for it.
    #[must_use]
    pub fn kind(&self, status: u16) -> RefusalKind {
        let (_, code, types) = self.row();
        // Clients that read of a rate limit ask again, whatever the status.
        let (anthropic_type, openai_type) = if types == RATE_LIMIT && status != 429 {
            INVALID_REQUEST
        } else {
            types
        };
        RefusalKind {
            status,
            anthropic_type,
            openai_type,
            code,
        }
    }

    /// The kind under which the operator may have set another status.
    #[must_use]
    pub fn settable(&self) -> Option<SettableRefusal> {
        match self {
            Self::Budget { reached, .. } if matches!(reached.cause, Cause::Cap) => {
                Some(SettableRefusal::Budget)
            }
            Self::Secret { .. } | Self::TooManyPlaceholders { .. } => Some(SettableRefusal::Secret),
            Self::Undecodable(_) => Some(SettableRefusal::Undecodable),
            Self::ModelNotAllowed { .. } => Some(SettableRefusal::Model),
            Self::Unbounded | Self::Opaque(_) => Some(SettableRefusal::Cost),
            Self::Limited(Denied::Closed(_)) => Some(SettableRefusal::Hours),
            Self::Limited(_) if self.is_long_wait() => Some(SettableRefusal::LongWait),
            Self::Limited(_) => Some(SettableRefusal::Rate),
            Self::Key(KeyError::Unavailable) => None,
            Self::Key(_) => Some(SettableRefusal::Key),
            _ => None,
        }
    }

    /// Whether a limit lets the next request pass after so long that a client should not wait for it, but say so.
    fn is_long_wait(&self) -> bool {
        match self {
            Self::Limited(Denied::Requests { wait, .. } | Denied::Tokens { wait, .. }) => {
                wait.seconds() > LONGEST_WAIT
            }
            _ => false,
        }
    }

    /// Seconds after which another try makes sense; `None` where it never does.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Limited(Denied::Requests { wait, .. } | Denied::Tokens { wait, .. }) => {
                Some(wait.seconds())
            }
            Self::UpstreamPaused { wait } => Some(wait.seconds()),
            Self::Budget { reached, .. } if reached.cause != Cause::Cap => Some(1),
            Self::Limited(Denied::Concurrent { .. })
            | Self::Busy
            | Self::AuditUnavailable
            | Self::Key(KeyError::Unavailable) => Some(1),
            _ => None,
        }
    }

    /// Whether a client must be told not to try again: a policy's answer does not change by asking twice.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.is_long_wait()
            || self.status() < 500
                && !matches!(
                    self,
                    Self::Limited(
                        Denied::Requests { .. } | Denied::Tokens { .. } | Denied::Concurrent { .. }
                    ) | Self::UploadStalled
                        | Self::UploadBroken
                )
    }

    /// What the client reads. Written by hand for each refusal; holds no secret and nothing from inside.
    #[must_use]
    pub fn public_message(&self) -> String {
        match self {
            Self::Key(error) => key_message(*error).to_owned(),
            Self::UnknownPath(why) => path_message(*why).to_owned(),
            Self::WebSocket => "WebSocket is not served here: use HTTP".to_owned(),
            Self::HeadersTooLarge => "the request's headers are too large".to_owned(),
            Self::InvalidHead => "the Connection header names what every request needs".to_owned(),
            Self::AmbiguousLength => {
                "the length of the body is told in more than one way: give one Content-Length, or Transfer-Encoding alone".to_owned()
            }
            Self::LengthRequired => "a body of this size needs a Content-Length".to_owned(),
            Self::BodyTooLarge { limit } => {
                format!("the body is larger than the limit of {limit} bytes")
            }
            Self::UploadStalled => "the body did not arrive in time".to_owned(),
            Self::UploadBroken => "the body broke off".to_owned(),
            Self::Busy => {
                "the gateway holds as many request bodies as it may; try again shortly".to_owned()
            }
            Self::InvalidBody(why) => format!("the body cannot be read: {why}"),
            Self::Limited(denied) => limit_message(denied, self.is_long_wait()),
            Self::ModelNotAllowed { model } => model_message(model.as_deref()),
            Self::Budget { reached, asked } => budget_message(reached, *asked),
            Self::Unbounded => {
                "the cost of this request cannot be bounded: set its maximum of output tokens"
                    .to_owned()
            }
            Self::Opaque(hidden) => format!(
                "the cost of this request does not show: {}",
                hidden.advice()
            ),
            Self::Secret {
                category,
                path,
                others,
            } => secret_message(category, path, *others),
            Self::Undecodable(why) => {
                format!("the body cannot be inspected, so it was not sent: {why}")
            }
            Self::TooManyPlaceholders { most } => format!(
                "the request holds more than {most} different secrets, so it was not sent: remove some of them"
            ),
            Self::AuditUnavailable => {
                "the audit log cannot take this request, so it was not sent".to_owned()
            }
            Self::NoProvider { dialect } => {
                format!("no provider is configured that speaks the {dialect} API")
            }
            Self::NoCredential { provider } => {
                format!("the gateway has no credential for the provider `{provider}`")
            }
            Self::UpstreamUnreachable => "the provider cannot be reached".to_owned(),
            Self::UpstreamTimeout => "the provider did not answer in time".to_owned(),
            Self::UpstreamBroken => "the provider's answer broke off before it began".to_owned(),
            Self::UpstreamPaused { wait } => format!(
                "the provider has failed several times in a row; it is tried again in {} s",
                wait.seconds()
            ),
            Self::Internal => "the gateway failed".to_owned(),
        }
    }
}

fn limit_message(denied: &Denied, is_long: bool) -> String {
    let when = |wait: &RetryAfter| match wait.seconds() {
        seconds if is_long => format!(
            "the next request passes after {} h {} min",
            seconds / 3600,
            seconds % 3600 / 60 + 1
        ),
        seconds => format!("try again in {seconds} s"),
    };
    let whose = |of: &Subject| match of {
        Subject::Provider(name) => format!("the limit of the provider `{name}`"),
        own => format!("your {}'s limit", own.kind()),
    };
    match denied {
        Denied::Closed(Closed { opens: Some(opens) }) => {
            format!(
                "your team may not work at this hour; it may again from {}",
                utc(*opens)
            )
        }
        Denied::Closed(Closed { opens: None }) => "your team may not work at this hour".to_owned(),
        Denied::Requests { of, wait } => {
            format!(
                "{} of requests per minute is reached; {}",
                whose(of),
                when(wait)
            )
        }
        Denied::Tokens { of, wait } => {
            format!(
                "{} of tokens per minute is reached; {}",
                whose(of),
                when(wait)
            )
        }
        Denied::Concurrent { of } => {
            format!(
                "{} of requests at once is reached; try again when one has ended",
                whose(of)
            )
        }
    }
}

fn key_message(error: KeyError) -> &'static str {
    match error {
        KeyError::Missing => "no key: send your Tollgate key as x-api-key or as a bearer token",
        KeyError::Malformed => "this is not a Tollgate key (they begin with tg_live_)",
        KeyError::Mistyped => "this Tollgate key is mistyped: its checksum does not match",
        KeyError::Unknown => "this Tollgate key is not known",
        KeyError::Revoked => "this Tollgate key has been revoked",
        KeyError::Expired => "this Tollgate key has expired",
        KeyError::Unavailable => "the directory of keys is not available; try again shortly",
    }
}

fn path_message(why: Astray) -> &'static str {
    match why {
        Astray::TwiceV1 => "this path has /v1 twice: leave it out of the base URL",
        Astray::NoV1 => "this path lacks /v1: end the base URL with it",
        Astray::NoProvider => {
            "this path begins with the name of no provider of this gateway: leave that out, or write it as configured"
        }
        Astray::NotServed => {
            "this gateway does not serve this path. It serves POST /v1/messages, /v1/messages/count_tokens, /v1/chat/completions, /v1/responses, /v1/embeddings and /v1/completions, and GET /v1/models and /v1/models/ID"
        }
    }
}

fn model_message(model: Option<&str>) -> String {
    model.map_or_else(
        || "your team may not use this model".to_owned(),
        |model| format!("your team may not use the model `{model}`"),
    )
}

fn budget_message(reached: &CapReached, asked: Option<Usd>) -> String {
    let CapReached {
        budget,
        limit,
        spent,
        held,
        left,
        ..
    } = reached;
    let state = match asked {
        _ if reached.cause != Cause::Cap => format!(
            "this gateway's share of the budget {budget} of ${limit} is used up, and the next has not come yet; try again"
        ),
        Some(asked) if *left > Usd::ZERO => format!(
            "this request may cost up to ${asked}, and the budget {budget} of ${limit} has ${left} left"
        ),
        _ => format!("the budget {budget} of ${limit} is used up"),
    };
    let resets = reached
        .resets
        .map_or_else(String::new, |at| format!(" It resets at {}.", utc(at)));
    // In a fleet.
    let others = match limit.left_after(spent.saturating_add(*held).saturating_add(*left)) {
        Usd::ZERO => String::new(),
        lent => format!(", ${lent} lent to nodes"),
    };
    format!("{state} (${spent} spent, ${held} held by requests in flight{others}).{resets}")
}

fn secret_message(category: &Category, path: &str, others: usize) -> String {
    let more = match others {
        0 => String::new(),
        1 => " (and one more)".to_owned(),
        n => format!(" (and {n} more)"),
    };
    format!(
        "a secret was found and the request was not sent: {category} at {path}{more}. Remove it and try again."
    )
}

/// A moment as RFC 3339 in UTC, to the second.
#[must_use]
pub fn utc(at: Moment) -> String {
    jiff::Timestamp::from_second(at.seconds())
        .map_or_else(|_| "an unknown time".to_owned(), |t| t.to_string())
}
