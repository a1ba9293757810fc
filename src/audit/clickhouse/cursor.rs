//! How far the sink has come, in a file that is written before anything is sent that a later attempt has to repeat.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::audit::log::Position;

/// Rows of a part: from here, up to and without there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    from: usize,
    to: usize,
}

impl Piece {
    pub const fn whole(rows: usize) -> Self {
        Self { from: 0, to: rows }
    }

    /// These rows of a part; `None` where it has not so many.
    pub fn of<T>(self, part: &[T]) -> Option<&[T]> {
        part.get(self.from..self.to)
    }

    const fn halves(self) -> [Self; 2] {
        let Self { from, to } = self;
        let middle = from.midpoint(to);
        [Self { from, to: middle }, Self { from: middle, to }]
    }
}

/// How far the sink has come, and the range that is being sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub drained: Position,
    /// Where the sealed range ends; it begins at `drained`.
    pub sealed: Option<Position>,
    /// Of each part of that range that the server could not read whole, what it has not taken yet. Such a part is never
    /// sent whole again: its token would be new, and the pieces that were taken would stand twice.
    #[serde(default)]
    cut: BTreeMap<String, Vec<Piece>>,
}

impl Cursor {
    pub fn read(file: &Path) -> io::Result<Self> {
        match fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| io::Error::other(format!("{}: {error}", file.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Everything up to here is sent, and nothing else begun.
    pub fn at(drained: Position) -> Self {
        Self {
            drained,
            ..Self::default()
        }
    }

    pub fn write(&self, path: &Path) -> io::Result<()> {
        let unfinished = path.with_extension("new");
        let mut file = File::create(&unfinished)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    }

    /// What of a part is not taken, in order; `None` where it was never cut.
    pub fn left(&self, part: &str) -> Option<&[Piece]> {
        self.cut.get(part).map(Vec::as_slice)
    }

    /// Puts its halves in the place of one piece of what is left; of a part that was never cut, of its whole.
    pub fn cut(&mut self, part: &str, piece: Piece) {
        let left = self.cut.entry(part.to_owned()).or_insert(vec![piece]);
        if let Some(at) = left.iter().position(|one| *one == piece) {
            left.splice(at..=at, piece.halves());
        }
    }

    /// The server has this piece, or it was put aside.
    pub fn done(&mut self, part: &str, piece: Piece) {
        if let Some(left) = self.cut.get_mut(part) {
            left.retain(|one| *one != piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_cut_in_order_and_stays_cut_over_a_restart() {
        let mut cursor = Cursor::default();
        cursor.cut("part", Piece::whole(5));
        let lengths = |cursor: &Cursor| -> Vec<usize> {
            let left = cursor.left("part").unwrap_or_default();
            left.iter().map(|piece| piece.to - piece.from).collect()
        };
        assert_eq!(lengths(&cursor), [2, 3]);
        let [first, second] = Piece::whole(5).halves();
        cursor.cut("part", second);
        assert_eq!(lengths(&cursor), [2, 1, 2]);
        cursor.done("part", first);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cursor");
        cursor.write(&file).unwrap();
        let again = Cursor::read(&file).unwrap();
        assert_eq!(lengths(&again), [1, 2]);
        assert_eq!(again, cursor);
        assert_eq!(cursor.left("other"), None);
    }

    #[test]
    fn a_file_from_before_parts_were_cut_still_reads() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cursor");
        let text = serde_json::to_string(&Cursor::default()).unwrap();
        fs::write(&file, text.replace(",\"cut\":{}", "")).unwrap();
        assert_eq!(Cursor::read(&file).unwrap(), Cursor::default());
    }
}
