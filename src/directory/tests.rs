//! The promises of the directory.

use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::budget::{BudgetId, Grace, OnStoreLoss, Window};
use crate::domain::{Caller, KeyId, Moment, Name, Usd};
use crate::identity::{KeyError, Roster, parse};
use crate::policy::Limits;

const NOW: Moment = Moment::from_seconds(1_800_000_000);
const SHIPPED: &str = include_str!("../../conf/directory.toml");

fn organisation(text: &str) -> Organisation {
    parse_file("directory.toml", text).unwrap()
}

fn apply(directory: &Directory, text: &str, prune: bool) -> Vec<String> {
    let changes = directory
        .apply(&organisation(text), prune, "test", NOW)
        .unwrap();
    changes.iter().map(ToString::to_string).collect()
}

fn open() -> (tempfile::TempDir, Directory) {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::open(dir.path()).unwrap();
    (dir, directory)
}

fn told(text: &str) -> String {
    match parse_file("directory.toml", text) {
        Ok(_) => "no mistake".to_owned(),
        Err(faults) => faults
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn find(directory: &Directory, text: &str, now: Moment) -> Result<Caller, KeyError> {
    let census = directory.load().unwrap();
    let hash = parse(text)?.hash(&directory.key.virtual_keys());
    Roster::new(census.roster)
        .find(&hash, now)
        .map(|caller| Caller::clone(caller))
}

#[test]
fn the_shipped_file_applies_as_it_is_and_once() {
    let (_dir, directory) = open();
    insta::assert_snapshot!(apply(&directory, SHIPPED, false).join("\n"));
    assert_eq!(apply(&directory, SHIPPED, true), Vec::<String>::new());
    let census = directory.load().unwrap();
    let wanted = organisation(SHIPPED);
    assert_eq!(
        (&census.organisation, &census.teams),
        (&wanted.name, &wanted.teams)
    );
}

#[test]
fn the_shipped_file_applies_with_all_its_comments_taken_away() {
    let uncommented: String = SHIPPED
        .lines()
        .map(|line| match line.trim_start().strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") || rest.starts_with('[') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let read = organisation(&uncommented);
    assert_eq!(read.budgets.len(), 3);
    assert!(read.teams[0].policy.hours.is_some() && read.teams[0].policy.session_limit.is_some());
    let (_dir, directory) = open();
    apply(&directory, &uncommented, false);
    assert_eq!(directory.load().unwrap().teams, read.teams);
}

#[test]
fn a_change_is_told_field_by_field() {
    let (_dir, directory) = open();
    apply(&directory, SHIPPED, false);
    let other = SHIPPED
        .replace("\"2500.00\"", "\"3000.00\"")
        .replace(
            "models = [\"claude-*\", \"gpt-5*\"]",
            "tokens_per_minute = 9",
        )
        .replace("name = \"ada\"", "name = \"grace\"")
        .replace("\"acme\"", "\"acme-inc\"");
    insta::assert_snapshot!(apply(&directory, &other, false).join("\n"));
    insta::assert_snapshot!(apply(&directory, &other, true).join("\n"));
    assert_eq!(apply(&directory, &other, true), Vec::<String>::new());
}

#[test]
fn a_change_of_the_organisations_budget_names_it_as_every_other_place_does() {
    let (_dir, directory) = open();
    let text = "[[budget]]\nwindow = \"total\"\nlimit = \"9\"\n";
    let named = |name: &str| format!("organisation = \"{name}\"\n");
    let told = apply(&directory, &format!("{}{text}", named("acme")), false);
    assert!(
        told.contains(&"added budget organisation/acme/total".to_owned()),
        "{told:?}"
    );
    let told = apply(&directory, &format!("{}{text}", named("acme-inc")), false);
    assert_eq!(
        told,
        ["changed organisation (name: \"acme\" → \"acme-inc\")"]
    );
    let told = apply(&directory, &named("acme-inc"), true);
    assert_eq!(told, ["removed budget organisation/acme-inc/total"]);
}

#[test]
fn names_and_windows_that_are_none_are_no_second_ones() {
    let budgets = "[[team.budget]]\nwindow = \"year\"\nlimit = \"1\"\n".repeat(2);
    let users = "[[team.user]]\nname = \"a b\"\n".repeat(2);
    let teams = "[[team]]\nname = \"c d\"\n".repeat(2);
    let told = told(&format!("organisation = \"acme\"\n{teams}{budgets}{users}"));
    assert!(!told.contains("second"), "{told}");
    assert_eq!(told.lines().count(), 6, "{told}");
}

#[test]
fn a_changed_budget_has_a_newer_revision() {
    let (_dir, directory) = open();
    apply(&directory, SHIPPED, false);
    let revision = |directory: &Directory| {
        let budgets = directory.load().unwrap().budgets;
        budgets
            .iter()
            .find(|budget| budget.spec.id == BudgetId::new("team/payments/month"))
            .unwrap()
            .spec
            .revision
    };
    let before = revision(&directory);
    apply(&directory, &SHIPPED.replace("2500", "2600"), false);
    assert!(revision(&directory) > before, "even within one microsecond");
}

#[test]
fn a_key_works_until_it_is_revoked_or_expires() {
    let (_dir, directory) = open();
    apply(&directory, SHIPPED, false);
    let end = Moment::from_seconds(1_900_000_000);
    let owner = KeyWish {
        team: "payments",
        user: Some("ada"),
        expires: Some(end),
        ..KeyWish::default()
    };
    let key = directory.create_key(owner, "test", NOW).unwrap();
    let text = key.text.expose();
    let caller = find(&directory, text, NOW).unwrap();
    assert_eq!(
        (caller.team.as_str(), caller.user.as_ref().map(Name::as_str)),
        ("payments", Some("ada"))
    );
    assert_eq!(caller.key, key.id);
    assert_eq!(find(&directory, text, end), Err(KeyError::Expired));
    assert_eq!(directory.keys().unwrap()[0].state(end), KeyState::Expired);
    let id = key.id.as_str();
    assert_eq!(
        directory.revoke_key(id, "test", NOW).unwrap(),
        Revocation::Revoked(key.id.clone())
    );
    assert_eq!(
        directory.revoke_key(text, "test", NOW).unwrap(),
        Revocation::Already(key.id.clone())
    );
    assert_eq!(find(&directory, text, NOW), Err(KeyError::Revoked));
    assert_eq!(directory.keys().unwrap()[0].state(NOW), KeyState::Revoked);
}

#[test]
fn a_key_of_a_pruned_team_or_user_no_longer_counts() {
    let (_dir, directory) = open();
    apply(&directory, SHIPPED, false);
    let make = |user| {
        let owner = KeyWish {
            team: "payments",
            user,
            expires: None,
            ..KeyWish::default()
        };
        directory
            .create_key(owner, "test", NOW)
            .unwrap()
            .text
            .expose()
            .clone()
    };
    let (shared, adas) = (make(None), make(Some("ada")));
    apply(
        &directory,
        "organisation = \"acme\"\n[[team]]\nname = \"payments\"\n",
        true,
    );
    assert!(find(&directory, &shared, NOW).is_ok());
    assert_eq!(find(&directory, &adas, NOW), Err(KeyError::Revoked));
    apply(&directory, "organisation = \"acme\"\n", true);
    assert_eq!(find(&directory, &shared, NOW), Err(KeyError::Revoked));
}

#[test]
fn a_key_is_listed_as_the_gateway_takes_it_also_when_its_owner_was_pruned_and_is_back() {
    let (_dir, directory) = open();
    apply(&directory, SHIPPED, false);
    let make = |user| {
        let wish = KeyWish {
            team: "payments",
            user,
            ..KeyWish::default()
        };
        directory.create_key(wish, "test", NOW).unwrap()
    };
    let keys = [make(None), make(Some("ada"))];
    let states = || {
        keys.each_ref().map(|key| {
            let listed = directory.keys().unwrap();
            let row = listed.iter().find(|row| row.id == key.id).unwrap();
            let taken = find(&directory, key.text.expose(), NOW);
            assert_eq!(row.state(NOW) == KeyState::Active, taken.is_ok());
            row.state(NOW)
        })
    };
    let team = "organisation = \"acme\"\n[[team]]\nname = \"payments\"\n";
    apply(&directory, team, true);
    assert_eq!(states(), [KeyState::Active, KeyState::Revoked]);
    apply(&directory, "organisation = \"acme\"\n", true);
    assert_eq!(states(), [KeyState::Revoked; 2]);
    apply(&directory, team, false);
    assert_eq!(states(), [KeyState::Active, KeyState::Revoked]);
    apply(&directory, SHIPPED, false);
    assert_eq!(states(), [KeyState::Active; 2]);
}

#[test]
fn a_key_for_nobody_is_refused_and_its_text_is_stored_nowhere() {
    let (dir, directory) = open();
    apply(&directory, SHIPPED, false);
    let owner = |team, user| KeyWish {
        team,
        user,
        expires: None,
        ..KeyWish::default()
    };
    let make = |team, user| {
        directory
            .create_key(owner(team, user), "test", NOW)
            .map(|_| ())
    };
    assert!(matches!(
        make("nobody", None),
        Err(DirectoryError::NoTeam(_))
    ));
    assert!(matches!(
        make("payments", Some("eve")),
        Err(DirectoryError::NoUser { .. })
    ));
    assert!(matches!(
        directory.revoke_key("key_x", "test", NOW),
        Err(DirectoryError::NoKey(_))
    ));
    let key = directory
        .create_key(owner("payments", None), "test", NOW)
        .unwrap();
    let secret = &key.text.expose()[8..40];
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(
            !bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes()),
            "{}",
            path.display()
        );
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o077,
            0,
            "{}",
            path.display()
        );
    }
}

