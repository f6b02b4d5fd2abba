//! Changing pins and keys: twice, at once, interrupted.

use super::*;

#[test]
fn a_pinned_key_is_met_again_or_changed() {
    let home = Home::new();
    let pin = |key: &GranteeKey, now| home.store.pin(&grantee("ann"), key, now).unwrap();
    assert_eq!(pin(&key(1), NOW), Meeting::First);
    assert_eq!(pin(&key(1), LATER), Meeting::Same);
    let before = GranteePin { key: key(1), since: NOW };
    assert_eq!(pin(&key(2), LATER), Meeting::Changed { before });
    assert_eq!(pin(&key(2), LATER), Meeting::Same);
    let pins = home.store.pins().unwrap();
    assert_eq!(pins.grantee(&grantee("ann")), Some(&GranteePin { key: key(2), since: LATER }));
    assert_eq!(pins.grantees().count(), 1);

    let written = || (home.path("pins.json").metadata().unwrap().ino(), home.text("pins.log"));
    let before = written();
    pin(&key(2), LATER);
    home.store.update_pins(|pins| pins.meet(&grantee("ann"), &key(2), LATER)).unwrap();
    assert_eq!(written(), before, "nothing new, nothing written");
    home.store.update_pins(|pins| pins.forget_grantee(&grantee("ann"))).unwrap();
    assert_ne!(home.path("pins.json").metadata().unwrap().ino(), before.0);
    assert_eq!(pin(&key(1), NOW), Meeting::First);
}

#[test]
fn bindings_are_kept_as_their_owner_writes_them() {
    type Bindings = BTreeMap<String, Vec<u16>>;
    let home = Home::new();
    assert_eq!(home.store.pins().unwrap().bindings::<Bindings>(), Ok(Bindings::new()));
    let bindings: Bindings = BTreeMap::from([("file://pg/admin".into(), vec![5432])]);
    home.store.pin(&grantee("ann"), &key(1), NOW).unwrap();
    home.store.update_pins(|pins| pins.set_bindings(&bindings)).unwrap().unwrap();
    let pins = home.store.pins().unwrap();
    assert_eq!(pins.bindings::<Bindings>(), Ok(bindings));
    assert!(pins.grantee(&grantee("ann")).is_some());
    assert!(pins.bindings::<Vec<String>>().is_err());
    assert_eq!(home.store.with_pins(|known| known == &pins), Ok(true));
}

#[test]
fn two_writers_lose_nothing() {
    let home = Home::new();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let store = home.store.clone();
            scope.spawn(move || {
                for n in 0..8 {
                    store.pin(&grantee(&format!("g-{writer}-{n}")), &key(writer), NOW).unwrap();
                }
            });
        }
    });
    assert_eq!(home.store.pins().unwrap().grantees().count(), 32);
}

#[test]
fn a_writer_that_does_not_finish_is_not_waited_for_for_ever() {
    let home = Home::new();
    let other = fs::File::open(home.path(".lock")).unwrap();
    other.lock().unwrap();
    let fault = home.store.pin(&grantee("ann"), &key(1), NOW).unwrap_err();
    assert_eq!(fault, IdentityFault::InUse { path: home.store.dir().into() });
    assert!(home.store.load().is_ok() && home.store.pins().is_ok(), "reading does not wait");
    other.unlock().unwrap();
    home.store.pin(&grantee("ann"), &key(1), NOW).unwrap();
}

#[test]
fn a_write_that_fails_leaves_what_was_there() {
    let home = Home::new();
    let add = || home.store.update_pins(|pins| pins.meet(&grantee("bob"), &key(2), NOW));
    home.store.pin(&grantee("ann"), &key(1), NOW).unwrap();
    // What stands in the way cannot be removed as a file, whoever runs the test.
    fs::create_dir(home.path(".pins.json.new")).unwrap();
    assert!(matches!(add(), Err(IdentityFault::Io { .. })));
    let pins = home.store.pins().unwrap();
    assert!(pins.grantee(&grantee("ann")).is_some() && pins.grantee(&grantee("bob")).is_none());

    fs::remove_dir(home.path(".pins.json.new")).unwrap();
    home.put(".pins.json.new", "{\"format\": 1, \"half");
    assert_eq!(home.store.pins().unwrap(), pins, "what a crash left is not read");
    add().unwrap();
    assert!(!home.path(".pins.json.new").exists());
    assert_eq!(home.store.pins().unwrap().grantees().count(), 2);
}

#[test]
fn rotated_keys_still_recognise_and_open_what_is_older() {
    let home = Home::new();
    let old = home.store.load().unwrap();
    let old_mark = old.marks.write(&mark(), 4096).unwrap();
    home.store.save_snapshot(&integrations()).unwrap();
    for key_use in KeyUse::ALL {
        home.store.rotate(key_use).unwrap();
    }
    let new = home.store.load().unwrap();
    assert_eq!(read(&new, &old_mark), valid());
    assert!(new.marks.is_outdated(&old_mark));
    assert_eq!(new.sealing.len(), 2);
    assert_ne!(new.sealing[0].public(), old.sealing[0].public());
    assert_eq!(new.sealing[1].public(), old.sealing[0].public());
    assert_eq!(new.receipt_publics, [*new.receipt.public(), *old.receipt.public()]);
    assert_ne!(new.receipt.public(), old.receipt.public());
    assert_eq!(home.store.snapshot().unwrap(), integrations());
    assert!(home.text("integrations.json").contains(&new.marks.current().0), "under the new key");

    let current = IdentityFault::NoSuchKey { id: new.marks.current().0.clone(), key_use: "marks" };
    assert_eq!(home.store.forget(KeyUse::Marks, new.marks.current()), Err(current));
    home.store.forget(KeyUse::Marks, old.marks.current()).unwrap();
    home.store.forget(KeyUse::Sealing, &old.sealing[0].id()).unwrap();
    home.store.forget(KeyUse::Receipts, old.receipt.id()).unwrap();
    assert!(home.store.forget(KeyUse::Receipts, old.receipt.id()).is_err(), "twice");
    let newest = home.store.load().unwrap();
    assert_eq!(read(&newest, &old_mark), MarkState::Foreign);
    assert_eq!((newest.sealing.len(), newest.receipt_publics.len()), (1, 1));
    assert_eq!(home.store.snapshot().unwrap(), integrations());
    assert_eq!(home.store.pins().unwrap(), Pins::default());
}
