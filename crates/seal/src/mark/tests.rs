//! Marks: every state, rotation, room, and hostile texts.

use proptest::prelude::*;

use super::*;
use crate::samples::{connector, integration, mark, mark_key, time};

/// Made once, apart from this code (Python, `hmac`): what stands on targets must be read for ever.
const GOLDEN: &str = include_str!("golden_v1.txt");

fn keys() -> MarkKeys {
    MarkKeys::new(connector(), mark_key(1), vec![])
}

fn read(keys: &MarkKeys, text: &str) -> MarkState {
    keys.read(text, &mark().target, &mark().immutable)
}

fn valid() -> MarkState {
    MarkState::Valid(Box::new(mark()))
}

#[test]
fn format_1_is_what_it_always_was() {
    let golden = GOLDEN.trim_end();
    assert_eq!(keys().write(&mark(), LONGEST).unwrap(), golden);
    assert_eq!(read(&keys(), golden), valid());
}

#[test]
fn each_state_has_its_text() {
    let text = keys().write(&mark(), LONGEST).unwrap();
    let other = |connector: &str, key| {
        let mut mark = mark();
        mark.draft.connector = ConnectorId::parse(connector).unwrap();
        MarkKeys::new(mark.draft.connector.clone(), mark_key(key), vec![]).write(&mark, LONGEST).unwrap()
    };
    let with = |n: usize, part: &str| {
        let mut parts: Vec<&str> = text.split(':').collect();
        *parts.get_mut(n).unwrap() = part;
        parts.join(":")
    };
    let payload_of = |mark: Mark| URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Payload::of(&mark)).unwrap());
    let mut longer = mark();
    longer.draft.until = Some(time("2099-01-01T00:00:00Z"));
    let table = [
        ("ours", text.clone(), valid()),
        ("nothing", String::new(), MarkState::Missing),
        ("a comment of a person", "orders, ask Ann".into(), MarkState::Missing),
        ("a person before it", format!("see {text}"), MarkState::Missing),
        ("a person after it", format!("{text} see"), MarkState::Forged),
        ("the prefix alone", PREFIX.into(), MarkState::Forged),
        ("a later deadline under the old tag", with(2, &payload_of(longer)), MarkState::Forged),
        ("without a tag", with(4, ""), MarkState::Forged),
        ("half a tag", with(4, "AAAAAAAAAAAAAAAAAAAAAA"), MarkState::Forged),
        ("a zero tag", with(4, &"A".repeat(43)), MarkState::Forged),
        ("not a key id", with(3, "current"), MarkState::Forged),
        ("a part too many", format!("{text}:"), MarkState::Forged),
        ("a key that we never had", with(3, "0123456789abcdef"), MarkState::Foreign),
        ("another connector, its own key", other("us-east", 2), MarkState::Foreign),
        ("another connector, our key", other("us-east", 1), MarkState::Foreign),
        ("our name, another key", other("eu-west", 2), MarkState::Foreign),
        ("a version to come", with(1, "2"), MarkState::Foreign),
        ("too long to look at", format!("{PREFIX}1:{}", "A".repeat(LONGEST)), MarkState::Forged),
    ];
    for (name, text, expected) in table {
        assert_eq!(read(&keys(), &text), expected, "{name}");
    }
}

#[test]
fn a_mark_of_another_target_or_account_is_copied() {
    let text = keys().write(&mark(), LONGEST).unwrap();
    let (target, immutable) = (mark().target, mark().immutable);
    let table = [
        ("at home", target.clone(), immutable.clone(), valid()),
        ("another account", target.clone(), ImmutableId("16432".into()), MarkState::Copied),
        ("another target", TargetIdentity("1".into()), immutable.clone(), MarkState::Copied),
        ("swapped", TargetIdentity(immutable.0), ImmutableId(target.0), MarkState::Copied),
    ];
    for (name, target, immutable, expected) in table {
        assert_eq!(keys().read(&text, &target, &immutable), expected, "{name}");
    }
}

