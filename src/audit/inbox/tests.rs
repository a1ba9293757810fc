//! The inbox by itself; with a log in `log/tests.rs` and `log/space_tests.rs`.

use std::convert::Infallible;
use std::os::unix::fs::{MetadataExt as _, chown};

use super::*;

fn action(at: i64) -> OperatorAction {
    OperatorAction {
        id: Uuid::now_v7(),
        at: Moment::from_micros(at),
        organisation: None,
        team: None,
        who: Label::clean("ada", 40),
        what: "directory.changed",
        subject: Label::clean("team payments", 40),
        change: Label::default(),
    }
}

/// A state directory as a gateway leaves it, and the inbox in it.
fn state() -> (tempfile::TempDir, PathBuf) {
    let state = tempfile::tempdir().unwrap();
    let dir = make(state.path()).unwrap();
    (state, dir)
}

fn inbox(state: &tempfile::TempDir) -> Inbox {
    Inbox::of(&state.path().join("log"))
}

fn ids(look: &Look) -> Vec<Uuid> {
    let actions = look.waiting.iter().flat_map(|file| &file.actions);
    actions.map(|action| action.id).collect()
}

#[test]
fn a_file_has_the_owner_of_its_folder_and_a_mode_of_its_own() {
    let (state, dir) = state();
    // Only root can give a folder away, and only then there is somebody else to read the file.
    let log = state.path().join("log");
    let given = chown(&log, Some(4321), Some(4322)).is_ok();
    submit(state.path(), &action(1)).unwrap();
    let file = list(&dir, SUFFIX).unwrap().remove(0);
    let found = fs::metadata(&file).unwrap();
    if given {
        let log = fs::metadata(log).unwrap();
        assert_eq!((found.uid(), found.gid()), (log.uid(), log.gid()));
    }
    let (folder, state) = (fs::metadata(&dir).unwrap(), fs::metadata(state.path()));
    assert_eq!(folder.mode() & 0o777, state.unwrap().mode() & 0o770);
    assert_eq!(found.mode() & 0o777, folder.mode() & 0o660);
}

#[test]
fn what_cannot_be_read_stays_is_told_of_once_and_holds_up_nobody() {
    let (state, dir) = state();
    let mut inbox = inbox(&state);
    // A folder can be read as a file by nobody, not even by root.
    let unreadable = dir.join("0.action");
    fs::create_dir(&unreadable).unwrap();
    submit(state.path(), &action(1)).unwrap();
    for _ in 0..2 {
        let look = inbox.look();
        assert_eq!(look.waiting.len(), 1);
        assert!(look.standing.is_none(), "nobody knows what is in it");
        assert_eq!(inbox.told.iter().collect::<Vec<_>>(), [&unreadable]);
    }
    assert!(unreadable.exists());
}

#[test]
fn what_cannot_be_removed_is_told_of_once_and_not_taken_again() {
    let (state, dir) = state();
    let mut inbox = inbox(&state);
    submit(state.path(), &action(1)).unwrap();
    let taken = inbox.look().waiting;
    let path = taken[0].path.clone();
    // A folder in the file's place can be neither read nor removed, whoever asks.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    inbox.remove(taken);
    assert_eq!(inbox.told.iter().collect::<Vec<_>>(), [&path]);
    submit(state.path(), &action(2)).unwrap();
    let look = inbox.look();
    assert_eq!(look.waiting.len(), 1, "what is taken is not taken again");
    assert_eq!(look.standing.unwrap().len(), 2);
    fs::remove_dir(&path).unwrap();
    assert_eq!(inbox.look().standing.unwrap().len(), 1);
    assert!(list(&dir, SUFFIX).unwrap().len() == 1);
}

#[test]
fn files_that_stay_do_not_starve_newer_ones() {
    let (state, _) = state();
    let mut inbox = inbox(&state);
    let many: Vec<OperatorAction> = (0..=1000).map(action).collect();
    draft(state.path(), &many).unwrap().submit().unwrap();
    let look = inbox.look();
    assert_eq!((many.len(), ids(&look).len()), (PASS + 1, PASS));
    assert!(look.standing.is_none(), "there is more");
    for file in &look.waiting {
        fs::remove_file(&file.path).unwrap();
        fs::create_dir(&file.path).unwrap();
    }
    inbox.remove(look.waiting);
    assert_eq!(ids(&inbox.look()), [many[PASS].id]);
}

#[test]
fn actions_come_back_in_their_order() {
    let (state, dir) = state();
    let actions: Vec<OperatorAction> = (0..502).map(action).collect();
    draft(state.path(), &actions).unwrap().submit().unwrap();
    assert!(actions.len() > MOST);
    assert_eq!(list(&dir, SUFFIX).unwrap().len(), 2, "not one for each");
    let want: Vec<Uuid> = actions.iter().map(|action| action.id).collect();
    assert_eq!(ids(&inbox(&state).look()), want);
}

#[test]
fn an_interrupted_command_is_told_of_only_if_it_was_done() {
    let (state, dir) = state();
    let (done, undone) = (action(7), action(8));
    for interrupted in [&done, &undone] {
        let _left = draft(state.path(), slice::from_ref(interrupted)).unwrap();
    }
    assert!(ids(&inbox(&state).look()).is_empty());
    let history = |moments: &[Moment]| {
        let seven = Moment::from_micros(7);
        Ok::<_, Infallible>(moments.iter().map(|at| *at == seven).collect())
    };
    settle(state.path(), history).unwrap();
    assert_eq!(ids(&inbox(&state).look()), [done.id]);
    assert!(list(&dir, DRAFT).unwrap().is_empty());
}

#[test]
fn what_is_no_action_is_put_aside() {
    let (state, dir) = state();
    submit(state.path(), &action(1)).unwrap();
    let mut bytes = fs::read(&list(&dir, SUFFIX).unwrap()[0]).unwrap();
    bytes.pop();
    for (name, bytes) in [("a", &b"oops"[..]), ("b", b""), ("c", &bytes)] {
        fs::write(dir.join(name).with_extension(SUFFIX), bytes).unwrap();
    }
    assert_eq!(inbox(&state).look().waiting.len(), 1);
    assert_eq!(list(&dir, ASIDE).unwrap().len(), 3);
}
