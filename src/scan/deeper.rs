//! From the first text of a body to what is coded inside it, and inside that.

use std::ops::Range;

use super::decode::joined;
use super::decode::pieces::{self, Piece};
use super::finding::Undecodable;
use super::scanner::{Limits, Scanner};
use super::text::{Budget, TIMES, Text};
use super::workspace::Workspace;
use crate::domain::Name;

/// What is coded again and again comes to more, and may while it is no more than this: a file in lines of base64 inside
/// two strings is five times its own size.
const MORE_TIMES: usize = 4;
const MORE: usize = 4 << 20;
/// Bytes that even a small body may have besides.
const SLACK: usize = 64 << 10;
/// Bytes that what is packed in any body may unpack to, whatever the ratio.
const UNPACKED: usize = 1 << 20;

/// Bytes that a scan of a body of this size may decode.
fn budget(size: usize, limits: &Limits) -> Budget {
    let more = size.saturating_mul(MORE_TIMES).min(MORE);
    let all = size.saturating_mul(TIMES).saturating_add(more);
    let unpacked = size.saturating_mul(limits.ratio).max(UNPACKED);
    Budget {
        pieces: all.saturating_add(SLACK),
        packed: unpacked.min(limits.decoded_bytes),
    }
}

impl Scanner {
    /// Matches the first text, makes the next of its coded pieces, and so on until nothing is coded any more.
    pub(super) fn read_deeper(
        &self,
        workspace: &mut Workspace,
        size: usize,
        team: Option<&Name>,
    ) -> Option<Undecodable> {
        let mut problem = workspace.blocks.overflow.then_some(Undecodable::TooLarge);
        let mut budget = budget(size, self.limits());
        for level in 0..=self.limits().nesting {
            problem = problem.or(self.matches(workspace, level, team).err());
            self.find_pieces(workspace, level);
            let Workspace { texts, pieces, .. } = workspace;
            let (done, rest) = texts.split_at_mut(level + 1);
            let (Some(text), false) = (done.last(), pieces.is_empty()) else {
                break;
            };
            let Some(next) = rest.first_mut() else {
                problem = problem.or(is_too_deep(done, pieces).then_some(Undecodable::TooDeep));
                break;
            };
            if !next.read(&text.bytes, pieces, &mut budget) {
                problem = problem.or(Some(Undecodable::TooLarge));
            }
        }
        problem
    }

    /// Fills `pieces` with what is coded in a text.
    fn find_pieces(&self, workspace: &mut Workspace, level: usize) {
        let Workspace {
            texts,
            blocks,
            marks,
            pieces,
            ..
        } = workspace;
        pieces.clear();
        let Some(Text {
            bytes: text,
            confirmed,
            ..
        }) = texts.get(level)
        else {
            return;
        };
        let mut found: Vec<_> = confirmed.iter().map(|one| one.secret.clone()).collect();
        found.sort_unstable_by_key(|secret| secret.start);
        let first = level == 0;
        if first {
            joined::joined(text, &mut blocks.joins, pieces);
        }
        marks.read(text);
        let joined = pieces.len();
        self.digits.base64(text, marks, pieces);
        let sealed = pieces.len() - joined;
        pieces::escaped(text, marks, &found, first, pieces);
        // A name at the end of what is decoded must not announce the lines of base64 that it comes from.
        if let Some(pieces) = pieces.get_mut(joined..) {
            pieces.rotate_left(sealed);
        }
        pieces::encoded(text, marks, first, pieces);
    }
}

