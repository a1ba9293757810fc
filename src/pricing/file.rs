//! The price table's TOML: from text to prices, all mistakes at once.

use std::collections::HashSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::document::nearest;
use crate::domain::{Moment, ServiceTier, Usd};

use super::PriceFault;
use super::price::{Common, Fees, GLOBAL, Price, Shared, Terms};
use super::rates::{List, read_ladder, read_rates};
use super::sane;
use super::table::{Model, PriceTable};

/// What a model may read and write at most where the file does not say.
const CONTEXT: u64 = 1_000_000;
const MAX_OUTPUT: u64 = 128_000;

/// Reads a table, or tells all that is wrong with it. What the text of an overlay leaves out is as in the list that it is
/// laid over.
pub(super) fn read(
    name: &str,
    text: &str,
    list: Option<&PriceTable>,
) -> Result<PriceTable, Vec<PriceFault>> {
    let mut faults = Faults {
        name,
        text,
        list: Vec::new(),
    };
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        faults.add(at, error.message().to_owned());
    }
    if !faults.list.is_empty() {
        return Err(faults.list);
    }
    let mut top = Fields::new(root.get_ref(), 0);
    let revision = top.text(&mut faults, "revision");
    let mut around = Around {
        list,
        told: HashSet::new(),
        common: list.map(|list| list.common.clone()).unwrap_or_default(),
    };
    if let Some(terms) = top.table(&mut faults, "terms") {
        around.common.terms = read_terms(&mut faults, terms, around.common.terms);
    }
    if let Some(providers) = top.table(&mut faults, "provider") {
        read_providers(&mut faults, &providers, &mut around);
    }
    let mut models = Vec::new();
    for model in top.list(&mut faults, "model") {
        models.extend(read_model(&mut faults, model, &around));
    }
    top.done(&mut faults);
    sane::unique(&models, &mut faults);
    if revision.is_none() {
        faults.add(
            0,
            "`revision` is missing: it names this edition in the audit".to_owned(),
        );
    }
    if faults.list.is_empty() {
        let models = models.into_iter().map(|(model, _)| model).collect();
        let revision = revision.unwrap_or_default();
        Ok(PriceTable::new(revision, models, around.common))
    } else {
        faults.list.sort_by_key(|fault| (fault.line, fault.column));
        Err(faults.list)
    }
}

/// The mistakes found so far.
pub(super) struct Faults<'a> {
    name: &'a str,
    text: &'a str,
    list: Vec<PriceFault>,
}

impl Faults<'_> {
    /// A mistake at a byte of the text.
    pub(super) fn add(&mut self, at: usize, message: String) {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |n| n + 1);
        self.list.push(PriceFault {
            file: self.name.to_owned(),
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: before.len() - line_start + 1,
            message,
        });
    }
}

/// A table whose members are taken one by one; what is left is unknown.
pub(super) struct Fields<'t> {
    table: &'t DeTable<'t>,
    pub(super) at: usize,
    known: Vec<&'static str>,
}

