//! The list of models, as a team may see it: without the models that it may not use, with the organisation's aliases.
//! A list that is filtered comes in one page, whatever page was asked for: one that the filter empties would end it.

use serde_json::{Map, Value, json};

use super::route::Dialect;

/// A longer list is not read.
pub const LONGEST_LIST: usize = 4 << 20;

/// The path of the list, and of one model behind a slash.
const LIST: &str = "/v1/models";
/// Members of a query that choose a page: of Anthropic's list, and of lists made after `OpenAI`'s others.
const PAGING: [&str; 5] = ["limit", "after_id", "before_id", "after", "before"];
/// The most that Anthropic gives at once.
const MOST_AT_ONCE: &str = "limit=1000";

/// Which page of a list that comes in one a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Whole,
    /// What is before or after a model of that one page: nothing.
    Beside,
}

/// The model that a path asks about alone, if it does.
#[must_use]
pub fn asked_alone(path_and_query: &str) -> Option<&str> {
    let path = path_and_query.split('?').next()?;
    path.strip_prefix(LIST)?.strip_prefix('/')
}

/// Where a model is asked about alone.
#[must_use]
pub fn path_of_one(model: &str) -> String {
    format!("{LIST}/{model}")
}

/// What to ask the provider for so that it gives its list at once, and which page the client asks for.
#[must_use]
pub fn for_whole_list(path_and_query: &str, dialect: Dialect) -> (String, Page) {
    let query = path_and_query
        .split_once('?')
        .map_or("", |(_, query)| query);
    let name = |member: &&str| member.split('=').next().unwrap_or_default().to_owned();
    let (paging, mut kept): (Vec<&str>, Vec<&str>) = query
        .split('&')
        .filter(|member| !member.is_empty())
        .partition(|member| PAGING.contains(&name(member).as_str()));
    let beside = paging.iter().any(|member| name(member) != "limit");
    if dialect == Dialect::Anthropic {
        kept.push(MOST_AT_ONCE);
    }
    let mark = if kept.is_empty() { "" } else { "?" };
    let path = format!("{LIST}{mark}{}", kept.join("&"));
    (path, if beside { Page::Beside } else { Page::Whole })
}

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
        return empty_list(dialect);
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
        let shown = |model: Option<&Value>| json!(model.and_then(id));
        for (name, value) in [
            ("has_more", json!(false)),
            ("first_id", shown(models.first())),
            ("last_id", shown(models.last())),
        ] {
            // Only where the provider tells it.
            list.entry(name).and_modify(|told| *told = value);
        }
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

/// A list without models.
#[must_use]
pub fn empty_list(dialect: Dialect) -> Vec<u8> {
    empty(dialect).to_string().into_bytes()
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
            [&list["has_more"], &list["first_id"], &list["last_id"]],
            [&json!(false), &json!("claude-opus-5"), &json!("sonnet")],
            "the page is the whole list, and names what is shown"
        );
        let list = r#"{"data":[{"id":"gpt-5.5"}],"has_more":true,"first_id":"gpt-5.5","last_id":"gpt-5.5"}"#;
        assert_eq!(
            shown(list, Dialect::Anthropic),
            json!({"data": [], "has_more": false, "first_id": null, "last_id": null})
        );
    }

    #[test]
    fn the_provider_is_asked_for_all_whatever_page_the_client_wants() {
        let (anthropic, openai) = (Dialect::Anthropic, Dialect::OpenAi);
        for (asked, dialect, sent, page) in [
            (
                "/v1/models",
                anthropic,
                "/v1/models?limit=1000",
                Page::Whole,
            ),
            (
                "/v1/models?limit=2&beta=true",
                anthropic,
                "/v1/models?beta=true&limit=1000",
                Page::Whole,
            ),
            (
                "/v1/models?after_id=x&limit=2",
                anthropic,
                "/v1/models?limit=1000",
                Page::Beside,
            ),
            (
                "/v1/models?before_id=x",
                anthropic,
                "/v1/models?limit=1000",
                Page::Beside,
            ),
            ("/v1/models?&limit=2", openai, "/v1/models", Page::Whole),
            (
                "/v1/models?limits=2&after",
                openai,
                "/v1/models?limits=2",
                Page::Beside,
            ),
        ] {
            assert_eq!(
                for_whole_list(asked, dialect),
                (sent.to_owned(), page),
                "{asked}"
            );
        }
        assert_eq!(asked_alone("/v1/models/gpt-5?x=1"), Some("gpt-5"));
        assert_eq!(asked_alone("/v1/models?x=/1"), None);
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
