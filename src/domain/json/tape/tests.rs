use super::*;
use proptest::prelude::*;

#[test]
fn values_are_found_by_name_and_by_place() {
    let text = br#" {"a": [1, {"b\u0062": "x\ny"}, null], "c": "", "a2":-2e3} "#;
    let mut tape = Tape::default();
    let root = tape.read(text).unwrap().root();
    let list = root.get("a").unwrap();
    assert_eq!(list.elements().count(), 3);
    assert_eq!(list.elements().next().unwrap().number(), Some(1));
    let inner = list.elements().nth(1).unwrap().get("bb").unwrap();
    assert_eq!(inner.raw(), br"x\ny");
    assert!(inner.key().unwrap().says("bb") && inner.says("x\ny"));
    assert!(list.elements().nth(2).unwrap().is_null());
    assert_eq!(root.get("c").unwrap().raw(), b"");
    assert!(root.get("z").is_none() && inner.get("z").is_none());
    let place = inner.range();
    let found = root
        .document
        .literal_around(&(place.start + 1..place.end))
        .unwrap();
    assert_eq!(found.range(), place);
    assert_eq!(
        found.parent().unwrap().parent().unwrap().range(),
        list.range()
    );
    assert!(
        root.document
            .literal_around(&(place.start..place.end + 1))
            .is_none()
    );
}

#[test]
fn what_is_no_json_is_broken() {
    let mut tape = Tape::default();
    for text in [
        "", "{", "{]", "[}", "[1,]x", "{\"a\"}", "{\"a\":}", "\"\\x\"", "\"a", "1 2", "nul",
        "{1:2}", ",", "]",
    ] {
        assert!(tape.read(text.as_bytes()).is_err(), "{text}");
    }
    let deep = "[".repeat(DEPTH + 1);
    assert!(tape.read(deep.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn it_takes_what_serde_takes_and_never_panics(text in "[\\[\\]{}\",:\\\\u0a1 n\\-.e]{0,40}") {
        let mut tape = Tape::default();
        let taken = tape.read(text.as_bytes()).is_ok();
        if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
            prop_assert!(taken);
        }
    }
}
