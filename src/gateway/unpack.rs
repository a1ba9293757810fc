//! Undoes the content encoding of an answer piece by piece, where a provider sent one although none was asked for.
//! Knows encodings, not what an answer says.

use std::io::{self, Write};

use flate2::write::{DeflateDecoder, GzDecoder, ZlibDecoder};

/// Bytes that one read from upstream may unpack to.
const MOST: usize = 16 << 20;
/// Largest window of zstd, as a power of two: 8 MiB, what RFC 9659 allows on the web.
const ZSTD_WINDOW: u32 = 23;
/// What br unpacks into before it is handed on.
const BROTLI_BUFFER: usize = 4096;

/// The bytes of an answer are not in the encoding that its head names, or unpack to more than is allowed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer's content encoding is broken")]
pub struct Broken;

/// One answer being unpacked.
pub enum Unpacker {
    Gzip(Box<Gzip>),
    /// Not begun: `deflate` is zlib's format, and for some servers what that wraps.
    Deflate(Sink),
    Zlib(Box<ZlibDecoder<Sink>>),
    Raw(Box<DeflateDecoder<Sink>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Sink>>),
    Brotli(Box<brotli::DecompressorWriter<Sink>>),
}

impl Unpacker {
    /// For the value of a `content-encoding`; `None` for one that is not known, or several on top of each other.
    #[must_use]
    pub fn of(encoding: &str) -> Option<Self> {
        let sink = Sink::default();
        match encoding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip(Box::new(Gzip::new()))),
            "deflate" => Some(Self::Deflate(sink)),
            "zstd" => {
                let mut decoder = zstd::stream::write::Decoder::new(sink).ok()?;
                decoder.window_log_max(ZSTD_WINDOW).ok()?;
                Some(Self::Zstd(Box::new(decoder)))
            }
            "br" => {
                let decoder = brotli::DecompressorWriter::new(sink, BROTLI_BUFFER);
                Some(Self::Brotli(Box::new(decoder)))
            }
            _ => None,
        }
    }

    /// Takes bytes from upstream; gives all that they tell.
    ///
    /// # Errors
    /// When they are damaged, or too much comes of them.
    pub fn push(&mut self, packed: &[u8]) -> Result<Vec<u8>, Broken> {
        if let (Self::Deflate(_), Some(first)) = (&self, packed.first()) {
            // Zlib's format begins with the number of its method.
            *self = if first & 0x0F == 8 {
                Self::Zlib(Box::new(ZlibDecoder::new(Sink::default())))
            } else {
                Self::Raw(Box::new(DeflateDecoder::new(Sink::default())))
            };
        }
        let written = match self {
            Self::Gzip(one) => one.write(packed),
            Self::Deflate(_) => Ok(()),
            Self::Zlib(one) => write(one, packed),
            Self::Raw(one) => write(one, packed),
            Self::Zstd(one) => write(one, packed),
            Self::Brotli(one) => write(one, packed),
        };
        written.map_err(|_| Broken)?;
        Ok(std::mem::take(&mut self.sink().0))
    }

    /// Ends the answer; gives what still comes.
    ///
    /// # Errors
    /// When it ends in the middle, as far as that is told, or its checksum is wrong.
    pub fn finish(&mut self) -> Result<Vec<u8>, Broken> {
        let ended = match self {
            Self::Gzip(one) => one.member.try_finish(),
            Self::Deflate(_) => Ok(()),
            Self::Zlib(one) => one.try_finish(),
            Self::Raw(one) => one.try_finish(),
            // Whether these are whole is not told; the framing of the answer tells it.
            Self::Zstd(one) => one.flush(),
            Self::Brotli(one) => one.close(),
        };
        ended.map_err(|_| Broken)?;
        Ok(std::mem::take(&mut self.sink().0))
    }

    fn sink(&mut self) -> &mut Sink {
        match self {
            Self::Gzip(one) => one.member.get_mut(),
            Self::Deflate(sink) => sink,
            Self::Zlib(one) => one.get_mut(),
            Self::Raw(one) => one.get_mut(),
            Self::Zstd(one) => one.get_mut(),
            Self::Brotli(one) => one.get_mut(),
        }
    }
}

/// Gzip: members one after the other. What follows the last one and is none is left out, as clients do.
pub struct Gzip {
    member: GzDecoder<Sink>,
    ended: bool,
}

impl Gzip {
    /// What every member begins with.
    const MAGIC: u8 = 0x1F;

    fn new() -> Self {
        Self {
            member: GzDecoder::new(Sink::default()),
            ended: false,
        }
    }

    fn write(&mut self, packed: &[u8]) -> io::Result<()> {
        let mut rest = packed;
        while let Some(first) = rest.first().filter(|_| !self.ended) {
            match self.member.write(rest)? {
                0 => {
                    self.member.try_finish()?;
                    self.ended = *first != Self::MAGIC;
                    if !self.ended {
                        let sink = std::mem::take(self.member.get_mut());
                        self.member = GzDecoder::new(sink);
                    }
                }
                taken => rest = &rest[taken..],
            }
        }
        self.member.flush()
    }
}

