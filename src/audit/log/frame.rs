//! How a record lies in a segment: length, CRC32C, sequence, kind, payload.
//!
//! ```text
//! 0        4        8                16     17
//! | length | crc32c | sequence       | kind | payload (length - 9 bytes) …
//! ```
//! Numbers are little-endian; the length counts from the sequence on, the CRC covers the same bytes.

/// Bytes before the payload.
pub const HEADER: usize = 17;
/// Bytes that the length does not count.
const PREFIX: usize = 8;
/// The longest record but for a head: a row is a few hundred bytes.
pub const LONGEST: usize = 1 << 20;
/// The longest head: some hundred thousand budgets and requests in flight.
pub const LONGEST_HEAD: usize = 64 << 20;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// First in every segment: all that recovery needs of the segments before it.
    Head = 1,
    /// A request is about to be forwarded: its row, should it be lost.
    Begin = 2,
    /// A row of the audit.
    Row = 3,
    /// A signed seal.
    Seal = 4,
}

impl Kind {
    const fn read(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Head,
            2 => Self::Begin,
            3 => Self::Row,
            4 => Self::Seal,
            _ => return None,
        })
    }

    const fn longest(self) -> usize {
        match self {
            Self::Head => LONGEST_HEAD,
            Self::Begin | Self::Row | Self::Seal => LONGEST,
        }
    }
}

/// One whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub seq: u64,
    pub kind: Kind,
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes that it takes in the segment.
    #[must_use]
    pub const fn size(&self) -> usize {
        HEADER + self.payload.len()
    }
}

/// What stands at a place in a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Read<'a> {
    Frame(Frame<'a>),
    /// Nothing, or the beginning of a record whose rest is not there.
    Short,
    /// No record.
    Bad,
}

/// Appends a record; `None`, and nothing appended, where it is longer than its kind may be.
pub fn put(out: &mut Vec<u8>, seq: u64, kind: Kind, parts: &[&[u8]]) -> Option<()> {
    let payload: usize = parts.iter().map(|part| part.len()).sum();
    if payload > kind.longest() {
        return None;
    }
    let length = u32::try_from(payload + HEADER - PREFIX).ok()?;
    let start = out.len();
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&seq.to_le_bytes());
    out.push(kind as u8);
    for part in parts {
        out.extend_from_slice(part);
    }
    let crc = crc32c::crc32c(out.get(start + PREFIX..)?);
    out.get_mut(start + 4..start + PREFIX)?
        .copy_from_slice(&crc.to_le_bytes());
    Some(())
}

/// Reads the record at the front of `bytes`.
#[must_use]
pub fn read(bytes: &[u8]) -> Read<'_> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Read::Short;
    };
    let [
        l0,
        l1,
        l2,
        l3,
        c0,
        c1,
        c2,
        c3,
        s0,
        s1,
        s2,
        s3,
        s4,
        s5,
        s6,
        s7,
        kind,
    ] = *header;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let Some(kind) = Kind::read(kind) else {
        return Read::Bad;
    };
    let Some(payload) = length.checked_sub(HEADER - PREFIX) else {
        return Read::Bad;
    };
    if payload > kind.longest() {
        return Read::Bad;
    }
    let (Some(payload), Some(covered)) = (rest.get(..payload), bytes.get(PREFIX..PREFIX + length))
    else {
        return Read::Short;
    };
    if crc32c::crc32c(covered) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Read::Bad;
    }
    Read::Frame(Frame {
        seq: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
        kind,
        payload,
    })
}

/// The next place at or after `from` where a whole record with a sequence above `after` stands.
#[must_use]
pub fn find(bytes: &[u8], from: usize, after: Option<u64>) -> Option<usize> {
    (from..bytes.len()).find(|&at| {
        // The kind's byte settles almost every wrong place before a CRC is computed.
        bytes
            .get(at + HEADER - 1)
            .is_some_and(|kind| Kind::read(*kind).is_some())
            && matches!(read(&bytes[at..]), Read::Frame(frame) if Some(frame.seq) > after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_no_bit_of_it_may_change() {
        let mut bytes = Vec::new();
        put(&mut bytes, 9, Kind::Row, &[b"pay", b"load"]).unwrap();
        let frame = Frame {
            seq: 9,
            kind: Kind::Row,
            payload: b"payload",
        };
        assert_eq!(read(&bytes), Read::Frame(frame));
        assert_eq!(frame.size(), bytes.len());
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(read(&changed), Read::Frame(_)), "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), Read::Short);
        }
    }

    #[test]
    fn the_next_record_is_found_after_damage() {
        let mut bytes = b"damage".to_vec();
        put(&mut bytes, 3, Kind::Begin, &[b"old"]).unwrap();
        let later = bytes.len();
        put(&mut bytes, 8, Kind::Begin, &[b"new"]).unwrap();
        assert_eq!(find(&bytes, 0, None), Some(6));
        assert_eq!(find(&bytes, 0, Some(3)), Some(later));
        assert_eq!(find(&bytes, later + 1, None), None);
        assert_eq!(read(&[0; 64]), Read::Bad);
    }

    #[test]
    fn a_record_past_its_bound_is_not_written() {
        let mut bytes = Vec::new();
        let long = vec![0; LONGEST + 1];
        assert_eq!(put(&mut bytes, 1, Kind::Row, &[&long]), None);
        assert!(bytes.is_empty());
    }
}
