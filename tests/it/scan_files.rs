//! What `tollgate scan` is told to look at is looked at: what git tracks, and whatever is named.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use crate::staged::{command, git, told};

const SECRET: &str = "acme_0123456789abcdef";

fn scan(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let (mut command, _rules) = command(dir);
    told(command.args(arguments))
}

#[test]
fn what_git_tracks_is_scanned_though_it_is_ignored_and_other_ignore_files_do_not_count() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    git(dir, &["init", "-q"]);
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).expect("a file");
    write(".gitignore", "*.env\n");
    write(".ignore", "plain\n");
    for name in ["tracked.env", "ignored.env", "plain", "gone.env"] {
        write(name, SECRET);
    }
    git(dir, &["add", "-f", "tracked.env", "gone.env"]);
    fs::remove_file(dir.join("gone.env")).expect("it goes");
    let inside = dir.join("inside");
    fs::create_dir(&inside).expect("a folder");
    git(&inside, &["init", "-q"]);
    fs::write(inside.join("own.env"), SECRET).expect("a file");
    git(&inside, &["add", "-f", "own.env"]);
    let (code, told) = scan(dir, &["."]);
    assert_eq!(code, Some(1), "{told}");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    for (line, file) in lines
        .iter()
        .zip(["./inside/own.env", "./plain", "./tracked.env"])
    {
        assert!(line.starts_with(&format!("{file}:1:1  acme-key")), "{told}");
    }
}

#[test]
fn a_repository_that_git_cannot_read_is_told_of() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    git(dir, &["init", "-q"]);
    fs::write(dir.join(".git/index"), "no index").expect("a file");
    let (code, told) = scan(dir, &["."]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("cannot ask git what it tracks in ."),
        "{told}"
    );
}

#[test]
fn a_folder_cannot_name_a_program_to_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    git(dir, &["init", "-q"]);
    fs::write(dir.join("plain"), SECRET).expect("a file");
    git(dir, &["add", "plain"]);
    let program = dir.join(".git/program");
    fs::write(&program, "#!/bin/sh\ntouch ran\n").expect("a file");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it can be run");
    let program = program.to_str().expect("a path");
    git(dir, &["config", "core.fsmonitor", program]);
    let (code, told) = scan(dir, &["."]);
    assert_eq!(code, Some(1), "{told}");
    assert!(!dir.join("ran").exists(), "{told}");
}

#[test]
fn pipes_that_are_named_are_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let pipe = dir.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    let writer = thread::spawn(move || fs::write(pipe, SECRET));
    let (code, said) = scan(dir, &["pipe"]);
    writer.join().expect("it ends").expect("it is read");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("pipe:1:1  acme-key"), "{said}");
    fs::write(dir.join("file"), SECRET).expect("a file");
    let file = fs::File::open(dir.join("file")).expect("the file");
    let (mut command, _rules) = command(dir);
    command.arg("/dev/stdin").stdin(Stdio::from(file));
    let (code, said) = told(&mut command);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("/dev/stdin:1:1  acme-key"), "{said}");
}
