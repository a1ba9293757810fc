//! What became of a request whose connection broke: read from Pingora's errors.

use pingora::{Error, ErrorSource, ErrorType, ImmutStr};

use super::ctx::Ctx;
use super::refusal::Refusal;

/// The word for a connection that broke.
pub fn how(error: &Error) -> &'static str {
    if is_timeout(error) {
        "timeout"
    } else {
        "broken"
    }
}

fn is_timeout(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::ReadTimedout | ErrorType::WriteTimedout
    )
}

/// What an error means for the client; nothing where it is the client that is gone.
pub fn refusal_of(error: &Error, ctx: &Ctx) -> Option<Refusal> {
    let trail = ctx.passage.as_ref().map(|passage| &passage.trail);
    if let Some(wait) = trail.and_then(|trail| trail.paused) {
        return Some(Refusal::UpstreamPaused { wait });
    }
    match error.esource() {
        // What Pingora will not pass on: the client is still there, and reads why.
        ErrorSource::Downstream if error.etype() == &ErrorType::InvalidHTTPHeader => {
            Some(Refusal::InvalidHead)
        }
        ErrorSource::Downstream => None,
        ErrorSource::Upstream => Some(match error.etype() {
            ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout => Refusal::UpstreamTimeout,
            ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::BindError
            | ErrorType::SocketError
            | ErrorType::TLSHandshakeFailure
            | ErrorType::InvalidCert
            | ErrorType::HandshakeError => Refusal::UpstreamUnreachable,
            _ => Refusal::UpstreamBroken,
        }),
        ErrorSource::Internal | ErrorSource::Unset => Some(Refusal::Internal),
    }
}

/// Whether the upload broke, so that the body did not leave whole. Of HTTP/2 Pingora tells nothing else of what left, and
/// what Pingora waited for only in the words of its error.
pub fn in_upload(error: &Error) -> bool {
    let words = error.context.as_ref().map(ImmutStr::as_str);
    match error.etype() {
        ErrorType::WriteTimedout | ErrorType::WriteError => true,
        ErrorType::H2Error => matches!(
            words,
            Some("while waiting for capacity" | "cannot reserve capacity")
        ),
        _ => false,
    }
}

/// Whether the provider says that it did nothing with the request (RFC 9113, section 8.7).
pub fn was_refused(error: &Error) -> bool {
    cause(error).is_some_and(|cause| {
        cause.is_remote() && cause.reason() == Some(h2::Reason::REFUSED_STREAM)
    })
}

fn cause(error: &Error) -> Option<&h2::Error> {
    error.cause.as_ref()?.downcast_ref()
}

/// Whether a connection that was kept may have been closed before this request came: the connection ended, and not one
/// stream of it alone.
pub fn may_be_stale(error: &Error) -> bool {
    match error.etype() {
        ErrorType::H2Error | ErrorType::InvalidH2 | ErrorType::H2Downgrade => cause(error)
            .is_some_and(|cause| cause.is_io() || cause.is_go_away() && cause.is_remote()),
        _ => !is_timeout(error),
    }
}
