//! Keys against published values, and what they let out.

use super::*;
use crate::samples::{RFC_9180_PUBLIC, RFC_9180_SECRET, unhex};

#[test]
fn public_halves_are_those_of_the_rfcs() {
    let sealing = SealingKey::from_bytes(&unhex(RFC_9180_SECRET)).unwrap();
    assert_eq!(hex(sealing.public().as_bytes()), RFC_9180_PUBLIC);

    // RFC 8032, 7.1, test 1.
    let seed = unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let receipt = ReceiptKey::from_bytes(&seed).unwrap();
    assert_eq!(
        hex(receipt.public().as_bytes()),
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    );
    assert_eq!(
        hex(&receipt.sign(b"").unwrap()),
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
         d25bf5f0595bbe24655141438e7a100b"
    );
}

/// The expected values were computed apart from this code, with Python's `hashlib`.
#[test]
fn ids_and_fingerprints_are_fixed() {
    let bytes: Vec<u8> = (0..32).collect();
    assert_eq!(MarkKey::from_bytes(&bytes).unwrap().id().0, "bba0732bea5ffa7c");

    let sealing = SealingPublic::from_bytes(&unhex(RFC_9180_PUBLIC)).unwrap();
    assert_eq!(sealing.id().0, "69df8d73e7407153");
    assert_eq!(sealing.fingerprint(), "d7frt-wz781-rn7n2-bneqp");

    let receipt = unhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let receipt = ReceiptPublic::from_bytes(&receipt).unwrap();
    assert_eq!(receipt.id().0, "21fe31dfa154a261");
    assert_eq!(receipt.fingerprint(), "47z33-qx1aj-h62rk-bz1a0");
}

#[test]
fn a_key_comes_back_from_its_bytes() {
    let mark = MarkKey::generate().unwrap();
    let again = MarkKey::from_bytes(&mark.to_bytes()).unwrap();
    assert_eq!(mark.id(), again.id());
    assert!(again.verifies("purpose", b"data", &mark.tag("purpose", b"data")));

    let sealing = SealingKey::generate().unwrap();
    assert_eq!(sealing.public(), SealingKey::from_bytes(&sealing.to_bytes()).unwrap().public());

    let receipt = ReceiptKey::generate().unwrap();
    let again = ReceiptKey::from_bytes(&receipt.to_bytes()).unwrap();
    assert!(receipt.public().verifies(b"data", &again.sign(b"data").unwrap()));
}

#[test]
fn two_generated_keys_differ() {
    assert_ne!(MarkKey::generate().unwrap().id(), MarkKey::generate().unwrap().id());
    assert_ne!(SealingKey::generate().unwrap().id(), SealingKey::generate().unwrap().id());
    assert_ne!(ReceiptKey::generate().unwrap().id(), ReceiptKey::generate().unwrap().id());
}

#[test]
fn a_tag_is_for_one_key_one_purpose_and_one_text() {
    let key = MarkKey::generate().unwrap();
    let tag = key.tag("purpose", b"data");
    let cut = tag.get(..31).unwrap();
    let table = [
        ("itself", "purpose", "data", tag.as_slice(), true),
        ("other data", "purpose", "datb", &tag, false),
        ("other purpose", "purposf", "data", tag.as_slice(), false),
        ("border moved", "purposed", "ata", &tag, false),
        ("cut short", "purpose", "data", cut, false),
        ("empty", "purpose", "data", b"", false),
    ];
    for (name, label, data, tag, expected) in table {
        assert_eq!(key.verifies(label, data.as_bytes(), tag), expected, "{name}");
    }
    assert!(!MarkKey::generate().unwrap().verifies("purpose", b"data", &tag), "another key");
}

#[test]
fn a_signature_is_for_one_key_and_one_text() {
    let key = ReceiptKey::generate().unwrap();
    let signature = key.sign(b"data").unwrap();
    assert!(key.public().verifies(b"data", &signature));
    assert!(!key.public().verifies(b"datb", &signature));
    assert!(!key.public().verifies(b"data", signature.get(..63).unwrap()));
    assert!(!ReceiptKey::generate().unwrap().public().verifies(b"data", &signature));
}

#[test]
fn a_wrong_length_is_refused_and_named() {
    for bytes in [&[][..], &[1; 31], &[1; 33], &[1; 64]] {
        let fault = KeyFault::Length { found: bytes.len() };
        assert_eq!(MarkKey::from_bytes(bytes).unwrap_err(), fault);
        assert_eq!(SealingKey::from_bytes(bytes).unwrap_err(), fault);
        assert_eq!(ReceiptKey::from_bytes(bytes).unwrap_err(), fault);
        assert_eq!(SealingPublic::from_bytes(bytes).unwrap_err(), fault);
    }
}

#[test]
fn public_keys_have_one_text_form() {
    let key = *SealingKey::generate().unwrap().public();
    let text = key.to_base64();
    assert_eq!(SealingPublic::from_base64(&text), Ok(key));
    assert_eq!(SealingPublic::try_from(&key.to_grantee_key()), Ok(key));
    assert_eq!(serde_json::from_str::<SealingPublic>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
    let table = [
        ("without padding", text.trim_end_matches('=').to_owned()),
        ("with an end of line", format!("{text}\n")),
        ("of the URL alphabet", "-_".repeat(21) + "-="),
        ("not base64 at all", "a key, please".into()),
        ("with bits left over", "A".repeat(42) + "B="),
    ];
    for (name, text) in table {
        assert_eq!(SealingPublic::from_base64(&text), Err(KeyFault::NotBase64), "{name}");
    }
    assert_eq!(SealingPublic::from_base64("AAAA"), Err(KeyFault::Length { found: 3 }));
}

#[test]
fn debug_shows_ids_only() {
    let mark = MarkKey::from_bytes(&[0xab; 32]).unwrap();
    let sealing = SealingKey::from_bytes(&[0xab; 32]).unwrap();
    let receipt = ReceiptKey::from_bytes(&[0xab; 32]).unwrap();
    assert_eq!(format!("{mark:?}"), format!("MarkKey({})", mark.id().0));
    assert_eq!(format!("{sealing:?}"), format!("SealingKey({})", sealing.id().0));
    assert_eq!(format!("{receipt:?}"), format!("ReceiptKey({})", receipt.id().0));
}
