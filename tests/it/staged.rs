//! What the next commit would add is scanned, and nothing else.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const RULES: &str = r#"
[[rule]]
id = "acme-key"
category = "acme_key"
description = "Acme key"
pattern = '\bacme_[a-z0-9]{16}\b'
"#;

fn git(dir: &Path, words: &[&str]) {
    let who = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
    let output = Command::new("git")
        .current_dir(dir)
        .args(who)
        .args(words)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {words:?}: {output:?}");
}

fn scan(dir: &Path) -> (Option<i32>, String) {
    let rules = dir.join(".git/rules.toml");
    fs::write(&rules, RULES).expect("the rules");
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .current_dir(dir)
        .args(["scan", "--staged", "--rules"])
        .arg(rules)
        .output()
        .expect("tollgate runs");
    let told = [stdout, stderr].concat();
    (status.code(), String::from_utf8_lossy(&told).into_owned())
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