impl<'t> Fields<'t> {
    const fn new(table: &'t DeTable<'t>, at: usize) -> Self {
        Self {
            table,
            at,
            known: Vec::new(),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.table.get(key)
    }

    fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn done(&self, faults: &mut Faults<'_>) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if !self.known.contains(&name) {
                // Some are asked for twice.
                let mut known: Vec<&str> = Vec::new();
                for one in &self.known {
                    if !known.contains(one) {
                        known.push(one);
                    }
                }
                let hint = nearest(name, known.iter().copied())
                    .map(|near| format!("; did you mean `{near}`?"))
                    .unwrap_or_default();
                let known = known.join(", ");
                faults.add(
                    key.span().start,
                    format!("unknown key `{name}`; expected one of: {known}{hint}"),
                );
            }
        }
    }

    fn text(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Option<String> {
        let value = self.take(key)?;
        let text = value.get_ref().as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            faults.add(value.span().start, format!("`{key}` must be a text"));
        }
        text.map(str::to_owned)
    }

    pub(super) fn usd(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Option<Usd> {
        let value = self.take(key)?;
        let at = value.span().start;
        let Some(text) = value.get_ref().as_str() else {
            faults.add(
                at,
                format!("`{key}` must be a decimal in quotes, such as \"12.50\""),
            );
            return None;
        };
        match Usd::parse(text) {
            Ok(amount) => Some(amount),
            Err(error) => {
                faults.add(at, format!("`{key}` \"{text}\" {error}"));
                None
            }
        }
    }

    pub(super) fn count(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Option<u64> {
        let value = self.take(key)?;
        let count = value
            .get_ref()
            .as_integer()
            .and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
        if count.is_none() {
            faults.add(
                value.span().start,
                format!("`{key}` must be a whole number"),
            );
        }
        count
    }

    /// A day such as "2026-12-01": its beginning, UTC.
    fn date(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Option<Moment> {
        let value = self.take(key)?;
        let day = value.get_ref().as_str().and_then(|text| {
            let date: jiff::civil::Date = text.parse().ok()?;
            let start = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
            Some(Moment::from_seconds(start.timestamp().as_second()))
        });
        if day.is_none() {
            let wrong = format!("`{key}` must be a day in quotes, such as \"2026-12-01\"");
            faults.add(value.span().start, wrong);
        }
        day
    }

    fn flag(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            faults.add(value.span().start, format!("`{key}` must be true or false"));
        }
        flag
    }

    fn table(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Option<Self> {
        let value = self.take(key)?;
        as_table(faults, key, value)
    }

    /// A list of tables; absent is empty.
    fn list(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Vec<Self> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            faults.add(value.span().start, format!("`{key}` must be a list"));
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| as_table(faults, key, item))
            .collect()
    }

    fn texts(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Vec<String> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let texts = value.get_ref().as_array().and_then(|items| {
            let text = |item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_owned);
            items.iter().map(text).collect()
        });
        if texts.is_none() {
            faults.add(
                value.span().start,
                format!("`{key}` must be a list of texts"),
            );
        }
        texts.unwrap_or_default()
    }
}

fn as_table<'t>(
    faults: &mut Faults<'_>,
    key: &str,
    value: &'t Spanned<DeValue<'t>>,
) -> Option<Fields<'t>> {
    let at = value.span().start;
    let table = value.get_ref().as_table();
    if table.is_none() {
        faults.add(at, format!("`{key}` must be a table"));
    }
    table.map(|table| Fields::new(table, at))
}

/// What a model takes over where it does not tell it.
struct Around<'a> {
    /// What the table is laid over.
    list: Option<&'a PriceTable>,
    /// Providers that the text names.
    told: HashSet<String>,
    common: Common,
}

impl<'a> Around<'a> {
    /// The model as the list has it; and what it shares with others: as the text tells of its provider, or as in the list.
    fn of(&self, provider: &str, id: &str) -> (Option<&'a Model>, Shared) {
        let model = self.list.and_then(|list| list.listed(provider, id));
        let listed = model.filter(|_| !self.told.contains(provider));
        let shared = listed.map(|model| model.price.shared());
        (model, shared.unwrap_or_else(|| self.common.of(provider)))
    }
}

fn read_providers(faults: &mut Faults<'_>, all: &Fields<'_>, around: &mut Around<'_>) {
    for (name, value) in all.table {
        let Some(mut fields) = as_table(faults, "provider", value) else {
            continue;
        };
        let name = name.get_ref().to_string();
        let listed = around.common.of(&name);
        let fees = fields.table(faults, "fees");
        let shared = Shared {
            fees: fees.map_or(listed.fees, |f| read_fees(faults, f, listed.fees)),
            terms: read_terms(faults, fields, listed.terms),
        };
        around.told.insert(name.clone());
        around.common.providers.insert(name, shared);
    }
}

fn read_terms(faults: &mut Faults<'_>, mut fields: Fields<'_>, base: Terms) -> Terms {
    fields.known.push("fees");
    let tier = fields.text(faults, "tier").map(|name| {
        tier(&name).unwrap_or_else(|| {
            let at = fields.at;
            faults.add(
                at,
                format!("`tier` \"{name}\" is none of: standard, batch, flex, priority, fast"),
            );
            base.tier
        })
    });
    let calls = fields.count(faults, "tool_calls");
    let terms = Terms {
        tier: tier.unwrap_or(base.tier),
        regional: fields.flag(faults, "regional").unwrap_or(base.regional),
        tool_calls: calls.map_or(base.tool_calls, |n| u32::try_from(n).unwrap_or(u32::MAX)),
        tool_result: fields
            .count(faults, "tool_result_tokens")
            .unwrap_or(base.tool_result),
    };
    fields.done(faults);
    terms
}

fn tier(name: &str) -> Option<ServiceTier> {
    use ServiceTier::{Batch, Fast, Flex, Priority, Standard};
    [Standard, Batch, Flex, Priority, Fast]
        .into_iter()
        .find(|tier| tier.as_str() == name)
}

