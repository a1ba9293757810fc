//! The list of models, as a team may see it: without the models that it may not use, with the organisation's aliases.

use serde_json::{Map, Value, json};

use super::route::Dialect;

/// A longer list is not read.
pub const LONGEST_LIST: usize = 4 << 20;

/// The provider's list with the models that `allows` lets through, and an entry for each alias of one of them. What cannot
/// be read as a list is shown as an empty one: nothing is known of it, so nothing of it may be shown.
#[must_use]
pub fn shown_models<'a>(
    list: &[u8],
    dialect: Dialect,
    allows: impl Fn(&str) -> bool,
    aliases: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<u8> {
    let read: Option<Map<String, Value>> = serde_json::from_slice(list).ok();
    let Some(mut list) = read.filter(|list| list.get("data").is_some_and(Value::is_array)) else {
        return empty(dialect).to_string().into_bytes();
    };
    if let Some(Value::Array(models)) = list.get_mut("data") {
        models.retain(|model| id(model).is_some_and(&allows));
        let named: Vec<Value> = aliases
            .filter_map(|(alias, target)| {
                let told = |name| models.iter().find(|model| id(model) == Some(name));
                // What the provider itself calls so needs no second entry.
                told(alias)
                    .is_none()
                    .then(|| told(target))?
                    .map(|model| entry(model, alias, target))
            })
            .collect();
        models.extend(named);
    }
    Value::Object(list).to_string().into_bytes()
}

fn id(model: &Value) -> Option<&str> {
    model.get("id").and_then(Value::as_str)
}

/// An alias' entry: its model's own, under the alias' name.
fn entry(model: &Value, alias: &str, target: &str) -> Value {
    let mut entry = model.clone();
    if let Value::Object(members) = &mut entry {
        members.insert("id".to_owned(), json!(alias));
        if members.contains_key("display_name") {
            members.insert(
                "display_name".to_owned(),
                json!(format!("{alias} ({target})")),
            );
        }
    }
    entry
}

fn empty(dialect: Dialect) -> Value {
    match dialect {
        Dialect::Anthropic => {
            json!({"data": [], "has_more": false, "first_id": null, "last_id": null})
        }
        Dialect::OpenAi => json!({"object": "list", "data": []}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIASES: [(&str, &str); 3] = [
        ("sonnet", "claude-sonnet-5"),
        ("gpt", "gpt-5.5"),
        ("claude-opus-5", "claude-sonnet-5"),
    ];

    fn shown(list: &str, dialect: Dialect) -> Value {
        let allows = |model: &str| model.starts_with("claude-");
        let bytes = shown_models(list.as_bytes(), dialect, allows, ALIASES.into_iter());
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn a_team_sees_what_it_may_use_and_the_aliases_of_that() {
        let list = r#"{"data":[{"type":"model","id":"claude-opus-5","display_name":"Opus","created_at":"2026-01-01T00:00:00Z"},
            {"type":"model","id":"gpt-5.5"},{"type":"model","id":"claude-sonnet-5","display_name":"Sonnet","max":1},{"no":"id"}],
            "has_more":true,"first_id":"claude-opus-5","last_id":"x"}"#;
        let list = shown(list, Dialect::Anthropic);
        let ids: Vec<_> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, ["claude-opus-5", "claude-sonnet-5", "sonnet"]);
        assert_eq!(
            list["data"][2],
            json!({"type": "model", "id": "sonnet", "display_name": "sonnet (claude-sonnet-5)", "max": 1})
        );
        assert_eq!(
            (&list["has_more"], &list["last_id"]),
            (&json!(true), &json!("x")),
            "the next page is asked for as the provider says"
        );
    }

    #[test]
    fn what_is_no_list_is_shown_as_an_empty_one() {
        for list in ["", "[]", "{}", r#"{"data":{}}"#, "<html>", "{\"data\":["] {
            assert_eq!(
                shown(list, Dialect::OpenAi),
                json!({"object": "list", "data": []})
            );
            assert_eq!(shown(list, Dialect::Anthropic)["data"], json!([]));
        }
    }
}
