//! What is believed of what stands in the files.

use proptest::prelude::*;

use super::*;

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
fn a_rotation_does_not_make_a_tampered_file_true() {
    let home = Home::new();
    home.store.update_pins(|pins| pins.meet(&grantee("ann"), &key(1), NOW)).unwrap();
    home.put("pins.json", &home.text("pins.json").replace("ann", "eve"));
    home.store.rotate(KeyUse::Marks).unwrap();
    assert!(matches!(home.store.pins(), Err(IdentityFault::Tampered { .. })));
    assert!(home.store.snapshot().is_ok());
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
