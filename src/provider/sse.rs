//! Splits a stream of server-sent events where they end, byte for byte, whatever way the network cut it.
//!
//! Knows the framing of the WHATWG standard (LF, CRLF and CR line ends, comments, several `data` lines), and nothing of
//! what the events say. The raw bytes handed out, put together, are the bytes pushed in: nothing is added, lost or moved.

use std::borrow::Cow;

use memchr::memchr2;

/// The largest event that is held whole unless the maker of a [`Splitter`] says otherwise.
pub const HELD: usize = 256 * 1024;

/// What a [`Splitter`] hands out, in the order of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// One whole event, its closing blank line included.
    Event(Event<'a>),
    /// Bytes of an event too large to hold; `first` and `last` say where that event begins and ends.
    Oversize {
        bytes: &'a [u8],
        first: bool,
        last: bool,
    },
    /// What was left when the stream ended without a closing blank line: no event, by the standard.
    Rest(&'a [u8]),
}

impl<'a> Piece<'a> {
    /// The bytes as they came.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        match *self {
            Self::Event(event) => event.raw,
            Self::Oversize { bytes, .. } | Self::Rest(bytes) => bytes,
        }
    }
}

/// One event as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    raw: &'a [u8],
}

impl<'a> Event<'a> {
    /// Reads one event from its raw bytes, such as one that was kept.
    #[must_use]
    pub const fn of(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The bytes as they came, closing blank line included.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The event's name (`event:`), where it has one; the last one counts.
    #[must_use]
    pub fn name(&self) -> Option<&'a [u8]> {
        self.fields()
            .filter(|(field, _)| *field == b"event")
            .map(|(_, value)| value)
            .last()
    }

    /// The payload: all `data` lines joined by LF. Borrowed when there is one line, which is the rule; `None` when there is none.
    #[must_use]
    pub fn data(&self) -> Option<Cow<'a, [u8]>> {
        let mut lines = self.data_lines();
        let first = lines.next()?;
        let Some(second) = lines.next() else {
            return Some(Cow::Borrowed(first));
        };
        let mut joined = Vec::with_capacity(self.raw.len());
        joined.extend_from_slice(first);
        for line in std::iter::once(second).chain(lines) {
            joined.push(b'\n');
            joined.extend_from_slice(line);
        }
        Some(Cow::Owned(joined))
    }

    /// The values of the `data` lines, in order, as slices of [`Event::raw`].
    pub fn data_lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.fields()
            .filter(|(field, _)| *field == b"data")
            .map(|(_, value)| value)
    }

    /// Every field line as (name, value); comments and blank lines are not fields.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let raw = self.raw.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(self.raw);
        raw.split(|b| matches!(b, b'\n' | b'\r'))
            .filter(|line| !line.is_empty() && line[0] != b':')
            .map(|line| match memchr::memchr(b':', line) {
                Some(colon) => {
                    let value = &line[colon + 1..];
                    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
                }
                None => (line, &b""[..]),
            })
    }
}

/// Finds the ends of events in a stream that comes in chunks. Holds at most one unfinished event, up to a bound.
#[derive(Debug)]
pub struct Splitter {
    held: Vec<u8>,
    bound: usize,
    place: Place,
    /// The event at hand passed the bound and is being handed through in pieces.
    oversize: bool,
}

/// Where in a line the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the start of a line: a line end here is a blank line.
    LineStart,
    /// At the start of a line, right after a CR: an LF here belongs to that CR.
    AfterCr,
    InLine,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new(HELD)
    }
}

impl Splitter {
    /// Holds events of up to `bound` bytes; larger ones come as [`Piece::Oversize`].
    #[must_use]
    pub const fn new(bound: usize) -> Self {
        Self {
            held: Vec::new(),
            bound,
            place: Place::LineStart,
            oversize: false,
        }
    }

