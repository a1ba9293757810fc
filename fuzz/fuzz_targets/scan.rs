//! The whole scan with the shipped rules of every family. The first byte chooses the type, the second the encoding.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use tollgate::cli::scan::shipped::RULES;
use tollgate::domain::{Name, Secret};
use tollgate::scan::{Body, Family, KnownValues, Limits, RuleSet, Scanner, Workspace};

const TYPES: [Option<&str>; 6] = [
    None,
    Some("application/json"),
    Some("application/x-ndjson"),
    Some("application/x-www-form-urlencoded"),
    Some("multipart/form-data; boundary=x"),
    Some("text/plain; charset=utf-16le"),
];
const ENCODINGS: [Option<&str>; 6] = [
    None,
    Some("gzip"),
    Some("deflate"),
    Some("zstd"),
    Some("br"),
    Some("br, gzip"),
];

thread_local! {
    static SCANNER: RefCell<(Scanner, Workspace)> = RefCell::new(scanner());
}

fn scanner() -> (Scanner, Workspace) {
    let rules = RuleSet::parse(RULES, &Family::ALL).unwrap();
    let mut known = KnownValues::new();
    known.add_value(&Secret::new("known-value-of-the-gateway".to_owned()));
    known.add_value(&Secret::new("short:known".to_owned()));
    known.add_entity(&Name::new("team"), "Project Nimbus");
    let limits = Limits {
        decoded_bytes: 1 << 20,
        ..Limits::default()
    };
    let scanner = Scanner::build(rules, known, &Secret::new([0; 32]), limits).unwrap();
    let workspace = scanner.workspace();
    (scanner, workspace)
}

// Compiling the rules takes seconds, which are no input's fault.
fuzz_target!(init: SCANNER.with(|_| ()), |data: &[u8]| {
    let [kind, encoding, bytes @ ..] = data else {
        return;
    };
    let body = Body {
        bytes,
        content_type: TYPES[usize::from(*kind) % TYPES.len()],
        content_encoding: ENCODINGS[usize::from(*encoding) % ENCODINGS.len()],
    };
    SCANNER.with_borrow_mut(|(scanner, workspace)| {
        let report = scanner.scan(workspace, body, Some(&Name::new("team")));
        for finding in &report.findings {
            if let Some(span) = &finding.span {
                assert!(span.start < span.end && span.end <= bytes.len());
            }
        }
        assert!(report.decoded_bytes <= 8 << 20 || report.decoded_bytes <= 4 * bytes.len() as u64);
    });
});
