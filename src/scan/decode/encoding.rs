//! `Content-Encoding`, undone within bounds.

use std::io::{self, Read};

use flate2::bufread::{DeflateDecoder, GzDecoder, MultiGzDecoder, ZlibDecoder};
use zstd::zstd_safe;

use crate::scan::finding::Undecodable;
use crate::scan::scanner::Limits;

/// Encodings on top of each other.
const ENCODINGS: usize = 3;
/// Below this many bytes no ratio is absurd.
const SMALL: usize = 1 << 20;
/// Bytes unpacked at a time.
const CHUNK: usize = 64 << 10;
/// Largest window of zstd, as a power of two: 8 MiB, what RFC 9659 allows on the web.
const ZSTD_WINDOW: u32 = 23;
/// Window of br: the standard's largest is 16 MiB and is only taken as far as the data ask for it.
const BROTLI_BUFFER: usize = 4096;
/// What a frame of zstd with data begins with, little-endian (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// A body without its content encodings.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    pub bytes: Vec<u8>,
    /// Whether the packed form is known to carry nothing else: no file's name, no comment, no frame to be skipped, nothing
    /// behind its end.
    pub bare: bool,
}

/// Whether a header asks for nothing to be undone.
pub fn is_identity(encodings: &str) -> bool {
    encodings.split(',').all(|name| {
        let name = name.trim();
        name.is_empty() || name.eq_ignore_ascii_case("identity")
    })
}

/// Undoes the encodings of a body, the last named first.
pub fn unpack(encodings: &str, body: &[u8], limits: &Limits) -> Result<Unpacked, Undecodable> {
    let names: Vec<&str> = encodings
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
        .collect();
    if names.len() > ENCODINGS {
        return Err(Undecodable::UnknownEncoding);
    }
    let most = body
        .len()
        .saturating_mul(limits.ratio)
        .max(SMALL)
        .min(limits.decoded_bytes);
    let mut names = names.into_iter().rev();
    let Some(last) = names.next() else {
        return Ok(Unpacked {
            bytes: body.to_vec(),
            bare: true,
        });
    };
    let mut unpacked = one(last, body, most)?;
    for name in names {
        unpacked = Unpacked {
            bare: false,
            ..one(name, &unpacked.bytes, most)?
        };
    }
    Ok(unpacked)
}

fn one(name: &str, packed: &[u8], most: usize) -> Result<Unpacked, Undecodable> {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    if is("gzip") || is("x-gzip") {
        gzip(packed, most)
    } else if is("deflate") {
        // The name means zlib's format, but some send the bare one.
        match zlib(packed, most) {
            Err(Undecodable::BadCompression) => deflate(packed, most),
            done => done,
        }
    } else if is("zstd") {
        let decoder = zstd::stream::read::Decoder::with_buffer(packed);
        let mut decoder = decoder.map_err(|_| Undecodable::BadCompression)?;
        decoder
            .window_log_max(ZSTD_WINDOW)
            .map_err(|_| Undecodable::BadCompression)?;
        let frame = zstd_safe::find_frame_compressed_size(packed);
        Ok(Unpacked {
            bytes: read(decoder, packed.len(), most)?,
            bare: packed.starts_with(&ZSTD_MAGIC) && frame == Ok(packed.len()),
        })
    } else if is("br") {
        let decoder = brotli::Decompressor::new(packed, BROTLI_BUFFER);
        Ok(Unpacked {
            bytes: read(decoder, packed.len(), most)?,
            // Its blocks of metadata are passed over unseen.
            bare: false,
        })
    } else {
        Err(Undecodable::UnknownEncoding)
    }
}

fn gzip(packed: &[u8], most: usize) -> Result<Unpacked, Undecodable> {
    let mut decoder = GzDecoder::new(packed);
    let bytes = read(&mut decoder, packed.len(), most)?;
    let bare = decoder.header().is_some_and(|head| {
        let more = [head.filename(), head.comment(), head.extra()];
        more.iter().all(Option::is_none)
    });
    if decoder.into_inner().is_empty() {
        return Ok(Unpacked { bytes, bare });
    }
    Ok(Unpacked {
        bytes: read(MultiGzDecoder::new(packed), packed.len(), most)?,
        bare: false,
    })
}

fn zlib(packed: &[u8], most: usize) -> Result<Unpacked, Undecodable> {
    let mut decoder = ZlibDecoder::new(packed);
    let bytes = read(&mut decoder, packed.len(), most)?;
    let bare = decoder.into_inner().is_empty();
    Ok(Unpacked { bytes, bare })
}