#[test]
fn budgets_cover_their_callers_and_take_the_configurations_word() {
    let (_dir, directory) = open();
    let text = "organisation = \"acme\"\n[[budget]]\nwindow = \"total\"\nlimit = \"9\"\non_store_loss = \"deny\"\n";
    apply(
        &directory,
        &format!("{text}{}", SHIPPED.replace("organisation = \"acme\"", "")),
        false,
    );
    let census = directory.load().unwrap();
    let ids = |user: Option<&str>, team: &str| {
        let caller = Caller {
            key: KeyId::new("key_a"),
            organisation: Name::new("acme"),
            team: Name::new(team),
            user: user.map(Name::new),
        };
        let default = OnStoreLoss::Grace(Grace::Amount(Usd::ZERO));
        let budgets = census.all_budgets(default);
        budgets
            .iter()
            .filter(|spec| spec.scope.covers(&caller))
            .map(|spec| format!("{} {}", spec.id, spec.on_store_loss))
            .collect::<Vec<_>>()
    };
    let all = [
        "organisation/acme/total deny",
        "team/payments/month 0.00",
        "user/payments/ada/day 0.00",
    ];
    assert_eq!(ids(Some("ada"), "payments"), all);
    assert_eq!(ids(None, "payments"), all[..2]);
    assert_eq!(ids(Some("ada"), "other"), all[..1]);
}

