//! The payload of an event too large to hold, read as it passes.

/// Finds the bytes of `data` lines in the raw bytes of one event, however they are cut.
#[derive(Debug, Default)]
pub(super) struct DataLines {
    place: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// So many bytes of `data:` have matched in this line.
    Name(usize),
    /// Right behind the colon, where one space may follow.
    Colon,
    Payload,
    #[default]
    Start,
    /// In a line that is no `data` line.
    Other,
}

const NAME: &[u8] = b"data:";

impl DataLines {
    /// Hands out the payload bytes in `bytes`, with an LF before every line but the first.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            let line_end = matches!(first, b'\n' | b'\r');
            match self.place {
                Place::Payload | Place::Other => {
                    let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                    if self.place == Place::Payload && end > 0 {
                        each(&rest[..end]);
                    }
                    if end < rest.len() {
                        // Between lines of JSON an LF is white space, so one too many does no harm.
                        each(b"\n");
                        self.place = Place::Start;
                    }
                    rest = &rest[(end + 1).min(rest.len())..];
                    continue;
                }
                Place::Colon => {
                    self.place = Place::Payload;
                    if *first != b' ' {
                        continue;
                    }
                }
                _ if line_end => self.place = Place::Start,
                Place::Start => self.matched(0, *first),
                Place::Name(matched) => self.matched(matched, *first),
            }
            rest = &rest[1..];
        }
    }

    fn matched(&mut self, matched: usize, byte: u8) {
        self.place = match (NAME[matched] == byte, matched + 1 == NAME.len()) {
            (true, true) => Place::Colon,
            (true, false) => Place::Name(matched + 1),
            (false, _) => Place::Other,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_found_however_it_is_cut() {
        let event =
            b"event: x\r\ndata: {\"a\":\r\n: data: no\r\ndata:1}\r\ndatum: no\r\ndata\r\n\r\n";
        for cut in 0..=event.len() {
            let mut lines = DataLines::default();
            let mut payload = Vec::new();
            for part in [&event[..cut], &event[cut..]] {
                lines.push(part, |bytes| payload.extend_from_slice(bytes));
            }
            payload.retain(|b| *b != b'\n');
            assert_eq!(payload, b"{\"a\":1}", "cut at {cut}");
        }
    }
}
