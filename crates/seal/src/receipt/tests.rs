//! Chains and checkpoints: each tampering by its name.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use model::{
    AccountName, Deed, EntitlementSet, GranteeId, ImmutableId, Login, ReadBack, TargetIdentity, Timestamp,
};
use proptest::prelude::*;

use super::*;
use crate::samples::{account, connector, integration, receipt_key, time};

mod lives;

/// Made once, apart from this code (Python, `cryptography`): what auditors keep must verify for ever.
const GOLDEN: &str = include_str!("golden_v1.jsonl");

fn orders() -> IntegrationId {
    integration("orders-db")
}

fn genesis() -> ChainHead {
    ChainHead::genesis(orders())
}

fn statement(integration: IntegrationId) -> ReceiptBody {
    ReceiptBody {
        at: time("2026-03-01T10:00:00Z"),
        integration,
        target: Some(TargetIdentity("7351234567890123456".into())),
        account: Some(account()),
        account_name: Some(AccountName("tg_ann_é\n".into())),
        immutable: Some(ImmutableId("16431".into())),
        grantee: Some(GranteeId::parse("ann").unwrap()),
        access: None,
        deed: Deed::Deleted,
        read_back: Some(ReadBack {
            present: false,
            login: Some(Login::Shut),
            held: EntitlementSet::nothing(),
            excess: vec![],
            sessions: 0,
            target_time: None,
        }),
        residual: vec![],
        recorded_late: false,
        life: None,
    }
}

fn chain(key: &ReceiptKey, start: ChainHead, texts: &[&str]) -> (Vec<SignedReceipt>, ChainHead) {
    texts.iter().fold((vec![], start), |(mut receipts, head), text| {
        let (receipt, head) = sign_text(key, &head, (*text).to_owned()).unwrap();
        receipts.push(receipt);
        (receipts, head)
    })
}

fn four() -> (Vec<SignedReceipt>, ChainHead) {
    chain(&receipt_key(1), genesis(), &["one", "two", "three", "four"])
}

fn keys() -> Vec<ReceiptPublic> {
    vec![*receipt_key(9).public(), *receipt_key(1).public()]
}

/// Verifies a chain of one life.
fn verified<R: Borrow<SignedReceipt>>(
    receipts: impl IntoIterator<Item = R>,
    start: ChainHead,
    expected: Option<&ChainHead>,
) -> Result<ChainHead, ReceiptFault> {
    let mut lives = verify(receipts, &keys(), start, expected)?;
    assert_eq!(lives.len(), 1, "{lives:?}");
    Ok(lives.remove(0).head)
}

fn pick(receipts: &[SignedReceipt], numbers: &[usize]) -> Vec<SignedReceipt> {
    numbers.iter().map(|n| receipts.get(n - 1).unwrap().clone()).collect()
}

#[test]
fn format_1_is_what_it_always_was() {
    let lines: Vec<Line> = GOLDEN.lines().map(|line| Line::from_text(line).unwrap()).collect();
    let mut heads = BTreeMap::new();
    let (mut receipts, mut checkpoints) = (vec![], vec![]);
    for line in &lines {
        match line {
            Line::Receipt(receipt) => {
                let start = ChainHead::genesis(receipt.integration.clone());
                let head = heads.get(&receipt.integration).unwrap_or(&start);
                let (again, head) = sign_text(&receipt_key(1), head, receipt.body.clone()).unwrap();
                assert_eq!(again, *receipt, "the same statement gives the same receipt");
                assert_eq!(receipt.statement().unwrap().integration, receipt.integration);
                heads.insert(receipt.integration.clone(), head);
                receipts.push(receipt);
            }
            Line::Checkpoint(signed) => checkpoints.push(signed.verify(&keys()).unwrap()),
        }
    }
    assert_eq!((receipts.len(), checkpoints.len()), (3, 1));
    let verified = verify_all(receipts, &keys(), checkpoints.first()).unwrap();
    assert!(verified.values().all(|lives| lives.len() == 1));
    let found: Vec<_> = verified.values().flatten().map(|life| &life.head).collect();
    assert_eq!(found, heads.values().collect::<Vec<_>>());
    let texts: Vec<String> = lines.iter().map(|line| line.to_text().unwrap()).collect();
    assert_eq!(texts.join("\n") + "\n", GOLDEN);
}

