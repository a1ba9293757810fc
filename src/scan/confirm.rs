//! From "a match ends here" to a finding's exact place: one rule's regular expression on a small window, then what the
//! secret's format allows to check.

use std::ops::Range;

use memchr::{memchr, memrchr};

use super::decode::events::CUT;
use super::engine::Hit;
use super::rule::Rule;
use super::validate::shannon;

/// Bytes before a hit that a match without bound may begin in, and after it that are looked at first: one that goes on to
/// their end is followed further.
const REACH: usize = 16 << 10;
/// Bytes searched for an unbounded match that a keyword announces.
const KEYWORD_REACH: usize = 512;
/// Bytes on each side of the secret that a validator sees.
const CONTEXT: usize = 64;

/// What says that something is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A rule, by its index in the set.
    Rule(usize),
    /// It is a known value.
    Value,
    /// It is a name that the team wants kept.
    Entity,
}

/// A confirmed secret in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    pub kind: Kind,
    /// The secret's bytes in the text.
    pub secret: Range<usize>,
    /// Nothing here says that it is a secret: another place in the body does.
    pub echo: bool,
}

/// One of the two ways from a hit to its matches: [`pattern`] or [`keyword`].
pub type How = fn((usize, &Rule), Hit, &[u8], &mut usize, &mut Vec<Confirmed>);

/// Finds every match of an anchored rule that a hit tells of. `resume` is where this rule's last match ended.
pub fn pattern(
    (index, rule): (usize, &Rule),
    hit: Hit,
    text: &[u8],
    resume: &mut usize,
    found: &mut Vec<Confirmed>,
) {
    let (first, last) = (hit.first as usize, hit.last as usize);
    if last <= *resume {
        return;
    }
    let leaf_start = leaf_start(text, first);
    let mut reach = rule.longest.unwrap_or(REACH).min(REACH);
    let mut start = first.saturating_sub(reach).max(leaf_start).max(*resume);
    loop {
        let (end, leaf_ends) = leaf_end(text, first, last.saturating_add(reach));
        let window = text.get(leaf_start..end).unwrap_or_default();
        let mut goes_on = None;
        search(rule, window, start - leaf_start, |whole, secret| {
            let at = leaf_start + whole.start;
            if at >= last {
                return false;
            }
            if whole.end == window.len() && !leaf_ends && rule.longest.is_none() {
                goes_on = Some(at);
                return false;
            }
            *resume = leaf_start + whole.end;
            if accepts(rule, window, secret.clone()) && is_announced(rule, text, at) {
                let secret = leaf_start + secret.start..leaf_start + secret.end;
                found.push(Confirmed {
                    kind: Kind::Rule(index),
                    secret,
                    echo: false,
                });
            }
            *resume < last
        });
        let Some(at) = goes_on else { return };
        (start, reach) = (at, reach.saturating_mul(2));
    }
}

/// Finds the matches of a rule that follow a keyword ending at `hit`. Unlike an anchored match, one may stand in the leaf
/// after the keyword's: `"HEROKU_API_KEY": "…"`.
pub fn keyword(
    (index, rule): (usize, &Rule),
    hit: Hit,
    text: &[u8],
    resume: &mut usize,
    found: &mut Vec<Confirmed>,
) {
    let after = hit.first as usize;
    let latest = after.saturating_add(rule.distance);
    let reach = rule.longest.unwrap_or(KEYWORD_REACH).min(KEYWORD_REACH);
    let end = text
        .len()
        .min(latest.saturating_add(reach).saturating_add(1));
    let window = text.get(..end).unwrap_or_default();
    search(
        rule,
        window,
        after.max(*resume).min(end),
        |whole, secret| {
            if whole.start > latest {
                return false;
            }
            *resume = whole.end;
            let matched = window.get(whole).unwrap_or_default();
            if memchr(CUT, matched).is_none() && accepts(rule, window, secret.clone()) {
                found.push(Confirmed {
                    kind: Kind::Rule(index),
                    secret,
                    echo: false,
                });
            }
            true
        },
    );
}

/// Whether one of the rule's keywords, if it has any, ends near enough before `at`.
fn is_announced(rule: &Rule, text: &[u8], at: usize) -> bool {
    let is_near = |word: &String| {
        let from = at.saturating_sub(rule.distance.saturating_add(word.len()));
        let before = text.get(from..at).unwrap_or_default();
        let mut places = before.windows(word.len());
        places.any(|place| place.eq_ignore_ascii_case(word.as_bytes()))
    };
    rule.keywords.is_empty() || rule.keywords.iter().any(is_near)
}

/// Calls `each` with the ranges of every match and of the secret in it, until it says no.
fn search(
    rule: &Rule,
    window: &[u8],
    start: usize,
    mut each: impl FnMut(Range<usize>, Range<usize>) -> bool,
) {
    let mut at = start;
    while at <= window.len() {
        let Some(whole) = rule.regex.find_at(window, at).map(|found| found.range()) else {
            return;
        };
        // Groups take memory, so they are asked for only where there is a match.
        let groups = (rule.group > 0).then(|| rule.regex.captures_at(window, whole.start));
        let secret = groups.flatten().and_then(|groups| groups.get(rule.group));
        let secret = secret.map_or_else(|| whole.clone(), |group| group.range());
        at = whole.end.max(at + 1);
        if !each(whole, secret) {
            return;
        }
    }
}

/// Where the leaf starts that the byte before `at` lies in, as far as a match can reach back; with the line breaks that
/// [`super::decode::events::LEAF_END`] puts around it.
fn leaf_start(text: &[u8], at: usize) -> usize {
    let before = text.get(..at.saturating_sub(1)).unwrap_or(text);
    let near = before.len().saturating_sub(2 * REACH);
    let cut = memrchr(CUT, before.get(near..).unwrap_or_default());
    cut.map_or(near, |cut| near + cut + 1)
}

/// Where that leaf ends, or `most` if it goes on there; and whether it ends.
fn leaf_end(text: &[u8], at: usize, most: usize) -> (usize, bool) {
    let inside = at.saturating_sub(1);
    let most = most.min(text.len());
    let cut = memchr(CUT, text.get(inside..most).unwrap_or_default());
    cut.map_or((most, most == text.len()), |cut| (inside + cut, true))
}

fn accepts(rule: &Rule, window: &[u8], secret: Range<usize>) -> bool {
    let bytes = window.get(secret.clone()).unwrap_or_default();
    if bytes.is_empty() || rule.entropy.is_some_and(|least| shannon(bytes) < least) {
        return false;
    }
    let context = secret.start.saturating_sub(CONTEXT)..(secret.end + CONTEXT).min(window.len());
    let context = window.get(context).unwrap_or_default();
    let mut validators = rule.validators.iter();
    validators.all(|validator| validator.accepts(bytes, context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_ends_at_the_cut() {
        let text = b"\xFF\nabc\n\xFF\ndef\n\xFF\n";
        let around = |text: &[u8], at| (leaf_start(text, at), leaf_end(text, at, 100));
        assert_eq!(around(text, 4), (1, (6, true)));
        assert_eq!(around(text, 10), (7, (12, true)));
        assert_eq!(around(b"abc", 3), (0, (3, true)));
        assert_eq!(leaf_end(text, 4, 5), (5, false));
    }
}
