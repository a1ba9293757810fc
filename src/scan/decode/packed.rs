//! Base64 of what is compressed, with text inside: gzip and zlib, the members of ZIP archives (a `.docx` is one) and the
//! streams of PDF. What is no text there (pictures, fonts) is passed over after a look at its beginning, and so is what is
//! encrypted or damaged.

use std::ops::Range;
use std::str::from_utf8;

use flate2::{Decompress, FlushDecompress, Status};
use memchr::memmem;

use super::coding::{self, Coding};
use super::events::{Append, Events, LEAF_END};

/// Shortest run of base64 that is taken for something compressed.
pub const SHORTEST: usize = 48;
/// Bytes unpacked at a time. The first of them tell whether it is text.
const CHUNK: usize = 4 << 10;

const ZIP: &[u8] = b"PK\x03\x04";
const PDF: &[u8] = b"%PDF-";
const GZIP: &[u8] = b"\x1F\x8B\x08";
/// Bytes of a member's head in a ZIP archive, before its name.
const ZIP_HEAD: usize = 30;

/// Whether base64 that begins so may be of something packed. Of zlib's two bytes one is a choice of four.
#[inline]
pub fn begins(run: &[u8]) -> bool {
    match run {
        [b'H', rest @ ..] => rest.starts_with(b"4sI"),
        [b'U', rest @ ..] => rest.starts_with(b"EsDB"),
        [b'J', rest @ ..] => rest.starts_with(b"VBER"),
        [b'e', second, third, ..] => match second {
            b'A' => matches!(third, b'E'..=b'H'),
            b'F' => matches!(third, b'4'..=b'7'),
            b'J' => matches!(third, b'w'..=b'z'),
            b'N' => matches!(third, b'o'..=b'r'),
            _ => false,
        },
        _ => false,
    }
}

/// Tells `events` of the text that is packed in a piece of base64, to no more than it has room for.
pub fn read<E: Events>(text: &[u8], piece: Range<usize>, events: &mut E) {
    let mut bytes = Vec::with_capacity(piece.len() / 4 * 3 + 3);
    let mut append = Append {
        source: text,
        text: &mut bytes,
        room: usize::MAX,
    };
    coding::read(Coding::Base64, text, piece.clone(), &mut append);
    let mut unpack = Unpack {
        room: events.room(),
        events,
        piece,
        inflate: Decompress::new(false),
    };
    if bytes.starts_with(ZIP) {
        unpack.zip(&bytes);
    } else if bytes.starts_with(PDF) {
        unpack.pdf(&bytes);
    } else if bytes.starts_with(GZIP) {
        unpack.gzip(&bytes);
    } else if let Some(rest) = bytes.get(2..) {
        unpack.deflated(rest);
    }
}

struct Unpack<'a, E> {
    events: &'a mut E,
    piece: Range<usize>,
    room: usize,
    inflate: Decompress,
}

