//! Literals that the provider itself acts on: credentials that it presents to others, and addresses that it fetches from.
//! It would present the placeholder, or fetch with it, and nobody would restore it there.

use crate::domain::json::{Kind, Value};

/// Members of a tool, or of a server that the provider calls, by which it gets there and in.
const OF_A_SERVER: [&str; 5] = [
    "authorization_token",
    "authorization",
    "server_url",
    "url",
    "headers",
];

/// Whether a literal is one.
pub(super) fn is_for_the_provider(literal: Value<'_>) -> bool {
    literal.kind() != Kind::Key && (is_of_a_server(literal) || is_fetched(literal))
}

/// `mcp_servers[].authorization_token`, `tools[].headers.*` and their like.
fn is_of_a_server(literal: Value<'_>) -> bool {
    let mut member = literal;
    // One of the headers is told by what holds it.
    if let Some(holder) = literal
        .parent()
        .filter(|holder| says_any(*holder, &["headers"]))
    {
        member = holder;
    }
    let list = member.parent().and_then(Value::parent);
    says_any(member, &OF_A_SERVER)
        && list.is_some_and(|list| {
            says_any(list, &["tools", "mcp_servers"])
                && list.parent().is_some_and(|root| root.parent().is_none())
        })
}

/// The address of an image or a file in a message: not one in what a model told a tool.
fn is_fetched(literal: Value<'_>) -> bool {
    let held = literal.parent();
    let is_address = says_any(literal, &["image_url", "file_url"])
        || (says_any(literal, &["url"])
            && held.is_some_and(|held| says_any(held, &["source", "image_url"])));
    if !is_address {
        return false;
    }
    let mut at = held;
    while let Some(value) = at {
        let above = value.parent();
        let is_member_of_root = above.is_some_and(|above| above.parent().is_none());
        if is_member_of_root {
            return says_any(value, &["messages", "input", "system"]);
        }
        // An element of a list has no key.
        if value.key().is_some() && !says_any(value, &["content", "output", "source", "image_url"])
        {
            return false;
        }
        at = above;
    }
    false
}

/// Whether a value is held under one of these names.
fn says_any(value: Value<'_>, names: &[&str]) -> bool {
    value
        .key()
        .is_some_and(|key| names.iter().any(|name| key.says(name)))
}