#[test]
fn a_statement_is_signed_as_the_exact_text_and_read_back() {
    let (receipt, head) = sign(&receipt_key(1), &genesis(), &statement(orders())).unwrap();
    assert_eq!(receipt.statement().unwrap(), statement(orders()));
    assert_eq!(verified([&receipt], genesis(), Some(&head)), Ok(head));
    assert_eq!(
        sign(&receipt_key(1), &genesis(), &statement(integration("stock-db"))),
        Err(SignFault::OtherChain { found: integration("stock-db"), chain: orders() })
    );
    let last = ChainHead { number: u64::MAX, ..genesis() };
    assert_eq!(
        sign(&receipt_key(1), &last, &statement(orders())),
        Err(SignFault::Full { integration: orders() })
    );
}

#[test]
fn each_tampering_is_named() {
    let (receipts, head) = four();
    let numbers = |numbers: &[usize]| pick(&receipts, numbers);
    let edited = |edit: fn(&mut SignedReceipt)| {
        let mut all = receipts.clone();
        edit(all.get_mut(1).unwrap());
        all
    };
    let replaced = |n: usize, by: &SignedReceipt| {
        let mut all = receipts.clone();
        *all.get_mut(n - 1).unwrap() = by.clone();
        all
    };
    let second = || chain(&receipt_key(1), genesis(), &["one"]).1;
    let other_two = chain(&receipt_key(1), second(), &["zwei"]).0.remove(0);
    let stranger_two = chain(&receipt_key(5), second(), &["two"]).0.remove(0);
    let other_history = chain(&receipt_key(1), genesis(), &["one", "zwei", "three", "four"]);
    let both = [numbers(&[1, 2, 3, 4]), vec![other_two.clone()]].concat();
    let integration = orders();
    let changed = || ReceiptFault::Changed { integration: orders(), number: 2 };
    let missing = |number| ReceiptFault::Missing { integration: orders(), number };
    let reordered = |number| ReceiptFault::Reordered { integration: orders(), number };
    let forked = |number| ReceiptFault::Forked { integration: orders(), number };
    let truncated = |found| ReceiptFault::Truncated { integration: orders(), expected: 4, found };
    let table = [
        ("untouched", numbers(&[1, 2, 3, 4]), None),
        ("body changed", edited(|r| r.body.push(' ')), Some(changed())),
        ("link changed", edited(|r| r.previous = "0".repeat(64)), Some(changed())),
        (
            "renumbered",
            edited(|r| r.number = 2_000),
            Some(ReceiptFault::Changed { integration, number: 2_000 }),
        ),
        (
            "signature of another",
            replaced(2, &SignedReceipt { body: "two".into(), ..other_two.clone() }),
            Some(changed()),
        ),
        ("signature cut", edited(|r| r.signature.truncate(40)), Some(changed())),
        ("signature empty", edited(|r| r.signature.clear()), Some(changed())),
        (
            "moved to another integration",
            edited(|r| r.integration = integration_of_stock()),
            Some(ReceiptFault::OtherChain { found: integration_of_stock(), chain: orders() }),
        ),
        (
            "signed by a stranger",
            replaced(2, &stranger_two),
            Some(ReceiptFault::ForeignKey {
                integration: orders(),
                number: 2,
                key: receipt_key(5).id().clone(),
            }),
        ),
        (
            "stranger under a known key id",
            replaced(2, &SignedReceipt { key_id: receipt_key(1).id().clone(), ..stranger_two }),
            Some(changed()),
        ),
        ("first missing", numbers(&[2, 3, 4]), Some(missing(1))),
        ("one missing", numbers(&[1, 2, 4]), Some(missing(3))),
        ("two missing", numbers(&[1, 4]), Some(missing(2))),
        ("last missing", numbers(&[1, 2, 3]), Some(truncated(3))),
        ("all missing", vec![], Some(truncated(0))),
        ("two swapped", numbers(&[1, 3, 2, 4]), Some(reordered(2))),
        ("backwards", numbers(&[4, 3, 2, 1]), Some(reordered(1))),
        ("one twice in a row", numbers(&[1, 2, 2, 3, 4]), Some(reordered(2))),
        ("one again later", numbers(&[1, 2, 3, 1, 4]), Some(reordered(1))),
        ("two with one number", both, Some(forked(2))),
        ("another one in its place", replaced(2, &other_two), Some(forked(3))),
        ("another history up to the head", other_history.0, Some(forked(4))),
    ];
    for (name, list, fault) in table {
        let found = verified(&list, genesis(), Some(&head));
        assert_eq!(found.err(), fault, "{name}");
    }
}

