//! The table that ships.

use super::super::{PriceTable, QuoteMode};
use super::usd;
use crate::domain::{Demand, SearchTool, Usage, Usd};

fn shipped() -> PriceTable {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/prices.toml");
    let text = std::fs::read_to_string(path).unwrap();
    PriceTable::parse("conf/prices.toml", &text).unwrap_or_else(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"))
    })
}

#[test]
fn the_shipped_table_is_right_and_has_the_providers_we_name() {
    let table = shipped();
    for provider in [
        "anthropic",
        "openai",
        "bedrock",
        "azure",
        "vertex",
        "gemini",
        "mistral",
        "deepseek",
        "xai",
        "groq",
    ] {
        let models = table.models().iter().filter(|m| m.provider == provider);
        assert!(models.count() >= 5, "{provider}");
    }
    assert!(table.revision().starts_with("litellm-"));
}

#[test]
fn well_known_prices_are_what_the_vendors_say() {
    let table = shipped();
    for (provider, model, input, output, read, write) in [
        ("anthropic", "claude-opus-5-5", "4", "20", "0.2", "8"),
        ("anthropic", "claude-sonnet-5", "2", "10", "0.2", "4"),
        (
            "anthropic",
            "claude-haiku-4-5-20251001",
            "1",
            "5",
            "0.1",
            "2",
        ),
        ("openai", "gpt-5.5", "5", "30", "0.5", "5"),
        ("openai", "gpt-5.6", "4", "20", "0.4", "10"),
    ] {
        let found = table.find(provider, model);
        assert!(found.known, "{model}");
        let base = &found.price.standard.base;
        let told = [
            base.input,
            base.output,
            base.cache_read,
            base.cache_write_1h,
        ];
        assert_eq!(told, [input, output, read, write].map(usd), "{model}");
    }
}

#[test]
fn a_web_search_costs_what_its_tool_costs_with_that_model() {
    let table = shipped();
    for (model, plain, preview) in [
        ("gpt-4o", "0.01", "0.025"),
        ("gpt-4.1-mini", "0.01", "0.025"),
        ("gpt-5.5", "0.01", "0.01"),
        ("o3", "0.01", "0.01"),
        ("gpt-4o-search-preview", "0.025", "0.025"),
        ("gpt-5-search-api", "0.01", "0.01"),
    ] {
        let price = table.find("openai", model).price;
        let one = |search| {
            let usage = Usage {
                web_searches: 1,
                search,
                ..Usage::default()
            };
            price.cost(&usage)
        };
        let told = [SearchTool::Current, SearchTool::Preview].map(|tool| one(tool).unwrap());
        assert_eq!(told, [usd(plain), usd(preview)], "{model}");
    }
}

#[test]
fn no_model_is_free_to_ask() {
    let demand = Demand {
        input_bytes: 1_000,
        has_output: true,
        ..Demand::default()
    };
    for model in shipped().models() {
        let quote = model.price.quote(&demand, QuoteMode::Strict);
        assert!(quote.is_some_and(|quote| quote > Usd::ZERO), "{}", model.id);
    }
}
