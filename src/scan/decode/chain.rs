//! Line breaks that cut tokens, gathered to the pieces that are read as if they were not there.

use super::coding::Coding;
use super::pieces::Piece;

/// Line breaks after which a token goes on, one after another, of which every part is a piece.
const PARTS: usize = 3;
/// Bytes of such parts in any text, besides a quarter of it: without them it is read as it always can be.
const PARTS_ROOM: usize = 16 << 10;

/// Line breaks so near to each other that they are read as one piece: and once more as parts of it, for the lines beside a
/// cut token may look like parts of it.
#[derive(Default)]
pub struct Chain {
    whole: Option<Piece>,
    /// Pieces of the last breaks after each of which a token may go on.
    run: Vec<Piece>,
    parts: Vec<Piece>,
    /// Bytes of parts that may still be read.
    room: usize,
}

impl Chain {
    /// For a text of that length.
    pub fn of(text: usize) -> Self {
        Self {
            room: text / 4 + PARTS_ROOM,
            ..Self::default()
        }
    }

    /// The next break, with the piece around it; `goes_on` where the line after may begin with the rest of a token.
    pub fn add(&mut self, piece: Piece, goes_on: bool, pieces: &mut Vec<Piece>) {
        match &mut self.whole {
            Some(whole) if piece.at.start < whole.at.end => {
                *whole = whole.through(&piece);
            }
            _ => {
                self.close(pieces);
                self.whole = Some(piece.clone());
            }
        }
        if goes_on {
            self.run.push(piece);
        } else {
            self.end_run();
        }
    }

    /// Of a short run every part may be the token; a long one is a list, or base64.
    fn end_run(&mut self) {
        if self.run.len() <= PARTS {
            for (at, first) in self.run.iter().enumerate() {
                let lasts = self.run.iter().skip(at);
                self.parts.extend(lasts.map(|last| first.through(last)));
            }
        }
        self.run.clear();
    }

    /// Hands out what is gathered.
    pub fn close(&mut self, pieces: &mut Vec<Piece>) {
        self.end_run();
        if let Some(whole) = self.whole.take() {
            for part in self.parts.drain(..).filter(|part| part.at != whole.at) {
                if let Some(room) = self.room.checked_sub(part.at.len()) {
                    self.room = room;
                    pieces.push(part);
                }
            }
            pieces.push(whole);
        }
    }
}

impl Piece {
    /// From here on to the end of another piece of line breaks.
    fn through(&self, last: &Self) -> Self {
        let continued = self.coding == last.coding;
        let coding = if continued {
            self.coding
        } else {
            Coding::Folded
        };
        Self::new(coding, self.at.start..last.at.end)
    }
}
