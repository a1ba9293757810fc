//! Typed access to a TOML table that notes what is wrong, and where, instead of stopping at it.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{RuleFault, RuleFile};

/// The faults of one file so far.
pub(super) struct Notes<'a> {
    file: &'a RuleFile<'a>,
    faults: Vec<(usize, RuleFault)>,
}

impl<'a> Notes<'a> {
    pub fn new(file: &'a RuleFile<'a>) -> Self {
        let faults = Vec::new();
        Self { file, faults }
    }

    pub const fn text(&self) -> &'a str {
        self.file.text
    }

    pub const fn count(&self) -> usize {
        self.faults.len()
    }

    pub fn fault(&mut self, span: Range<usize>, message: &str) {
        let at = span.start;
        let fault = self.fault_at(span, message.to_owned());
        self.faults.push((at, fault));
    }

    /// A fault with its place, not yet noted.
    pub fn fault_at(&self, span: Range<usize>, message: String) -> RuleFault {
        let before = self.file.text.get(..span.start).unwrap_or(self.file.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        RuleFault {
            file: self.file.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message,
        }
    }

    /// The strings of a list (or one string alone); anything else is noted.
    pub fn strings(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<(String, Range<usize>)> {
        let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
            DeValue::String(text) => Some((text.to_string(), value.span())),
            _ => None,
        };
        let DeValue::Array(items) = value.get_ref() else {
            let one = text(value);
            if one.is_none() {
                self.fault(value.span(), "must be a string or a list of strings");
            }
            return one.into_iter().collect();
        };
        let mut all = Vec::new();
        for item in items {
            match text(item) {
                Some(text) => all.push(text),
                None => self.fault(item.span(), "must be a string"),
            }
        }
        all
    }

    pub fn into_faults(mut self) -> impl Iterator<Item = RuleFault> {
        self.faults.sort_by_key(|(at, _)| *at);
        self.faults.into_iter().map(|(_, fault)| fault)
    }
}

/// One table.
pub(super) struct Fields<'n, 'a, 't, 'i> {
    notes: &'n mut Notes<'a>,
    table: &'t DeTable<'i>,
    span: Range<usize>,
}

impl<'n, 'a, 't, 'i> Fields<'n, 'a, 't, 'i> {
    pub fn new(notes: &'n mut Notes<'a>, table: &'t DeTable<'i>, span: Range<usize>) -> Self {
        Self { notes, table, span }
    }

    /// Notes every key that is not one of these.
    pub fn only(&mut self, keys: &[&str]) {
        for key in self.table.keys() {
            if !keys.contains(&key.get_ref().as_ref()) {
                let message = format!(
                    "unknown key `{}`; expected one of: {}",
                    key.get_ref(),
                    keys.join(", ")
                );
                self.notes.fault(key.span(), &message);
            }
        }
    }

    pub fn text(&mut self, key: &str) -> Option<(String, Range<usize>)> {
        if self.table.get(key).is_none() {
            self.notes
                .fault(self.span.clone(), &format!("`{key}` is missing"));
        }
        self.optional_text(key)
    }

    pub fn optional_text(&mut self, key: &str) -> Option<(String, Range<usize>)> {
        let value = self.table.get(key)?;
        let DeValue::String(text) = value.get_ref() else {
            self.notes.fault(value.span(), "must be a string");
            return None;
        };
        Some((text.to_string(), value.span()))
    }

    pub fn list(&mut self, key: &str) -> Vec<(String, Range<usize>)> {
        match self.table.get(key) {
            Some(value) => self.notes.strings(value),
            None => Vec::new(),
        }
    }

    pub fn size(&mut self, key: &str, most: usize) -> Option<usize> {
        let value = self.table.get(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(number) => usize::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|number| *number <= most);
        if number.is_none() {
            let message = format!("must be a whole number up to {most}");
            self.notes.fault(value.span(), &message);
        }
        number
    }

    pub fn number(&mut self, key: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let value = self.table.get(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        let number = number.filter(|number: &f64| range.contains(number));
        if number.is_none() {
            let message = format!("must be a number from {} to {}", range.start(), range.end());
            self.notes.fault(value.span(), &message);
        }
        number
    }
}