#[test]
fn a_rotated_key_writes_anew_and_still_reads_the_old() {
    let old_text = keys().write(&mark(), LONGEST).unwrap();
    let rotated = MarkKeys::new(connector(), mark_key(2), vec![mark_key(1)]);
    let new_text = rotated.write(&mark(), LONGEST).unwrap();
    assert_ne!(old_text, new_text);
    assert_eq!(rotated.current(), mark_key(2).id());
    assert_eq!(rotated.ids().count(), 2);

    assert_eq!(read(&rotated, &old_text), valid(), "an older key still verifies");
    assert_eq!(read(&rotated, &new_text), valid());
    assert!(rotated.is_outdated(&old_text));
    assert!(!rotated.is_outdated(&new_text));
    assert_eq!(read(&keys(), &new_text), MarkState::Foreign, "before the rotation the key was never ours");

    let dropped = MarkKeys::new(connector(), mark_key(2), vec![]);
    assert_eq!(read(&dropped, &old_text), MarkState::Foreign, "a dropped key is as if it never was");
}

#[test]
fn what_claims_to_be_an_account_of_ours_need_not_be_it() {
    let account = mark().draft.account;
    let another: AccountId = serde_json::from_str("\"00000000-0000-4000-8000-000000000007\"").unwrap();
    let text = keys().write(&mark(), LONGEST).unwrap();
    let lost = MarkKeys::new(connector(), mark_key(2), vec![]);
    let neighbour = MarkKeys::new(ConnectorId::parse("us-east").unwrap(), mark_key(1), vec![]);
    let tag = text.rsplit_once(':').unwrap().1;
    let table = [
        ("by our key", &keys(), text.clone(), true),
        ("by a key that is lost", &lost, text.clone(), true),
        ("forged", &keys(), text.replace(tag, "AAAA"), true),
        ("another connector's", &neighbour, text.clone(), false),
        ("its payload spoilt", &keys(), text.replacen("tidegate:1:e", "tidegate:1:f", 1), false),
        ("no mark", &keys(), "the account of Ann".to_owned(), false),
        ("nothing but a head", &keys(), PREFIX.to_owned(), false),
    ];
    for (name, keys, text, expected) in table {
        assert_eq!(keys.claims(&text, account), expected, "{name}");
        assert!(!keys.claims(&text, another), "{name}: of another account");
    }
}

#[test]
fn a_tag_of_one_key_under_the_id_of_another_is_forged() {
    let rotated = MarkKeys::new(connector(), mark_key(2), vec![mark_key(1)]);
    let old = keys().write(&mark(), LONGEST).unwrap();
    let relabelled = old.replace(&mark_key(1).id().0, &mark_key(2).id().0);
    assert_ne!(old, relabelled);
    assert_eq!(read(&rotated, &relabelled), MarkState::Forged);
}

#[test]
fn short_of_room_the_earliest_deadline_stays() {
    let whole = keys().write(&mark(), LONGEST).unwrap();
    assert_eq!(keys().write(&mark(), whole.len()).unwrap(), whole, "room to the byte");

    let short = keys().write(&mark(), whole.len() - 1).unwrap();
    let mut expected = mark();
    expected.draft.deadlines = vec![];
    expected.draft.until = Some(time("2026-03-01T09:00:00Z"));
    assert_eq!(read(&keys(), &short), MarkState::Valid(Box::new(expected)));
    assert_eq!(keys().write(&mark(), short.len()).unwrap(), short, "room to the byte for the short form");

    assert_eq!(
        keys().write(&mark(), short.len() - 1),
        Err(MarkFault::NoRoom { needed: short.len(), budget: short.len() - 1 })
    );
}

#[test]
fn a_mark_that_wants_nothing_is_the_same_when_short() {
    let mut empty = mark();
    empty.draft.deadlines = vec![];
    empty.draft.until = None;
    empty.draft.last_revoked = None;
    let text = keys().write(&empty, LONGEST).unwrap();
    assert_eq!(keys().write(&empty, text.len()).unwrap(), text);
    assert_eq!(read(&keys(), &text), MarkState::Valid(Box::new(empty)));
}

#[test]
fn marks_of_other_connectors_are_not_written() {
    let keys = MarkKeys::new(ConnectorId::parse("us-east").unwrap(), mark_key(1), vec![]);
    let fault = MarkFault::OtherConnector { found: connector(), ours: keys.connector().clone() };
    assert_eq!(keys.write(&mark(), LONGEST), Err(fault));
}