fn integration_of_stock() -> IntegrationId {
    integration("stock-db")
}

#[test]
fn without_a_head_a_cut_chain_looks_whole() {
    let (receipts, _) = four();
    let head = verified(pick(&receipts, &[1, 2]), genesis(), None).unwrap();
    assert_eq!(head.number, 2);
}

#[test]
fn verification_may_begin_and_be_compared_in_the_middle() {
    let (receipts, head) = four();
    let at = |n: usize| verified(receipts.iter().take(n), genesis(), None).unwrap();
    let tail = pick(&receipts, &[3, 4]);
    let wrong = ChainHead { hash: "f".repeat(64), ..at(2) };
    let table = [
        ("tail from its head", at(2), None, Ok(head.clone())),
        ("tail with its end", at(2), Some(head.clone()), Ok(head.clone())),
        ("head in the tail", at(2), Some(at(3)), Ok(head.clone())),
        ("head where the tail starts", at(2), Some(at(2)), Ok(head.clone())),
        ("head from before there was anything", at(2), Some(genesis()), Ok(head.clone())),
        (
            "head before the tail",
            at(2),
            Some(at(1)),
            Err(ReceiptFault::StartTooLate { integration: orders(), start: 2, head: 1 }),
        ),
        ("wrong start", wrong.clone(), None, Err(ReceiptFault::Forked { integration: orders(), number: 3 })),
        (
            "head of another history",
            at(2),
            Some(ChainHead { hash: wrong.hash, ..at(3) }),
            Err(ReceiptFault::Forked { integration: orders(), number: 3 }),
        ),
        ("too early a start", at(1), None, Err(ReceiptFault::Missing { integration: orders(), number: 2 })),
    ];
    for (name, start, expected, found) in table {
        assert_eq!(verified(&tail, start, expected.as_ref()), found, "{name}");
    }
}

#[test]
fn a_checkpoint_finds_the_chain_that_was_cut() {
    let (receipts, head) = four();
    let (others, other_head) =
        chain(&receipt_key(1), ChainHead::genesis(integration_of_stock()), &["a", "b"]);
    let all: Vec<_> = receipts.iter().chain(&others).cloned().collect();
    let checkpoint = Checkpoint {
        connector: connector(),
        at: time("2026-03-01T10:00:00Z"),
        heads: vec![head.clone(), other_head.clone()],
    };
    let signed = checkpoint.sign(&receipt_key(1)).unwrap();
    assert_eq!(signed.verify(&keys()), Ok(checkpoint.clone()));

    let lives = verify_all(&all, &keys(), Some(&checkpoint)).unwrap();
    let heads: Vec<_> = lives.values().flatten().map(|life| &life.head).collect();
    assert_eq!(heads, [&head, &other_head]);

    let cut = |found| ReceiptFault::Truncated { integration: integration_of_stock(), expected: 2, found };
    assert_eq!(verify_all(&receipts, &keys(), Some(&checkpoint)), Err(cut(0)), "a whole chain is gone");
    let without_last = all.split_last().unwrap().1;
    assert_eq!(verify_all(without_last, &keys(), Some(&checkpoint)), Err(cut(1)));
    assert!(verify_all(without_last, &keys(), None).is_ok(), "nobody could tell without it");
}

#[test]
fn a_checkpoint_is_believed_only_as_signed() {
    let checkpoint = Checkpoint { connector: connector(), at: Timestamp::ZERO, heads: vec![four().1] };
    let signed = checkpoint.sign(&receipt_key(1)).unwrap();
    let stranger = checkpoint.sign(&receipt_key(5)).unwrap();
    let foreign = ReceiptFault::CheckpointForeignKey { key: receipt_key(5).id().clone() };
    let unreadable = sign_checkpoint_text("{}");
    let receipt = four().0.remove(0);
    let table = [
        (
            "body changed",
            SignedCheckpoint { body: signed.body.replace('4', "3"), ..signed.clone() },
            "changed",
        ),
        ("signature cut", SignedCheckpoint { signature: String::new(), ..signed.clone() }, "changed"),
        (
            "a receipt's signature",
            SignedCheckpoint { body: receipt.body, signature: receipt.signature, ..signed.clone() },
            "changed",
        ),
        ("a stranger's", stranger.clone(), "foreign"),
        (
            "a stranger's, relabelled",
            SignedCheckpoint { key_id: signed.key_id.clone(), ..stranger },
            "changed",
        ),
        ("signed, but no checkpoint", unreadable, "unreadable"),
    ];
    for (name, signed, expected) in table {
        let fault = signed.verify(&keys()).unwrap_err();
        let found = if fault == foreign {
            "foreign"
        } else if fault == ReceiptFault::CheckpointChanged {
            "changed"
        } else {
            assert!(matches!(fault, ReceiptFault::CheckpointUnreadable { .. }), "{name}: {fault}");
            "unreadable"
        };
        assert_eq!(found, expected, "{name}");
    }
}

