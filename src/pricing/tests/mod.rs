//! The price engine's promises.

mod shipped;
mod table;
mod vectors;
mod worst_case;

use crate::domain::Usd;

use super::{Price, PriceTable};

/// A small table with every kind of price.
const TABLE: &str = r#"
revision = "test 1"

[terms]
tool_calls = 3
tool_result_tokens = 1_000

[provider.anthropic]
fees = { web_search = "10", code_session = "0.05" }

[[model]]
provider = "anthropic"
id = "claude-sonnet-4"
aliases = ["claude-sonnet-4-0"]
context = 200_000
max_output = 64_000
regional = "1.1"
price = { input = "3", output = "15", cache_read = "0.30", cache_write_5m = "3.75", cache_write_1h = "6" }
fast = { input = "6", output = "30", cache_read = "0.60", cache_write_5m = "7.5", cache_write_1h = "12" }

[[model]]
provider = "anthropic"
id = "claude-opus-4-7"
context = 1_000_000
price = { input = "5", output = "25", cache_read = "0.50", cache_write_5m = "6.25", cache_write_1h = "10" }

[[model]]
provider = "openai"
id = "gpt-5"
context = 400_000
price = { input = "1.25", output = "10", cache_read = "0.125" }
over = [{ tokens = 272_000, input = "2.50", output = "15", cache_read = "0.25" }]
flex = { input = "0.625", output = "5", cache_read = "0.0625" }
priority = { input = "2.50", output = "20", cache_read = "0.25", over = [{ tokens = 272_000, input = "5", output = "30" }] }

[[model]]
provider = "azure"
id = "gpt-5"
price = { input = "1.50", output = "11" }

[[model]]
provider = "openai"
id = "embedding"
price = { input = "0.02", output = "0" }
"#;

fn table() -> PriceTable {
    PriceTable::parse("prices.toml", TABLE).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn price(provider: &str, model: &str) -> Price {
    let table = table();
    let found = table.find(provider, model);
    assert!(found.known);
    found.price.clone()
}

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}
