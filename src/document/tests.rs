//! The promises of the reader.

use super::*;

fn faults(text: &str, walk: impl FnOnce(&mut Table<'_>)) -> Vec<String> {
    read("a.toml", text, walk)
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn all_mistakes_come_together_in_the_order_of_the_file() {
    let text = "size = \"12\"\nwrod = 1\n[limits]\nbody = true\n";
    let found = faults(text, |top| {
        top.or("size", 0, |v| v.size(0..=9));
        top.section("limits", |t| t.or("body", 0, |v| v.integer(1..=3)));
        top.get("word");
    });
    assert_eq!(
        found,
        [
            "a.toml:1:8  `size`: \"12\" is not a size; write a whole number and B, KiB, MiB or GiB, such as \"32 MiB\"",
            "a.toml:2:1  unknown key `wrod`; expected one of: size, limits, word; did you mean `word`?",
            "a.toml:4:8  `body`: expected a whole number, found true or false",
        ]
    );
}

#[test]
fn a_line_that_is_no_toml_does_not_hide_the_mistakes_of_others() {
    let found = faults("a = \nb = 2\n", |top| {
        top.need("a").map(|v| v.integer(1..=9));
        top.need("b").map(|v| v.text());
        top.need("c");
    });
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("a.toml:1:"), "{}", found[0]);
    assert_eq!(
        found[1],
        "a.toml:2:5  `b`: expected text in quotes, found a whole number"
    );
}

#[test]
fn columns_count_characters() {
    let found = faults("text = \"ü\"\n\"äöü\" = 1\n  \"ö\" = 2", |top| {
        top.get("text");
    });
    assert!(
        found[0].starts_with("a.toml:2:1  unknown key `äöü`"),
        "{}",
        found[0]
    );
    assert!(found[1].starts_with("a.toml:3:3  "), "{}", found[1]);
}

#[test]
fn entries_keep_the_order_of_the_file() {
    let names = read("a.toml", "[p.zeta]\n[p.alpha]\n", |top| {
        top.section("p", |t| {
            t.entries()
                .iter()
                .map(|v| v.key().to_owned())
                .collect::<Vec<_>>()
        })
    });
    assert_eq!(names, Ok(vec!["zeta".to_owned(), "alpha".to_owned()]));
}

#[test]
fn nonsense_is_never_a_panic() {
    for text in [
        "\u{0}",
        "[",
        "a = [[[[",
        "\u{feff}a = 1",
        "= 1",
        "a.b.c = {",
        "a = 99999999999999999999",
        "[[a]]\n[a]",
    ] {
        let _faults = faults(text, |top| {
            top.get("a").and_then(|v| v.integer(0..=1));
            top.each("b", |t| {
                t.need("c");
            });
        });
    }
}

proptest::proptest! {
    /// Whatever is in a file: faults or a value, each fault at a place that the file has.
    #[test]
    fn any_text_is_read_or_told(text in "([a-z\\[\\]{}=\"'#.,0-9 \n\r\t\\\\ü]{0,40})") {
        let lines = text.split('\n').count();
        let walk = |top: &mut Table<'_>| {
            top.get("a").and_then(|v| v.amount());
            top.each("b", |t| t.get("c").and_then(|v| v.list_of(|each| each.size(0..=9))));
            top.section("d", |t| t.entries().len());
        };
        if let Err(faults) = read("f", &text, walk) {
            for fault in faults {
                proptest::prop_assert!((1..=lines).contains(&fault.line) && fault.column >= 1, "{fault} in {text:?}");
            }
        }
    }

    /// The shipped configuration with any one stretch of it replaced: never a panic, never a fault without a place.
    #[test]
    fn a_damaged_configuration_is_told(from in 0_usize..3000, length in 0_usize..40, put in "[a-z\"=\\[\n0-9]{0,6}") {
        let shipped = include_str!("../../conf/tollgate.toml");
        let floor = |mut at: usize| { while !shipped.is_char_boundary(at) { at -= 1; } at };
        let (start, end) = (floor(from.min(shipped.len())), floor((from + length).min(shipped.len())));
        let text = format!("{}{put}{}", &shipped[..start], &shipped[end..]);
        if let Err(faults) = crate::config::parse("f", &text, std::path::Path::new("")) {
            proptest::prop_assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.message.is_empty()));
        }
    }
}