/// Whether base64 stands in the last text that was undone in none before. Other pieces take it along from text to text.
fn is_too_deep(texts: &[Text], pieces: &[Piece]) -> bool {
    let sealed = pieces.iter().filter(|piece| piece.coding.is_sealed());
    let mut runs: Vec<Range<usize>> = sealed.map(|piece| piece.at.clone()).collect();
    for pair in texts.windows(2).rev() {
        let [before, text] = pair else { continue };
        if runs.is_empty() {
            break;
        }
        runs = text.not_undone(&before.bytes, &runs);
    }
    !runs.is_empty()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::tests::{RULES, scan, scanner};
    use super::super::{Layer, Place};
    use super::*;

    const KEY: &str = "acme_0123456789abcdef";

    fn lines(text: &[u8], width: usize) -> String {
        let code = STANDARD.encode(text);
        let lines = code.as_bytes().chunks(width);
        lines
            .flat_map(|line| [line, b"\n"])
            .flatten()
            .map(|byte| char::from(*byte))
            .collect()
    }

    /// A body that holds the text in so many strings.
    fn body(text: &str, strings: usize) -> String {
        let quoted = (1..strings).fold(text.to_owned(), |text, _| {
            serde_json::json!({ "output": text }).to_string()
        });
        serde_json::json!({ "text": quoted }).to_string()
    }

    #[test]
    fn a_file_in_lines_of_base64_is_read_whole_in_any_string() {
        let scanner = scanner(RULES);
        let source = "\tif (x == NULL && !y) { return f(\"a\\n\", 100); }\n".repeat(6000);
        let noise: Vec<u8> = (0..200_000u32)
            .map(|n| (n.wrapping_mul(0x9E37_79B9) >> 24) as u8)
            .collect();
        for length in [10_000, 20_000, 80_000, 280_000] {
            let source = format!("{}\n{KEY}\n", &source[..length]);
            for (width, strings) in [(64, 1), (64, 2), (76, 2), (76, 3), (76, 4)] {
                let report = scan(&scanner, &body(&lines(source.as_bytes(), width), strings));
                assert_eq!(report.undecodable, None, "{length} {width} {strings}");
                assert_eq!(report.findings.len(), 1, "{length} {width} {strings}");
            }
        }
        assert_eq!(
            scan(&scanner, &body(&lines(&noise, 76), 3)).undecodable,
            None
        );
    }

    #[test]
    fn base64_that_was_undone_is_not_too_deep_where_other_pieces_take_it_along() {
        let scanner = scanner(RULES);
        let prose = "the quick brown fox runs over lazy dogs and files ".repeat(4);
        let persian = "می‌خواهم کتاب‌های خوب بخوانم و خانه‌ای می‌سازم ".repeat(2);
        for text in [
            format!("\u{feff}<?xml version=\"1.0\"?>\n<a b=\"x &amp; y\">{prose}</a>\n"),
            format!("\u{feff}# t\n[a](https://a.io/x%20y)\n{prose}"),
            format!("a &amp; b \u{1F468}\u{200d}\u{1F4BB} {prose}"),
            format!("Donau\u{ad}dampf &lt; {prose}"),
            persian,
        ] {
            for width in [64, 76, 4096] {
                let report = scan(&scanner, &body(&lines(text.as_bytes(), width), 1));
                assert_eq!(report.undecodable, None, "{width} {text}");
            }
        }
        let code = STANDARD.encode(&prose);
        let text = format!("\u{feff}<a href=\"/x%20y?a=1&amp;b=2\">\\n</a> data: {code}");
        assert_eq!(scan(&scanner, &body(&text, 1)).undecodable, None);
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::best());
        out.write_all(text.as_bytes()).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn what_is_packed_in_base64_is_read_and_cannot_be_rewritten() {
        let scanner = scanner(RULES);
        let packed = gzip(&format!("{{\"token\": \"a\\n{KEY}\"}} {KEY}0\n"));
        let line = STANDARD.encode(&packed);
        for (text, strings) in [
            (format!("user_data = \"{line}\""), 1),
            (lines(&packed, 76), 2),
            (format!("data:application/gzip;base64,{line} and"), 3),
            (format!("release: {}", STANDARD.encode(&line)), 2),
        ] {
            let body = body(&text, strings);
            let report = scan(&scanner, &body);
            let places = report.findings.iter().map(|one| &one.place);
            let places: Vec<_> = places.collect();
            let first = &report.findings[0];
            assert_eq!(places[0], &Place::Sealed(Layer::Base64), "{text}");
            assert!(
                first.near.clone().unwrap().len() + 4 >= line.len() / 4 * 3,
                "{text}"
            );
            assert_eq!(report.undecodable, None, "{text}");
        }
    }

    #[test]
    fn what_unpacks_to_too_much_is_said() {
        let scanner = scanner(RULES);
        let text = |bytes: usize| body(&STANDARD.encode(gzip(&"a b ".repeat(bytes / 4))), 1);
        assert_eq!(scan(&scanner, &text(1 << 19)).undecodable, None);
        let report = scan(&scanner, &text(4 << 20));
        assert_eq!(report.undecodable, Some(Undecodable::TooLarge));
    }

    #[test]
    fn base64_deeper_than_is_read_is_said() {
        let scanner = scanner(RULES);
        let nested = |times: usize| {
            (0..times).fold(format!("here it is: {KEY} "), |text, _| {
                format!("and \u{200b}more: {}", STANDARD.encode(text))
            })
        };
        let report = scan(&scanner, &body(&nested(4), 1));
        assert_eq!((report.findings.len(), report.undecodable), (1, None));
        let report = scan(&scanner, &body(&nested(5), 1));
        assert_eq!(report.undecodable, Some(Undecodable::TooDeep));
    }
}
