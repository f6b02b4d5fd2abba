//! Sealed credentials and references: each part of the binding, changed one at a time.

use proptest::prelude::*;

use super::*;
use crate::samples::{account, integration, sealing_key};

/// Sealed once by another implementation (Python, `pyhpke`): clients in other languages must agree with us.
const GOLDEN: &str = include_str!("golden_v1.json");

fn access(id: &str) -> AccessId {
    AccessId::parse(id).unwrap()
}

fn grantee(id: &str) -> GranteeId {
    GranteeId::parse(id).unwrap()
}

fn clear() -> Secret {
    Secret::new("s3cret – пароль".into())
}

fn sealed() -> SealedCredential {
    let key = sealing_key(1).public().to_grantee_key();
    seal_credential(&access("acc-1"), account(), &grantee("ann"), Generation(3), &key, &clear()).unwrap()
}

#[test]
fn a_credential_opens_only_as_what_it_is() {
    let key = sealing_key(1);
    let opened = open_credential(&key, &sealed(), account(), &grantee("ann")).unwrap();
    assert_eq!(opened.expose(), clear().expose());

    let other_account = "018f5a2e-7b1c-7d3e-9f40-0123456789ac".parse().unwrap();
    let table = [
        ("another account", sealed(), other_account, grantee("ann")),
        ("another grantee", sealed(), account(), grantee("bob")),
        (
            "another access",
            SealedCredential { access: access("acc-2"), ..sealed() },
            account(),
            grantee("ann"),
        ),
        (
            "another generation",
            SealedCredential { generation: Generation(4), ..sealed() },
            account(),
            grantee("ann"),
        ),
        (
            "another credential's ciphertext",
            SealedCredential { ciphertext: self::sealed().ciphertext, ..sealed() },
            account(),
            grantee("ann"),
        ),
    ];
    for (name, sealed, account, grantee) in table {
        let fault = open_credential(&key, &sealed, account, &grantee).unwrap_err();
        assert_eq!(fault, SealFault::DoesNotOpen, "{name}");
    }
}

#[test]
fn a_credential_sealed_by_another_implementation_opens() {
    let golden: SealedCredential = serde_json::from_str(GOLDEN).unwrap();
    let opened = open_credential(&sealing_key(1), &golden, account(), &grantee("ann")).unwrap();
    assert_eq!(opened.expose(), clear().expose());
}

#[test]
fn a_credential_for_another_key_names_both() {
    let (key, other) = (sealing_key(1), sealing_key(2));
    let fault = open_credential(&other, &sealed(), account(), &grantee("ann")).unwrap_err();
    let expected =
        SealFault::OtherKey { sealed_to: key.public().fingerprint(), ours: other.public().fingerprint() };
    assert_eq!(fault, expected);

    let relabelled = SealedCredential { key: other.public().to_grantee_key(), ..sealed() };
    let fault = open_credential(&other, &relabelled, account(), &grantee("ann")).unwrap_err();
    assert_eq!(fault, SealFault::DoesNotOpen, "the label alone does not help");
}

#[test]
fn a_damaged_credential_is_refused() {
    let key = sealing_key(1);
    let table = [
        ("key not base64", SealedCredential { key: GranteeKey("?".into()), ..sealed() }),
        ("encapsulated key not base64", SealedCredential { encapsulated: "?".into(), ..sealed() }),
        ("encapsulated key short", SealedCredential { encapsulated: STANDARD.encode([1; 31]), ..sealed() }),
        ("ciphertext not base64", SealedCredential { ciphertext: "?".into(), ..sealed() }),
        ("ciphertext empty", SealedCredential { ciphertext: String::new(), ..sealed() }),
    ];
    for (name, sealed) in table {
        let fault = open_credential(&key, &sealed, account(), &grantee("ann")).unwrap_err();
        assert!(matches!(fault, SealFault::Malformed { .. } | SealFault::Key(_)), "{name}: {fault}");
    }
}

#[test]
fn nothing_is_sealed_to_a_key_that_is_none() {
    for (name, key) in [("text", "my key".to_owned()), ("short", STANDARD.encode([1; 16]))] {
        let key = GranteeKey(key);
        let fault = seal_credential(&access("a"), account(), &grantee("ann"), Generation(1), &key, &clear())
            .unwrap_err();
        assert!(matches!(fault, SealFault::Key(_)), "{name}: {fault}");
    }
}

