//! Undoes the content encoding of an answer piece by piece, where a provider sent one although none was asked for.
//! Knows encodings, not what an answer says.

use std::io::{self, Write};

use flate2::write::{MultiGzDecoder, ZlibDecoder};

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
    Gzip(Box<MultiGzDecoder<Sink>>),
    Deflate(Box<ZlibDecoder<Sink>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Sink>>),
    Brotli(Box<brotli::DecompressorWriter<Sink>>),
}

impl Unpacker {
    /// For the value of a `content-encoding`; `None` for one that is not known, or several on top of each other.
    #[must_use]
    pub fn of(encoding: &str) -> Option<Self> {
        let sink = Sink::default();
        match encoding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip(Box::new(MultiGzDecoder::new(sink)))),
            "deflate" => Some(Self::Deflate(Box::new(ZlibDecoder::new(sink)))),
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
        let written = match self {
            Self::Gzip(one) => write(one, packed),
            Self::Deflate(one) => write(one, packed),
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
            Self::Gzip(one) => one.try_finish(),
            Self::Deflate(one) => one.try_finish(),
            // Whether these are whole is not told; the framing of the answer tells it.
            Self::Zstd(one) => one.flush(),
            Self::Brotli(one) => one.close(),
        };
        ended.map_err(|_| Broken)?;
        Ok(std::mem::take(&mut self.sink().0))
    }

    fn sink(&mut self) -> &mut Sink {
        match self {
            Self::Gzip(one) => one.get_mut(),
            Self::Deflate(one) => one.get_mut(),
            Self::Zstd(one) => one.get_mut(),
            Self::Brotli(one) => one.get_mut(),
        }
    }
}

fn write(decoder: &mut impl Write, packed: &[u8]) -> io::Result<()> {
    decoder.write_all(packed)?;
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
