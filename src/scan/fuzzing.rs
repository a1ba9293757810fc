//! Ways into the decoders for `fuzz/`, which can reach public items only. Each holds the decoders to their promises.

use super::decode::body::{self, Format};
use super::decode::coding::{self, Coding};
use super::decode::encoding;
use super::decode::events::Append;
use super::decode::locate::{Locate, Target};
use super::scanner::Limits;

/// Containers in containers that are read.
const DEPTH: usize = 64;
const CODINGS: [Coding; 8] = [
    Coding::Joined,
    Coding::Escapes,
    Coding::Percent,
    Coding::Entities,
    Coding::Folded,
    Coding::Quoted,
    Coding::Invisible,
    Coding::Base64,
];

/// Reads as JSON, and finds the way back from every part of the text.
pub fn json(data: &[u8]) {
    for format in [Format::Json, Format::JsonLines, Format::Form] {
        let mut text = Vec::new();
        let mut append = Append {
            source: data,
            text: &mut text,
            room: usize::MAX,
        };
        let stopped = body::read(format, data, DEPTH, &mut append);
        let mut targets: Vec<Target> = (0..text.len())
            .step_by(7)
            .map(|at| Target::new(at..(at + 11).min(text.len())))
            .collect();
        let mut locate = Locate::new(data, &mut targets, 0);
        assert_eq!(body::read(format, data, DEPTH, &mut locate), stopped);
        for range in targets.iter().flat_map(|target| &target.ranges) {
            assert!(range.start < range.end && range.end <= data.len());
        }
    }
}

/// Undoes every coding, and the content encoding that the first byte names.
pub fn decoders(data: &[u8]) {
    for coding in CODINGS {
        let mut text = Vec::new();
        let mut append = Append {
            source: data,
            text: &mut text,
            room: usize::MAX,
        };
        coding::read(coding, data, 0..data.len(), &mut append);
        assert!(
            text.len() <= data.len(),
            "{coding:?} makes more than it takes"
        );
    }
    let (Some(first), rest) = (data.first(), data.get(1..).unwrap_or_default()) else {
        return;
    };
    let name = ["gzip", "deflate", "zstd", "br", "br, gzip"][usize::from(*first) % 5];
    let limits = Limits {
        decoded_bytes: 1 << 20,
        ..Limits::default()
    };
    if let Ok(unpacked) = encoding::unpack(name, rest, &limits) {
        assert!(unpacked.bytes.len() <= limits.decoded_bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_upset_the_decoders(data in prop::collection::vec(any::<u8>(), 0..400)) {
            super::json(&data);
            super::decoders(&data);
        }

        #[test]
        fn no_text_of_their_own_letters_does(data in r#"[{}\[\]:,"\\n/u0dD8ab%&;#x= \n+-]{0,200}"#) {
            super::json(data.as_bytes());
            super::decoders(data.as_bytes());
        }
    }
}
