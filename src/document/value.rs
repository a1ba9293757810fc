//! One value of a document, read as what it should be.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::table::{kind, shown};
use super::{Faults, Table, nearest, units};

/// A value with its place and the key that it stands under. Every `as_…`-like reader notes a fault where it answers `None`.
pub struct Value<'t> {
    faults: &'t Faults<'t>,
    key: String,
    key_place: usize,
    raw: &'t Spanned<DeValue<'t>>,
}

impl<'t> Value<'t> {
    pub(super) fn new(
        faults: &'t Faults<'t>,
        key: String,
        key_place: usize,
        raw: &'t Spanned<DeValue<'t>>,
    ) -> Self {
        Self {
            faults,
            key,
            key_place,
            raw,
        }
    }

    /// The key that it stands under; of an element, the key of its list.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The key as a message may show it.
    pub fn shown_key(&self) -> String {
        shown(&self.key)
    }

    pub(super) fn key_place(&self) -> usize {
        self.key_place
    }

    /// Notes a mistake at the value.
    pub fn fault(&self, message: impl AsRef<str>) {
        self.faults.note(
            self.raw.span().start,
            format!("`{}`: {}", shown(&self.key), message.as_ref()),
        );
    }

    /// Notes a mistake at the key.
    pub fn key_fault(&self, message: impl Into<String>) {
        self.faults.note(self.key_place, message);
    }

    pub(super) fn expected(&self, what: &str) {
        self.fault(format!(
            "expected {what}, found {}",
            kind(self.raw.get_ref())
        ));
    }

    /// Whether it is written as text; for keys that take a word or a table.
    pub fn is_text(&self) -> bool {
        matches!(self.raw.get_ref(), DeValue::String(_))
    }

    /// Text of at least one character, at most 4 KiB.
    pub fn text(&self) -> Option<&'t str> {
        let DeValue::String(text) = self.raw.get_ref() else {
            self.expected("text in quotes");
            return None;
        };
        if text.is_empty() || text.len() > 4096 {
            self.fault(if text.is_empty() {
                "is empty"
            } else {
                "is longer than 4 KiB"
            });
            return None;
        }
        Some(text)
    }

    /// Text that `parse` takes, or says why not.
    pub fn parsed<T>(&self, parse: impl FnOnce(&'t str) -> Result<T, String>) -> Option<T> {
        parse(self.text()?)
            .map_err(|message| self.fault(message))
            .ok()
    }

    /// One of some words.
    pub fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words = choices.iter().map(|(word, _)| *word);
            let expected = words
                .clone()
                .map(|word| format!("\"{word}\""))
                .collect::<Vec<_>>()
                .join(", ");
            let hint = nearest(text, words)
                .map(|near| format!("; did you mean \"{near}\"?"))
                .unwrap_or_default();
            self.fault(format!(
                "unknown \"{}\"; expected one of: {expected}{hint}",
                shown(text)
            ));
        }
        found.map(|(_, value)| value.clone())
    }

    /// A whole number within bounds.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let DeValue::Integer(number) = self.raw.get_ref() else {
            self.expected("a whole number");
            return None;
        };
        let read = u64::from_str_radix(number.as_str(), number.radix()).ok();
        let fits = read.filter(|number| range.contains(number));
        if fits.is_none() {
            self.fault(format!(
                "{number} is out of range; expected {} to {}",
                range.start(),
                range.end()
            ));
        }
        fits
    }

    /// A whole number that fits a type, from `least` up.
    pub fn number<N: TryFrom<u64>>(&self, range: RangeInclusive<u64>) -> Option<N> {
        let read = self.integer(range)?;
        let fits = N::try_from(read).ok();
        if fits.is_none() {
            self.fault(format!("{read} is too large"));
        }
        fits
    }

    /// `true` or `false`.
    pub fn flag(&self) -> Option<bool> {
        let DeValue::Boolean(flag) = self.raw.get_ref() else {
            self.expected("true or false");
            return None;
        };
        Some(*flag)
    }

    /// A size such as `"32 MiB"`, within bounds in bytes.
    pub fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let read = self.parsed(units::size)?;
        if !range.contains(&read) {
            let [least, most] = [range.start(), range.end()].map(|bytes| units::show_size(*bytes));
            self.fault(format!(
                "{} is out of range; expected {least} to {most}",
                units::show_size(read)
            ));
            return None;
        }
        Some(read)
    }

    /// A duration such as `"60s"`, within bounds.
    pub fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let read = self.parsed(units::duration)?;
        if !range.contains(&read) {
            let [least, most] =
                [range.start(), range.end()].map(|value| units::show_duration(*value));
            self.fault(format!(
                "{} is out of range; expected {least} to {most}",
                units::show_duration(read)
            ));
            return None;
        }
        Some(read)
    }

    /// The elements of a list.
    pub fn list(&self) -> Option<Vec<Value<'t>>> {
        let DeValue::Array(elements) = self.raw.get_ref() else {
            self.expected("a list");
            return None;
        };
        let element = |value| Value::new(self.faults, self.key.clone(), self.key_place, value);
        Some(elements.iter().map(element).collect())
    }

    /// A list whose elements `read` takes; an element that it does not take is noted and left out.
    pub fn list_of<T>(&self, read: impl FnMut(Value<'t>) -> Option<T>) -> Option<Vec<T>> {
        Some(self.list()?.into_iter().filter_map(read).collect())
    }

    /// A table, walked to its end: what `walk` does not ask for is a mistake.
    pub fn table<T>(&self, walk: impl FnOnce(&mut Table<'t>) -> T) -> Option<T> {
        let mut table = self.as_table()?;
        let read = walk(&mut table);
        table.finish();
        Some(read)
    }

    pub(super) fn as_table(&self) -> Option<Table<'t>> {
        let DeValue::Table(entries) = self.raw.get_ref() else {
            self.expected("a table");
            return None;
        };
        Some(Table::at(self.faults, entries, self.raw.span().start))
    }
}