impl<E: Events> Unpack<'_, E> {
    fn tell(&mut self, bytes: &[u8]) {
        let bytes = bytes.get(..bytes.len().min(self.room)).unwrap_or_default();
        self.room -= bytes.len();
        self.events.stands_for(bytes, self.piece.clone());
    }

    /// Tells what a deflated stream holds, if that is text; how many bytes of `packed` it took.
    fn deflated(&mut self, packed: &[u8]) -> usize {
        self.inflate.reset(false);
        let mut chunk = [0; CHUNK];
        let (mut filled, mut told) = (0, false);
        loop {
            let taken = taken(&self.inflate);
            let rest = packed.get(taken..).unwrap_or_default();
            let before = self.inflate.total_out();
            let free = chunk.get_mut(filled..).unwrap_or_default();
            let status = self.inflate.decompress(rest, free, FlushDecompress::None);
            filled += usize::try_from(self.inflate.total_out() - before).unwrap_or(0);
            let more = matches!(status, Ok(Status::Ok | Status::BufError));
            let stuck = self.inflate.total_out() == before;
            if more && !stuck && filled < CHUNK {
                continue;
            }
            let bytes = chunk.get(..filled).unwrap_or_default();
            told |= is_text(bytes);
            if told {
                self.tell(bytes);
            }
            if !told || !more || stuck || self.room == 0 {
                break;
            }
            filled = 0;
        }
        if told {
            self.tell(LEAF_END);
        }
        self::taken(&self.inflate)
    }

    /// Tells what stands there uncompressed, if that is text.
    fn stored(&mut self, bytes: &[u8]) {
        if is_text(bytes.get(..bytes.len().min(CHUNK)).unwrap_or_default()) {
            self.tell(bytes);
            self.tell(LEAF_END);
        }
    }

    /// One member after another, as `cat` makes them.
    fn gzip(&mut self, mut bytes: &[u8]) {
        while let Some(rest) = gzip_head(bytes) {
            let taken = self.deflated(rest);
            // A checksum and a length follow.
            bytes = rest.get(taken + 8..).unwrap_or_default();
        }
    }

    /// Every member that a head stands before. The list at the end of the archive is not asked: what it leaves out is
    /// read by some.
    fn zip(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while let Some(found) = memmem::find(bytes.get(at..).unwrap_or_default(), ZIP) {
            let member = bytes.get(at + found..).unwrap_or_default();
            at += found + self.member(member).max(ZIP.len());
        }
    }

    /// Reads one member of a ZIP archive; how many bytes it has.
    fn member(&mut self, member: &[u8]) -> usize {
        let Some((head, rest)) = member.split_at_checked(ZIP_HEAD) else {
            return member.len();
        };
        let number = |at: usize| {
            let bytes = head.get(at..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| usize::from(u16::from_le_bytes(*bytes)))
        };
        let names = number(26) + number(28);
        let data = rest.get(names..).unwrap_or_default();
        let length = number(18) | number(20) << 16;
        let encrypted = number(6) & 1 == 1;
        let taken = match number(8) {
            0 if !encrypted => {
                let data = data.get(..length).unwrap_or(data);
                self.stored(data);
                data.len()
            }
            8 if !encrypted => {
                let taken = self.deflated(data);
                // It may have been no text, and then it was not read to its end.
                if length <= data.len() {
                    taken.max(length)
                } else {
                    taken
                }
            }
            _ => 0,
        };
        ZIP_HEAD + names + taken
    }

    /// What stands between the streams, and what is deflated in them.
    fn pdf(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while let Some(found) = memmem::find(bytes.get(at..).unwrap_or_default(), b"stream") {
            let begins = at + found + b"stream".len();
            self.tell(bytes.get(at..begins).unwrap_or_default());
            let rest = bytes.get(begins..).unwrap_or_default();
            if !matches!(rest.first(), Some(b'\r' | b'\n')) {
                at = begins;
                continue;
            }
            let ends = memmem::find(rest, b"endstream").unwrap_or(rest.len());
            let (stream, _) = rest.split_at_checked(ends).unwrap_or_default();
            let data = stream.trim_ascii_start();
            if is_zlib(data) {
                self.tell(LEAF_END);
                self.deflated(data.get(2..).unwrap_or_default());
            } else {
                self.stored(data);
            }
            at = bytes.len().min(begins + ends + b"endstream".len());
        }
        self.tell(bytes.get(at..).unwrap_or_default());
        self.tell(LEAF_END);
    }
}

fn taken(inflate: &Decompress) -> usize {
    usize::try_from(inflate.total_in()).unwrap_or(usize::MAX)
}

