//! The promises of the commands that read the configuration and change the directory.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use serde_json::Value;
use tempfile::TempDir;

use super::Cli;
use crate::audit::{Label, OperatorAction, inbox};
use crate::domain::Moment;

const PROVIDER: &str = "[provider.p]\ndialect = \"openai\"\naddresses = [\"http://127.0.0.1:1\"]\n\
                        credential = \"env:TOLLGATE_TEST_NO_SUCH_KEY\"\n";
const RULE: &str = "[[rule]]\nid = \"a-b\"\ncategory = \"a_token\"\ndescription = \"d\"\npattern = '''\\bzzz_[a-z]{9}\\b'''\n";

/// A folder with a configuration; the directory file is the shipped one.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    fs::create_dir(dir.path().join("rules")).unwrap();
    fs::write(dir.path().join("rules/a.toml"), RULE).unwrap();
    fs::write(dir.path().join("tollgate.toml"), PROVIDER).unwrap();
    for file in ["directory.toml", "prices.toml"] {
        fs::copy(root.join(file), dir.path().join(file)).unwrap();
    }
    dir
}

fn tollgate(dir: &TempDir, line: &str) -> (String, String) {
    let config = dir.path().join("tollgate.toml");
    let words = ["tollgate"].into_iter().chain(line.split(' '));
    let cli = Cli::try_parse_from(words.chain(["--config", config.to_str().unwrap()])).unwrap();
    let mut out = Vec::new();
    let code = cli
        .run(&mut out)
        .map_or_else(|error| format!("{error:#}"), |code| format!("{code:?}"));
    (
        code,
        String::from_utf8(out)
            .unwrap()
            .replace(dir.path().to_str().unwrap(), "DIR"),
    )
}

fn done(dir: &TempDir, line: &str) -> String {
    let (code, out) = tollgate(dir, line);
    assert_eq!(code, format!("{:?}", ExitCode::SUCCESS), "{line}: {out}");
    out
}

fn apply(dir: &TempDir) -> String {
    done(
        dir,
        &format!("apply {}", dir.path().join("directory.toml").display()),
    )
}

fn wrong_configuration() -> String {
    format!("{:?}", ExitCode::from(super::EXIT_CONFIG))
}

#[test]
fn check_tells_the_mistakes_of_every_file_at_once() {
    let dir = folder();
    fs::write(dir.path().join("rules/b.toml"), "[[rule]]\nid = 5\n").unwrap();
    fs::write(dir.path().join("prices.toml"), "[[model]]\nid = 5\n").unwrap();
    fs::write(
        dir.path().join("directory.toml"),
        "organization = \"acme\"\n",
    )
    .unwrap();
    let text = format!(
        "[scan]\nknown_values = [\"none.txt\"]\n[scan.actions]\na_tokn = \"block\"\n{PROVIDER}"
    );
    fs::write(dir.path().join("tollgate.toml"), text).unwrap();
    let (code, out) = tollgate(&dir, "check");
    assert_eq!(code, wrong_configuration());
    for file in ["rules/b.toml", "prices.toml", "none.txt", "directory.toml"] {
        assert!(out.contains(&format!("DIR/{file}:")), "{file} in {out}");
    }
    assert!(
        out.contains("environment variable TOLLGATE_TEST_NO_SUCH_KEY is not set"),
        "{out}"
    );
}

#[test]
fn check_tells_which_known_values_nothing_would_look_for() {
    let dir = folder();
    let with = |files: &str| {
        let text = format!("[scan]\nknown_values = {files}\n{PROVIDER}");
        fs::write(dir.path().join("tollgate.toml"), text).unwrap();
    };
    let env = "DB_PASSWORD=hunter2\nMODE=production\nTOKEN=0123456789abcdef\n";
    fs::write(dir.path().join(".env"), env).unwrap();
    with("[\".env\"]");
    let out = done(&dir, "check");
    assert!(
        out.contains(
            "warning: DIR/.env: values that are not looked for: 1 under 8 bytes, 1 neither called nor looking like secrets\n"
        ),
        "{out}"
    );
    assert!(!out.contains("hunter2"));
}