fn sign_checkpoint_text(body: &str) -> SignedCheckpoint {
    let key = receipt_key(1);
    let signed = framed(&[b"tidegate checkpoint v1", body.as_bytes(), key.id().0.as_bytes()]);
    let signature = STANDARD.encode(key.sign(&signed).unwrap());
    SignedCheckpoint { body: body.into(), key_id: key.id().clone(), signature }
}

#[test]
fn lines_hold_nothing_that_nobody_signed() {
    let line = Line::Receipt(four().0.remove(0));
    let text = line.to_text().unwrap();
    assert!(!text.contains('\n'));
    assert_eq!(Line::from_text(&text), Ok(line));
    let table = [
        ("empty", String::new()),
        ("an added field", text.replacen('{', "{\"note\":\"approved by Ann\",", 1)),
        ("a field twice", text.replacen('{', "{\"number\":9,", 1)),
        ("a missing field", text.replace("\"number\":1,", "")),
        ("another kind", text.replace("\"receipt\"", "\"statement\"")),
        ("two lines", format!("{text}\n{text}")),
        ("half a line", text.chars().take(80).collect()),
    ];
    for (name, text) in table {
        assert!(Line::from_text(&text).is_err(), "{name}");
    }
}

proptest! {
    #[test]
    fn a_changed_byte_of_a_line_is_never_verified(at in any::<prop::sample::Index>(), change in 1_u8..=255) {
        let receipts = four().0;
        let original = receipts.get(1).unwrap();
        let mut bytes = Line::Receipt(original.clone()).to_text().unwrap().into_bytes();
        let at = at.index(bytes.len());
        *bytes.get_mut(at).unwrap() ^= change;
        let changed = String::from_utf8(bytes).ok().and_then(|text| Line::from_text(&text).ok());
        if let Some(Line::Receipt(changed)) = changed {
            // A space for a space, an escape for its character: the same receipt.
            if changed != *original {
                let mut list = receipts.clone();
                *list.get_mut(1).unwrap() = changed;
                prop_assert!(verify(&list, &keys(), genesis(), None).is_err());
            }
        }
    }

    #[test]
    fn any_order_but_the_right_one_is_refused(order in prop::collection::vec(1_usize..=4, 1..7)) {
        let (receipts, head) = four();
        let found = verify(pick(&receipts, &order), &keys(), genesis(), Some(&head));
        prop_assert_eq!(found.is_ok(), order == [1, 2, 3, 4]);
    }

    #[test]
    fn any_text_can_be_read(text in "\\PC{0,200}", body in "(?s:.{0,80})") {
        prop_assert!(Line::from_text(&text).is_err());
        let (receipt, head) = sign_text(&receipt_key(1), &genesis(), body).unwrap();
        let text = Line::Receipt(receipt.clone()).to_text().unwrap();
        prop_assert_eq!(Line::from_text(&text), Ok(Line::Receipt(receipt.clone())));
        prop_assert_eq!(verified([receipt], genesis(), None), Ok(head));
    }
}

#[test]
fn fuzz_receipt_lines() {
    let lines: Vec<&str> = GOLDEN.lines().collect();
    let good: Vec<Line> = lines.iter().map(|line| Line::from_text(line).unwrap()).collect();
    let keys = [*receipt_key(1).public()];
    fuzz::hammer_text("receipt lines", &lines, |text| {
        let Ok(line) = Line::from_text(text) else { return };
        if let Line::Receipt(receipt) = &line {
            let head = ChainHead {
                integration: receipt.integration.clone(),
                number: receipt.number.saturating_sub(1),
                hash: receipt.previous.clone(),
            };
            let taken = ChainCheck::after(head, []).take(receipt, &keys).is_ok();
            assert!(!taken || good.contains(&line), "a spoilt receipt verifies: {text:?}");
        }
    });
}
