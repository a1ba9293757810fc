//! Puts another model's name into a request. Every other byte stays as it came: the body is not written anew.

use bytes::Bytes;

use super::json::{Kind, Seen, Token, Walker};

/// The body with this model as its `model`, in the place of the one that it names, or added where it names none. `None`
/// for a body that is no JSON object, or whose `model` is no string.
#[must_use]
pub fn splice_model(body: &[u8], model: &str) -> Option<Bytes> {
    let mut walker = Walker::new();
    let mut places = Places::default();
    walker.push(body, &mut |seen| places.see(seen)).ok()?;
    walker.finish(&mut |seen| places.see(seen)).ok()?;
    let quoted = serde_json::Value::from(model).to_string();
    let (start, end, text) = match (places.value, places.root) {
        _ if places.stuck => return None,
        (Some((start, end)), _) => (start, end, quoted),
        (None, Some(at)) => {
            let comma = if places.filled { "," } else { "" };
            (at, at, format!(r#""model":{quoted}{comma}"#))
        }
        (None, None) => return None,
    };
    let [start, end] = [start, end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
    let (head, tail) = (body.get(..start)?, body.get(end..)?);
    Some(Bytes::from([head, text.as_bytes(), tail].concat()))
}

/// Where in the body the name stands, or could.
#[derive(Debug, Default)]
struct Places {
    /// Behind the opening bracket of the body.
    root: Option<u64>,
    /// Whether the body has members.
    filled: bool,
    /// The member at hand is the model.
    at_model: bool,
    value: Option<(u64, u64)>,
    stuck: bool,
}

impl Places {
    fn see(&mut self, seen: Seen<'_>) {
        match (seen.depth, seen.token) {
            (0, Token::Open(Kind::Object)) => self.root = Some(seen.end),
            (1, Token::Key(name)) => {
                self.filled = true;
                self.at_model = &*name.decoded() == b"model";
            }
            (1, Token::String(_)) if self.at_model => self.value = Some((seen.start, seen.end)),
            (1, _) if self.at_model => self.stuck = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn spliced(body: &str, model: &str) -> Option<String> {
        let out = splice_model(body.as_bytes(), model)?;
        Some(String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn the_name_changes_and_nothing_else() {
        for (body, expected) in [
            (r#"{"model":"a","x": 1 }"#, r#"{"model":"new","x": 1 }"#),
            (
                " {\n\"x\":{\"model\":\"inner\"},\"model\" : \"sonnet\"\n}",
                " {\n\"x\":{\"model\":\"inner\"},\"model\" : \"new\"\n}",
            ),
            (
                r#"{"mod\u0065l":"\u0061","y":["model","a"]}"#,
                r#"{"mod\u0065l":"new","y":["model","a"]}"#,
            ),
            ("{}", r#"{"model":"new"}"#),
            (r#"{ "messages":[]}"#, r#"{"model":"new", "messages":[]}"#),
            (
                r#"{"thinking":{"signature":"EqQB\/+"},"model":"m","n":1.0}"#,
                r#"{"thinking":{"signature":"EqQB\/+"},"model":"new","n":1.0}"#,
            ),
        ] {
            assert_eq!(spliced(body, "new").as_deref(), Some(expected));
        }
        assert_eq!(
            spliced("{}", "a\"b\\").as_deref(),
            Some(r#"{"model":"a\"b\\"}"#)
        );
    }

    #[test]
    fn what_has_no_place_for_a_name_is_left_alone() {
        for body in [
            "[]",
            "{",
            "",
            "5",
            r#"{"model":5}"#,
            r#"{"model":{"model":"a"}}"#,
            r#"{"model":null}"#,
        ] {
            assert_eq!(spliced(body, "new"), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_itself_but_for_the_model(
            keys in prop::collection::vec("[a-z]{1,4}", 0..5), old in "[!-~]{1,9}", new in "[!-~]{1,20}", named: bool, at in 0usize..6,
        ) {
            let mut members: Vec<(String, Value)> = keys.into_iter().map(|key| (key, json!({"model": ["x", 1.50]}))).collect();
            if named {
                members.insert(at.min(members.len()), ("model".to_owned(), json!(old)));
            }
            let map: serde_json::Map<String, Value> = members.into_iter().collect();
            let body = Value::Object(map.clone()).to_string();
            let mut value: Value = serde_json::from_str(&spliced(&body, &new).unwrap()).unwrap();
            prop_assert_eq!(&value["model"], &json!(new));
            let mut expected = Value::Object(map);
            for side in [&mut value, &mut expected] {
                side.as_object_mut().unwrap().shift_remove("model");
            }
            prop_assert_eq!(value, expected);
        }
    }
}
