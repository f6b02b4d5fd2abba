//! Receipts: breaks are alarms, lives are noted, and only pinned keys verify.

use control::changes::{Who, connectors, sessions};
use control::office::Office;
use control::record::{KeyUse, Pin};
use control::rules::hello::Hello;
use control::rules::report::Report;
use control::rules::request::Request;
use control::store::rows::{AuditQuery, ReceiptQuery};
use model::{
    AccessId, AccountId, AccountName, ConnectorId, EntitlementSet, Incarnation, IntegrationId, ReceiptBody,
    Span,
};
use seal::keys::ReceiptKey;
use seal::receipt::{ChainHead, SignedReceipt, sign};
use uuid::Uuid;

use super::reports::{Scene, journal, scene, tell};
use super::{alarms, deed};
use crate::world::{START, hello};

fn body(integration: &IntegrationId, access: &AccessId) -> ReceiptBody {
    ReceiptBody {
        at: START,
        integration: integration.clone(),
        target: None,
        account: Some(AccountId::from_uuid(Uuid::from_u128(7))),
        account_name: Some(AccountName("tg_ann".into())),
        immutable: None,
        grantee: Some(model::GranteeId::parse("ann").unwrap()),
        access: Some(access.clone()),
        deed: model::Deed::Opened {
            until: START.plus(Span::from_mins(5)),
            entitlements: EntitlementSet::nothing(),
            key_fingerprint: None,
        },
        read_back: None,
        residual: vec![],
        recorded_late: false,
        life: None,
    }
}

fn chain(key: &ReceiptKey, open: &Request, length: usize) -> Vec<SignedReceipt> {
    let mut head = ChainHead::genesis(open.integration.clone());
    let mut receipts = vec![];
    for _ in 0..length {
        let (receipt, next) = sign(key, &head, &body(&open.integration, &open.id)).unwrap();
        receipts.push(receipt);
        head = next;
    }
    receipts
}