/// The bytes that a client in another language must give as AAD.
#[test]
fn the_binding_of_a_credential_is_fixed() {
    let aad = credential_aad(&access("acc-1"), account(), &grantee("ann"), Generation(12));
    let expected = b"\0\0\0\0\0\0\0\x05acc-1\
        \0\0\0\0\0\0\0\x24018f5a2e-7b1c-7d3e-9f40-0123456789ab\
        \0\0\0\0\0\0\0\x03ann\
        \0\0\0\0\0\0\0\x0212";
    assert_eq!(aad, expected);
}

#[test]
fn a_reference_opens_only_in_its_place() {
    let (orders, stock) = (integration("orders-db"), integration("stock-db"));
    let (postgres, mysql) = (DriverKind("postgres".into()), DriverKind("mysql".into()));
    let home =
        Place { integration: &orders, kind: &postgres, host: "Db.Example", tls_floor: "verified_name" };
    let key = sealing_key(1);
    let reference = seal_reference(key.public(), &home, &clear()).unwrap();
    let table = [
        ("home", home, true),
        ("home, host in other case", Place { host: "db.example", ..home }, true),
        ("another integration", Place { integration: &stock, ..home }, false),
        ("another kind", Place { kind: &mysql, ..home }, false),
        ("another host", Place { host: "db.example.evil", ..home }, false),
        ("a lower TLS floor", Place { tls_floor: "none", ..home }, false),
    ];
    for (name, place, opens) in table {
        let opened = open_reference(&key, &place, &reference);
        match opened {
            Ok(secret) => assert!(opens && secret.expose() == clear().expose(), "{name}"),
            Err(fault) => assert!(!opens && fault == SealFault::DoesNotOpen, "{name}: {fault}"),
        }
    }
    let fault = open_reference(&sealing_key(2), &home, &reference).unwrap_err();
    assert!(matches!(fault, SealFault::OtherKey { .. }), "{fault}");
}

#[test]
fn a_reference_is_a_text_without_what_needs_quoting() {
    let orders = integration("orders-db");
    let kind = DriverKind("postgres".into());
    let place = Place { integration: &orders, kind: &kind, host: "::1", tls_floor: "none" };
    let key = sealing_key(1);
    let text = seal_reference(key.public(), &place, &clear()).unwrap().to_string();
    assert!(
        text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b':' | b'/' | b'-' | b'_')),
        "{text}"
    );
    let reference: SealedReference = text.parse().unwrap();
    assert_eq!(reference.to_string(), text);
    assert_eq!(open_reference(&key, &place, &reference).unwrap().expose(), clear().expose());

    let cut = text.rsplit_once('/').unwrap().0.to_owned();
    let table = [
        ("another scheme", text.replace("sealed:", "env:")),
        ("another version", text.replace("://1/", "://2/")),
        ("no ciphertext", cut.clone()),
        ("an empty ciphertext", cut + "/"),
        ("with a space", text.clone() + " "),
        ("without all", "sealed://".into()),
    ];
    for (name, text) in table {
        assert!(text.parse::<SealedReference>().is_err(), "{name}");
    }
}

proptest! {
    #[test]
    fn any_text_can_be_read(text in "(sealed://)?(1/)?\\PC{0,80}") {
        if let Ok(reference) = text.parse::<SealedReference>() {
            prop_assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn any_sealed_credential_can_be_refused(encapsulated in any::<[u8; 32]>(), ciphertext in any::<Vec<u8>>()) {
        let sealed = SealedCredential {
            encapsulated: STANDARD.encode(encapsulated),
            ciphertext: STANDARD.encode(ciphertext),
            ..sealed()
        };
        prop_assert!(open_credential(&sealing_key(1), &sealed, account(), &grantee("ann")).is_err());
    }
}

#[test]
fn fuzz_sealed_credentials() {
    let good = serde_json::to_string(&sealed()).unwrap();
    let (key, clear) = (sealing_key(1), clear());
    fuzz::hammer_text("sealed credentials", &[&good], |text| {
        let Ok(spoilt) = serde_json::from_str::<SealedCredential>(text) else { return };
        if let Ok(opened) = open_credential(&key, &spoilt, account(), &grantee("ann")) {
            assert_eq!(opened.expose(), clear.expose(), "another clear text came out of {text:?}");
        }
    });
}
