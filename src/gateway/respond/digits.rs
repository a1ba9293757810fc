//! Spells numbers so that opencode does not take them for a status that is worth asking again.
//!
//! It looks for 429, 500, 502, 503, 504 and 524 anywhere in an answer, be it in `$500.00` or in the request's id, and asks
//! again where it finds one.

const READ_AS_STATUS: [&str; 6] = ["429", "500", "502", "503", "504", "524"];

/// Joins two characters to one word, and is not seen.
const JOINER: char = '\u{2060}';

/// Whether a client reads texts like that.
pub(super) fn are_read_by(user_agent: Option<&str>) -> bool {
    user_agent.is_some_and(|agent| agent.starts_with("opencode/"))
}

/// A text in which people read the same numbers, and the client none of those.
pub(super) fn hidden(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (head, tail) = rest.split_at(first.len_utf8());
        spelled.push_str(head);
        if is_read_at(rest) {
            spelled.push(JOINER);
        }
        rest = tail;
    }
    spelled
}

/// The same JSON with the middle digit of each such number as an escape: for what must stay the same once it is parsed. For
/// JSON whose numbers all stand in strings.
pub(super) fn escaped(json: &str) -> String {
    let mut spelled = String::with_capacity(json.len() + 12);
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let read = is_read_at(rest);
        let (head, tail) = rest.split_at(first.len_utf8());
        spelled.push_str(head);
        rest = tail;
        if read {
            let (middle, tail) = rest.split_at(1);
            spelled.push_str("\\u003");
            spelled.push_str(middle);
            rest = tail;
        }
    }
    spelled
}

fn is_read_at(text: &str) -> bool {
    READ_AS_STATUS.iter().any(|read| text.starts_with(read))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_read(text: &str) -> bool {
        READ_AS_STATUS.iter().any(|read| text.contains(read))
    }

    #[test]
    fn amounts_look_the_same_and_are_not_read_as_a_status() {
        let text = "the budget of $2500.00 ($4290 spent, $15024.50 held by 5004 and 50050429)";
        let spelled = hidden(text);
        assert!(!is_read(&spelled), "{spelled}");
        assert_eq!(spelled.replace(JOINER, ""), text);
        assert_eq!(hidden("é $12.34"), "é $12.34");
    }

    #[test]
    fn an_escaped_id_is_the_same_id() {
        let json = r#"{"id":"01a20500-4295-7504-a524-502950003504","é":"50050"}"#;
        let spelled = escaped(json);
        assert!(!is_read(&spelled), "{spelled}");
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parse(&spelled), parse(json));
    }
}
