//! Counts what an answer cost while it passes: usage fields from JSON and from event streams.
//!
//! Reads each byte once and keeps a bounded part. It never changes, delays or judges the answer, and knows no price. What
//! the provider does not tell is completed by upper estimates: a token is at least one byte of what was delivered.

mod counts;
mod field;
mod items;
mod lines;
mod read;
mod rounds;

use std::borrow::Cow;

use crate::domain::{Demand, Provenance, ServiceTier, Usage};

use super::json::Walker;
use super::route::{Dialect, Endpoint};
use super::sse::{Event, Piece, Splitter};
use counts::tier_served;
use lines::DataLines;
use read::Reading;

/// Events up to this size are held to be read at once; larger ones are read in pieces.
const HELD: usize = 16 * 1024;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterInput {
    Json,
    Sse,
    /// In a content encoding that nobody here reads: what it says, and how much, stays hidden.
    Unreadable,
}

/// Reads an answer as it passes; holds a bounded part of it at most.
#[derive(Debug)]
pub struct Meter {
    endpoint: Endpoint,
    demand: Demand,
    form: Form,
    seen: Seen,
    bytes: u64,
}

#[derive(Debug)]
enum Form {
    Json,
    Sse(Splitter),
    Unreadable,
}

/// What has been read, and how far.
#[derive(Debug, Default)]
struct Seen {
    reading: Reading,
    walker: Walker,
    /// The text at hand is no JSON; wait for the next one.
    broken: bool,
    lines: DataLines,
    /// The event with the final usage was seen.
    settled: bool,
    /// `[DONE]` was seen.
    done: bool,
}

/// What a meter saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metered {
    /// What to charge for: the provider's count, completed by upper estimates where it did not tell.
    pub usage: Usage,
    /// Of `usage`, what the provider told.
    pub told: Usage,
    pub provenance: Provenance,
    /// What other models than the one asked for used, on top of `usage`: each by its own price.
    pub others: Vec<(String, Usage)>,
    /// Whether the answer told its final usage, as the dialect marks it.
    pub complete: bool,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    /// Whether the answer carried an error after its 200.
    pub error_event: bool,
    /// Bytes of text delivered to the client.
    pub streamed_bytes: u64,
    /// Whether more may have been billed than `usage` says, because it was neither told nor shown: reasoning that was cut off,
    /// input of which the request shows nothing. Then only the reservation is an upper bound.
    pub hidden_output: bool,
}

/// What a meter knows before the end of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoFar {
    /// As told, without estimates.
    pub usage: Usage,
    /// Whether the input is among it.
    pub input_told: bool,
    /// Bytes of text delivered.
    pub text: u64,
}

impl Meter {
    /// A meter for one answer to a request with that demand, which bounds the estimates.
    #[must_use]
    pub fn new(endpoint: Endpoint, input: MeterInput, demand: Demand) -> Self {
        Self {
            endpoint,
            demand,
            form: match input {
                MeterInput::Json => Form::Json,
                MeterInput::Sse => Form::Sse(Splitter::new(HELD)),
                MeterInput::Unreadable => Form::Unreadable,
            },
            seen: Seen::default(),
            bytes: 0,
        }
    }