#[test]
fn debug_shows_no_key() {
    let keys = MarkKeys::new(connector(), mark_key(2), vec![mark_key(1)]);
    let (new, old) = (&mark_key(2).id().0.clone(), &mark_key(1).id().0.clone());
    assert_eq!(format!("{keys:?}"), format!("MarkKeys(eu-west, MarkKey({new}), MarkKey({old}))"));
}

fn any_mark() -> impl Strategy<Value = Mark> {
    let deadline = (".{0,12}", prop::collection::vec(".{0,20}", 0..4), ".{0,12}", 0_i64..=i64::MAX);
    let times = (prop::option::of(any::<i64>()), prop::option::of(any::<i64>()));
    (prop::collection::vec(deadline, 0..6), times, any::<u64>(), any::<u128>(), ".{0,40}", ".{0,40}")
        .prop_map(|(deadlines, (until, last_revoked), revision, account, target, immutable)| {
            let deadline = |(kind, path, permission, until)| EntitlementDeadline {
                entitlement: Entitlement {
                    resource: ResourceId { kind: ResourceKind(kind), path },
                    permission: Permission(permission),
                },
                until: Timestamp::from_millis(until),
            };
            MarkDraft {
                connector: connector(),
                integration: integration("orders-db"),
                account: format!("{account:032x}").parse().unwrap(),
                revision: Revision(revision),
                deadlines: deadlines.into_iter().map(deadline).collect(),
                until: until.map(Timestamp::from_millis),
                last_revoked: last_revoked.map(Timestamp::from_millis),
            }
            .complete(TargetIdentity(target), ImmutableId(immutable))
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read(mark in any_mark()) {
        let text = keys().write(&mark, LONGEST).unwrap();
        prop_assert!(looks_like_ours(&text));
        prop_assert!(text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b':')));
        let state = keys().read(&text, &mark.target, &mark.immutable);
        prop_assert_eq!(state, MarkState::Valid(Box::new(mark)));
    }

    #[test]
    fn a_budget_is_kept_and_never_lengthens_a_deadline(mark in any_mark(), budget in 0_usize..1200) {
        let Ok(text) = keys().write(&mark, budget) else { return Ok(()) };
        prop_assert!(text.len() <= budget);
        let MarkState::Valid(found) = keys().read(&text, &mark.target, &mark.immutable) else {
            return Err(TestCaseError::fail("not valid"));
        };
        let latest = mark.draft.deadlines.iter().map(|d| d.until).chain(mark.draft.until).max();
        prop_assert!(found.draft.until <= latest);
        prop_assert_eq!(found.draft.revision, mark.draft.revision);
    }

    #[test]
    fn a_changed_byte_is_never_valid(at in any::<prop::sample::Index>(), change in 1_u8..=255) {
        let mut bytes = keys().write(&mark(), LONGEST).unwrap().into_bytes();
        let at = at.index(bytes.len());
        *bytes.get_mut(at).unwrap() ^= change;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert!(!matches!(read(&keys(), &text), MarkState::Valid(_)), "{}", text);
        }
    }

    #[test]
    fn a_mark_cut_short_is_forged(len in any::<prop::sample::Index>()) {
        let text = keys().write(&mark(), LONGEST).unwrap();
        let cut = text.get(..PREFIX.len() + len.index(text.len() - PREFIX.len())).unwrap();
        prop_assert_eq!(read(&keys(), cut), MarkState::Forged);
    }

    #[test]
    fn any_text_can_be_read(text in "(tidegate:)?(1:)?[A-Za-z0-9:_-]{0,60}|\\PC*|(?s:.*)") {
        let state = read(&keys(), &text);
        prop_assert!(!matches!(state, MarkState::Valid(_) | MarkState::Copied));
        prop_assert_eq!(state == MarkState::Missing, !looks_like_ours(&text));
    }
}

#[test]
fn fuzz_marks() {
    let keys = keys();
    let good = keys.write(&mark(), LONGEST).unwrap();
    fuzz::hammer_text("marks", &[&good, GOLDEN.trim_end(), "a comment of a person"], |text| {
        // No spoilt copy is ours; one whose spoiling undid itself is the same text.
        let ours = matches!(read(&keys, text), MarkState::Valid(_));
        assert_eq!(ours, text == good || text == GOLDEN.trim_end(), "{text:?}");
    });
}