#[test]
fn a_key_may_have_caps_of_its_own_which_no_file_takes_away() {
    let (_dir, directory) = open();
    apply(&directory, SHIPPED, false);
    let budgets = [(Window::Day, Usd::parse("5.00").unwrap())];
    let wish = KeyWish {
        team: "payments",
        budgets: &budgets,
        ..KeyWish::default()
    };
    let key = directory.create_key(wish, "test", NOW).unwrap();
    assert_eq!(apply(&directory, SHIPPED, true), Vec::<String>::new());
    let caller = find(&directory, key.text.expose(), NOW).unwrap();
    let all = directory.load().unwrap().all_budgets(OnStoreLoss::Deny);
    let id = format!("key/{}/day", key.id);
    assert!(
        all.iter()
            .filter(|spec| spec.scope.covers(&caller))
            .any(|spec| spec.id.as_str() == id && spec.limit == budgets[0].1)
    );
}

#[test]
fn a_caller_has_the_limits_of_its_team_its_user_and_its_key() {
    let (_dir, directory) = open();
    apply(
        &directory,
        &SHIPPED.replace("# requests_per_minute = 60", "concurrent = 4"),
        false,
    );
    let limits = Limits {
        tokens_per_minute: NonZeroU32::new(9),
        ..Limits::default()
    };
    let wish = KeyWish {
        team: "payments",
        user: Some("ada"),
        limits,
        ..KeyWish::default()
    };
    let key = directory.create_key(wish, "test", NOW).unwrap();
    let caller = find(&directory, key.text.expose(), NOW).unwrap();
    let found = directory.load().unwrap().limits_of(&caller);
    let kinds: Vec<&str> = found.iter().map(|(subject, _)| subject.kind()).collect();
    assert_eq!(kinds, ["team", "user", "key"]);
    assert_eq!(found[0].1.requests_per_minute, NonZeroU32::new(600));
    assert_eq!(found[1].1.concurrent, NonZeroU32::new(4));
    assert_eq!(found[2].1, limits);
}

#[test]
fn another_process_s_change_shows_in_the_version() {
    let (dir, watcher) = open();
    let writer = Directory::open(dir.path()).unwrap();
    let before = watcher.version().unwrap();
    assert_eq!(watcher.version().unwrap(), before);
    apply(&writer, SHIPPED, false);
    let after = watcher.version().unwrap();
    assert_ne!(after, before);
    assert_eq!(watcher.load().unwrap().teams.len(), 1);
    assert_eq!(watcher.version().unwrap(), after);
}

