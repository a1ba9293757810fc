//! `application/x-www-form-urlencoded`.

use memchr::memchr;

use super::coding::{self, Coding};
use super::events::{Events, Role};

/// Hands out names and values, decoded.
pub fn walk<E: Events>(body: &[u8], events: &mut E) {
    let mut at = 0;
    events.open(false);
    while at < body.len() {
        let rest = body.get(at..).unwrap_or_default();
        let end = at + memchr(b'&', rest).unwrap_or(rest.len());
        let pair = body.get(at..end).unwrap_or_default();
        let equals = memchr(b'=', pair).map(|length| at + length);
        if let Some(equals) = equals {
            leaf(body, Role::Key, at, equals, events);
        }
        leaf(
            body,
            Role::Value,
            equals.map_or(at, |at| at + 1),
            end,
            events,
        );
        events.comma();
        at = end + 1;
    }
    events.close();
}

fn leaf<E: Events>(body: &[u8], role: Role, start: usize, end: usize, events: &mut E) {
    events.start(role, start);
    let mut at = start;
    while at < end {
        let rest = body.get(at..end).unwrap_or_default();
        let plus = memchr(b'+', rest).map_or(end, |length| at + length);
        coding::read(Coding::Percent, body, at..plus, events);
        if plus < end {
            events.stands_for(b" ", plus..plus + 1);
        }
        at = plus + 1;
    }
    events.end(role, end);
}