#[test]
fn check_warns_of_a_category_that_no_rule_has_and_is_content() {
    let dir = folder();
    fs::write(
        dir.path().join("tollgate.toml"),
        format!("[scan.actions]\na_tokn = \"block\"\n{PROVIDER}"),
    )
    .unwrap();
    let out = done(&dir, "check");
    assert!(
        out.contains("no rule has the category `a_tokn`; did you mean `a_token`?"),
        "{out}"
    );
    assert!(out.ends_with("4 files, no mistakes\n"), "{out}");
    let json: Value = serde_json::from_str(&done(&dir, "check --json")).unwrap();
    assert_eq!(
        (
            json["faults"].as_array().unwrap().len(),
            json["files"].as_array().unwrap().len()
        ),
        (0, 4)
    );
}

#[test]
fn check_refuses_what_the_matcher_refuses() {
    let dir = folder();
    let wide = RULE
        .replace("a-b", "wide")
        .replace(r"\bzzz_[a-z]{9}\b", "xx_[a-z]{1,60000}");
    fs::write(dir.path().join("rules/b.toml"), wide).unwrap();
    let (code, out) = tollgate(&dir, "check");
    assert_eq!(code, wrong_configuration(), "{out}");
    assert!(out.starts_with("DIR/rules/b.toml:"), "{out}");
}

#[test]
fn check_warns_of_names_that_lead_nowhere() {
    let dir = folder();
    let text = format!(
        "[cache]\nteams = [\"paymens\"]\n[models.aliases]\nfast = \"claude-hiku\"\nknown = \"gpt-5\"\n{PROVIDER}"
    );
    fs::write(dir.path().join("tollgate.toml"), text).unwrap();
    let out = done(&dir, "check");
    for warning in [
        "[cache] teams: no directory file has a team `paymens`; did you mean `payments`?",
        "[models.aliases] fast: no price table has the model `claude-hiku`",
    ] {
        assert!(out.contains(warning), "{warning} in {out}");
    }
    assert!(!out.contains("gpt-5"), "{out}");
}

#[test]
fn a_broken_directory_is_told_with_its_path_and_once() {
    let dir = folder();
    apply(&dir);
    let state = dir.path().join("state");
    for file in ["directory.db", "directory.db-wal", "directory.db-shm"] {
        let _gone = fs::remove_file(state.join(file));
    }
    fs::write(state.join("directory.db"), "no database ".repeat(100)).unwrap();
    let config = dir.path().join("tollgate.toml");
    let words = [
        "tollgate",
        "team",
        "list",
        "--config",
        config.to_str().unwrap(),
    ];
    let error = Cli::try_parse_from(words).unwrap().run(&mut Vec::new());
    let text = super::told(&error.unwrap_err());
    let path = state.join("directory.db").display().to_string();
    assert!(text.starts_with(&path), "{text}");
    assert!(text.contains("restore it from a backup"), "{text}");
    assert_eq!(text.matches("file is not a database").count(), 1, "{text}");
}

#[test]
fn an_apply_that_was_interrupted_is_told_by_the_next_command() {
    let dir = folder();
    apply(&dir);
    let folder = dir.path().join("state/log/inbox");
    let files = || {
        let mut names: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        names.sort();
        names
    };
    let [whole] = &files()[..] else {
        panic!("one file for all changes: {:?}", files());
    };
    // As if it had been killed between its commit and the audit's word; and another before its commit.
    fs::rename(whole, whole.with_extension("draft")).unwrap();
    let action = OperatorAction {
        id: uuid::Uuid::now_v7(),
        at: Moment::from_seconds(1),
        organisation: None,
        team: None,
        who: Label::default(),
        what: "directory.changed",
        subject: Label::default(),
        change: Label::default(),
    };
    let _left = inbox::draft(&dir.path().join("state"), &[action]).unwrap();
    assert_eq!(files().len(), 2);
    done(&dir, "key create --team payments");
    let kinds: Vec<_> = files()
        .iter()
        .map(|file| file.extension().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["action", "action"], "the apply and the key");
    assert!(whole.exists());
}