#[test]
fn a_directory_that_is_gone_or_damaged_is_an_error_and_a_restored_one_is_seen() {
    let (dir, directory) = open();
    apply(&directory, SHIPPED, false);
    let path = dir.path().join(FILE);
    let aside = dir.path().join("aside");
    let before = directory.version().unwrap();
    // A backup, as `VACUUM INTO` makes it.
    directory
        .connection
        .borrow()
        .execute("VACUUM INTO ?1", [aside.to_str().unwrap()])
        .unwrap();
    for gone in [FILE, "directory.db-wal", "directory.db-shm"] {
        fs::remove_file(dir.path().join(gone)).unwrap();
    }
    assert!(directory.version().is_err() && directory.load().is_err());
    fs::write(
        &path,
        b"this is no database, although it is long enough to be one",
    )
    .unwrap();
    assert!(directory.version().is_err() && directory.load().is_err());
    fs::remove_file(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    assert_ne!(directory.version().unwrap(), before);
    assert_eq!(directory.load().unwrap().teams.len(), 1);
}

#[test]
fn records_that_make_no_sense_are_damage_and_not_a_default() {
    for damage in [
        "UPDATE teams SET record = '{}'",
        "UPDATE teams SET record = replace(record, 'redact', 'permit')",
        "UPDATE teams SET name = 'a b'",
        "UPDATE budgets SET record = replace(record, '2500.00', '-1')",
        "UPDATE budgets SET window = 'year'",
        "UPDATE budgets SET revision = -1",
        "UPDATE budgets SET team = NULL WHERE user IS NOT NULL",
        "UPDATE users SET record = '[]'",
    ] {
        let (_dir, directory) = open();
        apply(&directory, SHIPPED, false);
        directory
            .connection
            .borrow()
            .execute_batch(&format!("PRAGMA foreign_keys = off; {damage}"))
            .unwrap();
        assert!(
            matches!(directory.load(), Err(DirectoryError::Corrupt(_))),
            "{damage}"
        );
    }
}

#[test]
fn a_newer_directory_and_another_installation_key_are_refused() {
    let (dir, directory) = open();
    apply(&directory, SHIPPED, false);
    directory
        .create_key(
            KeyWish {
                team: "payments",
                user: None,
                expires: None,
                ..KeyWish::default()
            },
            "test",
            NOW,
        )
        .unwrap();
    fs::remove_file(dir.path().join("installation.key")).unwrap();
    assert!(matches!(
        Directory::open(dir.path()),
        Err(DirectoryError::OtherInstallation(_))
    ));
    directory
        .connection
        .borrow()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let newer = Directory::open(dir.path()).err().unwrap().to_string();
    let path = dir.path().join(FILE);
    assert!(newer.starts_with(path.to_str().unwrap()), "{newer}");
    assert!(newer.contains("version 99, newer than the "), "{newer}");
    assert!(newer.ends_with("or a newer one"), "{newer}");
}

#[test]
fn what_was_done_is_known_by_its_moment_and_a_change_that_cannot_be_told_is_not_made() {
    let (_dir, directory) = open();
    let wanted = parse_file("directory.toml", SHIPPED).unwrap();
    let untold = directory.apply_told(&wanted, false, "test", NOW, |_| -> io::Result<()> {
        Err(io::Error::other("no"))
    });
    assert!(matches!(untold, Err(DirectoryError::Untold(_))));
    let later = NOW.plus(Duration::from_secs(1));
    assert_eq!(directory.was_done(&[NOW, later]).unwrap(), [false, false]);
    directory.apply(&wanted, false, "test", later).unwrap();
    assert_eq!(directory.was_done(&[NOW, later]).unwrap(), [false, true]);
}

#[test]
fn the_mistakes_of_a_directory_file_are_told() {
    insta::assert_snapshot!(told(
        "organisation = \"a b\"\n[[budget]]\nwindow = \"year\"\nlimit = \"-5\"\n\
         [[team]]\nmodels = \"claude\"\nrequest_per_minute = 0\nrequests_per_minute = 0\nentities = [\"a\"]\n\
         [[team]]\nname = \"x\"\nmodels = [\"claude-*\"]\ndefault_model = \"gpt-5\"\nfallback_models = [\"claude-x\", \"o1\"]\n\
         actions = { github_token = \"redacted\", Bad = \"block\" }\nhours = { days = [\"monday\"], from = \"8\" }\n\
         [[team.budget]]\nwindow = \"day\"\nlimit = 25.5\nzone = \"Europe/Atlantis\"\nalert_at = [0, 50, 300]\non_store_loss = { grace = \"x\" }\n\
         [[team.budget]]\nwindow = \"day\"\nlimit = \"99999999999999\"\n\
         [[team.user]]\nname = \"ada\"\n[[team.user]]\nname = \"ada\"\n[[team]]\nname = \"x\"\n"
    ));
    assert_eq!(told(""), "directory.toml:1:1  `organisation` is missing");
}
