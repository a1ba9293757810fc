//! The price table's TOML: from text to prices, all mistakes at once.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::document::nearest;
use crate::domain::{Moment, ServiceTier, Usd};

use super::PriceFault;
use super::price::{Fees, GLOBAL, Ladder, Price, Rates, Terms};
use super::sane;
use super::table::{Model, PriceTable};

/// What a model may read and write at most where the file does not say.
const CONTEXT: u64 = 1_000_000;
const MAX_OUTPUT: u64 = 128_000;

/// Reads a table, or tells all that is wrong with it.
pub(super) fn read(name: &str, text: &str) -> Result<PriceTable, Vec<PriceFault>> {
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
    let terms = top.table(&mut faults, "terms");
    let terms = terms.map_or_else(Terms::default, |t| {
        read_terms(&mut faults, t, Terms::default())
    });
    let providers = top.table(&mut faults, "provider");
    let providers = providers.map_or_else(Vec::new, |t| read_providers(&mut faults, &t, terms));
    let mut models = Vec::new();
    for model in top.list(&mut faults, "model") {
        models.extend(read_model(&mut faults, model, &providers, terms));
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
        Ok(PriceTable::new(revision.unwrap_or_default(), models))
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
struct Fields<'t> {
    table: &'t DeTable<'t>,
    at: usize,
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

    fn done(&self, faults: &mut Faults<'_>) {
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

    fn usd(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Option<Usd> {
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

    fn count(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Option<u64> {
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

/// What all models of one provider share.
struct Provider {
    name: String,
    terms: Terms,
    fees: Fees,
}

fn read_providers(faults: &mut Faults<'_>, all: &Fields<'_>, terms: Terms) -> Vec<Provider> {
    let mut providers = Vec::new();
    for (name, value) in all.table {
        let Some(mut fields) = as_table(faults, "provider", value) else {
            continue;
        };
        let fees = fields.table(faults, "fees");
        let fees = fees.map_or_else(Fees::default, |f| read_fees(faults, f, Fees::default()));
        providers.push(Provider {
            name: name.get_ref().to_string(),
            terms: read_terms(faults, fields, terms),
            fees,
        });
    }
    providers
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
    let fees = Fees {
        web_search: fields.usd(faults, "web_search").unwrap_or(base.web_search),
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
    providers: &[Provider],
    terms: Terms,
) -> Option<(Model, usize)> {
    let at = fields.at;
    let provider = fields.text(faults, "provider");
    let id = fields.text(faults, "id");
    let aliases = fields.texts(faults, "aliases");
    let from = fields.date(faults, "from");
    let shared = providers
        .iter()
        .find(|p| Some(&p.name) == provider.as_ref());
    let (terms, fees) = shared.map_or((terms, Fees::default()), |p| (p.terms, p.fees));
    let context = fields.count(faults, "context").unwrap_or(CONTEXT);
    let max_output = fields.count(faults, "max_output").unwrap_or(MAX_OUTPUT);
    let regional = fields
        .usd(faults, "regional")
        .map_or(Some(GLOBAL), thousandths);
    let own_fees = fields.table(faults, "fees");
    let fees = own_fees.map_or(fees, |own| read_fees(faults, own, fees));
    let base = fields
        .table(faults, "price")
        .and_then(|mut t| read_rates(faults, &mut t, None));
    let over = fields.list(faults, "over");
    let standard = base.map(|base| read_ladder(faults, base, over));
    let mut tier = |key| {
        let mut own = fields.table(faults, key)?;
        let over = own.list(faults, "over");
        let base = read_rates(faults, &mut own, standard.as_ref().map(|s| &s.base))?;
        Some(read_ladder(faults, base, over))
    };
    let [batch, flex, priority, fast] = ["batch", "flex", "priority", "fast"].map(&mut tier);
    fields.done(faults);
    let (Some(provider), Some(id), Some(standard)) = (provider, id, standard) else {
        faults.add(at, "a model needs `provider`, `id` and `price`".to_owned());
        return None;
    };
    let Some(regional) = regional else {
        faults.add(
            at,
            format!("`regional` of `{id}` must be a factor between 1 and 4, such as \"1.1\""),
        );
        return None;
    };
    let price = Price {
        standard,
        batch,
        flex,
        priority,
        fast,
        regional,
        fees,
        context,
        max_output,
        terms,
    };
    sane::price(&id, &price, at, faults);
    let mut model = Model::new(provider, id, price);
    model.aliases = aliases;
    model.from = from;
    Some((model, at))
}

/// A factor such as 1.1 in thousandths, rounded up.
fn thousandths(factor: Usd) -> Option<u32> {
    let thousandths = u32::try_from(factor.nanos().div_ceil(1_000_000)).ok()?;
    (GLOBAL..=4 * GLOBAL)
        .contains(&thousandths)
        .then_some(thousandths)
}

fn read_ladder(faults: &mut Faults<'_>, base: Rates, steps: Vec<Fields<'_>>) -> Ladder {
    let mut over: Vec<(u64, Rates)> = Vec::new();
    for mut step in steps {
        let at = step.at;
        let tokens = step.count(faults, "tokens");
        let below = over.last().map_or(base, |(_, rates)| *rates);
        let rates = read_rates(faults, &mut step, Some(&below));
        match (tokens, over.last()) {
            (None, _) => faults.add(at, "a step of `over` needs `tokens`".to_owned()),
            (Some(tokens), Some((last, _))) if tokens <= *last => {
                faults.add(at, "the steps of `over` must rise".to_owned());
            }
            (Some(tokens), _) => over.extend(rates.map(|rates| (tokens, rates))),
        }
    }
    Ladder { base, over }
}

/// Rates; those that are not told are those of `below`, or follow from the others where nothing is below.
fn read_rates(
    faults: &mut Faults<'_>,
    fields: &mut Fields<'_>,
    below: Option<&Rates>,
) -> Option<Rates> {
    let mut told = |key| fields.usd(faults, key);
    let input = told("input").or(below.map(|b| b.input));
    let output = told("output").or(below.map(|b| b.output));
    let cache = ["cache_read", "cache_write_5m", "cache_write_1h"].map(&mut told);
    let inputs = ["audio_input", "image_input"].map(&mut told);
    let outputs = ["reasoning", "audio_output", "image_output"].map(&mut told);
    fields.done(faults);
    let (Some(input), Some(output)) = (input, output) else {
        faults.add(fields.at, "a price needs `input` and `output`".to_owned());
        return None;
    };
    let plain = Rates::plain(input, output);
    let below = below.unwrap_or(&plain);
    let as_input = |told, was| follow(told, was, below.input, input);
    let as_output = |told, was| follow(told, was, below.output, output);
    let short = as_input(cache[1], below.cache_write_5m);
    // A read that costs less than fresh input below does so here.
    let read = if below.cache_read < below.input {
        below.cache_read.min(input)
    } else {
        input
    };
    Some(Rates {
        input,
        output,
        cache_read: cache[0].unwrap_or(read),
        cache_write_5m: short,
        cache_write_1h: follow(cache[2], below.cache_write_1h, below.cache_write_5m, short),
        audio_input: as_input(inputs[0], below.audio_input),
        image_input: as_input(inputs[1], below.image_input),
        reasoning: as_output(outputs[0], below.reasoning),
        audio_output: as_output(outputs[1], below.audio_output),
        image_output: as_output(outputs[2], below.image_output),
    })
}

/// A rate that may be left out: then it is that of the text where it was so below, and else what it was, or the text's where
/// that is more.
fn follow(told: Option<Usd>, was: Usd, text_was: Usd, text: Usd) -> Usd {
    told.unwrap_or(if was == text_was { text } else { was.max(text) })
}
