//! HPKE against a published vector, and everything that must not open.

use super::*;
use crate::samples::{RFC_9180_SECRET, sealing_key, unhex};

fn clear() -> Secret {
    Secret::new("correct horse – батарея".into())
}

/// The entry of RFC 9180's test vectors for mode base, KEM 0x0020, KDF 0x0001, AEAD 0x0002, sequence 0.
#[test]
fn opens_the_published_vector() {
    let key = SealingKey::from_bytes(&unhex(RFC_9180_SECRET)).unwrap();
    let sealed = Sealed::from_parts(
        &unhex("6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256"),
        unhex("e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a"),
    )
    .unwrap();
    let opened = open(&key, b"Ode on a Grecian Urn", b"Count-0", &sealed).unwrap();
    assert_eq!(opened.expose(), "Beauty is truth, truth beauty");
    assert_eq!(open(&key, b"Ode on a Grecian Urn", b"Count-1", &sealed).unwrap_err(), SealFault::DoesNotOpen);
}

#[test]
fn only_key_purpose_and_binding_together_open() {
    let (key, other) = (sealing_key(1), sealing_key(2));
    let sealed = seal(key.public(), b"info", b"aad", &clear()).unwrap();
    assert_eq!(open(&key, b"info", b"aad", &sealed).unwrap().expose(), clear().expose());
    let table: [(&str, &SealingKey, &[u8], &[u8]); 5] = [
        ("another key", &other, b"info", b"aad"),
        ("another purpose", &key, b"inf0", b"aad"),
        ("another binding", &key, b"info", b"aae"),
        ("no binding", &key, b"info", b""),
        ("purpose and binding swapped", &key, b"aad", b"info"),
    ];
    for (name, key, info, aad) in table {
        assert_eq!(open(key, info, aad, &sealed).unwrap_err(), SealFault::DoesNotOpen, "{name}");
    }
}

#[test]
fn every_changed_or_missing_byte_is_noticed() {
    let key = sealing_key(1);
    let bytes = seal(key.public(), b"info", b"aad", &clear()).unwrap().to_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        *changed.get_mut(at).unwrap() ^= 1;
        let sealed = Sealed::from_bytes(&changed).unwrap();
        assert_eq!(open(&key, b"info", b"aad", &sealed).unwrap_err(), SealFault::DoesNotOpen, "byte {at}");

        let opened =
            Sealed::from_bytes(bytes.get(..at).unwrap()).map(|cut| open(&key, b"info", b"aad", &cut));
        assert!(!matches!(opened, Ok(Ok(_))), "cut at {at}");
    }
}

#[test]
fn the_same_text_is_never_sealed_to_the_same_bytes() {
    let key = sealing_key(1);
    let one = seal(key.public(), b"", b"", &clear()).unwrap();
    let two = seal(key.public(), b"", b"", &clear()).unwrap();
    assert_ne!(one.encapsulated, two.encapsulated);
    assert_ne!(one.ciphertext, two.ciphertext);
}

#[test]
fn lengths_from_nothing_to_the_most() {
    let key = sealing_key(1);
    for len in [0, 1, LONGEST_CLEAR] {
        let clear = Secret::new("x".repeat(len));
        let sealed = Sealed::from_bytes(&seal(key.public(), b"", b"", &clear).unwrap().to_bytes()).unwrap();
        assert_eq!(open(&key, b"", b"", &sealed).unwrap().expose().len(), len);
    }
    let found = LONGEST_CLEAR + 1;
    let fault = seal(key.public(), b"", b"", &Secret::new("x".repeat(found))).unwrap_err();
    assert_eq!(fault, SealFault::TooLong { found });
    assert!(Sealed::from_parts(&[0; 32], vec![0; LONGEST_CLEAR + TAG_BYTES + 1]).is_err());
}

/// Points of small order make a shared secret that everyone knows (RFC 7748, 6.1).
#[test]
fn weak_keys_are_refused() {
    let order_8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    for weak in [vec![0; 32], [vec![1], vec![0; 31]].concat(), unhex(order_8)] {
        let key = SealingPublic::from_bytes(&weak).unwrap();
        assert_eq!(seal(&key, b"", b"", &clear()).unwrap_err(), SealFault::WeakKey);
    }
}

#[test]
fn what_is_not_text_is_refused() {
    let key = sealing_key(1);
    let public = HpkePublicKey(key.public().as_bytes().to_vec());
    let (encapsulated, ciphertext) =
        DH_KEM_X25519_HKDF_SHA256_AES_256.seal(b"", b"", &[0xff, 0xfe], &public).unwrap();
    let sealed = Sealed::from_parts(&encapsulated.0, ciphertext).unwrap();
    assert!(matches!(open(&key, b"", b"", &sealed), Err(SealFault::Malformed { .. })));
}
