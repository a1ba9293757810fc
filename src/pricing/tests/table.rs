//! Looking up, and what is wrong with a table.

use super::super::PriceTable;
use super::{TABLE, table, usd};

fn faults(text: &str) -> String {
    let faults = PriceTable::parse("prices.toml", text).unwrap_err();
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn a_model_is_found_by_its_name_and_safe_forms_of_it() {
    let table = table();
    let input = |provider, model| {
        let found = table.find(provider, model);
        (
            found.known,
            found.price.standard.base.input,
            found.model.to_string(),
        )
    };
    let sonnet = (true, usd("3"), "claude-sonnet-4".to_owned());
    for name in [
        "claude-sonnet-4",
        "claude-sonnet-4-0",
        "claude-sonnet-4-20250514",
        "claude-sonnet-4@20250514",
        "anthropic/claude-sonnet-4",
        "claude-sonnet-4-latest",
    ] {
        assert_eq!(input("anthropic", name), sonnet, "{name}");
    }
    assert_eq!(input("azure", "gpt-5").1, usd("1.50"));
    assert_eq!(
        input("eu-gateway", "gpt-5").1,
        usd("1.50"),
        "the dearest of that name"
    );
}

#[test]
fn an_unknown_model_costs_the_conservative_price_and_never_nothing() {
    let table = table().with_unknown(usd("7"), usd("40"));
    for (provider, model) in [
        ("anthropic", "claude-sonnet-4-mini"),
        ("anthropic", "claude"),
        ("anthropic", "xclaude-sonnet-4"),
        ("anthropic", "Claude-Sonnet-4"),
        ("anthropic", ""),
        ("anthropic", "gpt-5"),
        ("nobody", "nothing"),
    ] {
        let found = table.find(provider, model);
        assert!(!found.known, "{model}");
        assert_eq!(found.price.standard.base.input, usd("7"));
        assert_eq!(found.price.standard.base.cache_write_1h, usd("14"));
        assert_eq!(found.model.as_str(), "unknown");
    }
}

#[test]
fn an_overlay_replaces_models_and_says_so_in_the_revision() {
    let over = "revision = \"ours\"\n[[model]]\nprovider = \"openai\"\nid = \"gpt-5\"\nprice = { input = \"1\", output = \"8\" }\n";
    let table = table().overlaid("ours.toml", over).unwrap();
    assert_eq!(
        table.find("openai", "gpt-5").price.standard.base.input,
        usd("1")
    );
    assert_eq!(
        table.find("azure", "gpt-5").price.standard.base.input,
        usd("1.50")
    );
    assert_eq!(table.revision(), "test 1 + ours");
}

#[test]
fn what_an_overlay_leaves_out_is_as_in_the_list() {
    let over = r#"
revision = "ours"
[[model]]
provider = "anthropic"
id = "claude-sonnet-4"
price = { input = "2", output = "10" }
[[model]]
provider = "openai"
id = "gpt-5"
price = { input = "0.50", output = "18" }
[[model]]
provider = "anthropic"
id = "claude-new"
price = { input = "1", output = "2" }
"#;
    let (list, table) = (table(), table().overlaid("ours.toml", over).unwrap());
    let sonnet = table.find("anthropic", "claude-sonnet-4-0").price;
    let listed = list.find("anthropic", "claude-sonnet-4").price;
    assert_eq!(sonnet.standard.base.input, usd("2"));
    assert_eq!(sonnet.standard.base.cache_read, usd("0.30"));
    assert_eq!(sonnet.fast, listed.fast);
    assert_eq!(
        (sonnet.context, sonnet.max_output, sonnet.regional),
        (200_000, 64_000, 1_100)
    );
    for id in ["claude-sonnet-4", "claude-new"] {
        let price = table.find("anthropic", id).price;
        assert_eq!((price.fees, price.terms), (listed.fees, listed.terms));
    }
    // Flex is not dearer than the standard then, nor is priority cheaper, nor a longer input.
    let gpt = table.find("openai", "gpt-5").price;
    let flex = &gpt.flex.as_ref().unwrap().base;
    let priority = &gpt.priority.as_ref().unwrap().base;
    let long = gpt.standard.at(300_000);
    assert_eq!((flex.input, flex.output), (usd("0.50"), usd("5")));
    assert_eq!((priority.input, priority.output), (usd("2.50"), usd("20")));
    assert_eq!((long.input, long.output), (usd("2.50"), usd("18")));
}

#[test]
fn an_overlay_tells_of_a_provider_or_a_model_what_it_wants_other() {
    let over = r#"
revision = "ours"
[provider.anthropic]
fees = { web_search = "8" }
[[model]]
provider = "anthropic"
id = "claude-sonnet-4"
aliases = []
price = { input = "3", output = "15" }
[[model]]
provider = "openai"
id = "gpt-5"
over = []
fees = { tool_call = "1", web_search_preview = "12" }
price = { input = "1.25", output = "10" }
"#;
    let table = table().overlaid("ours.toml", over).unwrap();
    let sonnet = table.find("anthropic", "claude-sonnet-4").price;
    assert_eq!(sonnet.fees.web_search, usd("8"));
    assert_eq!(sonnet.fees.web_search_preview, usd("8"), "told for both");
    assert_eq!(sonnet.fees.code_session, usd("0.05"));
    assert!(
        sonnet.fees
            == table
                .find("anthropic", "claude-sonnet-4-20250514")
                .price
                .fees
    );
    let gpt = table.find("openai", "gpt-5").price;
    assert_eq!(gpt.standard.over, []);
    assert_eq!(gpt.fees.tool_call, usd("1"));
    let told = (gpt.fees.web_search, gpt.fees.web_search_preview);
    assert_eq!(told, (usd("0"), usd("12")), "its own beside the list's");
}

#[test]
fn an_unknown_key_is_told_with_the_known_ones_once_and_the_nearest() {
    let text = "revision = \"1\"\n[provider.p]\nteir = \"batch\"\n";
    let faults = PriceTable::parse("prices.toml", text).unwrap_err();
    assert_eq!(
        faults[0].to_string(),
        "prices.toml:3:1  unknown key `teir`; expected one of: fees, tier, tool_calls, regional, tool_result_tokens; did you mean `tier`?"
    );
}

#[test]
fn all_mistakes_are_told_with_their_places() {
    let text = r#"
[terms]
tool_calls = "ten"
[provider.openai]
tier = "gold"
[[model]]
provider = "openai"
id = "a"
price = { input = "1,25", output = 10 }
[[model]]
provider = "openai"
id = "b"
colour = "red"
regional = "0.5"
price = { input = "1", output = "2", speed = "3" }
[[model]]
id = "c"
price = { input = "1" }
"#;
    assert_eq!(
        faults(text),
        "prices.toml:1:1  `revision` is missing: it names this edition in the audit\n\
         prices.toml:3:14  `tool_calls` must be a whole number\n\
         prices.toml:4:1  `tier` \"gold\" is none of: standard, batch, flex, priority, fast\n\
         prices.toml:6:1  a model needs `provider`, `id` and `price`\n\
         prices.toml:9:9  a price needs `input` and `output`\n\
         prices.toml:9:19  `input` \"1,25\" is not an amount; write dollars as digits with a point, such as \"12.50\"\n\
         prices.toml:9:36  `output` must be a decimal in quotes, such as \"12.50\"\n\
         prices.toml:10:1  `regional` must be a factor between 1 and 4, such as \"1.1\"\n\
         prices.toml:13:1  unknown key `colour`; expected one of: provider, id, aliases, from, context, max_output, regional, fees, \
         price, over, batch, flex, priority, fast\n\
         prices.toml:15:38  unknown key `speed`; expected one of: input, output, cache_read, cache_write_5m, cache_write_1h, \
         audio_input, image_input, reasoning, audio_output, image_output\n\
         prices.toml:16:1  a model needs `provider`, `id` and `price`\n\
         prices.toml:18:9  a price needs `input` and `output`"
    );
    assert!(faults("revision = \"x\"\n[[model]\n").starts_with("prices.toml:2:"));
}

#[test]
fn a_price_holds_from_its_day_until_the_next_one() {
    let model = |from: &str, input: &str| {
        format!(
            "[[model]]\nprovider = \"p\"\nid = \"m\"\n{from}price = {{ input = \"{input}\", output = \"9\" }}\n"
        )
    };
    let text = format!(
        "revision = \"r\"\n{}{}{}",
        model("from = \"2026-12-01\"\n", "2"),
        model("", "1"),
        model("from = \"2027-01-01\"\n", "3")
    );
    let table = PriceTable::parse("p", &text).unwrap();
    let input = |provider, seconds| {
        let now = crate::domain::Moment::from_seconds(seconds);
        table.find_at(provider, "m", now).price.standard.base.input
    };
    let december = 1_796_083_200;
    assert_eq!(input("p", december - 1), usd("1"));
    assert_eq!(input("p", december), usd("2"));
    assert_eq!(input("p", december + 31 * 86_400), usd("3"));
    assert_eq!(input("elsewhere", december), usd("2"));
    assert_eq!(table.find("p", "m").price.standard.base.input, usd("3"));
    let later = PriceTable::parse(
        "p",
        &format!(
            "revision = \"r\"\n{}",
            model("from = \"2026-12-01\"\n", "2")
        ),
    )
    .unwrap();
    assert!(
        !later
            .find_at("p", "m", crate::domain::Moment::from_seconds(0))
            .known,
        "no price yet"
    );
    let twice = format!("{text}{}", model("from = \"2026-12-01\"\n", "4"));
    assert!(faults(&twice).contains("`m` of `p` is there twice"));
    assert!(
        faults(&format!(
            "revision = \"r\"\n{}",
            model("from = \"soon\"\n", "2")
        ))
        .contains("must be a day")
    );
}

#[test]
fn a_rate_left_out_follows_the_text_or_stays_the_dearer() {
    let text = "revision = \"r\"\n[[model]]\nprovider = \"p\"\nid = \"m\"\n\
        price = { input = \"4\", output = \"20\", cache_write_5m = \"5\", audio_input = \"40\", cache_read = \"1\" }\n\
        over = [{ tokens = 9, input = \"8\", output = \"30\" }]\nflex = { input = \"2\", output = \"10\" }\n";
    let table = PriceTable::parse("p", text).unwrap();
    let price = table.find("p", "m").price;
    let told = |rates: &crate::pricing::Rates| {
        [
            rates.reasoning,
            rates.image_input,
            rates.cache_write_5m,
            rates.cache_write_1h,
            rates.audio_input,
            rates.cache_read,
        ]
    };
    assert_eq!(
        told(&price.standard.base),
        ["20", "4", "5", "5", "40", "1"].map(usd)
    );
    assert_eq!(
        told(price.standard.at(10)),
        ["30", "8", "8", "8", "40", "1"].map(usd)
    );
    let flex = price.flex.as_ref().unwrap();
    assert_eq!(told(&flex.base), ["10", "2", "5", "5", "40", "1"].map(usd));
}

#[test]
fn prices_that_cannot_be_right_are_refused() {
    let model =
        |rest: &str| format!("revision = \"r\"\n[[model]]\nprovider = \"p\"\nid = \"m\"\n{rest}\n");
    for (rest, said) in [
        (
            "price = { input = \"0.000003\", output = \"15\" }",
            "a price per token",
        ),
        (
            "price = { input = \"30000\", output = \"60000\" }",
            "per million",
        ),
        (
            "price = { input = \"3\", output = \"15\", cache_read = \"4\" }",
            "a cache read costs more",
        ),
        (
            "price = { input = \"3\", output = \"15\", cache_write_5m = \"4\", cache_write_1h = \"3\" }",
            "an hour costs less",
        ),
        (
            "price = { input = \"3\", output = \"15\" }\nover = [{ tokens = 9, input = \"2\" }]",
            "over 9 tokens costs less",
        ),
        (
            "price = { input = \"3\", output = \"15\" }\nover = [{ tokens = 9, input = \"4\" }, { tokens = 9, input = \"5\" }]",
            "must rise",
        ),
        (
            "price = { input = \"3\", output = \"15\" }\nflex = { input = \"4\" }",
            "`flex` costs more",
        ),
        (
            "price = { input = \"3\", output = \"15\" }\npriority = { input = \"2\" }",
            "`priority` costs less",
        ),
        (
            "price = { input = \"3\", output = \"15\" }\ncontext = 0",
            "must not be 0",
        ),
    ] {
        assert!(
            faults(&model(rest)).contains(said),
            "{rest}: {}",
            faults(&model(rest))
        );
    }
    let twice = format!(
        "{TABLE}\n[[model]]\nprovider = \"openai\"\nid = \"x\"\naliases = [\"gpt-5\"]\nprice = {{ input = \"1\", output = \"1\" }}\n"
    );
    assert!(faults(&twice).contains("`gpt-5` of `openai` is there twice"));
}