/// What follows the head of a gzip member.
fn gzip_head(bytes: &[u8]) -> Option<&[u8]> {
    let (head, mut rest) = bytes.split_at_checked(10)?;
    let flags = head.starts_with(GZIP).then(|| head.get(3).copied())??;
    if flags & 4 != 0 {
        let (length, after) = rest.split_first_chunk()?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for name in [8, 16] {
        if flags & name != 0 {
            let end = memchr::memchr(0, rest)?;
            rest = rest.get(end + 1..)?;
        }
    }
    rest.get(if flags & 2 != 0 { 2 } else { 0 }..)
}

/// Whether these bytes begin as zlib's do: a window, a method and a check of both.
fn is_zlib(bytes: &[u8]) -> bool {
    let head = bytes.first_chunk().map(|head| u16::from_be_bytes(*head));
    head.is_some_and(|head| head >> 8 & 0x8F == 8 && head.is_multiple_of(31))
}

/// Whether this beginning of something is text: of what is not zero (an archive of `tar` has many zeros), three of four.
fn is_text(bytes: &[u8]) -> bool {
    // The end may cut the last character.
    let utf8 = from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true);
    let (mut all, mut shown) = (0, 0);
    for byte in bytes.iter().filter(|byte| **byte != 0) {
        all += 1;
        let plain = (b' '..0x7F).contains(byte) || byte.is_ascii_whitespace();
        shown += usize::from(plain || utf8 && *byte >= 0x80);
    }
    all > 0 && shown * 4 >= all * 3
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &str = "here is some text, and more of it: key = 0123456789abcdef\n";

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::best());
        out.write_all(text).unwrap();
        out.finish().unwrap()
    }

    fn zlib(text: &[u8], level: u32) -> Vec<u8> {
        let mut out = ZlibEncoder::new(Vec::new(), Compression::new(level));
        out.write_all(text).unwrap();
        out.finish().unwrap()
    }

    /// A member of a ZIP archive; its lengths stand behind it where it is streamed.
    fn member(data: &[u8], method: u8, streamed: bool) -> Vec<u8> {
        let length = if streamed { 0 } else { data.len() };
        let length = u32::try_from(length).unwrap().to_le_bytes();
        let head: [&[u8]; 8] = [
            ZIP,
            &[20, 0, u8::from(streamed) << 3, 0, method, 0],
            &[0; 8],
            &length,
            &length,
            &[5, 0, 3, 0],
            b"a.xml",
            b"xtr",
        ];
        [&head.concat(), data].concat()
    }

    fn unpacked(bytes: &[u8], room: usize) -> String {
        let code = STANDARD.encode(bytes);
        assert!(begins(code.as_bytes()), "{code}");
        let mut out = Vec::new();
        let mut append = Append {
            source: code.as_bytes(),
            text: &mut out,
            room,
        };
        read(code.as_bytes(), 0..code.len(), &mut append);
        out.retain(|byte| *byte != 0xFF);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn gzip_and_zlib_are_unpacked() {
        let text = TEXT.repeat(500);
        let all = |bytes: &[u8]| unpacked(bytes, usize::MAX);
        assert_eq!(all(&gzip(text.as_bytes())).trim_end(), text.trim_end());
        for level in [1, 5, 6, 9] {
            assert_eq!(
                all(&zlib(text.as_bytes(), level)).trim_end(),
                text.trim_end()
            );
        }
        let two = [gzip(b"first"), gzip(b"second")].concat();
        assert_eq!(all(&two), "first\n\nsecond\n\n");
        let (head, rest) = (b"\x1F\x8B\x08", gzip(b"text")[10..].to_vec());
        for (flags, more) in [(8, &b"a.txt\0"[..]), (0x0E, b"\x02\0xxa.txt\0cs")] {
            let named = [head, &[flags, 0, 0, 0, 0, 0, 3][..], more, &rest].concat();
            assert_eq!(all(&named), "text\n\n");
        }
    }

    #[test]
    fn members_of_archives_are_unpacked_and_pictures_are_passed_over() {
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::best());
        deflate.write_all(TEXT.as_bytes()).unwrap();
        let deflated = deflate.finish().unwrap();
        let noise: Vec<u8> = (0..9000u32)
            .map(|n| (n.wrapping_mul(0x9E37_79B9) >> 24) as u8)
            .collect();
        for streamed in [false, true] {
            let archive = [
                member(&deflated, 8, streamed),
                member(&noise, 0, false),
                member(b"stored words", 0, false),
                member(&deflated, 8, streamed),
            ];
            let text = unpacked(&archive.concat(), usize::MAX);
            assert_eq!(
                text,
                format!("{TEXT}\n\nstored words\n\n{TEXT}\n\n"),
                "{streamed}"
            );
        }
    }

    #[test]
    fn streams_of_pdf_are_unpacked() {
        let (one, picture) = (zlib(TEXT.as_bytes(), 6), zlib(&[0; 5000], 6));
        let pdf = [
            b"%PDF-1.4\n1 0 obj <</Filter /FlateDecode>> stream\r\n".as_slice(),
            &one,
            b"\nendstream\nendobj\n2 0 obj <<>>stream\n",
            &picture,
            b"\nendstream (a stream of words) 3 0 obj <<>>stream\nBT (plain) Tj\nendstream end",
        ];
        let text = unpacked(&pdf.concat(), usize::MAX);
        let shown = [
            "FlateDecode",
            TEXT,
            "a stream of words",
            "BT (plain) Tj",
            " end",
        ];
        assert!(shown.iter().all(|part| text.contains(part)), "{text}");
        assert!(!text.contains('\0'), "{text}");
    }

    #[test]
    fn no_more_is_unpacked_than_there_is_room_for() {
        let bomb = vec![b'a'; 4 << 20];
        for packed in [gzip(&bomb), zlib(&bomb, 9)] {
            assert_eq!(unpacked(&packed, 100_000).len(), 100_000);
        }
    }

    #[test]
    fn what_is_damaged_or_cut_short_gives_what_it_has() {
        let whole = gzip(TEXT.repeat(2000).as_bytes());
        for end in 36..whole.len() {
            let text = unpacked(&whole[..end], usize::MAX);
            assert!(TEXT.repeat(2000).starts_with(text.trim_end()), "{end}");
        }
        let mut damaged = whole.clone();
        damaged[30] ^= 0x55;
        unpacked(&damaged, usize::MAX);
    }
}
