//! What a request asks for: model, stream, and the most that it can make the provider bill.

use crate::domain::Demand;

use super::route::Endpoint;

/// The facts of one request that admission needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// As the client wrote it: 1 to 200 bytes of printable ASCII.
    pub model: String,
    pub stream: bool,
    pub demand: Demand,
    /// Whether the answer will say its usage without our help: false only for a chat stream without `include_usage`.
    pub usage_requested: bool,
}

/// Why a body cannot be asked about. The message is for the client: it holds nothing of the body but field names of the API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column})")]
pub struct AskError {
    pub message: &'static str,
    pub line: usize,
    pub column: usize,
}

/// Reads the body of a request to a billed or counted endpoint.
///
/// # Errors
/// When the body is no JSON object, or a field that decides the cost has a type that it cannot have.
pub fn read_ask(_endpoint: Endpoint, body: &[u8]) -> Result<Ask, AskError> {
    let fault = |message| AskError {
        message,
        line: 1,
        column: 1,
    };
    let value: serde_json::Value =
        serde_json::from_slice(body).map_err(|_| fault("the body is not valid JSON"))?;
    let model = value["model"]
        .as_str()
        .ok_or_else(|| fault("`model` must be a string"))?;
    Ok(Ask {
        model: model.to_owned(),
        stream: value["stream"].as_bool() == Some(true),
        demand: Demand {
            input_bytes: body.len() as u64,
            output_tokens: value["max_tokens"].as_u64(),
            answers: 1,
            has_output: true,
            web_searches: Some(0),
            tool_calls: Some(0),
            code_sessions: Some(0),
            images: Some(0),
            ..Demand::default()
        },
        usage_requested: true,
    })
}
