//! Listings for people: aligned columns.

use std::io::{self, Write};

/// Writes rows under their heads, each column as wide as its widest cell.
///
/// # Errors
/// When `out` does not take it.
pub fn write_table(out: &mut dyn Write, heads: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let width = |column: usize, head: &str| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells.chain([head.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(column, head)| width(column, head))
        .collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        writeln!(out, "{}", padded.join("  ").trim_end())
    };
    line(&mut heads.iter().copied())?;
    rows.iter()
        .try_for_each(|row| line(&mut row.iter().map(String::as_str)))
}

/// A moment as people and scripts read it: RFC 3339, UTC, whole seconds.
#[must_use]
pub fn shown(moment: crate::domain::Moment) -> String {
    jiff::Timestamp::from_second(moment.seconds())
        .map_or_else(|_| "-".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut out = Vec::new();
        let rows = [vec!["a".to_owned(), "long cell".to_owned(), String::new()]];
        write_table(&mut out, &["NAME", "WHAT", "X"], &rows).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "NAME  WHAT       X\na     long cell\n"
        );
        assert_eq!(
            shown(crate::domain::Moment::from_seconds(0)),
            "1970-01-01T00:00:00Z"
        );
    }
}