#[test]
fn every_command_tells_the_mistakes_of_its_configuration() {
    let dir = folder();
    fs::write(dir.path().join("tollgate.toml"), "x = 1\n").unwrap();
    for line in ["key list", "team list", "key create --team a"] {
        assert_eq!(tollgate(&dir, line).0, wrong_configuration(), "{line}");
    }
    assert!(!dir.path().join("state").exists());
}

#[test]
fn apply_tells_what_it_changed_and_a_wrong_file_changes_nothing() {
    let dir = folder();
    assert!(apply(&dir).contains("added budget team/payments/month\n"));
    assert_eq!(apply(&dir), "nothing to change\n");
    fs::write(
        dir.path().join("directory.toml"),
        "organisation = \"acme\"\n",
    )
    .unwrap();
    assert!(apply(&dir).contains("kept team payments\n"));
    fs::write(dir.path().join("wrong.toml"), "team = 1\n").unwrap();
    let (code, _) = tollgate(
        &dir,
        &format!("apply --prune {}", dir.path().join("wrong.toml").display()),
    );
    assert_eq!(code, wrong_configuration());
    assert!(done(&dir, "team list").contains("payments"));
}

#[test]
fn a_key_is_shown_once_and_listed_without_its_text() {
    let dir = folder();
    apply(&dir);
    let made: Value = serde_json::from_str(&done(
        &dir,
        "key create --team payments --user ada --expires 90d --json",
    ))
    .unwrap();
    let (text, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert!(text.starts_with("tg_live_"));
    for line in ["key list", "key list --json", "key list --team payments"] {
        let out = done(&dir, line);
        assert!(out.contains(id) && !out.contains(text), "{out}");
    }
    assert!(!done(&dir, "key list --team other").contains(id));
    assert!(done(&dir, &format!("key revoke {id}")).starts_with("revoked key_"));
    assert!(done(&dir, "key list").contains("revoked"));
    let plain = done(&dir, "key create --team payments");
    assert_eq!(
        (plain.lines().count(), plain.trim().len()),
        (1, 47),
        "a script takes the whole output"
    );
}

#[test]
fn what_cannot_be_done_says_why() {
    let dir = folder();
    apply(&dir);
    assert_eq!(
        tollgate(&dir, "key create --team nobody").0,
        "there is no team `nobody`"
    );
    assert_eq!(
        tollgate(&dir, "key create --team payments --user eve").0,
        "there is no user `eve` in team `payments`"
    );
    assert_eq!(
        tollgate(&dir, "key revoke key_none").0,
        "there is no key `key_none`"
    );
    for line in [
        "key create --team a --expires soon",
        "key create --team a --expires 0d",
        "key create --team a --budget year=5",
        "key create",
        "team",
    ] {
        let words = ["tollgate"].into_iter().chain(line.split(' '));
        assert_eq!(
            Cli::try_parse_from(words).unwrap_err().exit_code(),
            2,
            "{line}"
        );
    }
}

#[test]
fn wrong_use_ends_with_2() {
    let dir = folder();
    for line in [
        "audit query --decision bogus",
        "audit tail --since foo",
        "audit export --format csv --until 2026-13-01",
        "spend --by team --since foo",
        "rules report --since foo",
    ] {
        let words = ["tollgate"].into_iter().chain(line.split(' '));
        let error = Cli::try_parse_from(words).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
    let text = "organisation = \"acme\"\n[[team]]\nname = \"a\"\n[[team]]\nname = \"b\"\n";
    fs::write(dir.path().join("directory.toml"), text).unwrap();
    apply(&dir);
    let saved = dir.path().join("tollgate.toml");
    for line in [
        "key create --team a --budget day=1 --budget day=2".to_owned(),
        format!("policy test {}", saved.display()),
    ] {
        let code = tollgate(&dir, &line).0;
        assert_eq!(code, format!("{:?}", ExitCode::from(2)), "{line}");
    }
}

#[test]
fn scan_tells_wrong_rules_as_rules_check_does() {
    let dir = folder();
    let rules = dir.path().join("wrong.toml");
    fs::write(&rules, "[[rule]]\nid = \"x\"\n").unwrap();
    let rules = rules.display();
    for line in [
        format!("rules check {rules}"),
        format!("scan --rules {rules} {rules}"),
        format!("scan --add-rules {rules} {rules}"),
    ] {
        let words = ["tollgate"].into_iter().chain(line.split(' '));
        let ended = Cli::try_parse_from(words).unwrap().run(&mut Vec::new());
        let code = format!("{:?}", ended.unwrap());
        assert_eq!(code, wrong_configuration(), "{line}");
    }
}

#[test]
fn budgets_stand_as_the_log_adds_up_while_no_gateway_runs() {
    let dir = folder();
    fs::write(
        dir.path().join("tollgate.toml"),
        format!("[listen]\nadmin = \"127.0.0.1:0\"\n{PROVIDER}"),
    )
    .unwrap();
    apply(&dir);
    let shown = |line: &str| -> Value { serde_json::from_str(&done(&dir, line)).unwrap() };
    let day = "user/payments/ada/day";
    let one = shown(&format!("budget show {day} --json"));
    assert_eq!(
        (&one[0]["limit"], &one[0]["spent"], &one[0]["source"]),
        (&"25.00".into(), &"0.00".into(), &"log".into())
    );
    assert_eq!(shown("budget show --json").as_array().unwrap().len(), 2);
    done(&dir, &format!("budget grant {day} 5"));
    done(&dir, &format!("budget adjust {day} +7.50"));
    let credited = shown(&format!("budget adjust {day} -0.50 --json"));
    assert_eq!(
        (&credited["granted"], &credited["charged"]),
        (&"5.00".into(), &"7.50".into())
    );
    let one = shown(&format!("budget show {day} --json"));
    assert_eq!(
        (&one[0]["limit"], &one[0]["spent"], &one[0]["left"]),
        (&"30.00".into(), &"7.00".into(), &"23.00".into())
    );
    assert!(done(&dir, "budget show").contains("no gateway runs"));
    assert_eq!(
        tollgate(&dir, &format!("budget adjust {day} -8")).0,
        "8.00 is more than the 7.00 that are spent"
    );
    assert_eq!(
        tollgate(&dir, "budget show none").0,
        "there is no budget `none`"
    );
    assert!(
        tollgate(&dir, "budget grant none 1")
            .0
            .starts_with("there is no budget `none`")
    );
    for line in [
        "budget grant a 0",
        "budget grant a -1",
        "budget adjust a 1",
        "budget adjust a +1e3",
    ] {
        let words = ["tollgate"].into_iter().chain(line.split(' '));
        assert_eq!(
            Cli::try_parse_from(words).unwrap_err().exit_code(),
            2,
            "{line}"
        );
    }
}

#[test]
fn what_an_operator_does_is_left_for_the_audit_without_secrets() {
    let dir = folder();
    fs::write(
        dir.path().join("tollgate.toml"),
        format!("[listen]\nadmin = \"127.0.0.1:0\"\n{PROVIDER}"),
    )
    .unwrap();
    apply(&dir);
    let made: Value =
        serde_json::from_str(&done(&dir, "key create --team payments --json")).unwrap();
    done(
        &dir,
        &format!("key revoke {}", made["id"].as_str().unwrap()),
    );
    done(&dir, "budget grant team/payments/month 5");
    let inbox = fs::read_dir(dir.path().join("state/log/inbox")).unwrap();
    let texts: Vec<Vec<u8>> = inbox
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    let has = |word: &str| {
        texts.iter().any(|text| {
            text.windows(word.len())
                .any(|window| window == word.as_bytes())
        })
    };
    for word in [
        "directory.changed",
        "key.created",
        "key.revoked",
        "budget.granted",
        "team/payments/month",
    ] {
        assert!(has(word), "{word}");
    }
    assert!(!has(made["key"].as_str().unwrap()));
}