    /// Sees the next bytes of the answer, content encoding removed.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        match &mut self.form {
            Form::Json => self.seen.read(bytes),
            Form::Sse(splitter) => splitter.push(bytes, |piece| self.seen.piece(piece)),
            Form::Unreadable => {}
        }
    }

    /// What is known before the end.
    #[must_use]
    pub fn so_far(&self) -> SoFar {
        let reading = &self.seen.reading;
        let told = reading.told();
        let mut usage = match self.dialect() {
            Dialect::Anthropic => told.anthropic(),
            Dialect::OpenAi => told.openai(self.demand.cache_writes),
        };
        self.extras(&mut usage);
        SoFar {
            usage,
            input_told: usage.total_input() > 0,
            text: reading.text,
        }
    }

    /// Ends the answer.
    #[must_use]
    pub fn finish(self) -> Metered {
        let complete = self.is_complete();
        let streamed = match self.form {
            Form::Json | Form::Unreadable => self.bytes,
            Form::Sse(_) => self.seen.reading.text,
        };
        let reading = &self.seen.reading;
        let mut metered = Metered {
            complete,
            model: reading.model.clone(),
            error_event: reading.error,
            streamed_bytes: streamed,
            ..Metered::default()
        };
        let nothing =
            reading.error && !reading.has_counts() && streamed_nothing(&self.form, reading);
        if !nothing {
            self.fill(&mut metered);
        }
        metered
    }

    /// Whether the final usage was told.
    fn is_complete(&self) -> bool {
        let seen = &self.seen;
        match (&self.form, self.endpoint) {
            (Form::Unreadable, _) => false,
            (Form::Json, _) => seen.reading.has_counts() && seen.reading.has_usage(),
            (Form::Sse(_), Endpoint::Messages | Endpoint::Responses) => seen.settled,
            (Form::Sse(_), _) => seen.reading.has_counts() && (seen.done || seen.settled),
        }
    }

    /// The usage: as told, and completed where it was not.
    fn fill(&self, metered: &mut Metered) {
        let reading = &self.seen.reading;
        let told = reading.told();
        let usage = &mut metered.usage;
        *usage = match self.dialect() {
            Dialect::Anthropic => told.anthropic(),
            Dialect::OpenAi => told.openai(self.demand.cache_writes),
        };
        self.extras(usage);
        metered.told = *usage;
        metered.others = self.others(usage);
        let output_told = told.output.is_some() || !self.demand.has_output;
        metered.provenance = match (
            metered.complete && told.input.is_some() && output_told,
            reading.has_counts(),
        ) {
            (true, _) => Provenance::Exact,
            (false, true) => Provenance::Partial,
            (false, false) => Provenance::Estimated,
        };
        if metered.provenance == Provenance::Exact {
            return;
        }
        // Before the end a provider may tell zeros that stand for "not yet".
        let input_told =
            told.input.is_some() && (usage.total_input() > 0 || metered.streamed_bytes == 0);
        if !input_told {
            let bound = self
                .demand
                .input_bytes
                .saturating_add(self.demand.media_tokens);
            usage.input = usage.input.max(bound);
        }
        if self.demand.has_output && !(metered.complete && told.output.is_some()) {
            usage.output = usage.output.max(metered.streamed_bytes);
        }
        metered.hidden_output = self.hides(input_told);
    }

    /// What other models used, in the tier and region of the whole request.
    fn others(&self, first: &Usage) -> Vec<(String, Usage)> {
        let usage = |counts: &counts::Counts| Usage {
            tier: first.tier,
            regional: first.regional,
            ..counts.anthropic()
        };
        let others = self.seen.reading.others().iter();
        others
            .map(|(model, counts)| (model.clone(), usage(counts)))
            .collect()
    }

    /// Tier, region and tool calls.
    fn extras(&self, usage: &mut Usage) {
        let reading = &self.seen.reading;
        // Anthropic tells speed apart from the tier; where it does not, what was asked for counts.
        let asked_fast =
            self.dialect() == Dialect::Anthropic && self.demand.tier == Some(ServiceTier::Fast);
        let told = match reading.fast {
            Some(false) => reading.tier.or(Some(ServiceTier::Standard)),
            None if !asked_fast => reading.tier,
            _ => Some(ServiceTier::Fast),
        };
        usage.tier = tier_served(told, &self.demand);
        usage.regional = reading.regional;
        let tally = reading.tally();
        let counts = reading.told();
        let asked = match self.endpoint {
            // Chat does not say how often it searched; being asked to, it did so once.
            Endpoint::ChatCompletions => u64::from(self.demand.web_searches.unwrap_or(0).min(1)),
            _ => 0,
        };
        usage.web_searches = tally.searches.max(counts.searches.unwrap_or(0)).max(asked);
        usage.tool_calls = tally.tool_calls.max(counts.other_calls.unwrap_or(0));
        usage.code_sessions = tally.sessions * u64::from(self.demand.session_units.max(1));
        usage.images = tally.images;
    }

    /// Whether more may have been billed than was told or shown: not where the provider itself says that it failed.
    fn hides(&self, input_told: bool) -> bool {
        let reading = &self.seen.reading;
        if reading.error {
            return false;
        }
        let unbounded = self.demand.server_calls != Some(0) || self.demand.background;
        let reasons = match (self.endpoint, &self.form) {
            (_, Form::Unreadable) => true,
            (Endpoint::Embeddings, _) => false,
            (Endpoint::Messages | Endpoint::Responses, Form::Sse(_)) => reading.progress.unsealed,
            (Endpoint::Messages, Form::Json) => self.bytes == 0 || !self.seen.walker.is_done(),
            // Chat never shows reasoning, and an answer in one piece tells all or nothing.
            _ => true,
        };
        unbounded || reasons || (self.demand.opaque && !input_told)
    }

    const fn dialect(&self) -> Dialect {
        match self.endpoint {
            Endpoint::Messages | Endpoint::CountTokens => Dialect::Anthropic,
            _ => Dialect::OpenAi,
        }
    }
}

fn streamed_nothing(form: &Form, reading: &Reading) -> bool {
    match form {
        Form::Json | Form::Unreadable => true,
        Form::Sse(_) => !reading.progress.started,
    }
}

impl Seen {
    fn piece(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Event(event) => self.event(event),
            Piece::Oversize { bytes, first, last } => {
                if first {
                    self.begin();
                    self.lines = DataLines::default();
                }
                let mut lines = std::mem::take(&mut self.lines);
                lines.push(bytes, |payload| self.read(payload));
                self.lines = lines;
                if last {
                    self.end();
                }
            }
            Piece::Rest(_) => {}
        }
    }

    fn event(&mut self, event: Event<'_>) {
        let Some(data) = event.data() else {
            return;
        };
        if data.trim_ascii() == b"[DONE]" {
            self.done = true;
            return;
        }
        self.begin();
        match data {
            Cow::Borrowed(bytes) => self.read(bytes),
            Cow::Owned(bytes) => self.read(&bytes),
        }
        self.end();
    }

    fn begin(&mut self) {
        self.walker.reset();
        self.broken = false;
        self.reading.begin();
    }

    fn read(&mut self, bytes: &[u8]) {
        if self.broken {
            return;
        }
        let reading = &mut self.reading;
        self.broken = self
            .walker
            .push(bytes, &mut |seen| reading.see(seen))
            .is_err();
    }

    fn end(&mut self) {
        if !self.broken && self.walker.is_done() {
            self.settled |= self.reading.end();
        }
    }
}

#[cfg(test)]
mod tests;