fn read_fees(faults: &mut Faults<'_>, mut fields: Fields<'_>, base: Fees) -> Fees {
    let web_search = fields.usd(faults, "web_search");
    // A price told for web searches holds for both tools, unless the earlier one has its own.
    let preview = fields.usd(faults, "web_search_preview").or(web_search);
    let fees = Fees {
        web_search: web_search.unwrap_or(base.web_search),
        web_search_preview: preview.unwrap_or(base.web_search_preview),
        tool_call: fields.usd(faults, "tool_call").unwrap_or(base.tool_call),
        code_session: fields
            .usd(faults, "code_session")
            .unwrap_or(base.code_session),
        image: fields.usd(faults, "image").unwrap_or(base.image),
    };
    fields.done(faults);
    fees
}

/// One model and its place in the text.
fn read_model(
    faults: &mut Faults<'_>,
    mut fields: Fields<'_>,
    around: &Around<'_>,
) -> Option<(Model, usize)> {
    let at = fields.at;
    let provider = fields.text(faults, "provider");
    let id = fields.text(faults, "id");
    let (model, shared) = around.of(
        provider.as_deref().unwrap_or_default(),
        id.as_deref().unwrap_or_default(),
    );
    let told_aliases = fields.has("aliases");
    let mut aliases = fields.texts(faults, "aliases");
    if let Some(model) = model.filter(|_| !told_aliases) {
        aliases.clone_from(&model.aliases);
    }
    let from = fields.date(faults, "from");
    let price = read_price(faults, &mut fields, model.map(|model| &model.price), shared);
    fields.done(faults);
    let (Some(provider), Some(id), Some(price)) = (provider, id, price) else {
        faults.add(at, "a model needs `provider`, `id` and `price`".to_owned());
        return None;
    };
    sane::price(&id, &price, at, faults);
    let mut model = Model::new(provider, id, price);
    model.aliases = aliases;
    model.from = from;
    Some((model, at))
}

/// What a model costs; nothing where its rates are not told.
fn read_price(
    faults: &mut Faults<'_>,
    fields: &mut Fields<'_>,
    listed: Option<&Price>,
    shared: Shared,
) -> Option<Price> {
    let list = List(listed);
    let told = fields.count(faults, "context");
    let context = told.or(listed.map(|price| price.context));
    let told = fields.count(faults, "max_output");
    let max_output = told.or(listed.map(|price| price.max_output));
    let at = fields.at;
    let regional = fields.usd(faults, "regional").map(thousandths);
    if regional == Some(None) {
        let wrong = "`regional` must be a factor between 1 and 4, such as \"1.1\"";
        faults.add(at, wrong.to_owned());
    }
    let own_fees = fields.table(faults, "fees");
    let fees = own_fees.map_or(shared.fees, |own| read_fees(faults, own, shared.fees));
    let base = fields
        .table(faults, "price")
        .and_then(|mut rates| read_rates(faults, &mut rates, list.base()));
    let told_over = fields.has("over");
    let over = fields.list(faults, "over");
    let standard = base.map(|base| {
        let mut ladder = read_ladder(faults, base, over);
        if !told_over {
            ladder.over = list.steps(&base);
        }
        ladder
    });
    let [batch, flex, priority, fast] = ["batch", "flex", "priority", "fast"].map(|key| {
        let Some(mut own) = fields.table(faults, key) else {
            return list.tier(key, standard.as_ref()?);
        };
        let over = own.list(faults, "over");
        let base = read_rates(faults, &mut own, standard.as_ref().map(|s| &s.base))?;
        Some(read_ladder(faults, base, over))
    });
    Some(Price {
        standard: standard?,
        batch,
        flex,
        priority,
        fast,
        regional: regional
            .flatten()
            .or(listed.map(|price| price.regional))
            .unwrap_or(GLOBAL),
        fees,
        context: context.unwrap_or(CONTEXT),
        max_output: max_output.unwrap_or(MAX_OUTPUT),
        terms: shared.terms,
    })
}

/// A factor such as 1.1 in thousandths, rounded up.
fn thousandths(factor: Usd) -> Option<u32> {
    let thousandths = u32::try_from(factor.nanos().div_ceil(1_000_000)).ok()?;
    (GLOBAL..=4 * GLOBAL)
        .contains(&thousandths)
        .then_some(thousandths)
}
