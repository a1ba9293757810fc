//! Which pieces of a text are coded once more, by the marks that it bears.

use std::ops::Range;

use memchr::memchr;

use super::chain::Chain;
use super::coding::Coding;
use super::events::CUT;
use super::fold;
use super::joined::{lead, lines_of_key, open_key};
use super::lanes::ESCAPE;
use super::marks::{Marks, NEAR, Places};

/// A piece of one text that the next text is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub coding: Coding,
    pub at: Range<usize>,
    /// The next piece goes on where this one ends: no leaf ends between them.
    pub open: bool,
}

impl Piece {
    pub const fn new(coding: Coding, at: Range<usize>) -> Self {
        let open = false;
        Self { coding, at, open }
    }
}

/// Bytes before a coded place that go with it, and after it.
pub const LEAD: usize = 48;
const TRAIL: usize = 16;
/// The same of characters that do not show: they are rare, and may stand between the words of a secret.
const UNSEEN: usize = 160;
/// A piece begins and ends at white space, unless none is as near as this.
const FAR: usize = 1024;

/// Gathers coded places, in the order of the text, to pieces.
struct Cluster {
    coding: Coding,
    first: usize,
    last: usize,
    /// The piece at hand ends here or later: where it would have ended when that was last looked for, which is once for
    /// all places up to there.
    reach: usize,
    /// Where the piece before ended.
    floor: usize,
}

impl Cluster {
    const fn new(coding: Coding) -> Self {
        Self {
            coding,
            first: usize::MAX,
            last: 0,
            reach: 0,
            floor: 0,
        }
    }

    fn add(&mut self, text: &[u8], at: usize, pieces: &mut Vec<Piece>) {
        if self.first == usize::MAX {
            self.first = at;
        } else if at > self.last + NEAR as usize && at > self.reach {
            self.reach = self.end(text);
            if at > self.reach {
                self.close(text, pieces);
                self.first = at;
            }
        }
        self.last = at;
    }

    /// Bytes that go with it on one side, where other codings take so many.
    fn around(&self, usual: usize) -> usize {
        if self.coding == Coding::Invisible {
            UNSEEN
        } else {
            usual
        }
    }

    fn end(&self, text: &[u8]) -> usize {
        let from = (self.last + self.around(TRAIL)).min(text.len());
        let rest = text.get(from..).unwrap_or_default();
        let rest = rest.get(..rest.len().min(FAR)).unwrap_or_default();
        let end = from + rest.iter().position(|b| is_space(*b)).unwrap_or(rest.len());
        match text.get(end..) {
            Some(rest) if self.coding == Coding::Invisible => end + lines_of_key(rest),
            _ => end,
        }
    }

    fn start(&self, text: &[u8]) -> usize {
        let from = self.first.saturating_sub(self.around(LEAD));
        let near = from.saturating_sub(FAR);
        let space = |from: usize, to: usize| {
            let back = text.get(from..to).unwrap_or_default();
            let space = back.iter().rposition(|b| is_space(*b));
            space.map_or(from, |space| from + space + 1)
        };
        let start = space(near, from);
        // In a long token what announces it stands further back.
        let token = space(start, self.first);
        let start = start.min(token - lead(text.get(..token).unwrap_or_default()));
        match text
            .get(..start)
            .filter(|_| self.coding == Coding::Invisible)
        {
            Some(before) => start - open_key(before).unwrap_or(0),
            None => start,
        }
    }

    fn close(&mut self, text: &[u8], pieces: &mut Vec<Piece>) {
        if self.first == usize::MAX {
            return;
        }
        let start = self.start(text);
        let end = self.end(text);
        match pieces.last_mut() {
            // What announces it may be in the piece before.
            Some(before) if self.floor > 0 && is_near(text, self.floor, start) => {
                before.at.end = end;
            }
            _ => pieces.push(Piece::new(self.coding, start..end)),
        }
        (self.floor, self.first) = (end, usize::MAX);
    }
}

