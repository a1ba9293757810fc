//! The rates of one model, as a price table's file tells them, and what they take over from elsewhere.

use crate::domain::Usd;

use super::file::{Faults, Fields};
use super::price::{Ladder, Price, Rates};

pub(super) fn read_ladder(faults: &mut Faults<'_>, base: Rates, steps: Vec<Fields<'_>>) -> Ladder {
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
pub(super) fn read_rates(
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

/// What a price of an overlay takes over of the list's where it does not tell it: tiers as they are, but none that is cheap
/// for more than the standard, and none that is dear for less.
pub(super) struct List<'a>(pub(super) Option<&'a Price>);

impl List<'_> {
    pub(super) fn base(&self) -> Option<&Rates> {
        self.0.map(|price| &price.standard.base)
    }

    /// Steps for long inputs over a base of another price.
    pub(super) fn steps(&self, base: &Rates) -> Vec<(u64, Rates)> {
        let steps = self.0.map_or(&[][..], |price| &price.standard.over);
        let dearer = |(tokens, rates): &(u64, Rates)| (*tokens, rates.each(base, Usd::max));
        steps.iter().map(dearer).collect()
    }

    /// A tier beside a standard of another price.
    pub(super) fn tier(&self, key: &str, standard: &Ladder) -> Option<Ladder> {
        let price = self.0?;
        let (own, pick): (_, fn(Usd, Usd) -> Usd) = match key {
            "batch" => (&price.batch, Usd::min),
            "flex" => (&price.flex, Usd::min),
            "priority" => (&price.priority, Usd::max),
            _ => (&price.fast, Usd::max),
        };
        let own = own.as_ref()?;
        let step = |(tokens, rates): &(u64, Rates)| {
            let beside = standard.at(tokens.saturating_add(1));
            (*tokens, rates.each(beside, pick))
        };
        Some(Ladder {
            base: own.base.each(&standard.base, pick),
            over: own.over.iter().map(step).collect(),
        })
    }
}
