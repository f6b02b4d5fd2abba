//! The identity on a real disk: who may read it, what is believed, what a crash leaves.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use model::mark::{Mark, MarkDraft, MarkState};
use model::{DriverKind, ImmutableId, Lifecycle, Policy, Revision, SecretReference, TargetIdentity};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_000);
const LATER: Timestamp = Timestamp::from_secs(2_000);
const ALL_FILES: [&str; 3] = ["identity.json", "integrations.json", "pins.json"];

/// A new identity in a directory that goes with the test.
struct Home {
    store: IdentityStore,
    place: TempDir,
}

impl Home {
    fn new() -> Self {
        Self::of("eu-west")
    }

    fn of(connector: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let connector = ConnectorId::parse(connector).unwrap();
        let store = IdentityStore::create(&place.path().join("identity"), connector).unwrap();
        Self { store, place }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.store.dir().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn chmod(&self, path: PathBuf, mode: u32) -> PathBuf {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

fn grantee(id: &str) -> GranteeId {
    GranteeId::parse(id).unwrap()
}

fn key(n: u8) -> GranteeKey {
    SealingKey::from_bytes(&[n; 32]).unwrap().public().to_grantee_key()
}

fn integrations() -> BTreeMap<IntegrationId, Integration> {
    ["orders-db", "stock-db"]
        .into_iter()
        .map(|id| {
            let id = IntegrationId::parse(id).unwrap();
            let integration = Integration {
                id: id.clone(),
                revision: Revision(3),
                kind: DriverKind("postgresql".into()),
                settings: BTreeMap::from([("host".into(), "db.é.example".into())]),
                secret: SecretReference("file://pg/admin.json".into()),
                policy: Policy::default(),
                lifecycle: Lifecycle::Live,
            };
            (id, integration)
        })
        .collect()
}

fn mark() -> Mark {
    MarkDraft {
        connector: ConnectorId::parse("eu-west").unwrap(),
        integration: IntegrationId::parse("orders-db").unwrap(),
        account: "018f5a2e-7b1c-7d3e-9f40-0123456789ab".parse().unwrap(),
        revision: Revision(1),
        deadlines: vec![],
        until: None,
        last_revoked: None,
    }
    .complete(TargetIdentity("system".into()), ImmutableId("16431".into()))
}

fn read(identity: &Identity, text: &str) -> MarkState {
    identity.marks.read(text, &mark().target, &mark().immutable)
}

fn valid() -> MarkState {
    MarkState::Valid(Box::new(mark()))
}

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
    assert_eq!(home.store.dir().metadata().unwrap().mode() & 0o7777, 0o700);
    let mut names = vec![];
    for entry in fs::read_dir(home.store.dir()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o7777, 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, [".lock", "identity.json", "integrations.json", "pins.json"]);
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
            let path = home.chmod(home.path(name), mode);
            let fault = IdentityFault::Exposed { path, mode, wanted: 0o600 };
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
fn damaged_keys_are_named_and_never_shown() {
    let home = Home::new();
    let good = home.text("identity.json");
    let secret = good.split('"').find(|part| part.len() == 44).unwrap().to_owned();
    let table = [
        ("empty", String::new()),
        ("cut short", good.chars().take(120).collect()),
        ("not an object", "[1]".into()),
        ("an unknown field", good.replacen('{', "{\"note\": 1,", 1)),
        ("a missing field", good.replace("\"receipt_key\"", "\"receipt_kei\"")),
        ("a short key", good.replace(&secret, secret.get(4..).unwrap())),
        ("a key that is not base64", good.replace(&secret, &secret.replace('=', "?"))),
        ("a number for a key", good.replace(&format!("\"{secret}\""), "17")),
        ("no mark key", good.replace(&format!("\n    \"{secret}\"\n  "), "")),
        ("a bad connector", good.replace("eu-west", "eu west")),
    ];
    for (name, text) in table {
        assert_ne!(text, good, "{name}");
        home.put("identity.json", &text);
        let fault = home.store.load().unwrap_err();
        assert!(matches!(fault, IdentityFault::Damaged { .. }), "{name}: {fault}");
        assert!(!format!("{fault}{fault:?}").contains(secret.get(4..40).unwrap()), "{name}: {fault}");
    }
    home.put("identity.json", &good.replace("\"format\": 1", "\"format\": 2"));
    let fault = IdentityFault::TooNew { path: home.path("identity.json"), found: 2, ours: 1 };
    assert_eq!(home.store.load().unwrap_err(), fault);
}

#[test]
fn pins_and_configurations_are_believed_only_with_our_mac() {
    let (home, other) = (Home::new(), Home::of("us-east"));
    for home in [&home, &other] {
        home.store.save_snapshot(&integrations()).unwrap();
        home.store.pin(&grantee("ann"), &key(1), NOW).unwrap();
    }
    let good = home.text("integrations.json");
    let tag = good.lines().find(|line| line.contains("\"tag\"")).unwrap();
    let zeros = format!("  \"tag\": \"{}\",", "A".repeat(43) + "=");
    let key_id = home.store.load().unwrap().marks.current().0.clone();
    let tampered = IdentityFault::Tampered { path: home.path("integrations.json") };
    let table = [
        ("untouched", good.clone(), None),
        ("another host", good.replace("db.é.example", "db.evil.example"), Some(tampered.clone())),
        ("a zero tag", good.replace(tag, &zeros), Some(tampered.clone())),
        ("no tag", good.replace(tag, "  \"tag\": \"\","), Some(tampered.clone())),
        ("another key id", good.replace(&key_id, "0123456789abcdef"), Some(tampered.clone())),
        ("the pins in its place", home.text("pins.json"), Some(tampered.clone())),
        ("another connector's", other.text("integrations.json"), Some(tampered)),
        (
            "a newer build's",
            good.replace("\"format\": 1", "\"format\": 2"),
            Some(IdentityFault::TooNew { path: home.path("integrations.json"), found: 2, ours: 1 }),
        ),
    ];
    for (name, text, fault) in table {
        home.put("integrations.json", &text);
        assert_eq!(home.store.snapshot().err(), fault, "{name}");
        assert!(home.store.load().is_ok() && home.store.pins().is_ok(), "{name}: the others are usable");
    }
    home.store.save_snapshot(&integrations()).unwrap();
    assert_eq!(home.store.snapshot().unwrap(), integrations(), "a new snapshot mends it");
}

#[test]
fn a_file_under_another_name_of_the_connector_is_refused() {
    let home = Home::new();
    home.put("identity.json", &home.text("identity.json").replace("eu-west", "us-east"));
    assert_eq!(home.store.load().unwrap().connector.as_str(), "us-east");
    assert!(matches!(home.store.pins(), Err(IdentityFault::Tampered { .. })));
}

#[test]
fn a_lost_file_is_a_fault_of_its_own() {
    let home = Home::new();
    fs::remove_file(home.path("pins.json")).unwrap();
    let fault = home.store.pins().unwrap_err();
    assert_eq!(fault, IdentityFault::Missing { path: home.path("pins.json") }, "never taken for no pins");
    assert!(fault.is_of_content());
    assert!(home.store.pin(&grantee("ann"), &key(1), NOW).is_err());
    home.store.reset_pins().unwrap();
    assert_eq!(home.store.pins().unwrap(), Pins::default());
}

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

    let written = || home.path("pins.json").metadata().unwrap().ino();
    let before = written();
    pin(&key(2), LATER);
    assert_eq!(written(), before, "nothing new, nothing written");
    home.store.update_pins(|pins| pins.forget_grantee(&grantee("ann"))).unwrap();
    assert_ne!(written(), before);
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
    home.store.pin(&grantee("ann"), &key(1), NOW).unwrap();
    // What stands in the way cannot be removed as a file, whoever runs the test.
    fs::create_dir(home.path(".pins.json.new")).unwrap();
    assert!(matches!(home.store.pin(&grantee("bob"), &key(2), NOW), Err(IdentityFault::Io { .. })));
    let pins = home.store.pins().unwrap();
    assert!(pins.grantee(&grantee("ann")).is_some() && pins.grantee(&grantee("bob")).is_none());

    fs::remove_dir(home.path(".pins.json.new")).unwrap();
    home.put(".pins.json.new", "{\"format\": 1, \"half");
    assert_eq!(home.store.pins().unwrap(), pins, "what a crash left is not read");
    home.store.pin(&grantee("bob"), &key(2), NOW).unwrap();
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

#[test]
fn a_rotation_does_not_make_a_tampered_file_true() {
    let home = Home::new();
    home.store.pin(&grantee("ann"), &key(1), NOW).unwrap();
    home.put("pins.json", &home.text("pins.json").replace("ann", "eve"));
    home.store.rotate(KeyUse::Marks).unwrap();
    assert!(matches!(home.store.pins(), Err(IdentityFault::Tampered { .. })));
    assert!(home.store.snapshot().is_ok());
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_byte_is_never_believed(at in any::<prop::sample::Index>(), change in 1_u8..=255) {
        let home = Home::new();
        home.store.save_snapshot(&integrations()).unwrap();
        let mut bytes = fs::read(home.path("integrations.json")).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        fs::write(home.path("integrations.json"), bytes).unwrap();
        // Blanks between the fields may change; what is said may not.
        if let Ok(found) = home.store.snapshot() {
            prop_assert_eq!(found, integrations());
        }
    }

    #[test]
    fn any_bytes_can_be_read(bytes in any::<Vec<u8>>()) {
        let home = Home::new();
        for name in ALL_FILES {
            fs::write(home.path(name), &bytes).unwrap();
        }
        prop_assert!(home.store.load().is_err());
        prop_assert!(IdentityStore::open(home.store.dir()).is_err());
    }
}
