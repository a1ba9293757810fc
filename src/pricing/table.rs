//! All prices of one file, found by provider and model.

use std::collections::{HashMap, HashSet};

use crate::domain::{Moment, Name, Usd};

use super::PriceFault;
use super::file;
use super::forms::forms;
use super::price::{Common, Fees, GLOBAL, Ladder, Price, Rates, Terms};

/// Input and output of a model that is not in the table, in dollars per million tokens, unless the configuration says
/// otherwise; and what such a model may read and write at most.
const UNKNOWN_INPUT: Usd = Usd::from_nanos(5_000_000_000);
const UNKNOWN_OUTPUT: Usd = Usd::from_nanos(25_000_000_000);
const UNKNOWN_CONTEXT: u64 = 1_000_000;
const UNKNOWN_OUTPUT_TOKENS: u64 = 128_000;

/// All prices, as one file tells them.
#[derive(Clone, Debug)]
pub struct PriceTable {
    pub(super) revision: String,
    pub(super) models: Vec<Model>,
    /// Provider, then id or alias, to places in `models`: one for each date from which a price holds.
    by_provider: HashMap<String, Places>,
    /// For providers that the table does not know: all models of that id, wherever they are.
    anywhere: Places,
    pub(super) common: Common,
    unknown: Price,
    unknown_name: Name,
}

/// Id or alias to places in the list of models.
type Places = HashMap<String, Vec<usize>>;

/// One model at one provider.
#[derive(Clone, Debug)]
pub struct Model {
    pub provider: String,
    pub id: String,
    pub aliases: Vec<String>,
    /// When the price begins to hold, and the one before it ends; `None` from the beginning of time.
    pub from: Option<Moment>,
    pub price: Price,
    name: Name,
}

impl Model {
    pub(super) fn new(provider: String, id: String, price: Price) -> Self {
        let name = Name::new(&id);
        Self {
            provider,
            id,
            aliases: Vec::new(),
            from: None,
            price,
            name,
        }
    }

    fn rank(&self) -> (Usd, Usd) {
        let rates = &self.price.standard.base;
        (rates.output, rates.input)
    }
}

/// A price that was looked up.
#[derive(Clone, Copy, Debug)]
pub struct Priced<'a> {
    pub price: &'a Price,
    /// False where the table has no such model: then the price is the conservative one.
    pub known: bool,
    /// The model as priced: from the table, so it is fit for a metric label.
    pub model: &'a Name,
}

impl PriceTable {
    /// Reads a price table; `name` is its file's name, for faults.
    ///
    /// # Errors
    /// All mistakes in the text, each with its place.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<PriceFault>> {
        file::read(name, text, None)
    }

    pub(super) fn new(revision: String, models: Vec<Model>, common: Common) -> Self {
        let mut table = Self {
            revision,
            models,
            common,
            by_provider: HashMap::new(),
            anywhere: HashMap::new(),
            unknown: conservative(UNKNOWN_INPUT, UNKNOWN_OUTPUT),
            unknown_name: Name::new("unknown"),
        };
        table.index();
        table
    }

    /// The same table with these prices per million tokens for models that it does not know.
    #[must_use]
    pub fn with_unknown(mut self, input: Usd, output: Usd) -> Self {
        self.unknown = conservative(input, output);
        self
    }

    /// This table with another one laid over it, such as one of negotiated prices: its models replace those of the same
    /// provider and id. What it does not tell of them (aliases, fees, tiers, steps for long inputs) stays as it is here.
    ///
    /// # Errors
    /// All mistakes in the text, each with its place.
    pub fn overlaid(mut self, name: &str, text: &str) -> Result<Self, Vec<PriceFault>> {
        let over = file::read(name, text, Some(&self))?;
        let id = |model: &Model| (model.provider.clone(), model.id.clone());
        let replaced: HashSet<_> = over.models.iter().map(id).collect();
        self.models.retain(|model| !replaced.contains(&id(model)));
        self.models.extend(over.models);
        self.common = over.common;
        self.revision = format!("{} + {}", self.revision, over.revision);
        self.index();
        Ok(self)
    }

    /// The newest price of exactly this model.
    pub(super) fn listed(&self, provider: &str, id: &str) -> Option<&Model> {
        let same = |model: &&Model| model.provider == provider && model.id == id;
        self.models
            .iter()
            .filter(same)
            .max_by_key(|model| model.from)
    }

    fn index(&mut self) {
        self.by_provider.clear();
        self.anywhere.clear();
        for (at, model) in self.models.iter().enumerate() {
            let own = self.by_provider.entry(model.provider.clone()).or_default();
            for id in std::iter::once(&model.id).chain(&model.aliases) {
                own.entry(id.clone()).or_default().push(at);
                self.anywhere.entry(id.clone()).or_default().push(at);
            }
        }
    }

    /// The price of a model at a provider (the name of the configured provider), by the latest prices in the table.
    #[must_use]
    pub fn find(&self, provider: &str, model: &str) -> Priced<'_> {
        self.find_at(provider, model, Moment::from_micros(i64::MAX))
    }

    /// The price of a model at a provider (the name of the configured provider) at a moment. Where the table has no such
    /// provider, the dearest model of that id at any; where it has no such model, the conservative price.
    #[must_use]
    pub fn find_at(&self, provider: &str, model: &str, now: Moment) -> Priced<'_> {
        let known = self.by_provider.get(provider);
        let found = std::iter::once(model)
            .chain(forms(provider, model))
            .find_map(|form| {
                if let Some(own) = known {
                    return self.holding(own.get(form)?, now).max_by_key(|m| m.from);
                }
                let all = self.holding(self.anywhere.get(form)?, now);
                all.max_by_key(|model| model.rank())
            });
        match found {
            Some(model) => Priced {
                price: &model.price,
                known: true,
                model: &model.name,
            },
            None => Priced {
                price: &self.unknown,
                known: false,
                model: &self.unknown_name,
            },
        }
    }

    /// Of these models, those whose price has begun to hold.
    fn holding<'a>(&'a self, places: &'a [usize], now: Moment) -> impl Iterator<Item = &'a Model> {
        let models = places.iter().filter_map(|at| self.models.get(*at));
        models.filter(move |model| model.from.is_none_or(|from| from <= now))
    }

    /// Which edition of the prices this is, for the audit.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// All models, in the order of the file.
    #[must_use]
    pub fn models(&self) -> &[Model] {
        &self.models
    }
}

/// The price of a model of which nothing is known: cache writes at Anthropic's factors, which are the highest in use, cache
/// reads without a discount.
fn conservative(input: Usd, output: Usd) -> Price {
    let base = Rates {
        cache_write_5m: input.percent(125),
        cache_write_1h: input.percent(200),
        ..Rates::plain(input, output)
    };
    Price {
        standard: Ladder {
            base,
            over: Vec::new(),
        },
        batch: None,
        flex: None,
        priority: None,
        fast: None,
        regional: GLOBAL,
        fees: Fees {
            web_search: Usd::from_nanos(35_000_000_000),
            web_search_preview: Usd::from_nanos(35_000_000_000),
            tool_call: Usd::from_nanos(2_500_000_000),
            code_session: Usd::from_nanos(50_000_000),
            image: Usd::from_nanos(250_000_000),
        },
        context: UNKNOWN_CONTEXT,
        max_output: UNKNOWN_OUTPUT_TOKENS,
        terms: Terms::default(),
    }
}