async fn pinned(office: &Office, connector: &ConnectorId, key: &ReceiptKey) {
    let pin = Pin {
        purpose: KeyUse::Receipts,
        key_id: key.id().0.clone(),
        key: key.public().to_base64(),
        current: true,
    };
    let hello = Hello { keys: [pin].into(), journal: journal(), ..hello(connector) };
    deed(office, &Who::agent(connector.clone(), None), |deed| {
        Box::pin(async move { sessions::greet(deed, hello).await })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_break_in_the_chain_of_receipts_is_an_alarm_and_stays_with_the_receipt() {
    let Scene { office, cast, open, _folder } = scene().await;
    let key = ReceiptKey::generate().unwrap();
    pinned(&office, &cast.connector, &key).await;
    let good = chain(&key, &open, 6);
    let mut changed = good.get(1).unwrap().clone();
    changed.body = changed.body.replace("tg_ann", "tg_eve");
    let foreign = chain(&ReceiptKey::generate().unwrap(), &open, 2).pop().unwrap();
    let mut fork = chain(&key, &Request { id: AccessId::parse("acc-fork").unwrap(), ..open.clone() }, 5);
    let fork = fork.pop().unwrap();
    // (name, receipt, verified, alarms in all)
    let table = [
        ("the first", good.first().unwrap().clone(), true, 0),
        ("the first again", good.first().unwrap().clone(), true, 0),
        ("one that was changed", changed, false, 1),
        ("one of a key that is not pinned", foreign, false, 2),
        ("the second", good.get(1).unwrap().clone(), true, 2),
        ("the fourth, the third is missing", good.get(3).unwrap().clone(), false, 3),
        ("a fifth of another history", fork, false, 4),
        ("the sixth, of the first history", good.get(5).unwrap().clone(), false, 5),
    ];
    let query = ReceiptQuery { limit: 100, ..ReceiptQuery::default() };
    for (n, (name, receipt, verified, expected)) in (1..).zip(table) {
        tell(&office, &cast.connector, n, vec![Report::Receipt(receipt.clone())]).await;
        let found = alarms(&office).await;
        assert!(found.iter().all(|what| what == "alarm.receipt_chain_broken"), "{name}: {found:?}");
        assert_eq!(found.len(), expected, "{name}");
        let kept = office.read().await.unwrap().receipts(&query).await.unwrap();
        let (_, last) = kept.iter().rev().find(|(_, kept)| kept.number == receipt.number).unwrap();
        assert_eq!(last.fault.is_none(), verified, "{name}: {:?}", last.fault);
        let line = seal::receipt::Line::Receipt(receipt).to_text().unwrap();
        assert_eq!(last.signed, line, "{name}: not kept as it was signed");
    }
    let kept = office.read().await.unwrap().receipts(&query).await.unwrap();
    assert_eq!(kept.len(), 7, "the repeated one was kept twice, or another not at all");
    assert_eq!(
        kept.first().map(|(_, first)| (first.deed.as_str(), first.access.clone())),
        Some(("opened", Some(open.id)))
    );
}

/// Signs receipts of one memory onto a head; the first names it, when it has a name.
fn lived(
    key: &ReceiptKey,
    open: &Request,
    start: &ChainHead,
    life: Option<u128>,
    count: i64,
) -> Vec<SignedReceipt> {
    let mut head = start.clone();
    let mut receipts = vec![];
    for n in 0..count {
        let life = life.filter(|_| n == 0).map(|life| Incarnation::from_uuid(Uuid::from_u128(life)));
        let at = START.plus(Span::from_secs(n));
        let body = ReceiptBody { at, life, ..body(&open.integration, &open.id) };
        let (receipt, next) = sign(key, &head, &body).unwrap();
        receipts.push(receipt);
        head = next;
    }
    receipts
}

#[tokio::test]
async fn a_life_of_a_chain_that_begins_beside_another_is_noted_and_is_no_alarm() {
    let Scene { office, cast, open, _folder } = scene().await;
    let key = ReceiptKey::generate().unwrap();
    pinned(&office, &cast.connector, &key).await;
    let genesis = ChainHead::genesis(open.integration.clone());
    let after = |receipts: &[SignedReceipt]| {
        let receipts = receipts.iter();
        let lives = seal::receipt::verify(receipts, &[*key.public()], genesis.clone(), None).unwrap();
        lives.first().unwrap().head.clone()
    };
    let first = lived(&key, &open, &genesis, Some(1), 4);
    let second = after(&first[..2]);
    let restarted = lived(&key, &open, &after(&first), Some(2), 2);
    let copy = lived(&key, &open, &second, Some(3), 2);
    let empty = lived(&key, &open, &genesis, Some(4), 2);
    let silent = lived(&key, &open, &second, None, 2);
    let mut unsaid = lived(&key, &open, &second, Some(5), 1).remove(0);
    unsaid.body = unsaid.body.replace("\"life\"", "\"lyfe\"");
    // (name, receipts, lives noted in all, alarms in all)
    let table = [
        ("a life from its beginning", first, 0, 0),
        ("a memory that goes on", restarted, 0, 0),
        ("an old copy of the journal", copy.clone(), 1, 0),
        ("the same again", copy, 1, 0),
        ("an empty journal", empty, 2, 0),
        ("another history that says of no life", silent, 2, 1),
        ("a life that somebody else made unsaid", vec![unsaid], 2, 2),
    ];
    let mut next = 1;
    for (name, receipts, noted, alarmed) in table {
        let count = u64::try_from(receipts.len()).unwrap();
        tell(&office, &cast.connector, next, receipts.into_iter().map(Report::Receipt).collect()).await;
        next += count;
        let query =
            AuditQuery { what: Some("receipts.life_begun".into()), limit: 100, ..AuditQuery::default() };
        let entries = office.read().await.unwrap().audit(&query).await.unwrap();
        assert_eq!(entries.len(), noted, "{name}: {entries:?}");
        let found = alarms(&office).await;
        assert!(found.iter().all(|what| what == "alarm.receipt_chain_broken"), "{name}: {found:?}");
        assert_eq!(found.len(), alarmed, "{name}: {found:?}");
    }
}

#[tokio::test]
async fn keys_are_pinned_at_first_sight_and_later_ones_need_an_admins_word() {
    let Scene { office, cast, open, _folder } = scene().await;
    let (old, new) = (ReceiptKey::generate().unwrap(), ReceiptKey::generate().unwrap());
    pinned(&office, &cast.connector, &old).await;
    assert!(alarms(&office).await.is_empty(), "the first keys are no alarm");
    pinned(&office, &cast.connector, &new).await;
    pinned(&office, &cast.connector, &new).await;
    assert_eq!(alarms(&office).await, ["alarm.connector_keys_changed"], "one alarm, not one a hello");
    let receipt = chain(&new, &open, 1).pop().unwrap();
    tell(&office, &cast.connector, 1, vec![Report::Receipt(receipt)]).await;
    assert_eq!(alarms(&office).await.len(), 2, "a key that nobody accepted verifies");
    deed(&office, &cast.admin.who, |deed| {
        Box::pin(async move { connectors::accept_keys(deed, "north").await })
    })
    .await
    .unwrap();
    let found = office.read().await.unwrap().connector(&cast.connector).await.unwrap().unwrap();
    assert_eq!(found.receipt_keys().len(), 2, "an old key still verifies what is old");
    assert!(found.offered.is_empty());
}
