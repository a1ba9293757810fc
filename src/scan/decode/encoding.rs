//! `Content-Encoding`, undone within bounds.

use std::io::{self, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

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

/// Whether a header asks for nothing to be undone.
pub fn is_identity(encodings: &str) -> bool {
    encodings.split(',').all(|name| {
        let name = name.trim();
        name.is_empty() || name.eq_ignore_ascii_case("identity")
    })
}

/// Undoes the encodings of a body, the last named first.
pub fn unpack(encodings: &str, body: &[u8], limits: &Limits) -> Result<Vec<u8>, Undecodable> {
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
    let mut unpacked: Option<Vec<u8>> = None;
    for name in names.into_iter().rev() {
        let packed = unpacked.as_deref().unwrap_or(body);
        unpacked = Some(one(name, packed, most)?);
    }
    Ok(unpacked.unwrap_or_else(|| body.to_vec()))
}

fn one(name: &str, packed: &[u8], most: usize) -> Result<Vec<u8>, Undecodable> {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    if is("gzip") || is("x-gzip") {
        read(MultiGzDecoder::new(packed), packed.len(), most)
    } else if is("deflate") {
        // The name means zlib's format, but some send the bare one.
        match read(ZlibDecoder::new(packed), packed.len(), most) {
            Err(Undecodable::BadCompression) => {
                read(DeflateDecoder::new(packed), packed.len(), most)
            }
            done => done,
        }
    } else if is("zstd") {
        let decoder = zstd::stream::read::Decoder::with_buffer(packed);
        let mut decoder = decoder.map_err(|_| Undecodable::BadCompression)?;
        decoder
            .window_log_max(ZSTD_WINDOW)
            .map_err(|_| Undecodable::BadCompression)?;
        read(decoder, packed.len(), most)
    } else if is("br") {
        read(
            brotli::Decompressor::new(packed, BROTLI_BUFFER),
            packed.len(),
            most,
        )
    } else {
        Err(Undecodable::UnknownEncoding)
    }
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
        unpack(encodings, body, &Limits::default())
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
