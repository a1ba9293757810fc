//! What a request asks for: model, stream, and the most that it can make the provider bill.
//!
//! One pass over the body, which is not copied. Whatever is in doubt counts as the dearer: an unknown tool may be called
//! without end, a file that is not in the body may fill the context window. Prices and caps are not known here.

mod content;
mod field;
mod others;
mod read;
mod root;
mod tools;

use crate::domain::Demand;

use super::json::{Fault, Walker, place};
use super::route::Endpoint;
use read::Reader;

/// The facts of one request that admission needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// As the client wrote it: 1 to 200 bytes of visible ASCII. `None` where it wrote none.
    pub model: Option<String>,
    pub stream: bool,
    pub demand: Demand,
    /// Whether the answer will say its usage without our help: false only for a chat stream without `include_usage`.
    pub usage_requested: bool,
    /// Other models that may answer or advise, each with what it may be asked for on top: they must be allowed, and are billed.
    pub others: Vec<OtherModel>,
}

impl Ask {
    /// Puts another model in the place of the one that the request names.
    pub fn rename(&mut self, endpoint: Endpoint, model: &str) {
        let searched = self
            .model
            .as_deref()
            .is_some_and(|named| read::searches(endpoint, named));
        if read::searches(endpoint, model) && !searched {
            for calls in [&mut self.demand.web_searches, &mut self.demand.server_calls] {
                *calls = calls.map(|calls| calls.saturating_add(1));
            }
        }
        self.model = Some(model.to_owned());
    }
}

/// A model besides the one that a request names first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherModel {
    /// `None` where the provider chooses it.
    pub name: Option<String>,
    pub demand: Demand,
}

/// Why a body cannot be asked about. The message is for the client: it holds nothing of the body but field names of the API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column})")]
pub struct AskError {
    pub message: String,
    pub line: usize,
    pub column: usize,
}

/// Reads the body of a request to a billed or counted endpoint.
///
/// # Errors
/// When the body is no JSON object in UTF-8, nests deeper than [`super::json::DEPTH`], tells a field of the API twice, or
/// tells a field that decides the cost in a form that leaves it open.
pub fn read_ask(endpoint: Endpoint, body: &[u8]) -> Result<Ask, AskError> {
    let fault = |message: &str, offset: u64| {
        let (line, column) = place(body, offset);
        AskError {
            message: message.to_owned(),
            line,
            column,
        }
    };
    if let Err(error) = simdutf8::compat::from_utf8(body) {
        return Err(fault("the body is not UTF-8", error.valid_up_to() as u64));
    }
    let mut walker = Walker::new();
    let mut reader = Reader::new(endpoint);
    let read = walker
        .push(body, &mut |seen| reader.see(seen))
        .and_then(|()| walker.finish(&mut |seen| reader.see(seen)));
    if let Some((message, offset)) = reader.refused() {
        return Err(fault(message, offset));
    }
    match read {
        Ok(()) => Ok(reader.ask(body.len())),
        Err(Fault::Syntax) => Err(fault("the body is not valid JSON", walker.offset())),
        Err(Fault::TooDeep) => Err(fault("the body nests too deeply", walker.offset())),
        Err(Fault::Unfinished) => Err(fault("the JSON of the body is cut off", walker.offset())),
    }
}

#[cfg(test)]
mod tests;
