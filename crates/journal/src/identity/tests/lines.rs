//! The log of pins: what is believed of it, and what a pin costs.

use proptest::prelude::*;

use super::super::held::Settled;
use super::super::log::{End, MOST_LINES};
use super::*;

const LOG: &str = "pins.log";

/// Four pins in the log, one of them of a grantee whose key changed.
fn four() -> Home {
    let home = Home::new();
    for (id, n) in [("ann", 1), ("bob", 2), ("ann", 3), ("cid", 4)] {
        home.store.pin(&grantee(id), &key(n), NOW).unwrap();
    }
    home
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Writes the line that pins a grantee, and where the log ends with it.
fn line(keyring: &Keyring, end: &End, id: &str) -> (String, End) {
    let pin = GranteePin { key: key(1), since: NOW };
    let addition = end.add(keyring, &grantee(id), &pin, Path::new(LOG)).unwrap();
    (String::from_utf8(addition.bytes).unwrap(), addition.end)
}

/// Writes a log of so many grantees' pins at once, `g-1` and so on.
fn fill(home: &Home, count: u64) {
    let keyring = home.store.keyring().unwrap();
    let (mut end, mut text) = (End::settled(0), String::new());
    for n in 1..=count {
        let (next, ends) = line(&keyring, &end, &format!("g-{n}"));
        text.push_str(&next);
        end = ends;
    }
    home.put(LOG, &text);
}

#[test]
fn what_stands_in_the_log_is_pinned() {
    let home = four();
    let text = home.text(LOG);
    assert_eq!(lines(&text).len(), 4);
    assert_eq!(names(&home.again()), ["ann", "bob", "cid"]);
    let pins = home.again().pins().unwrap();
    assert_eq!(pins.grantee(&grantee("ann")).unwrap().key, key(3), "the later one");
    assert_eq!(home.again().pin(&grantee("bob"), &key(2), LATER), Ok(Meeting::Same));
    let before = GranteePin { key: key(4), since: NOW };
    assert_eq!(home.again().pin(&grantee("cid"), &key(5), LATER), Ok(Meeting::Changed { before }));
}

#[test]
fn a_full_log_is_folded_in() {
    let home = Home::new();
    fill(&home, MOST_LINES - 1);
    let settled = || home.path("pins.json").metadata().unwrap().ino();
    let before = settled();
    assert_eq!(home.pin("the-last-line"), Meeting::First);
    assert_eq!((settled(), home.text(LOG).lines().count() as u64), (before, MOST_LINES));
    assert_eq!(home.pin("in-the-file"), Meeting::First);
    assert!(settled() != before && !home.path(LOG).exists());
    assert_eq!(home.pin("a-first-line"), Meeting::First);
    assert_eq!(home.text(LOG).lines().count(), 1);
    assert!(home.text(LOG).contains(&format!("\\\"number\\\":{},", MOST_LINES + 1)), "numbers go on");
    for store in [home.again(), home.store.clone()] {
        assert_eq!(store.pins().unwrap().grantees().count() as u64, MOST_LINES + 2);
        assert_eq!(store.with_pins(|pins| pins.grantees().count() as u64), Ok(MOST_LINES + 2));
        assert_eq!(store.pin(&grantee("g-17"), &key(1), LATER), Ok(Meeting::Same));
    }
}

#[test]
fn a_line_that_is_not_ours_is_tampering() {
    let other = Home::of("us-east");
    for id in ["ann", "bob", "cid", "dan", "eve"] {
        other.store.pin(&grantee(id), &key(7), NOW).unwrap();
    }
    let foreign = other.text(LOG);
    let (home, later) = (four(), four());
    let good = home.text(LOG);
    let own = lines(&good);
    let foreign = lines(&foreign);
    // The same connector's log of another time: four more lines after the four that were folded in.
    let old = home.text("pins.json");
    home.store.rotate(KeyUse::Sealing).unwrap();
    home.store.update_pins(|pins| pins.meet(&grantee("dan"), &key(8), NOW)).unwrap();
    for id in ["e-1", "e-2", "e-3"] {
        home.pin(id);
    }
    let newer_log = home.text(LOG);
    let newer = lines(&newer_log);
    let settled = home.text("pins.json");
    // What nobody but us could write, and we never would.
    let keyring = home.store.keyring().unwrap();
    let (first, mut end) = line(&keyring, &End::settled(0), "ann");
    end.number += 1;
    let (skipped, _) = line(&keyring, &end, "bob");
    end.number -= 2;
    let (same, _) = line(&keyring, &end, "bob");
    let renamed = home.text("identity.json").replace("eu-west", "us-east");
    let renamed = Keyring::parse(renamed.as_bytes(), Path::new("identity.json")).unwrap();
    let (of_another, _) = line(&renamed, &End::settled(0), "ann");
    let number = |line: &str, to: &str| line.replacen("\\\"number\\\":2", &format!("\\\"number\\\":{to}"), 1);
    let zeros = format!("\"tag\":\"{}\"", "A".repeat(43) + "=");
    let tag = own[1].split(',').nth(1).unwrap();
    let table: Vec<(&str, &str, Vec<String>)> = vec![
        ("another grantee", &old, vec![own[0].into(), own[1].replace("bob", "eve"), own[2].into()]),
        ("another number", &old, vec![own[0].into(), number(own[1], "3"), own[2].into()]),
        ("a zero tag", &old, vec![own[0].into(), own[1].replace(tag, &zeros), own[2].into()]),
        ("another key id", &old, vec![own[0].replacen("\"key_id\":\"", "\"key_id\":\"0", 1)]),
        ("a field more", &old, vec![own[0].replacen('{', "{\"note\":1,", 1)]),
        ("no JSON", &old, vec![own[0].into(), "what is this\n".into()]),
        ("a blank line", &old, vec![own[0].into(), "\n".into(), own[1].into()]),
        ("the first line taken out", &old, vec![own[1].into(), own[2].into(), own[3].into()]),
        ("a line taken out", &old, vec![own[0].into(), own[2].into(), own[3].into()]),
        ("two lines exchanged", &old, vec![own[0].into(), own[2].into(), own[1].into(), own[3].into()]),
        ("a line twice", &old, vec![own[0].into(), own[1].into(), own[1].into(), own[2].into()]),
        ("a number left out", &old, vec![first.clone(), skipped]),
        ("a number twice", &old, vec![first, same]),
        ("another connector's line under our key", &old, vec![of_another]),
        ("another connector's log", &old, foreign.iter().map(|line| (*line).into()).collect()),
        ("another connector's line between", &old, vec![own[0].into(), foreign[1].into(), own[2].into()]),
        ("another connector's line at the end", &old, good.lines().chain([foreign[4]]).map(whole).collect()),
        ("a newer log on the old file", &old, newer.iter().map(|line| (*line).into()).collect()),
        ("newer lines after the old", &old, own.iter().chain(&newer).map(|line| (*line).into()).collect()),
        ("an old line before the newer", &settled, vec![own[3].into(), newer[0].into(), newer[1].into()]),
        ("an old line after the newer", &settled, vec![newer[0].into(), newer[1].into(), own[2].into()]),
        ("a newer line taken out", &settled, vec![newer[0].into(), newer[2].into()]),
        ("the newer's first line taken out", &settled, vec![newer[1].into(), newer[2].into()]),
    ];
    let tampered = IdentityFault::Tampered { path: home.path(LOG) };
    for (name, settled, log) in table {
        let log = log.concat();
        home.put("pins.json", settled);
        home.put(LOG, &log);
        let store = home.again();
        assert_eq!(store.pins(), Err(tampered.clone()), "{name}");
        assert_eq!(store.with_pins(|_| ()), Err(tampered.clone()), "{name}");
        assert_eq!(store.pin(&grantee("ann"), &key(1), LATER), Err(tampered.clone()), "{name}");
        assert_eq!(store.update_pins(|_| ()), Err(tampered.clone()), "{name}");
        assert!(store.load().is_ok() && store.snapshot().is_ok(), "{name}: the others are usable");
        store.rotate(KeyUse::Marks).unwrap();
        assert_eq!(store.pins(), Err(tampered.clone()), "{name}: also after a rotation");
        assert_eq!(
            (home.text("pins.json").as_str(), home.text(LOG)),
            (settled, log),
            "{name}: left as it is"
        );
    }
    home.store.reset_pins().unwrap();
    assert_eq!((home.store.pins(), home.path(LOG).exists()), (Ok(Pins::default()), false));

    // What cannot be told from an older copy.
    later.put(LOG, &lines(&later.text(LOG))[..2].concat());
    assert_eq!(names(&later.again()), ["ann", "bob"], "the last lines cut off whole");
}

/// Ends a line.
fn whole(line: &str) -> String {
    format!("{}\n", line.trim_end())
}

#[test]
fn lines_of_before_a_reset_are_not_believed_after_it() {
    let home = four();
    let old = home.text(LOG);
    home.store.reset_pins().unwrap();
    assert_eq!(home.pin("eve"), Meeting::First);
    home.put(LOG, &old);
    assert_eq!(names(&home.again()), Vec::<String>::new(), "all of it was there before the reset");
    assert_eq!(home.pin("eve"), Meeting::First);
    assert_eq!(names(&home.again()), ["eve"]);
}

#[test]
fn an_older_builds_file_is_read_and_added_to() {
    let home = Home::new();
    let keyring = home.store.keyring().unwrap();
    let older = |pins: &Pins| home.store.write_tagged(&keyring, Kind::Pins, pins).unwrap();
    let mut pins = Pins::default();
    pins.meet(&grantee("ann"), &key(1), NOW);
    older(&pins);
    assert_eq!(home.again().pins().unwrap(), pins);
    assert_eq!(home.pin("ann"), Meeting::Same);
    for (id, n) in [("bob", 2), ("cid", 3)] {
        home.store.pin(&grantee(id), &key(n), NOW).unwrap();
    }
    assert_eq!(names(&home.again()), ["ann", "bob", "cid"]);

    // The older build is back for a while. It does not see the log, and pins anew.
    let bytes = home.store.folder.read("pins.json").unwrap();
    let mut seen: Pins = tagged::read(&keyring, Kind::Pins, &bytes, Path::new("pins.json")).unwrap();
    assert_eq!(seen, pins);
    seen.meet(&grantee("bob"), &key(9), LATER);
    seen.meet(&grantee("dan"), &key(4), LATER);
    older(&seen);
    for store in [home.again(), home.store.clone()] {
        let found = store.pins().unwrap();
        let keys: Vec<_> = found.grantees().map(|(id, pin)| (id.as_str(), pin.key.clone())).collect();
        assert_eq!(keys, [("ann", key(1)), ("bob", key(9)), ("cid", key(3)), ("dan", key(4))]);
    }
    home.pin("eve");
    assert_eq!(names(&home.again()), ["ann", "bob", "cid", "dan", "eve"]);

    // What this build writes, the older one reads.
    home.store.update_pins(|pins| pins.forget_grantee(&grantee("dan"))).unwrap();
    let bytes = home.store.folder.read("pins.json").unwrap();
    let seen: Pins = tagged::read(&keyring, Kind::Pins, &bytes, Path::new("pins.json")).unwrap();
    assert_eq!(seen, home.store.pins().unwrap());
    let Settled { through, .. } = tagged::read(&keyring, Kind::Pins, &bytes, Path::new("pins.json")).unwrap();
    assert_eq!((through, home.path(LOG).exists()), (Some(3), false));
}

#[test]
fn keys_that_change_take_the_log_along() {
    let home = four();
    let old = home.store.load().unwrap().marks.current().clone();
    home.store.rotate(KeyUse::Marks).unwrap();
    assert_eq!(home.pin("dan"), Meeting::First);
    assert!(!home.text(LOG).contains(&old.0), "under the new key");
    home.store.rotate(KeyUse::Marks).unwrap();
    assert_eq!(home.pin("eve"), Meeting::First);
    home.store.forget(KeyUse::Marks, &old).unwrap();
    for store in [home.again(), home.store.clone()] {
        assert_eq!(names(&store), ["ann", "bob", "cid", "dan", "eve"]);
    }
}

/// Returns how many bytes this thread has read and written, as the system counts them, and how many it
/// takes to look.
fn traffic() -> (u64, u64, u64) {
    let text = fs::read_to_string("/proc/thread-self/io").unwrap();
    let count = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    (count("rchar:"), count("wchar:"), text.len() as u64)
}

/// Returns how many bytes are read and written for a piece of work.
fn cost(work: impl FnOnce()) -> (u64, u64) {
    let (read, written, looked) = traffic();
    work();
    let (read_then, written_then, _) = traffic();
    (read_then - read - looked, written_then - written)
}

#[test]
fn a_pin_costs_the_same_however_many_there_are() {
    let costs = [10, 10_000].map(|count| {
        let home = Home::new();
        home.store
            .update_pins(|pins| {
                for n in 0..count {
                    pins.meet(&grantee(&format!("g-{n}")), &key(1), NOW);
                }
                pins.set_bindings(&BTreeMap::from([("file://pg/admin", 5432)]))
            })
            .unwrap()
            .unwrap();
        let files =
            || (home.path("pins.json").metadata().unwrap().ino(), home.path(LOG).metadata().unwrap().len());
        assert_eq!(home.pin("the-first"), Meeting::First);
        let before = files();
        let new = cost(|| assert_eq!(home.pin("another-one"), Meeting::First));
        let after = files();
        assert_eq!(after, (before.0, before.1 + new.1), "{count}: a line more, and nothing else");
        let same = cost(|| assert_eq!(home.pin("g-7"), Meeting::Same));
        let bound = cost(|| {
            let bound = home.store.with_pins(|pins| pins.bindings::<BTreeMap<String, u16>>());
            assert_eq!(bound.unwrap().unwrap().len(), 1);
        });
        assert_eq!((same, bound), ((0, 0), (0, 0)), "{count}: nothing is read or written for what is known");
        assert!(new.0 < 2_000 && new.1 < 1_000, "{count}: the keys are read, a line is written: {new:?}");
        new
    });
    assert_eq!(costs[0], costs[1], "read and written for one more pin");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_byte_of_a_line_is_never_believed(at in any::<prop::sample::Index>(), change in 1_u8..=255) {
        let home = four();
        let pins = home.store.pins().unwrap();
        let mut bytes = fs::read(home.path(LOG)).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let last = at + 1 == bytes.len();
        fs::write(home.path(LOG), bytes).unwrap();
        match home.again().pins() {
            // Without its end the last line is a write that was not finished.
            Ok(found) => prop_assert!(last && found.grantees().count() == 2 && found != pins),
            Err(fault) => prop_assert_eq!(fault, IdentityFault::Tampered { path: home.path(LOG) }),
        }
    }
}