fn deflate(packed: &[u8], most: usize) -> Result<Unpacked, Undecodable> {
    let mut decoder = DeflateDecoder::new(packed);
    let bytes = read(&mut decoder, packed.len(), most)?;
    let bare = decoder.into_inner().is_empty();
    Ok(Unpacked { bytes, bare })
}

fn read(mut decoder: impl Read, packed: usize, most: usize) -> Result<Vec<u8>, Undecodable> {
    let mut out = Vec::with_capacity(packed.saturating_mul(4).min(most));
    let mut chunk = vec![0; CHUNK];
    loop {
        match decoder.read(&mut chunk) {
            Ok(0) => return Ok(out),
            Ok(length) if out.len() + length > most => return Err(Undecodable::Bomb),
            Ok(length) => out.extend_from_slice(chunk.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Undecodable::BadCompression),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        out.write_all(text).unwrap();
        out.finish().unwrap()
    }

    fn plain(encodings: &str, body: &[u8]) -> Result<Vec<u8>, Undecodable> {
        unpack(encodings, body, &Limits::default()).map(|unpacked| unpacked.bytes)
    }

    /// What a decoder passes over, and nobody sees.
    #[test]
    fn what_stands_beside_the_data_is_told() {
        let bare = |encodings: &str, body: &[u8]| {
            let unpacked = unpack(encodings, body, &Limits::default()).unwrap();
            assert!(unpacked.bytes.starts_with(b"some text"), "{encodings}");
            unpacked.bare
        };
        let text = b"some text".as_slice();
        let write = |builder: flate2::GzBuilder| {
            let mut out = builder.write(Vec::new(), flate2::Compression::fast());
            out.write_all(text).unwrap();
            out.finish().unwrap()
        };
        assert!(bare("gzip", &gzip(text)));
        let builder = flate2::GzBuilder::new;
        assert!(!bare("gzip", &write(builder().filename("more"))));
        assert!(!bare("gzip", &write(builder().comment("more"))));
        assert!(!bare("gzip", &write(builder().extra("more"))));
        assert!(!bare("gzip", &[gzip(text), gzip(text)].concat()));
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(text).unwrap();
        let zlib = zlib.finish().unwrap();
        assert!(bare("deflate", &zlib));
        assert!(!bare("deflate", &[&zlib[..], b"more"].concat()));
        let frame = zstd::encode_all(text, 1).unwrap();
        let skipped = [&[0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0][..], b"more"].concat();
        assert!(bare("zstd", &frame));
        assert!(!bare("zstd", &[&frame[..], &skipped].concat()));
        assert!(!bare("zstd", &[&skipped[..], &frame].concat()));
        assert!(!bare("zstd, gzip", &gzip(&frame)));
    }

    #[test]
    fn each_encoding_is_undone_and_stacks() {
        let text = b"some text".as_slice();
        assert_eq!(plain("gzip", &gzip(text)).unwrap(), text);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(text).unwrap();
        assert_eq!(plain("Deflate", &zlib.finish().unwrap()).unwrap(), text);
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        bare.write_all(text).unwrap();
        assert_eq!(plain("deflate", &bare.finish().unwrap()).unwrap(), text);
        let zstd = zstd::encode_all(text, 1).unwrap();
        assert_eq!(plain("zstd", &zstd).unwrap(), text);
        assert_eq!(plain("zstd, gzip", &gzip(&zstd)).unwrap(), text);
        let mut br = Vec::new();
        brotli::CompressorWriter::new(&mut br, 4096, 5, 20)
            .write_all(text)
            .unwrap();
        assert_eq!(plain("br", &br).unwrap(), text);
        assert_eq!(plain("identity", text).unwrap(), text);
    }

    #[test]
    fn a_bomb_is_refused_and_damage_is_named() {
        let bomb = gzip(&vec![0; 4 << 20]);
        assert_eq!(plain("gzip", &bomb), Err(Undecodable::Bomb));
        let whole = gzip(b"some text");
        assert_eq!(
            plain("gzip", &whole[..whole.len() - 4]),
            Err(Undecodable::BadCompression)
        );
        assert_eq!(
            plain("br", b"\xFF\xFF\xFF"),
            Err(Undecodable::BadCompression)
        );
        assert_eq!(plain("compress", b""), Err(Undecodable::UnknownEncoding));
        assert_eq!(
            plain("gzip,gzip,gzip,gzip", b""),
            Err(Undecodable::UnknownEncoding)
        );
    }
}
