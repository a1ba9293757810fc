//! Error bodies of our own, in the shape that each dialect's clients show to their users.
//!
//! Knows the two envelopes. Does not know why anything is refused, nor the status line: the gateway gives the words.

use std::io::Write;

use super::route::Dialect;

/// The form of a refusal: that of the API that the caller speaks, or one of no vendor's where that cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Envelope {
    Anthropic,
    OpenAi,
    /// Problem details (RFC 9457).
    Neutral,
}

impl Envelope {
    pub const ALL: [Self; 3] = [Self::Anthropic, Self::OpenAi, Self::Neutral];

    /// The value of `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Anthropic | Self::OpenAi => "application/json",
            Self::Neutral => "application/problem+json",
        }
    }

    /// The dialect's word, or nothing.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => Dialect::Anthropic.as_str(),
            Self::OpenAi => Dialect::OpenAi.as_str(),
            Self::Neutral => "",
        }
    }
}

impl From<Dialect> for Envelope {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Anthropic => Self::Anthropic,
            Dialect::OpenAi => Self::OpenAi,
        }
    }
}

/// The words of one kind of refusal in both dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalKind {
    pub status: u16,
    /// `error.type` for Anthropic's clients, such as `invalid_request_error`.
    pub anthropic_type: &'static str,
    /// `error.type` for `OpenAI`'s clients, such as `insufficient_quota`.
    pub openai_type: &'static str,
    /// Our own word, the same in metrics and audit; `error.code` for `OpenAI`'s clients.
    pub code: &'static str,
}

/// The body of a refusal. The message is shown to people as it is; it is escaped here and must hold nothing secret.
#[must_use]
pub fn refusal_body(
    envelope: Envelope,
    kind: RefusalKind,
    message: &str,
    request_id: &str,
) -> Vec<u8> {
    let mut body = Vec::with_capacity(message.len() + 200);
    let message = quoted(message);
    // Writing to a vector cannot fail.
    let _written = match envelope {
        Envelope::Anthropic => write!(
            body,
            r#"{{"type":"error","error":{{"type":{},"message":{message}}},"request_id":{}}}"#,
            quoted(kind.anthropic_type),
            quoted(request_id),
        ),
        Envelope::OpenAi => write!(
            body,
            r#"{{"error":{{"message":{message},"type":{},"param":null,"code":{}}}}}"#,
            quoted(kind.openai_type),
            quoted(kind.code),
        ),
        Envelope::Neutral => write!(
            body,
            r#"{{"type":"about:blank","status":{},"detail":{message},"code":{},"request_id":{}}}"#,
            kind.status,
            quoted(kind.code),
            quoted(request_id),
        ),
    };
    body
}

/// A text as a JSON string.
fn quoted(text: &str) -> serde_json::Value {
    serde_json::Value::String(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: RefusalKind = RefusalKind {
        status: 402,
        anthropic_type: "billing_error",
        openai_type: "insufficient_quota",
        code: "budget_exceeded",
    };

    #[test]
    fn each_dialect_gets_its_own_envelope() {
        let body =
            |envelope| String::from_utf8(refusal_body(envelope, KIND, "no more", "req-1")).unwrap();
        assert_eq!(
            body(Envelope::Anthropic),
            r#"{"type":"error","error":{"type":"billing_error","message":"no more"},"request_id":"req-1"}"#
        );
        assert_eq!(
            body(Envelope::OpenAi),
            r#"{"error":{"message":"no more","type":"insufficient_quota","param":null,"code":"budget_exceeded"}}"#
        );
        assert_eq!(
            body(Envelope::Neutral),
            r#"{"type":"about:blank","status":402,"detail":"no more","code":"budget_exceeded","request_id":"req-1"}"#
        );
    }

    #[test]
    fn any_message_survives_the_envelope() {
        let message = "quote \" backslash \\ newline \n nul \0 é 🦀 \u{2028} </script>";
        for envelope in Envelope::ALL {
            let body = refusal_body(envelope, KIND, message, "\"");
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let told = match envelope {
                Envelope::Neutral => &value["detail"],
                _ => &value["error"]["message"],
            };
            assert_eq!(told, message);
        }
    }
}
