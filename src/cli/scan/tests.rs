//! The command as it is used.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ScanArgs,
}

const RULES: &str = r#"
[[rule]]
id = "acme-key"
category = "acme_key"
description = "Acme key"
pattern = '\bacme_[a-z0-9]{16}\b'
"#;

/// Runs in a folder with two files, one of them ignored; what it prints and whether it found something.
fn run_with(arguments: &[&str]) -> (String, bool) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at(".git")).unwrap();
    fs::write(at(".gitignore"), "ignored\n").unwrap();
    fs::write(at("ignored"), "acme_0123456789abcdef").unwrap();
    fs::write(at(".env"), "A=1\nKEY=acme_0123456789abcdef\n").unwrap();
    fs::write(at("clean"), "nothing").unwrap();
    let rules = tempfile::NamedTempFile::new().unwrap();
    fs::write(rules.path(), RULES).unwrap();
    let (rules, path) = (
        rules.path().to_str().unwrap(),
        folder.path().to_str().unwrap(),
    );
    let line = ["scan", path, "--rules", rules].into_iter();
    let args = Line::parse_from(line.chain(arguments.iter().copied())).args;
    let mut out = Vec::new();
    let code = run(&args, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap().replace(path, "DIR");
    (out, format!("{code:?}").contains("(1)"))
}

#[test]
fn findings_have_places_and_masked_secrets_and_ignored_files_are_left_out() {
    let (out, found) = run_with(&[]);
    assert!(found);
    let line = out.lines().next().unwrap();
    assert!(
        line.starts_with("DIR/.env:2:5  acme-key  Acme key  acme… (21 bytes)  "),
        "{out}"
    );
    assert_eq!(out.lines().count(), 1);
    assert!(!out.contains("0123456789"));
}

#[test]
fn json_and_sarif_say_the_same() {
    let (out, _) = run_with(&["--json"]);
    let all: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&all[0]["file"], &all[0]["start"]),
        (&"DIR/.env".into(), &8.into())
    );
    let (out, found) = run_with(&["--format", "sarif"]);
    let log: serde_json::Value = serde_json::from_str(&out).unwrap();
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "acme-key");
    assert_eq!(
        result["locations"][0]["physicalLocation"]["region"]["startLine"],
        2
    );
    assert_eq!(
        result["partialFingerprints"]["tollgateSecret/v1"],
        all[0]["fingerprint"]
    );
    assert!(found && !out.contains("0123456789"));
}

#[test]
fn a_file_that_cannot_be_read_hides_no_finding_of_the_others() {
    let (out, failed) = run_with(&["/nowhere/at/all"]);
    assert!(failed && out.contains("DIR/.env:2:5  acme-key"), "{out}");
}

#[test]
fn what_windows_programs_write_is_read() {
    let text = "\u{feff}é = 1\r\n$KEY=acme_0123456789abcdef\r\n";
    let units = || text.encode_utf16();
    let files = [
        units().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
        units().flat_map(u16::to_be_bytes).collect(),
    ];
    for bytes in files {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        let path = file.path().to_str().unwrap();
        let (out, _) = run_with(&[path]);
        assert!(out.contains(&format!("{path}:2:6  acme-key")), "{out}");
    }
}

#[test]
fn a_file_that_is_not_scanned_whole_is_never_called_clean() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = "a text that is coded again and again".to_owned();
    for _ in 0..8 {
        text = STANDARD.encode(text);
    }
    let path = dir.path().join("a #1%");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let with = |format: &str| {
        let rules = dir.path().join("rules");
        fs::write(&rules, RULES).unwrap();
        let rules = rules.to_str().unwrap();
        let line = ["scan", path, "--rules", rules, "--format", format];
        let mut out = Vec::new();
        let code = run(&Line::parse_from(line).args, &mut out).unwrap();
        assert!(format!("{code:?}").contains("(1)"));
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        with("text"),
        format!("{path}  not scanned whole (too_deep); there may be more in it\n")
    );
    let all: serde_json::Value = serde_json::from_str(&with("json")).unwrap();
    assert_eq!(
        all,
        serde_json::json!([{ "file": path, "undecodable": "too_deep" }])
    );
    let log: serde_json::Value = serde_json::from_str(&with("sarif")).unwrap();
    let invocation = &log["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    let told = &invocation["toolExecutionNotifications"][0];
    let place = &told["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert!(place.as_str().unwrap().ends_with("/a%20%231%25"), "{place}");
}
