//! Holds the layering: a floor imports only from below, engines and adapters never import each other, and some crates
//! stay where they belong. Reads the sources, so a wrong import fails here with its place and the reason.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `src/`, from the ground up.
const FLOORS: [&[&str]; 5] = [
    &["domain", "document", "keyed"],
    &[
        "identity", "policy", "pricing", "budget", "scan", "provider",
    ],
    &["config", "directory", "ledger_store", "audit", "metrics"],
    &["live", "gateway", "admin"],
    &["app", "cli", "main", "lib"],
];

/// Floors whose modules do not import each other: words, engines, adapters.
const APART: std::ops::RangeInclusive<usize> = 1..=2;

/// Crates that belong to some modules only, and why.
const CRATES: [(&str, &[&str], &str); 7] = [
    (
        "pingora",
        &["gateway", "app"],
        "only the gateway knows the proxy",
    ),
    (
        "hyperscan",
        &["scan"],
        "only the scan engine knows the matcher",
    ),
    (
        "axum",
        &["admin", "cli"],
        "only the admin listener (and the scripted provider of the demo) serves by itself",
    ),
    (
        "anyhow",
        &["cli", "main"],
        "engines and adapters have errors of their own",
    ),
    ("redis", &["ledger_store"], "no request waits for Redis"),
    (
        "clickhouse",
        &["audit"],
        "ClickHouse is a sink of the audit",
    ),
    (
        "rusqlite",
        &["directory", "audit"],
        "SQLite is a store of the directory and a sink of the audit",
    ),
];

/// What an engine must not touch: it gets values and gives values.
const NOT_IN_ENGINES: [(&str, &str); 9] = [
    ("tokio", "engines are not async"),
    ("tracing", "engines do not log"),
    ("prometheus", "engines do not count for others"),
    ("std::fs", "engines do no I/O"),
    ("TcpStream", "engines do no I/O"),
    ("SystemTime::now", "time is handed to engines"),
    ("Instant::now", "time is handed to engines"),
    ("Moment::now", "time is handed to engines"),
    (".await", "engines are not async"),
];

/// Modules that are compiled for tests only.
const TEST_MODULES: [&str; 4] = ["tests", "testing", "rule_examples", "wrapping_tests"];

struct Source {
    path: PathBuf,
    module: String,
    /// Code lines only: without comments, and without what follows `#[cfg(test)]`.
    lines: Vec<(usize, String)>,
}

fn sources(dir: &Path, root: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("an entry of src").path();
        let is_tests = path
            .file_stem()
            .is_some_and(|stem| TEST_MODULES.iter().any(|name| stem == *name));
        if path.is_dir() {
            if !is_tests {
                sources(&path, root, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs") && !is_tests {
            let inside = path.strip_prefix(root).expect("below src");
            let first = inside
                .components()
                .next()
                .expect("a module")
                .as_os_str()
                .to_string_lossy();
            let module = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).expect("a source file is UTF-8");
            let lines = text
                .lines()
                .enumerate()
                .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
                .filter(|(_, line)| !line.trim_start().starts_with("//"))
                .map(|(number, line)| (number + 1, line.to_owned()))
                .collect();
            found.push(Source {
                path,
                module,
                lines,
            });
        }
    }
}

fn all_sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &root, &mut found);
    assert!(found.len() > 10, "the sources were found");
    found
}

fn floor_of(module: &str) -> usize {
    FLOORS
        .iter()
        .position(|floor| floor.contains(&module))
        .unwrap_or_else(|| panic!("src/{module}: name its floor in tests/floors.rs"))
}

/// The modules of this crate that a line names as `crate::module` or inside `crate::{…}`.
fn imported(line: &str) -> Vec<String> {
    let word = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    line.match_indices("crate::")
        .filter(|(at, _)| !line[..*at].ends_with('$'))
        .flat_map(|(at, found)| {
            let rest = &line[at + found.len()..];
            match rest.strip_prefix('{') {
                Some(group) => group.split(',').map(word).collect::<Vec<_>>(),
                None => vec![word(rest)],
            }
        })
        .filter(|module| FLOORS.iter().any(|floor| floor.contains(&module.as_str())))
        .collect()
}

#[test]
fn a_floor_imports_only_from_below_and_its_modules_leave_each_other_alone() {
    let mut wrong = Vec::new();
    for source in all_sources() {
        let own = floor_of(&source.module);
        for (number, line) in &source.lines {
            for module in imported(line)
                .into_iter()
                .filter(|module| *module != source.module)
            {
                let other = floor_of(&module);
                let sideways = other == own && APART.contains(&own);
                if other > own || sideways {
                    let why = if sideways {
                        "the same floor, and they do not know each other"
                    } else {
                        "a floor above"
                    };
                    wrong.push(format!(
                        "{}:{number} imports `{module}`: {why}",
                        source.path.display()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for source in all_sources() {
        for (number, line) in &source.lines {
            for (name, modules, why) in CRATES {
                let used = line.match_indices(name).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    let after = &line[at + name.len()..];
                    let starts = before.is_none_or(|c| {
                        !c.is_alphanumeric() && c != '_' && c != '"' && c != ':' && c != '.'
                    });
                    starts
                        && (after.starts_with("::")
                            || after.starts_with('_') && after.contains("::"))
                });
                if used && !modules.contains(&source.module.as_str()) {
                    wrong.push(format!(
                        "{}:{number} uses `{name}`: {why}",
                        source.path.display()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn engines_are_plain_functions_of_their_arguments() {
    let mut wrong = Vec::new();
    for source in all_sources()
        .iter()
        .filter(|source| floor_of(&source.module) == 1)
    {
        for (number, line) in &source.lines {
            for (name, why) in NOT_IN_ENGINES {
                if line.contains(name) {
                    wrong.push(format!(
                        "{}:{number} uses `{name}`: {why}",
                        source.path.display()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_imported_wholesale() {
    for source in all_sources() {
        for (number, line) in &source.lines {
            assert!(
                !line.contains("use crate::*"),
                "{}:{number} imports everything",
                source.path.display()
            );
        }
    }
}