/// Takes what belongs to the encoding; what follows its end is left out.
fn write(decoder: &mut impl Write, packed: &[u8]) -> io::Result<()> {
    let mut rest = packed;
    while !rest.is_empty() {
        match decoder.write(rest)? {
            0 => break,
            taken => rest = &rest[taken..],
        }
    }
    decoder.flush()
}

/// Takes what is unpacked, within bounds.
#[derive(Default)]
pub struct Sink(Vec<u8>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(encoding: &str, pieces: &[&[u8]]) -> Vec<u8> {
        fn all(mut encoder: impl Write, pieces: &[&[u8]]) {
            for piece in pieces {
                encoder.write_all(piece).unwrap();
                encoder.flush().unwrap();
            }
        }
        let mut out = Vec::new();
        let level = flate2::Compression::fast();
        match encoding {
            "gzip" => all(flate2::write::GzEncoder::new(&mut out, level), pieces),
            "deflate" => all(flate2::write::ZlibEncoder::new(&mut out, level), pieces),
            "br" => all(brotli::CompressorWriter::new(&mut out, 4096, 5, 20), pieces),
            _ => {
                let encoder = zstd::stream::write::Encoder::new(&mut out, 1).unwrap();
                all(encoder.auto_finish(), pieces);
            }
        }
        out
    }

    #[test]
    fn every_encoding_is_undone_over_any_cut() {
        let text = "data: {\"a\":\"é\"}\n\n".repeat(50);
        for encoding in ["gzip", "deflate", "br", "zstd"] {
            let packed = packed(encoding, &[text.as_bytes()]);
            for size in [1, 3, packed.len()] {
                let mut unpacker = Unpacker::of(encoding).unwrap();
                let mut out = Vec::new();
                for piece in packed.chunks(size) {
                    out.extend(unpacker.push(piece).unwrap());
                }
                out.extend(unpacker.finish().unwrap());
                assert_eq!(out, text.as_bytes(), "{encoding} {size}");
            }
        }
    }

    #[test]
    fn an_event_that_was_flushed_is_not_held_back() {
        for encoding in ["gzip", "deflate", "br", "zstd"] {
            let whole = packed(encoding, &[b"data: 1\n\n", b"data: 2\n\n"]);
            let first = packed(encoding, &[b"data: 1\n\n"]);
            let shared = whole.iter().zip(&first).take_while(|(a, b)| a == b).count();
            let mut unpacker = Unpacker::of(encoding).unwrap();
            assert_eq!(
                unpacker.push(&whole[..shared]).unwrap(),
                b"data: 1\n\n",
                "{encoding}"
            );
            assert_eq!(
                unpacker.push(&whole[shared..]).unwrap(),
                b"data: 2\n\n",
                "{encoding}"
            );
        }
    }

    fn unpacked(encoding: &str, packed: &[u8], size: usize) -> Vec<u8> {
        let mut unpacker = Unpacker::of(encoding).unwrap();
        let mut out = Vec::new();
        for piece in packed.chunks(size) {
            out.extend(unpacker.push(piece).unwrap());
        }
        out.extend(unpacker.finish().unwrap());
        out
    }

    #[test]
    fn what_clients_read_is_read() {
        let text = b"{\"a\": 1}";
        let gzip = packed("gzip", &[text]);
        let twice = [&gzip[..], &gzip[..]].concat();
        for size in [1, 7, 1000] {
            assert_eq!(unpacked("gzip", &twice, size), text.repeat(2));
            for more in [&b"\0\0\0"[..], b"and more"] {
                assert_eq!(
                    unpacked("gzip", &[&twice[..], more].concat(), size),
                    text.repeat(2)
                );
                let zlib = [&packed("deflate", &[text])[..], more].concat();
                assert_eq!(unpacked("deflate", &zlib, size), text);
            }
            let mut raw = Vec::new();
            let mut encoder =
                flate2::write::DeflateEncoder::new(&mut raw, flate2::Compression::fast());
            encoder.write_all(text).unwrap();
            drop(encoder);
            assert_eq!(unpacked("deflate", &raw, size), text);
        }
    }

    #[test]
    fn damage_and_bombs_are_named() {
        for encoding in ["gzip", "deflate", "br", "zstd"] {
            let mut unpacker = Unpacker::of(encoding).unwrap();
            let noise: Vec<u8> = (0..64u8).map(|n| n.wrapping_mul(167) ^ 0xA5).collect();
            assert_eq!(unpacker.push(&noise), Err(Broken), "{encoding}");
            if matches!(encoding, "gzip" | "br") {
                let whole = packed(encoding, &[b"data: 1\n\n"]);
                let mut unpacker = Unpacker::of(encoding).unwrap();
                unpacker.push(&whole[..whole.len() - 3]).unwrap();
                assert_eq!(unpacker.finish(), Err(Broken), "{encoding}");
            }
            let bomb = packed(encoding, &[&vec![0; MOST + 1]]);
            assert_eq!(
                Unpacker::of(encoding).unwrap().push(&bomb),
                Err(Broken),
                "{encoding}"
            );
        }
        assert!(Unpacker::of("compress").is_none() && Unpacker::of("gzip, br").is_none());
    }
}
