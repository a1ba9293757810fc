//! What the next commit would add is scanned, and nothing else.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::NamedTempFile;

pub const RULES: &str = r#"
[[rule]]
id = "acme-key"
category = "acme_key"
description = "Acme key"
pattern = '\bacme_[a-z0-9]{16}\b'
"#;

pub fn git(dir: &Path, words: &[&str]) {
    let who = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
    let output = Command::new("git")
        .current_dir(dir)
        .args(who)
        .args(words)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {words:?}: {output:?}");
}

/// `tollgate scan` with these rules, in this folder.
pub fn command(dir: &Path) -> (Command, NamedTempFile) {
    let rules = NamedTempFile::new().expect("a file");
    fs::write(rules.path(), RULES).expect("the rules");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.current_dir(dir).args(["scan", "--rules"]);
    command.arg(rules.path());
    (command, rules)
}

/// Its exit status, and all that it prints.
pub fn told(command: &mut Command) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("tollgate runs");
    let told = [stdout, stderr].concat();
    (status.code(), String::from_utf8_lossy(&told).into_owned())
}

fn scan(dir: &Path) -> (Option<i32>, String) {
    let (mut command, _rules) = command(dir);
    told(command.arg("--staged"))
}

#[test]
fn a_submodule_has_nothing_to_scan_and_a_link_that_becomes_a_file_has() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    git(dir, &["init", "-q"]);
    let commit = "160000,0123456789012345678901234567890123456789,sub";
    git(dir, &["update-index", "--add", "--cacheinfo", commit]);
    std::os::unix::fs::symlink("elsewhere", dir.join("link")).expect("a link");
    git(dir, &["add", "link"]);
    assert_eq!(scan(dir), (Some(0), String::new()));
    git(dir, &["commit", "-q", "-m", "one"]);
    fs::remove_file(dir.join("link")).expect("it goes");
    fs::write(dir.join("link"), "acme_0123456789abcdef").expect("a file");
    git(dir, &["add", "link"]);
    let (code, told) = scan(dir);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("link:1:1  acme-key"), "{told}");
}

#[test]
fn the_whole_index_is_scanned_from_wherever_it_is_asked_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    git(dir, &["init", "-q"]);
    git(dir, &["config", "diff.relative", "true"]);
    fs::create_dir(dir.join("sub")).expect("a folder");
    for name in ["0:top", "sub/below"] {
        fs::write(dir.join(name), "acme_0123456789abcdef").expect("a file");
    }
    git(dir, &["add", "."]);
    let both = |(code, told): (Option<i32>, String)| {
        assert_eq!(code, Some(1), "{told}");
        for place in ["0:top:1:1  acme-key", "sub/below:1:1  acme-key"] {
            assert!(told.contains(place), "{told}");
        }
    };
    both(scan(dir));
    both(scan(&dir.join("sub")));
    let elsewhere = tempfile::tempdir().expect("a folder");
    let (mut command, _rules) = command(elsewhere.path());
    command.env("GIT_DIR", dir.join(".git"));
    both(told(command.env("GIT_WORK_TREE", dir).arg("--staged")));
}
