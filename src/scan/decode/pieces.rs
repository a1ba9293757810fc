//! Which pieces of a text are coded once more, by the marks that it bears.

use std::ops::Range;

use memchr::{memchr, memrchr};

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
/// Bytes of a run of base64 from which on its lines are not read as one token: it is longer than any.
const LONG: usize = 4 << 10;

/// Gathers coded places, in the order of the text, to pieces.
struct Cluster {
    coding: Coding,
    /// What follows a leaf may have to do with it, as in the first text.
    related: bool,
    first: usize,
    last: usize,
    /// The piece at hand ends here or later: where it would have ended when that was last looked for, which is once for
    /// all places up to there.
    reach: usize,
    /// Where the piece before ended.
    floor: usize,
}

impl Cluster {
    const fn new(coding: Coding, related: bool) -> Self {
        Self {
            coding,
            related,
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

    /// The part between two places that stands in the leaf of the coded ones.
    fn own(&self, text: &[u8], start: usize, end: usize) -> (usize, usize) {
        if self.related {
            return (start, end);
        }
        let cut = memrchr(CUT, text.get(start..self.first).unwrap_or_default());
        let ends = memchr(CUT, text.get(self.last..end).unwrap_or_default());
        (
            cut.map_or(start, |cut| start + cut + 1),
            ends.map_or(end, |ends| self.last + ends),
        )
    }

    fn close(&mut self, text: &[u8], pieces: &mut Vec<Piece>) {
        if self.first == usize::MAX {
            return;
        }
        let (start, end) = self.own(text, self.start(text), self.end(text));
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

/// Ranges in the order of a text, asked of its places in that order.
struct Spans<I: Iterator<Item = Range<usize>>> {
    rest: std::iter::Peekable<I>,
    /// Where the last of those that begin before the last place ends.
    end: usize,
}

impl<I: Iterator<Item = Range<usize>>> Spans<I> {
    fn new(ranges: I) -> Self {
        let rest = ranges.peekable();
        Self { rest, end: 0 }
    }

    /// Whether one of them holds this place, and does not begin there.
    fn hold(&mut self, at: usize) -> bool {
        while let Some(one) = self.rest.next_if(|one| one.start < at) {
            self.end = self.end.max(one.end);
        }
        at < self.end
    }
}

/// Pieces in backslash escapes, and pieces that a line break cuts: but for breaks between the lines of a key that was
/// found, since it is whole, and of long base64 that is among the `pieces`. What was `found` is in the order of the text.
/// So a secret on two such lines is found as the key that it stands in, and not by itself. `related` as in [`encoded`].
pub fn escaped(
    text: &[u8],
    marks: &Marks,
    found: &[Range<usize>],
    related: bool,
    pieces: &mut Vec<Piece>,
) {
    let long = |piece: &&Piece| piece.coding.is_sealed() && piece.at.len() >= LONG;
    let long: Vec<_> = pieces
        .iter()
        .filter(long)
        .map(|one| one.at.clone())
        .collect();
    let mut long = Spans::new(long.into_iter());
    let mut found = Spans::new(found.iter().cloned());
    gather(
        &marks.escapes,
        Cluster::new(Coding::Escapes, related),
        text,
        pieces,
    );
    let mut chain = Chain::of(text.len());
    for &newline in &marks.breaks {
        let newline = newline as usize;
        if found.hold(newline) && fold::is_in_base64(text, newline) || long.hold(newline) {
            continue;
        }
        let Some(around) = fold::around(text, newline) else {
            continue;
        };
        let coding = if fold::is_continued(text, newline) {
            Coding::Continued
        } else if fold::is_quoted(text, newline) {
            Coding::Quoted
        } else {
            Coding::Folded
        };
        let goes_on = fold::goes_on(text, newline);
        chain.add(Piece::new(coding, around), goes_on, pieces);
    }
    chain.close(pieces);
}

/// Pieces in percent signs and entities, and pieces with characters that do not show. They reach into the leaves beside
/// theirs only where these are `related`: a name and its value are, pieces of another text are not.
pub fn encoded(text: &[u8], marks: &Marks, related: bool, pieces: &mut Vec<Piece>) {
    for (places, coding) in [
        (&marks.entities, Coding::Entities),
        (&marks.percents, Coding::Percent),
        (&marks.invisible, Coding::Invisible),
    ] {
        gather(places, Cluster::new(coding, related), text, pieces);
    }
}

/// Adds the pieces around the places.
fn gather(places: &Places, mut cluster: Cluster, text: &[u8], pieces: &mut Vec<Piece>) {
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
                escaped(text, &marks, found, true, out);
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
            escaped(text, &marks, &[], true, out);
        });
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with(r"one\ntwo\nthree"));
        assert!(found[1].ends_with(r"four\nfive"));
    }
}
