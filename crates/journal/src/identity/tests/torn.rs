//! What a crash leaves of the pins, at any point between the steps.

use super::*;

const LOG: &str = "pins.log";
const SETTLED: &str = "pins.json";

/// The files that pins are in: `pins.json`, `pins.log`, and what a write that was not finished left.
#[derive(Clone)]
struct State {
    settled: String,
    log: Option<String>,
    half: Option<String>,
}

impl State {
    fn of(home: &Home) -> Self {
        let log = home.path(LOG).exists().then(|| home.text(LOG));
        Self { settled: home.text(SETTLED), log, half: None }
    }

    fn put(&self, home: &Home) {
        let files = [
            (SETTLED, Some(&self.settled)),
            (LOG, self.log.as_ref()),
            (".pins.json.new", self.half.as_ref()),
        ];
        for (name, text) in files {
            match text {
                Some(text) => home.put(name, text),
                None if home.path(name).exists() => fs::remove_file(home.path(name)).unwrap(),
                None => {}
            }
        }
    }
}

/// Whoever goes on from here finds who was pinned, pins more, folds the log in, and loses nobody.
fn goes_on(home: &Home, state: &State, found: &[&str], name: &str) {
    let expected = |more: &[&str]| {
        let mut names: Vec<String> = found.iter().chain(more).map(|id| (*id).into()).collect();
        names.sort();
        names
    };
    state.put(home);
    assert_eq!(names(&home.again()), expected(&[]), "{name}");
    assert_eq!(names(&home.again()), expected(&[]), "{name}: reading changes nothing");
    let store = home.again();
    for id in found {
        assert_eq!(store.pin(&grantee(id), &key(1), LATER), Ok(Meeting::Same), "{name}: {id}");
    }
    assert_eq!(store.pin(&grantee("x-1"), &key(1), NOW), Ok(Meeting::First), "{name}");
    assert_eq!(names(&home.again()), expected(&["x-1"]), "{name}: one more");
    assert_eq!(home.again().pin(&grantee("x-2"), &key(1), NOW), Ok(Meeting::First), "{name}");
    assert_eq!(names(&home.again()), expected(&["x-1", "x-2"]), "{name}: one more, by another");

    home.again().rotate(KeyUse::Marks).unwrap();
    assert!(!home.path(LOG).exists(), "{name}");
    assert_eq!(names(&home.again()), expected(&["x-1", "x-2"]), "{name}: folded in");
    // The log of before comes back, as after a crash in which its removal was lost.
    if let Some(log) = &state.log {
        home.put(LOG, log);
        assert_eq!(names(&home.again()), expected(&["x-1", "x-2"]), "{name}: and left over");
    }
}

#[test]
fn a_crash_between_any_two_steps_loses_nobody() {
    let home = Home::new();
    home.pin("ann");
    home.store.update_pins(|pins| pins.meet(&grantee("bob"), &key(1), NOW)).unwrap();
    let fresh = State::of(&home);
    home.pin("cid");
    home.pin("dan");
    let grown = State::of(&home);
    home.store.update_pins(|pins| pins.meet(&grantee("eve"), &key(1), NOW)).unwrap();
    let folded = State::of(&home);
    assert_eq!((fresh.log.is_some(), grown.log.is_some(), folded.log.is_some()), (false, true, false));

    let four = ["ann", "bob", "cid", "dan"];
    let five = ["ann", "bob", "cid", "dan", "eve"];
    let half = folded.settled.get(..80).unwrap().to_owned();
    let table: [(&str, State, &[&str]); 8] = [
        ("no log yet", fresh.clone(), &["ann", "bob"]),
        ("an empty log was made", State { log: Some(String::new()), ..fresh.clone() }, &["ann", "bob"]),
        ("two lines", grown.clone(), &four),
        ("the file half written", State { half: Some(half), ..grown.clone() }, &four),
        ("the file not yet renamed", State { half: Some(folded.settled.clone()), ..grown.clone() }, &four),
        ("the log not yet removed", State { log: grown.log.clone(), ..folded.clone() }, &five),
        ("the log removed", folded.clone(), &five),
        ("the left-over cut off", State { log: Some(String::new()), ..folded.clone() }, &five),
    ];
    for (name, state, found) in table {
        goes_on(&home, &state, found, name);
    }

    let log = grown.log.unwrap();
    let second = log.find('\n').unwrap() + 1;
    for length in 0..=log.len() {
        let torn = State { log: log.get(..length).map(Into::into), ..fresh.clone() };
        let left_over = State { log: torn.log.clone(), ..folded.clone() };
        let found = match length {
            length if length < second => &four[..2],
            length if length < log.len() => &four[..3],
            _ => &four,
        };
        for (name, state, found) in [("the log", torn, found), ("the left-over", left_over, &five)] {
            state.put(&home);
            assert_eq!(names(&home.again()), found, "{length} bytes of {name}");
            if [1, second - 1, second, second + 1, second + 40, log.len() - 1].contains(&length) {
                goes_on(&home, &state, found, &format!("{length} bytes of {name}"));
            }
        }
    }
    // The blocks of a line that was not finished may be there empty.
    let state = State { log: Some(log.get(..second).unwrap().to_owned() + &"\0".repeat(300)), ..fresh };
    goes_on(&home, &state, &four[..3], "zeros at the end");
}