/// Whether a piece that ended at `end` and one that starts at `start` are in one leaf and near each other.
fn is_near(text: &[u8], end: usize, start: usize) -> bool {
    let between = text.get(end..start.max(end)).unwrap_or_default();
    between.len() <= LEAD && memchr(CUT, between).is_none()
}

/// A control sequence may stand inside a token.
const fn is_space(byte: u8) -> bool {
    byte <= b' ' && byte != ESCAPE || byte == CUT
}

/// Pieces in backslash escapes, and pieces that a line break cuts: but for breaks between the lines of a key that was
/// found, since it is whole. What was `found` is in the order of the text. So a secret on two such lines is found as the
/// key that it stands in, and not by itself.
pub fn escaped(text: &[u8], marks: &Marks, found: &[Range<usize>], pieces: &mut Vec<Piece>) {
    gather(&marks.escapes, Coding::Escapes, text, pieces);
    let mut chain = Chain::of(text.len());
    let (mut found, mut found_to) = (found.iter().peekable(), 0);
    for &newline in &marks.breaks {
        let newline = newline as usize;
        while let Some(one) = found.next_if(|one| one.start < newline) {
            found_to = found_to.max(one.end);
        }
        if newline < found_to && fold::is_in_base64(text, newline) {
            continue;
        }
        let Some(around) = fold::around(text, newline) else {
            continue;
        };
        let coding = if fold::is_continued(text, newline) {
            Coding::Continued
        } else {
            Coding::Folded
        };
        let goes_on = fold::goes_on(text, newline);
        chain.add(Piece::new(coding, around), goes_on, pieces);
    }
    chain.close(pieces);
}

/// Pieces in percent signs and entities, and pieces with characters that do not show.
pub fn encoded(text: &[u8], marks: &Marks, pieces: &mut Vec<Piece>) {
    gather(&marks.entities, Coding::Entities, text, pieces);
    gather(&marks.percents, Coding::Percent, text, pieces);
    gather(&marks.invisible, Coding::Invisible, text, pieces);
}

/// Adds the pieces around the places.
fn gather(places: &Places, coding: Coding, text: &[u8], pieces: &mut Vec<Piece>) {
    let mut cluster = Cluster::new(coding);
    for &(first, last) in &places.0 {
        cluster.add(text, first as usize, pieces);
        cluster.last = last as usize;
    }
    cluster.close(text, pieces);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, find: impl Fn(&[u8], &mut Vec<Piece>)) -> Vec<&str> {
        let mut pieces = Vec::new();
        find(text.as_bytes(), &mut pieces);
        pieces.into_iter().map(|piece| &text[piece.at]).collect()
    }

    #[test]
    fn the_lines_of_a_key_that_was_found_are_not_joined() {
        let (part, line) = ("aB3-".repeat(3), "aB3+".repeat(16));
        let text = format!("KEY\n{line}\n{line}\n{line}\r\n{line} {part}\n{part}x ");
        let end = text.len() - 1;
        let joined = |found: &[Range<usize>]| {
            pieces(&text, |text, out| {
                let mut marks = Marks::default();
                marks.read(text);
                escaped(text, &marks, found, out);
            })
        };
        let (key, token) = (4, text.find(&part).unwrap());
        assert_eq!(joined(&[]), [&text[key..end]]);
        assert_eq!(
            joined(&[0..key + line.len(), token..text.len()]),
            [&text[key..end]]
        );
        for found in [0..text.len(), key..text.len() - 2] {
            assert_eq!(joined(&[0..2, found]), [&text[token - line.len() - 1..end]]);
        }
    }

    #[test]
    fn near_escapes_are_one_piece_and_far_ones_two() {
        let gap = "word ".repeat(100);
        let text = format!(r"one\ntwo\nthree {gap} four\nfive");
        let found = pieces(&text, |text, out| {
            let mut marks = Marks::default();
            marks.read(text);
            escaped(text, &marks, &[], out);
        });
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with(r"one\ntwo\nthree"));
        assert!(found[1].ends_with(r"four\nfive"));
    }
}
