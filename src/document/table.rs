//! One table of a document, asked key by key.

use toml::de::{DeTable, DeValue};

use super::{Faults, Value, nearest};

/// A table that notes which keys were asked for; the rest are unknown, and a mistake.
pub struct Table<'t> {
    faults: &'t Faults<'t>,
    /// Absent where the whole table is: every key is then absent too, so that defaults live in one place, the reader.
    entries: Option<&'t DeTable<'t>>,
    place: usize,
    known: Vec<&'static str>,
}

impl<'t> Table<'t> {
    pub(super) fn top(faults: &'t Faults<'t>, entries: &'t DeTable<'t>) -> Self {
        Self {
            faults,
            entries: Some(entries),
            place: 0,
            known: Vec::new(),
        }
    }

    pub(super) fn at(faults: &'t Faults<'t>, entries: &'t DeTable<'t>, place: usize) -> Self {
        Self {
            faults,
            entries: Some(entries),
            place,
            known: Vec::new(),
        }
    }

    fn absent(faults: &'t Faults<'t>, place: usize) -> Self {
        Self {
            faults,
            entries: None,
            place,
            known: Vec::new(),
        }
    }

    /// The value of a key, if it is there.
    pub fn get(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.known.push(key);
        let (at, value) = self.entries?.get_key_value(key)?;
        Some(Value::new(
            self.faults,
            key.to_owned(),
            at.span().start,
            value,
        ))
    }

    /// The value of a key that must be there.
    pub fn need(&mut self, key: &'static str) -> Option<Value<'t>> {
        let value = self.get(key);
        if value.is_none() && self.entries.is_some() {
            self.faults
                .note_missing(self.place, format!("`{key}` is missing"));
        }
        value
    }

    /// The value of a key as `read` takes it, or the default where it is absent.
    pub fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(Value<'t>) -> Option<T>,
    ) -> T {
        self.get(key).and_then(read).unwrap_or(default)
    }

    /// The value of a key that must be there; `stand_in` only carries the walk past a noted fault.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        stand_in: T,
        read: impl FnOnce(Value<'t>) -> Option<T>,
    ) -> T {
        self.need(key).and_then(read).unwrap_or(stand_in)
    }

    /// A table below this one. Where it is absent, `walk` sees an empty one and so gives its defaults.
    pub fn section<T>(&mut self, key: &'static str, walk: impl FnOnce(&mut Table<'t>) -> T) -> T {
        let mut table = match self.get(key) {
            Some(value) => value
                .as_table()
                .unwrap_or_else(|| Table::absent(self.faults, self.place)),
            None => Table::absent(self.faults, self.place),
        };
        let read = walk(&mut table);
        table.finish();
        read
    }

    /// A table below this one, if it is there.
    pub fn section_if<T>(
        &mut self,
        key: &'static str,
        walk: impl FnOnce(&mut Table<'t>) -> T,
    ) -> Option<T> {
        self.get(key)?.table(walk)
    }

    /// An array of tables below this one (`[[key]]`); none where it is absent.
    pub fn each<T>(
        &mut self,
        key: &'static str,
        mut walk: impl FnMut(&mut Table<'t>) -> T,
    ) -> Vec<T> {
        let values = self
            .get(key)
            .and_then(|value| value.list())
            .unwrap_or_default();
        values
            .into_iter()
            .filter_map(|value| value.table(&mut walk))
            .collect()
    }

    /// All entries in the order of the file, for tables whose keys are names. No key of it is unknown then.
    pub fn entries(&mut self) -> Vec<Value<'t>> {
        let Some(entries) = self.entries.take() else {
            return Vec::new();
        };
        let mut all: Vec<Value<'t>> = entries
            .iter()
            .map(|(key, value)| {
                Value::new(
                    self.faults,
                    key.get_ref().to_string(),
                    key.span().start,
                    value,
                )
            })
            .collect();
        all.sort_by_key(Value::key_place);
        all
    }

    /// Notes a mistake of the table as a whole.
    pub fn fault(&self, message: impl Into<String>) {
        self.faults.note(self.place, message);
    }

    /// Notes that something is missing from the table, unless a syntax error may hide it.
    pub fn fault_missing(&self, message: impl Into<String>) {
        self.faults.note_missing(self.place, message);
    }

    /// Notes every key that nothing asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.entries.into_iter().flatten() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let hint = nearest(name, self.known.iter().copied())
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            let expected = self.known.join(", ");
            let name = shown(name);
            self.faults.note(
                key.span().start,
                format!("unknown key `{name}`; expected one of: {expected}{hint}"),
            );
        }
    }
}

/// A key as a message shows it: bounded, without control characters.
pub(super) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{more}", cut.escape_debug())
}

/// What a value is, in words for a message.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
