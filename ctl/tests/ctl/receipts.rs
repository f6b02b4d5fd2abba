use model::{AccountName, Deed, GranteeId, IntegrationId, ReceiptBody, Timestamp};
use seal::keys::ReceiptKey;
use seal::receipt::{ChainHead, Checkpoint, Line, SignedReceipt, sign};
use serde_json::json;

use crate::samples::{self, connector};
use crate::server::Reply;
use crate::world::{World, page};

struct Chain {
    key: ReceiptKey,
    lines: Vec<String>,
    heads: Vec<ChainHead>,
}

fn statement(at: i64, integration: &IntegrationId) -> ReceiptBody {
    ReceiptBody {
        at: Timestamp::from_secs(at),
        integration: integration.clone(),
        target: None,
        account: Some(samples::ACCOUNT.parse().unwrap()),
        account_name: Some(AccountName("tg_ann".into())),
        immutable: None,
        grantee: Some(GranteeId::parse(samples::ANN).unwrap()),
        access: None,
        deed: Deed::Deleted,
        read_back: None,
        residual: vec![],
        recorded_late: false,
        life: None,
    }
}

fn chain(count: usize) -> Chain {
    let key = ReceiptKey::generate().unwrap();
    let integration = IntegrationId::parse("shop-db").unwrap();
    let mut heads = vec![ChainHead::genesis(integration.clone())];
    let mut lines = vec![];
    for n in 0..count {
        let body = statement(i64::try_from(n).unwrap(), &integration);
        let (receipt, head) = sign(&key, heads.last().unwrap(), &body).unwrap();
        lines.push(Line::Receipt(receipt).to_text().unwrap());
        heads.push(head);
    }
    Chain { key, lines, heads }
}

impl Chain {
    fn public(&self) -> String {
        self.key.public().to_base64()
    }
}

#[test]
fn a_chain_is_exported_as_signed_and_verified() {
    let world = World::logged_in();
    let chain = chain(3);
    let text = chain.lines.join("\n") + "\n";
    world.server.on("GET", "/receipts/export", Reply::Text(text.clone()));
    let keys = json!([{ "purpose": "receipts", "key_id": "k", "public_key": chain.public(), "fingerprint": "00", "current": true }]);
    world.server.json("GET", "/connectors", page(&[connector("eu", &keys)]));
    assert_eq!(world.run(&["receipts", "export", "--integration", "shop-db", "--after", "0"]).ok(), text);
    world.run(&["receipts", "export", "--integration", "shop-db", "--to", "chain.jsonl"]).ok();
    assert_eq!(std::fs::read_to_string(world.path("chain.jsonl")).unwrap(), text);
    let seen = world.server.seen();
    assert_eq!((seen[0].query("integration"), seen[0].query("after")), (Some("shop-db"), Some("0")));
    let ended = world.run(&["receipts", "verify", "--integration", "shop-db"]);
    assert!(ended.err.contains("keys are those that the control plane pinned"), "{ended:?}");
    assert!(ended.err.contains("newer receipts were held back"), "{ended:?}");
    let hash = &chain.heads[3].hash;
    assert_eq!(
        ended.ok(),
        format!(
            "INTEGRATION  RECEIPTS  HEAD\nshop-db      3         {hash}\nWhole, in order, and signed by the given keys.\n"
        )
    );
    let kept = world.run(&["receipts", "verify", "chain.jsonl", "--key", &chain.public(), "-o", "json"]).ok();
    world.write("heads.json", &kept);
    world.run(&["receipts", "verify", "chain.jsonl", "--key", &chain.public(), "--head", "heads.json"]).ok();
}

