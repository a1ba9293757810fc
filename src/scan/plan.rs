//! Which patterns go to which engine, and what their hits mean.

use std::collections::HashMap;

use super::engine::Wanted;
use super::rule::Rule;

/// What a hit's slot stands for.
#[derive(Clone, Debug)]
pub enum Slot {
    /// Rules found by their own pattern or hint.
    Pattern(Vec<usize>),
    /// A word that these rules want before their match.
    Keyword(Vec<usize>),
}

/// The slots, and what each engine looks for: the quick one, and the one for patterns without a literal.
pub fn plan(rules: &[Rule]) -> (Vec<Slot>, Vec<Wanted<'_>>, Vec<Wanted<'_>>) {
    let (mut slots, mut quick, mut slow) = (Vec::new(), Vec::new(), Vec::new());
    let mut keywords: HashMap<&str, usize> = HashMap::new();
    let mut patterns: HashMap<&str, usize> = HashMap::new();
    for (index, rule) in rules.iter().enumerate() {
        let wanted = |slot: usize, pattern: String| Wanted {
            slot,
            pattern,
            origin: Some(&rule.origin),
        };
        if let Some(sought) = rule.sought() {
            let place = *patterns.entry(sought).or_insert_with(|| {
                let engine = if rule.anchored { &mut quick } else { &mut slow };
                engine.push(wanted(slots.len(), sought.to_owned()));
                slots.push(Slot::Pattern(Vec::new()));
                slots.len() - 1
            });
            if let Some(Slot::Pattern(rules)) = slots.get_mut(place) {
                rules.push(index);
            }
            continue;
        }
        for keyword in &rule.keywords {
            let place = *keywords.entry(keyword).or_insert_with(|| {
                let pattern = format!("(?i){}", regex_syntax::escape(keyword));
                quick.push(wanted(slots.len(), pattern));
                slots.push(Slot::Keyword(Vec::new()));
                slots.len() - 1
            });
            if let Some(Slot::Keyword(rules)) = slots.get_mut(place) {
                rules.push(index);
            }
        }
    }
    (slots, quick, slow)
}
