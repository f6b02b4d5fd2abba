//! Several who use one identity at the same time: stores of their own, and processes of their own.

use std::env;
use std::process::{Command, Stdio};

use super::*;

/// Says to the child where the identity is.
const FOLDER: &str = "TIDEGATE_TEST_IDENTITY";
const PINS: u32 = 150;

type Bindings = BTreeMap<String, u32>;

#[test]
fn what_another_one_changed_is_seen() {
    let home = Home::new();
    let (agent, command) = (home.again(), home.again());
    let pin = |store: &IdentityStore, id: &str| store.pin(&grantee(id), &key(1), NOW).unwrap();
    let bound = |store: &IdentityStore| store.with_pins(|pins| pins.bindings::<Bindings>()).unwrap().unwrap();
    assert_eq!(pin(&agent, "ann"), Meeting::First);
    assert_eq!(pin(&command, "ann"), Meeting::Same);
    assert_eq!(pin(&command, "bob"), Meeting::First);
    assert_eq!(pin(&agent, "bob"), Meeting::Same);

    let bindings = Bindings::from([("file://pg/admin".into(), 1)]);
    command.update_pins(|pins| pins.set_bindings(&bindings)).unwrap().unwrap();
    assert!(!home.path("pins.log").exists());
    assert_eq!((bound(&agent), pin(&agent, "bob")), (bindings, Meeting::Same));
    let bindings = Bindings::from([("file://pg/admin".into(), 2)]);
    command.update_pins(|pins| pins.set_bindings(&bindings)).unwrap().unwrap();
    assert_eq!(bound(&agent), bindings, "also where there is no log");
    assert_eq!(pin(&agent, "cid"), Meeting::First);
    assert_eq!(pin(&command, "cid"), Meeting::Same);

    let old = command.load().unwrap().marks.current().clone();
    command.rotate(KeyUse::Marks).unwrap();
    assert_eq!(pin(&agent, "dan"), Meeting::First);
    command.forget(KeyUse::Marks, &old).unwrap();
    assert_eq!(pin(&agent, "eve"), Meeting::First);
    command.update_pins(|pins| pins.forget_grantee(&grantee("ann"))).unwrap();
    assert_eq!(pin(&agent, "ann"), Meeting::First, "what another one forgot is new again");
    command.reset_pins().unwrap();
    assert_eq!((bound(&agent), pin(&agent, "cid")), (Bindings::new(), Meeting::First));
    for store in [agent, command, home.again()] {
        assert_eq!(names(&store), ["cid"]);
    }
}

/// Pins its own, and one key that all of them pin; counts in the bindings what it changed there.
fn busy(store: &IdentityStore, who: &str) {
    for n in 0..PINS {
        let meeting = store.pin(&grantee(&format!("{who}-{n}")), &key(1), NOW).unwrap();
        assert_eq!(meeting, Meeting::First);
        store.pin(&grantee(&format!("all-{n}")), &key(2), NOW).unwrap();
        if n % 10 == 0 {
            let counted = store.update_pins(|pins| {
                let mut bindings: Bindings = pins.bindings().unwrap();
                *bindings.entry(who.into()).or_default() += 1;
                pins.set_bindings(&bindings)
            });
            counted.unwrap().unwrap();
        }
    }
}

#[test]
#[ignore = "the child process of the next test; does nothing by itself"]
fn child() {
    let Ok(folder) = env::var(FOLDER) else { return };
    busy(&IdentityStore::open(Path::new(&folder)).unwrap(), "child");
}

#[test]
fn two_processes_lose_nothing() {
    let home = Home::new();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "identity::tests::processes::child", "--ignored"])
        .env(FOLDER, home.store.dir())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::scope(|scope| {
        // Two threads share what this process knows; the third one has a store of its own.
        scope.spawn(|| busy(&home.store, "own"));
        scope.spawn(|| busy(&home.store, "too"));
        scope.spawn(|| busy(&home.again(), "also"));
        // Who reads meanwhile waits for nobody, and never finds less than before.
        let mut found = 0;
        while child.try_wait().unwrap().is_none() {
            let count = home.store.pins().unwrap().grantees().count();
            assert!(count >= found, "{count} pins after {found}");
            found = count;
        }
    });
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");

    for store in [home.again(), home.store.clone()] {
        let pins = store.pins().unwrap();
        assert_eq!(pins.grantees().count() as u32, 5 * PINS);
        let counts = ["also", "child", "own", "too"].map(|who| (who.into(), PINS / 10)).into();
        assert_eq!(pins.bindings::<Bindings>(), Ok(counts));
        assert_eq!(store.with_pins(|known| *known == pins), Ok(true));
    }
}

/// What a shell gives a process whose files may not grow beyond so many blocks of 512 bytes.
const LIMITED: &str = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";

#[test]
#[ignore = "the child process of the next test; does nothing by itself"]
fn child_without_room() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let store = IdentityStore::open(Path::new(&folder)).unwrap();
    let before = fs::read(store.dir().join("pins.log")).unwrap();
    for known in [false, true] {
        // Once as a stranger to the files, once as one who knows them.
        if known {
            assert_eq!(store.pin(&grantee("g-0"), &key(1), NOW), Ok(Meeting::Same));
        }
        let fault = store.pin(&grantee("one-too-many"), &key(1), NOW).unwrap_err();
        assert!(matches!(fault, IdentityFault::Io { doing: "write", .. }), "{fault}");
        assert!(store.pins().unwrap().grantee(&grantee("one-too-many")).is_none());
        assert_eq!(fs::read(store.dir().join("pins.log")).unwrap(), before, "half a line is taken back");
    }
}

#[test]
fn a_line_that_does_not_fit_is_taken_back() {
    let home = Home::new();
    // The next line begins in one block and ends in another, which is beyond the limit.
    let mut length = 0;
    for n in 0.. {
        home.pin(&format!("g-{n}"));
        let now = home.path("pins.log").metadata().unwrap().len();
        let line = now - length;
        length = now;
        if length % 512 != 0 && length % 512 + line > 512 {
            break;
        }
    }
    let blocks = length.div_ceil(512).to_string();
    let output = Command::new("sh")
        .args(["-c", LIMITED, "sh", &blocks])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "identity::tests::processes::child_without_room", "--ignored"])
        .env(FOLDER, home.store.dir())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(home.pin("one-too-many"), Meeting::First);
    assert!(names(&home.again()).contains(&"one-too-many".into()));
}
