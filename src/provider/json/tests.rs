use super::text::decode;
use super::*;
use proptest::prelude::*;
use serde_json::Value;

/// Builds a value from the tokens, so that the reader can be compared with `serde_json`.
#[derive(Default)]
struct Builder {
    stack: Vec<(Value, String)>,
    key: String,
    done: Option<Value>,
}

impl Builder {
    fn see(&mut self, seen: Seen<'_>) {
        let text = |text: Text<'_>| String::from_utf8(text.decoded().into_owned()).unwrap();
        let expected = match seen.token {
            Token::Close(_) => self.stack.len() - 1,
            _ => self.stack.len(),
        };
        assert_eq!(seen.depth, expected);
        match seen.token {
            Token::Open(Kind::Object) => self.stack.push((
                Value::Object(serde_json::Map::new()),
                std::mem::take(&mut self.key),
            )),
            Token::Open(Kind::Array) => self
                .stack
                .push((Value::Array(vec![]), std::mem::take(&mut self.key))),
            Token::Close(_) => {
                let (value, key) = self.stack.pop().unwrap();
                self.key = key;
                self.add(value);
            }
            Token::Key(key) => self.key = text(key),
            Token::String(value) => self.add(Value::String(text(value))),
            Token::Number(number) => self.add(serde_json::from_slice(number).unwrap()),
            Token::Bool(value) => self.add(Value::Bool(value)),
            Token::Null => self.add(Value::Null),
        }
    }

    fn add(&mut self, value: Value) {
        match self.stack.last_mut() {
            None => self.done = Some(value),
            Some((Value::Array(items), _)) => items.push(value),
            Some((Value::Object(map), _)) => {
                map.insert(std::mem::take(&mut self.key), value);
            }
            Some(_) => unreachable!(),
        }
    }
}

fn read(text: &[u8], cuts: &[usize]) -> Result<Value, (Fault, u64)> {
    let mut walker = Walker::new();
    let mut builder = Builder::default();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([text.len()]) {
        let cut = cut.clamp(from, text.len());
        walker
            .push(&text[from..cut], &mut |seen| builder.see(seen))
            .map_err(|fault| (fault, walker.offset()))?;
        from = cut;
    }
    walker
        .finish(&mut |seen| builder.see(seen))
        .map_err(|fault| (fault, walker.offset()))?;
    Ok(builder.done.unwrap())
}

const SAMPLE: &str = r#" {"a":[1,-0.5e+3,0,12E4,true,false,null,"",{}],"é\n":"\ud83e\udd80\"\\\/\b\f\r\té","b":{"c":[[],[[]]]}} "#;

#[test]
fn every_cut_reads_the_same() {
    let expected: Value = serde_json::from_str(SAMPLE).unwrap();
    for one in 0..=SAMPLE.len() {
        for two in [one, one + 1, one + 3, one + 20] {
            assert_eq!(read(SAMPLE.as_bytes(), &[one, two]), Ok(expected.clone()));
        }
    }
}

#[test]
fn what_is_not_json_is_a_fault() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "}",
        "]",
        "{]",
        "[}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[,1]",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "--1",
        "tru",
        "trueq",
        "nul",
        "NaN",
        "Infinity",
        "'a'",
        "{a:1}",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "\"\0\"",
        "1 2",
        "{} {}",
        "{}x",
        "\u{feff}{}",
        "[1 2]",
        "{\"a\" 1}",
        "{1:2}",
        "/*c*/1",
        "\"\\",
    ] {
        assert!(read(text.as_bytes(), &[]).is_err(), "{text:?}");
        assert!(serde_json::from_str::<Value>(text).is_err());
    }
}

#[test]
fn depth_has_a_bound() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(deep(DEPTH).as_bytes(), &[]).is_ok());
    let fault = read(deep(DEPTH + 1).as_bytes(), &[]);
    assert_eq!(fault, Err((Fault::TooDeep, DEPTH as u64)));
}

#[test]
fn a_long_string_is_counted_and_not_kept() {
    let text = format!("\"{}\"", "x".repeat(1_000_000));
    let mut walker = Walker::new();
    let mut lens = vec![];
    for piece in text.as_bytes().chunks(1000) {
        walker
            .push(piece, &mut |seen| {
                if let Token::String(text) = seen.token {
                    lens.push((text.len, text.is_whole(), text.decoded().len()));
                }
            })
            .unwrap();
        assert!(walker.captured.capacity() <= 2 * CAPTURE);
    }
    assert_eq!(lens, [(1_000_000, false, CAPTURE)]);
}

#[test]
fn tokens_carry_their_offsets() {
    let text = br#"{"ab" : [12, "x"], "c":null}"#;
    let mut found = vec![];
    let mut walker = Walker::new();
    walker
        .push(text, &mut |seen| {
            let range = usize::try_from(seen.start).unwrap()..usize::try_from(seen.end).unwrap();
            found.push(String::from_utf8(text[range].to_vec()).unwrap());
        })
        .unwrap();
    assert_eq!(
        found,
        ["{", "\"ab\"", "[", "12", "\"x\"", "]", "\"c\"", "null", "}"]
    );
}

#[test]
fn a_place_counts_lines_and_columns_from_one() {
    assert_eq!(place(b"{\n  x", 4), (2, 3));
    assert_eq!(place(b"{", 0), (1, 1));
    assert_eq!(place(b"{\n", 99), (2, 1));
}

#[test]
fn half_a_surrogate_pair_decodes_to_the_replacement_character() {
    for (raw, expected) in [
        (&br"\ud83e"[..], "\u{fffd}"),
        (br"\ud83ex", "\u{fffd}x"),
        (br"\udd80\ud83e", "\u{fffd}\u{fffd}"),
        (br"a\u00", "a\u{fffd}"),
        (br"a\", "a"),
    ] {
        assert_eq!(decode(raw), expected.as_bytes());
    }
}

proptest! {
    #[test]
    fn agrees_with_serde_json_on_what_is_json(
        text in "[\\[\\]{}:, \"a\\\\u0e1.tru-]{0,24}",
        cut in 0usize..24,
    ) {
        let ours = read(text.as_bytes(), &[cut]);
        let theirs = serde_json::from_str::<Value>(&text);
        // serde_json also refuses what it cannot hold: lone surrogates, numbers out of range.
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
            (Err(_), Err(_)) => {}
            (Ok(_), Err(error)) => prop_assert!(
                error.to_string().contains("surrogate") || error.to_string().contains("range") || text.contains("\\u"),
                "{text:?}: {error}"
            ),
            (Err(fault), Ok(_)) => prop_assert!(false, "{text:?}: {fault:?}"),
        }
    }

    #[test]
    fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..100)) {
        let mut walker = Walker::new();
        let _ = walker.push(&text, &mut |_| {});
    }
}
