//! Every refusal in every form, as clients get it: pinned, because clients match on it.

use std::fmt::Write as _;
use std::time::Duration;

use super::*;
use crate::budget::{BudgetId, CapReached, Cause};
use crate::domain::{Category, Moment, Name, Usd};
use crate::gateway::refusal::Hidden;
use crate::identity::KeyError;
use crate::policy::{Closed, Denied, RateLimiter, RefusalStatuses, RetryAfter, Subject};
use crate::provider::Astray;

const NOW: Moment = Moment::from_seconds(1_800_000_000);

/// A wait as the limiter gives it.
fn wait() -> RetryAfter {
    let limiter = RateLimiter::default();
    let pace = limiter.pace(&Subject::Team(Name::new("payments")));
    let one = std::num::NonZeroU32::MIN;
    pace.take(one, Duration::ZERO).unwrap();
    pace.take(one, Duration::ZERO).unwrap_err()
}

/// One for which nobody should wait.
fn long_wait() -> RetryAfter {
    let pace = RateLimiter::default().token_pace(&Subject::Team(Name::new("payments")));
    let one = std::num::NonZeroU32::MIN;
    pace.take_tokens(10, one, Duration::ZERO).unwrap();
    pace.take_tokens(10, one, Duration::ZERO).unwrap_err()
}

fn budget(cause: Cause, asked: Option<Usd>) -> Refusal {
    Refusal::Budget {
        reached: CapReached {
            budget: BudgetId::new("team/payments/month"),
            limit: Usd::from_nanos(100_000_000_000),
            spent: Usd::from_nanos(99_000_000_000),
            held: Usd::from_nanos(500_000_000),
            left: Usd::from_nanos(500_000_000),
            resets: Some(NOW),
            cause,
        },
        asked,
    }
}

/// One of each.
fn all() -> Vec<Refusal> {
    [early(), by_policy(), late()].concat()
}

/// Before anything is known of the request but its head.
fn early() -> Vec<Refusal> {
    let keys = [
        KeyError::Missing,
        KeyError::Malformed,
        KeyError::Mistyped,
        KeyError::Unknown,
        KeyError::Revoked,
        KeyError::Expired,
        KeyError::Unavailable,
    ];
    let mut early: Vec<Refusal> = keys.into_iter().map(Refusal::Key).collect();
    early.extend([
        Refusal::UnknownPath(Astray::NotServed),
        Refusal::UnknownPath(Astray::TwiceV1),
        Refusal::UnknownPath(Astray::NoV1),
        Refusal::UnknownPath(Astray::NoProvider),
        Refusal::WebSocket,
        Refusal::HeadersTooLarge,
        Refusal::InvalidHead,
        Refusal::AmbiguousLength,
        Refusal::LengthRequired,
        Refusal::BodyTooLarge { limit: 1024 },
        Refusal::UploadStalled,
        Refusal::UploadBroken,
        Refusal::Busy,
        Refusal::InvalidBody("the body is not valid JSON (line 1, column 2)".to_owned()),
    ]);
    early
}

fn by_policy() -> Vec<Refusal> {
    let team = || Subject::Team(Name::new("payments"));
    let openai = || Subject::Provider(Name::new("openai"));
    let (opens, of, wait) = (Some(NOW), openai(), wait());
    vec![
        Refusal::Limited(Denied::Closed(Closed { opens })),
        Refusal::Limited(Denied::Requests { of: team(), wait }),
        Refusal::Limited(Denied::Tokens { of, wait }),
        Refusal::Limited(Denied::Tokens {
            of: team(),
            wait: long_wait(),
        }),
        Refusal::Limited(Denied::Concurrent { of: team() }),
        Refusal::ModelNotAllowed {
            model: Some("gpt-5.5".to_owned()),
        },
        Refusal::ModelNotAllowed { model: None },
        budget(Cause::Cap, Some(Usd::from_nanos(750_000_000))),
        budget(Cause::Cap, None),
        budget(Cause::Lease, None),
        budget(Cause::StoreAway, None),
        Refusal::Unbounded,
        Refusal::Opaque(Hidden::Input),
        Refusal::Opaque(Hidden::Tools),
        Refusal::Opaque(Hidden::Background),
        Refusal::Secret {
            category: Category::new("github_token"),
            path: "$.messages[0].content".to_owned(),
            others: 2,
        },
        Refusal::Undecodable("the gzip is cut off".to_owned()),
        Refusal::TooManyPlaceholders { most: 1000 },
    ]
}