#[test]
fn tampering_is_found() {
    let world = World::fresh();
    let chain = chain(4);
    let key = chain.public();
    let other = ReceiptKey::generate().unwrap().public().to_base64();
    let heads = |name: &str, number: usize| world.write(name, &json!([chain.heads[number]]).to_string());
    let (second, last) = (heads("second.json", 2), heads("last.json", 4));
    let connector = model::ConnectorId::parse("eu").unwrap();
    let point = Checkpoint { connector, at: Timestamp::ZERO, heads: vec![chain.heads[4].clone()] };
    let checkpoint = Line::Checkpoint(point.sign(&chain.key).unwrap()).to_text().unwrap();
    let point = world.write("point.json", &checkpoint);
    let pick =
        |numbers: &[usize]| numbers.iter().map(|n| chain.lines[n - 1].clone()).collect::<Vec<_>>().join("\n");
    let all = pick(&[1, 2, 3, 4]);
    type Row<'r> = (&'r str, String, Vec<&'r str>, &'r str, Option<&'r str>);
    let table: [Row<'_>; 12] = [
        ("whole", all.clone(), vec![], &key, None),
        ("whole, with heads", all.clone(), vec!["--head", &second, "--head", &last], &key, None),
        ("whole, with its checkpoint", format!("{all}\n{checkpoint}"), vec!["--head", &point], &key, None),
        ("cut, but nobody knows", pick(&[1, 2]), vec!["--head", &second], &key, None),
        ("cut", pick(&[1, 2]), vec!["--head", &last], &key, Some("was cut")),
        (
            "cut before its checkpoint",
            format!("{}\n{checkpoint}", pick(&[1, 2])),
            vec![],
            &key,
            Some("was cut"),
        ),
        ("changed", all.replace("tg_ann", "tg_eve"), vec![], &key, Some("was changed")),
        ("one left out", pick(&[1, 3, 4]), vec![], &key, Some("is missing")),
        ("swapped", pick(&[1, 3, 2]), vec![], &key, Some("wrong place")),
        ("signed by another", all, vec![], &other, Some("none of the given keys")),
        ("a later part alone", pick(&[3, 4]), vec![], &key, Some("is missing")),
        ("a later part after a head", pick(&[3, 4]), vec!["--start", &second, "--head", &last], &key, None),
    ];
    for (name, text, more, key, fault) in table {
        let file = world.write("export", &text);
        let mut args = vec!["receipts", "verify", &file, "--key", key];
        args.extend(more);
        let ended = world.run(&args);
        match fault {
            None => assert_eq!(ended.code, 0, "{name}: {ended:?}"),
            Some(words) => drop(ended.fails(1, &[words])),
        }
    }
    world.feed(&["receipts", "verify", "-", "--key", &key], "rubbish").fails(1, &["could not read line 1"]);
    world.run(&["receipts", "verify"]).fails(2, &["<FILE>"]);
}

#[test]
fn lives_are_told_and_each_keeps_its_head() {
    let world = World::fresh();
    let first = chain(3);
    let integration = IntegrationId::parse("shop-db").unwrap();
    let body = |life: u128| {
        let life = Some(model::Incarnation::from_uuid(uuid::Uuid::from_u128(life)));
        ReceiptBody { life, ..statement(7, &integration) }
    };
    // An old copy of the journal that ends at 2, and an empty one.
    let (copy, _) = sign(&first.key, &first.heads[2], &body(2)).unwrap();
    let (empty, _) = sign(&first.key, &first.heads[0], &body(3)).unwrap();
    let lines = |receipts: [&SignedReceipt; 2]| {
        receipts.map(|receipt| Line::Receipt(receipt.clone()).to_text().unwrap()).join("\n")
    };
    let text = format!("{}\n{}\n", first.lines.join("\n"), lines([&copy, &empty]));
    let file = world.write("lives", &text);
    let key = first.public();
    let verify = ["receipts", "verify", &file, "--key", &key];
    let said = world.run(&verify).ok();
    let told = ["shop-db has 3 lives: ", "life 2: from receipt 3 of ", "life 3: from receipt 1 of "];
    assert!(told.iter().all(|told| said.contains(told)), "{said}");

    let heads = world.run(&[&verify[..], &["-o", "json"]].concat()).ok();
    let kept = world.write("heads.json", &heads);
    let read: Vec<serde_json::Value> = serde_json::from_str(&heads).unwrap();
    let numbers: Vec<_> = read.iter().map(|head| (&head["number"], &head["begins"]["number"])).collect();
    assert_eq!(numbers, [(&json!(3), &json!(1)), (&json!(3), &json!(3)), (&json!(1), &json!(1))]);
    world.run(&[&verify[..], &["--head", &kept]].concat()).ok();
    // What comes later begins after the heads of all lives.
    let (later, _) = sign(&first.key, &first.heads[3], &statement(8, &integration)).unwrap();
    world.write("lives", &Line::Receipt(later).to_text().unwrap());
    world.run(&[&verify[..], &["--start", &kept, "--head", &kept]].concat()).ok();
    world.write("lives", &text.replace(&lines([&copy, &empty]), ""));
    world.run(&[&verify[..], &["--head", &kept]].concat()).fails(1, &["two different histories"]);
}

#[test]
fn receipts_are_listed() {
    let world = World::logged_in();
    let one = |number: u64, verified: bool| {
        json!({ "connector": "eu", "integration": "shop-db", "number": number, "access": "acc-1", "deed": "ended",
            "verified": verified, "fault": if verified { json!(null) } else { json!("foreign key") },
            "received_at": samples::AT, "signed": "{}" })
    };
    world.server.json("GET", "/receipts", page(&[one(1, true), one(2, false)]));
    assert_eq!(
        world.run(&["receipts", "list", "--access", "acc-1"]).ok(),
        "INTEGRATION  NUMBER  DEED   ACCESS  RECEIVED              VERIFIED\n\
         shop-db      1       ended  acc-1   2026-03-01T10:00:00Z  yes\n\
         shop-db      2       ended  acc-1   2026-03-01T10:00:00Z  no: foreign key\n"
    );
    assert_eq!(world.server.seen()[0].query("access"), Some("acc-1"));
}