    /// Bytes of an unfinished event that are held back.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes a chunk and hands out every event that ends in it. Events that lie in one chunk are not copied.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(Piece<'_>)) {
        let mut rest = chunk;
        while let Some(end) = self.find_end(rest) {
            let (ending, after) = rest.split_at(end);
            self.hand_out(ending, &mut each);
            rest = after;
        }
        if rest.is_empty() {
            return;
        }
        if self.oversize {
            each(Piece::Oversize {
                bytes: rest,
                first: false,
                last: false,
            });
            return;
        }
        self.held.extend_from_slice(rest);
        if self.held.len() > self.bound {
            self.oversize = true;
            each(Piece::Oversize {
                bytes: &self.held,
                first: true,
                last: false,
            });
            self.held = Vec::new();
        }
    }

    /// Ends the stream: what is left comes out as it is.
    pub fn finish(&mut self, mut each: impl FnMut(Piece<'_>)) {
        if !self.held.is_empty() {
            each(Piece::Rest(&self.held));
        }
        *self = Self::new(self.bound);
    }

    fn hand_out(&mut self, ending: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        if self.oversize {
            self.oversize = false;
            each(Piece::Oversize {
                bytes: ending,
                first: false,
                last: true,
            });
        } else if self.held.is_empty() {
            each(Piece::Event(Event { raw: ending }));
        } else {
            self.held.extend_from_slice(ending);
            each(Piece::Event(Event { raw: &self.held }));
            self.held.clear();
        }
    }

    /// The length of the part of `chunk` that ends the event at hand, if it ends here; keeps the place in the line.
    fn find_end(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut from = 0;
        while let Some(found) = memchr2(b'\r', b'\n', &chunk[from..]) {
            let at = from + found;
            from = at + 1;
            let place = if found > 0 { Place::InLine } else { self.place };
            let is_cr = chunk[at] == b'\r';
            if place == Place::AfterCr && !is_cr {
                self.place = Place::LineStart;
                continue;
            }
            self.place = if is_cr {
                Place::AfterCr
            } else {
                Place::LineStart
            };
            if place != Place::InLine {
                // An LF that follows in this chunk belongs to the blank line; one in the next chunk opens the next event's
                // bytes, where it says nothing.
                if is_cr && chunk.get(from) == Some(&b'\n') {
                    self.place = Place::LineStart;
                    from += 1;
                }
                return Some(from);
            }
        }
        if from < chunk.len() {
            self.place = Place::InLine;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What came out: raw events, and all raw bytes put together.
    fn split(stream: &[u8], cuts: &[usize], bound: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut splitter = Splitter::new(bound);
        let (mut payloads, mut raw) = (Vec::new(), Vec::new());
        let mut large = Vec::new();
        let mut each = |piece: Piece<'_>| {
            raw.extend_from_slice(piece.raw());
            match piece {
                Piece::Event(event) => payloads.extend(event.data().map(Cow::into_owned)),
                Piece::Oversize { bytes, last, .. } => {
                    large.extend_from_slice(bytes);
                    if last {
                        payloads.extend(Event::of(&large).data().map(Cow::into_owned));
                        large.clear();
                    }
                }
                Piece::Rest(_) => {}
            }
        };
        let mut from = 0;
        for cut in cuts.iter().copied().chain([stream.len()]) {
            let cut = cut.clamp(from, stream.len());
            splitter.push(&stream[from..cut], &mut each);
            from = cut;
        }
        splitter.finish(&mut each);
        (payloads, raw)
    }

    #[test]
    fn every_line_end_every_cut_gives_the_same_events_and_bytes() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = format!(
                ": hello{end}event: message_start{end}data: {{\"a\":\"é\"}}{end}{end}:{end}{end}data:x{end}data: {end}data:  y{end}{end}\
                 data{end}{end}id: 3{end}{end}data: unfinished"
            );
            let expected: Vec<&[u8]> = vec!["{\"a\":\"é\"}".as_bytes(), b"x\n\n y", b""];
            for bound in [1, 7, 4096] {
                for one in 0..=stream.len() {
                    for two in [one, one + 1, one + 2, one + 9] {
                        let (payloads, raw) = split(stream.as_bytes(), &[one, two], bound);
                        assert_eq!(payloads, expected, "{end:?} cut at {one}, {two}");
                        assert_eq!(raw, stream.as_bytes());
                    }
                }
            }
        }
    }

    #[test]
    fn an_event_is_handed_out_with_its_last_byte_and_no_later() {
        let mut splitter = Splitter::default();
        let mut seen = 0;
        splitter.push(b"data: 1\r\n\r", |_| seen += 1);
        assert_eq!(seen, 1, "a CR alone already ends the blank line");
        splitter.push(b"\ndata: 2\n", |_| seen += 1);
        assert_eq!(seen, 1);
        splitter.push(b"\n", |piece| {
            seen += 1;
            assert_eq!(piece.raw(), b"\ndata: 2\n\n");
        });
        assert_eq!(seen, 2);
    }

    #[test]
    fn an_event_has_a_name_and_fields() {
        let event =
            Event::of(b"\xEF\xBB\xBFevent: ping\ndata: {}\nevent: pong\nretry: 5\nalone\n\n");
        assert_eq!(event.name(), Some(&b"pong"[..]));
        assert_eq!(event.fields().count(), 5);
        assert!(matches!(event.data(), Some(Cow::Borrowed(b"{}"))));
    }

    #[test]
    fn what_is_held_has_a_bound() {
        let mut splitter = Splitter::new(100);
        let mut out = 0;
        for _ in 0..1000 {
            splitter.push(b"data: ", |piece| out += piece.raw().len());
            assert!(splitter.held() <= 106);
        }
        assert_eq!(out + splitter.held(), 6000);
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(
            stream in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'd'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0usize..200, 0..6),
            bound in 1usize..50,
        ) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let (pieces, raw) = split(&stream, &cuts, bound);
            prop_assert_eq!(&raw, &stream);
            let (whole, _) = split(&stream, &[], usize::MAX);
            prop_assert_eq!(pieces, whole, "cuts do not matter");
        }
    }
}