/// What stands in the way of an admitted request.
fn late() -> Vec<Refusal> {
    vec![
        Refusal::AuditUnavailable,
        Refusal::NoProvider { dialect: "openai" },
        Refusal::NoCredential {
            provider: Name::new("openai"),
        },
        Refusal::UpstreamUnreachable,
        Refusal::UpstreamTimeout,
        Refusal::UpstreamBroken,
        Refusal::UpstreamPaused { wait: wait() },
        Refusal::Internal,
    ]
}

#[test]
fn every_refusal_in_every_form() {
    let id = HeaderValue::from_static("01890000-0000-7000-8000-000000000000");
    let mut text = String::new();
    for refusal in all() {
        let _written = writeln!(text, "# {} ({})", refusal.code(), refusal.status());
        for envelope in Envelope::ALL {
            let form = Form {
                status: refusal.status(),
                envelope,
                hides_digits: false,
            };
            let (head, body) = written(&refusal, form, &id).unwrap();
            assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
            let headers: Vec<String> = [SHOULD_RETRY, RETRY_AFTER, UPGRADE]
                .iter()
                .filter_map(|name| {
                    Some(format!(
                        "{name}: {}",
                        head.headers.get(name)?.to_str().unwrap()
                    ))
                })
                .collect();
            if envelope == Envelope::Anthropic && !headers.is_empty() {
                let _written = writeln!(text, "{}", headers.join(", "));
            }
            let _written = writeln!(text, "  {}", String::from_utf8(body).unwrap());
        }
    }
    insta::assert_snapshot!(text);
}

/// opencode asks again after these words, whatever the status.
#[test]
fn a_final_refusal_does_not_read_like_one_to_try_again() {
    let id = HeaderValue::from_static("01890429-5000-7000-8502-503504524000");
    let words = [
        "429",
        "500",
        "502",
        "503",
        "504",
        "524",
        "rate limit",
        "rate_limit",
        "too many requests",
        "unavailable",
        "server error",
        "server_error",
        "internal error",
        "try again in",
        "try again later",
        "resource exhausted",
        "overloaded",
    ];
    for refusal in all().into_iter().filter(Refusal::is_final) {
        for envelope in [Envelope::Anthropic, Envelope::OpenAi] {
            let status = refusal.settable().map_or(400, |kind| {
                RefusalStatuses::default().status(kind, Some("opencode/1.18"))
            });
            let form = Form {
                status,
                envelope,
                hides_digits: true,
            };
            let (_, body) = written(&refusal, form, &id).unwrap();
            let body = String::from_utf8(body).unwrap().to_lowercase();
            for word in words {
                assert!(!body.contains(word), "{word}: {body}");
            }
            let parsed: serde_json::Value = serde_json::from_str(&body).unwrap();
            let id_told = parsed["request_id"].as_str();
            assert!(id_told.is_none_or(|told| told == id));
        }
    }
}

#[test]
fn a_client_that_asks_again_and_again_gets_a_status_that_stops_it() {
    let table = RefusalStatuses::default();
    let agents = [
        "claude-cli/2.1.197 (external, sdk-cli)",
        "codex_exec/0.162.1",
        "opencode/1.0",
        "ai-sdk/openai-compatible/3.0",
        "ls/JS 5.23",
        "litellm/1.80",
        "OpenAI/Python 2.8.0",
        "Anthropic/JS 0.70",
        "",
    ];
    let mut text = String::new();
    for refusal in all() {
        let Some(kind) = refusal.settable() else {
            continue;
        };
        let statuses = agents.map(|agent| table.status(kind, Some(agent)).to_string());
        let _written = writeln!(text, "{}: {}", refusal.code(), statuses.join(" "));
    }
    insta::assert_snapshot!(format!("{}\n{text}", agents.join(" | ")));
}
