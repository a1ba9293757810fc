//! Ends a stream where its reservation is used up, with the events that its provider would end it with.
//!
//! Pingora has no hook for that. An error from the body filter lets the upstream go; what was to be written is then written
//! where errors are answered, and the client sees a stream that ended.

use std::collections::VecDeque;

use bytes::Bytes;
use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, ErrorType};

use super::ctx::{Ctx, Passage};
use crate::domain::{Demand, Usage, Usd};
use crate::pricing::Price;
use crate::provider::{SoFar, StreamEnding};

/// Bytes of text for each token, where the answer could pass the reservation within its bound: what prose and code have.
const USUAL: u64 = 4;
/// The same where only a provider that ignores the bound can pass it: hardly any text has more.
const MOST: u64 = 16;

/// Follows one stream of a budget that cuts.
pub struct Watch {
    ending: StreamEnding,
    reserved: Usd,
    /// Pieces handed to Pingora that it may not have written, and how many bytes were handed over in all.
    unwritten: VecDeque<Bytes>,
    handed: usize,
    cut: bool,
}

impl Watch {
    pub(super) fn new(passage: &Passage, reserved: Usd) -> Self {
        Self {
            ending: StreamEnding::new(passage.endpoint, !passage.terms.usage_injected),
            reserved,
            unwritten: VecDeque::new(),
            handed: 0,
            cut: false,
        }
    }

    /// Replaces bytes by the events that are whole with them.
    pub(super) fn pass(&mut self, body: &mut Option<Bytes>, end: bool) {
        let mut shown = Vec::with_capacity(body.as_ref().map_or(0, Bytes::len));
        if let Some(bytes) = body.as_ref() {
            self.ending.push(bytes, &mut shown);
        }
        if end {
            self.ending.finish(&mut shown);
        }
        *body = Some(Bytes::from(shown));
    }

    /// Notes what is handed over now, and forgets what has been written.
    fn hand_over(&mut self, body: Option<&Bytes>, written: usize) {
        if let Some(bytes) = body.filter(|bytes| !bytes.is_empty()) {
            self.handed += bytes.len();
            self.unwritten.push_back(bytes.clone());
        }
        let mut kept: usize = self.unwritten.iter().map(Bytes::len).sum();
        while let Some(first) = self.unwritten.front()
            && kept - first.len() >= self.handed.saturating_sub(written)
        {
            kept -= first.len();
            self.unwritten.pop_front();
        }
    }

    /// What is unwritten, what was held back, and the events that end the stream.
    pub(super) fn end(&mut self, held: &[u8], usage: &Usage) -> Bytes {
        let mut last: Vec<u8> = self.unwritten.iter().flatten().copied().collect();
        self.ending.push(held, &mut last);
        self.ending.end(usage, &mut last);
        self.cut = true;
        Bytes::from(last)
    }

    pub(super) const fn has_cut(&self) -> bool {
        self.cut
    }
}

/// Ends the stream after the piece that is handed over now, if its reservation is used up.
///
/// # Errors
/// Where it is: [`say_farewell`] comes next.
pub(super) fn end_if_used_up(
    session: &Session,
    body: Option<&Bytes>,
    end: bool,
    ctx: &mut Ctx,
) -> pingora::Result<()> {
    let Some(passage) = &mut ctx.passage else {
        return Ok(());
    };
    let Some(relay) = &mut passage.relay else {
        return Ok(());
    };
    let Some((watch, meter)) = relay.watched() else {
        return Ok(());
    };
    watch.hand_over(body, session.body_bytes_sent());
    // Without a head there is nothing yet that could be ended.
    if end || session.response_written().is_none() || !watch.ending.may_end() {
        return Ok(());
    }
    let so_far = meter.so_far();
    let provider = passage.upstream.prices.as_str();
    let table = &ctx.snapshot.prices;
    let found = table.find_at(provider, &passage.terms.model, ctx.row.at);
    if so_far.complete || !is_used_up(found.price, &so_far, &passage.terms.demand, watch.reserved) {
        return Ok(());
    }
    let usage = Usage {
        output: so_far.usage.output.max(so_far.text / USUAL),
        ..so_far.usage
    };
    ctx.farewell = Some(relay.farewell(&usage));
    Err(Error::explain(
        ErrorType::Custom("StreamCut"),
        "the reservation is used up",
    ))
}

/// Writes the last bytes of a stream that is ended here.
pub(super) async fn say_farewell(session: &mut Session, last: Bytes) -> FailToProxy {
    // A client that is gone by now has nothing to read them with.
    let _written = session.write_response_body(Some(last), true).await;
    FailToProxy {
        error_code: 200,
        can_reuse_downstream: false,
    }
}

/// Whether the answer so far has cost what was reserved. Tokens of output are told at the end only, so they are judged by
/// the text: by its usual length where a full answer could pass the reservation (its input cost more than was quoted), and
/// far more generously where only an answer past its bound could.
fn is_used_up(price: &Price, so_far: &SoFar, demand: &Demand, reserved: Usd) -> bool {
    let bound = demand.output_tokens.unwrap_or(price.max_output);
    let bound = bound.saturating_mul(u64::from(demand.answers.max(1)));
    let output = |bytes_of_one: u64| so_far.usage.output.max(so_far.text / bytes_of_one);
    if !so_far.input_told {
        return output(MOST) > bound;
    }
    let passes = |output: u64| {
        let usage = Usage {
            output,
            ..so_far.usage
        };
        price.cost(&usage).is_none_or(|cost| cost > reserved)
    };
    if passes(bound) {
        passes(output(USUAL))
    } else {
        passes(output(MOST))
    }
}
