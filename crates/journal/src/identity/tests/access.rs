//! Who may use the directory, and what is in it.

use super::*;

#[test]
fn what_was_made_is_there_when_opened_again() {
    let home = Home::new();
    let made = home.store.load().unwrap();
    home.store.save_snapshot(&integrations()).unwrap();
    home.store.pin(&grantee("ann"), &key(1), NOW).unwrap();

    let again = IdentityStore::open(home.store.dir()).unwrap();
    let loaded = again.load().unwrap();
    assert_eq!(loaded.connector, made.connector);
    assert_eq!(read(&loaded, &made.marks.write(&mark(), 4096).unwrap()), valid());
    assert_eq!(loaded.receipt.public(), made.receipt.public());
    assert_eq!(loaded.receipt_publics, [*made.receipt.public()]);
    assert_eq!(loaded.sealing.len(), 1);
    assert_eq!(loaded.sealing[0].public(), made.sealing[0].public());
    assert_eq!(again.snapshot().unwrap(), integrations());
    assert_eq!(again.pins().unwrap().grantee(&grantee("ann")).unwrap().key, key(1));
}

#[test]
fn everything_in_it_is_private() {
    let home = Home::new();
    home.store.save_snapshot(&integrations()).unwrap();
    home.store.rotate(KeyUse::Marks).unwrap();
    home.pin("ann");
    assert_eq!(home.store.dir().metadata().unwrap().mode() & 0o7777, 0o700);
    let mut names = vec![];
    for entry in fs::read_dir(home.store.dir()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o7777, 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, [".lock", "identity.json", "integrations.json", "pins.json", "pins.log"]);
}

#[test]
fn what_others_could_read_or_change_is_refused() {
    for mode in [0o750, 0o701, 0o755, 0o720, 0o1777] {
        let home = Home::new();
        let path = home.chmod(home.store.dir().into(), mode);
        let fault = IdentityFault::Exposed { path: path.clone(), mode, wanted: 0o700 };
        assert_eq!(IdentityStore::open(&path).unwrap_err(), fault);
        assert_eq!(home.store.load().unwrap_err(), fault, "an open store looks again");
        assert_eq!(home.store.save_snapshot(&integrations()).unwrap_err(), fault);
        assert!(fault.to_string().contains(&format!("chmod 700 {}", path.display())), "{fault}");
    }
    for mode in [0o640, 0o604, 0o620, 0o644, 0o601] {
        for name in ALL_FILES {
            let home = Home::new();
            home.pin("ann");
            let path = home.chmod(home.path(name), mode);
            let fault = IdentityFault::Exposed { path, mode, wanted: 0o600 };
            if name != "integrations.json" {
                let met = home.store.pin(&grantee("ann"), &key(1), NOW);
                assert_eq!(met, Err(fault.clone()), "{name} {mode:o}: also what is known is looked at");
            }
            let found = home.store.load().map(|_| ()).and(home.store.pins().map(|_| ()));
            assert_eq!(found.and(home.store.snapshot().map(|_| ())), Err(fault), "{name} {mode:o}");
        }
    }
}

#[test]
fn keys_are_made_only_where_there_are_none() {
    let home = Home::new();
    let before = home.text("identity.json");
    let connector = || ConnectorId::parse("other").unwrap();
    let fault = IdentityStore::create(home.store.dir(), connector()).unwrap_err();
    assert_eq!(fault, IdentityFault::AlreadyThere { path: home.path("identity.json") });
    assert_eq!(home.text("identity.json"), before);

    let mounted = home.place.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    home.chmod(mounted.clone(), 0o755);
    let fault = IdentityStore::create(&mounted, connector()).unwrap_err();
    assert!(matches!(fault, IdentityFault::Exposed { .. }), "{fault}");
    home.chmod(mounted.clone(), 0o700);
    assert_eq!(IdentityStore::open(&mounted).unwrap_err(), IdentityFault::NotThere { path: mounted.clone() });
    assert!(IdentityStore::create(&mounted, connector()).is_ok());

    let nowhere = home.place.path().join("a/b");
    assert!(matches!(IdentityStore::create(&nowhere, connector()), Err(IdentityFault::Io { .. })));
    assert_eq!(IdentityStore::open(&nowhere).unwrap_err(), IdentityFault::NotThere { path: nowhere });
    let file = home.path("pins.json");
    assert!(matches!(IdentityStore::open(&file), Err(IdentityFault::WrongKind { .. })));
}

#[test]
fn an_interrupted_making_may_be_tried_again() {
    let home = Home::new();
    fs::remove_file(home.path("identity.json")).unwrap();
    assert_eq!(
        IdentityStore::open(home.store.dir()).unwrap_err(),
        IdentityFault::Missing { path: home.path("identity.json") },
        "pins without keys: something was lost"
    );
    let again = IdentityStore::create(home.store.dir(), ConnectorId::parse("eu-west").unwrap()).unwrap();
    assert!(again.load().is_ok() && again.pins().is_ok() && again.snapshot().is_ok());
}

#[test]
fn the_volume_is_compared() {
    let home = Home::new();
    assert_eq!(home.store.shares_volume_with(home.place.path()), Ok(true));
    assert_eq!(home.store.shares_volume_with(Path::new("/proc")), Ok(false));
    assert!(home.store.shares_volume_with(Path::new("/proc/nothing/here")).is_err());
}

#[test]
fn debug_shows_no_key() {
    let home = Home::new();
    let shown = format!("{:?} {:?}", home.store.load().unwrap(), home.store);
    let file = home.text("identity.json");
    let keys: Vec<&str> = file.split('"').filter(|part| part.len() == 44).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| !shown.contains(key)), "{shown}");
}
