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
