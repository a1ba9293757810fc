//! Reads TOML by hand, keeping the place of everything: all mistakes of a file are reported together, each with its
//! line and column, what was expected, and the nearest name.
//!
//! Pure: text in, values and faults out. It does not know what any key means, and it opens no file. Walking the parsed
//! tables instead of deriving `Deserialize` is deliberate: serde stops at the first mistake.

mod nearest;
mod table;
pub mod units;
mod value;
mod words;

use std::cell::RefCell;
use std::fmt;

use toml::de::DeTable;

pub use nearest::nearest;
pub use table::Table;
pub use value::Value;

/// One mistake in a file, at its place. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
        } = self;
        write!(f, "{file}:{line}:{column}  {message}")
    }
}

impl Fault {
    /// A mistake of the whole file, such as one that cannot be read.
    #[must_use]
    pub fn of_file(file: &str, message: String) -> Self {
        Self {
            file: file.to_owned(),
            line: 1,
            column: 1,
            message,
        }
    }
}

/// Reads a whole document. `walk` asks the top table for what it knows; what it did not ask for is a mistake.
///
/// A reader always answers with some value, a default where a mistake was noted, so that the walk goes on and finds the
/// next one. That is safe because one noted fault is enough for `Err`.
///
/// # Errors
/// Every mistake found, in the order of the file.
pub fn read<T>(
    file: &str,
    text: &str,
    walk: impl FnOnce(&mut Table<'_>) -> T,
) -> Result<T, Vec<Fault>> {
    let faults = Faults::new(file, text);
    let (root, broken) = DeTable::parse_recoverable(text);
    for error in &broken {
        faults.note_broken(error.span().map_or(0, |span| span.start), error.message());
    }
    let mut table = Table::top(&faults, root.get_ref());
    let value = walk(&mut table);
    table.finish();
    let found = faults.into_found();
    if found.is_empty() {
        Ok(value)
    } else {
        Err(found)
    }
}

/// Collects the mistakes of one file.
pub struct Faults<'t> {
    file: &'t str,
    text: &'t str,
    found: RefCell<Vec<(usize, String)>>,
    /// Lines that are not TOML at all: what else seems wrong there, or missing because of them, is not reported.
    broken: RefCell<Vec<usize>>,
}

impl<'t> Faults<'t> {
    fn new(file: &'t str, text: &'t str) -> Self {
        Self {
            file,
            text,
            found: RefCell::default(),
            broken: RefCell::default(),
        }
    }

    /// Notes a mistake at a byte of the text.
    pub fn note(&self, at: usize, message: impl Into<String>) {
        if !self.broken.borrow().contains(&self.line_of(at)) {
            self.found.borrow_mut().push((at, message.into()));
        }
    }

    /// Notes that something is missing; silent after a syntax error, which may well be what hides it.
    pub fn note_missing(&self, at: usize, message: impl Into<String>) {
        if self.broken.borrow().is_empty() {
            self.note(at, message);
        }
    }

    fn note_broken(&self, at: usize, message: &str) {
        let line = self.line_of(at);
        if !self.broken.borrow().contains(&line) {
            self.found
                .borrow_mut()
                .push((at, format!("is not TOML: {message}")));
            self.broken.borrow_mut().push(line);
        }
    }

    fn before(&self, at: usize) -> &'t str {
        let mut end = at.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        &self.text[..end]
    }

    fn line_of(&self, at: usize) -> usize {
        self.before(at).matches('\n').count() + 1
    }

    fn into_found(self) -> Vec<Fault> {
        let mut found = self.found.take();
        found.sort_by_key(|(at, _)| *at);
        found
            .into_iter()
            .map(|(at, message)| {
                let line_start = self.before(at).rfind('\n').map_or(0, |newline| newline + 1);
                Fault {
                    file: self.file.to_owned(),
                    line: self.line_of(at),
                    column: self.before(at)[line_start..].chars().count() + 1,
                    message,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
