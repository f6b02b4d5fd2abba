//! Good and spoilt exports, by a table: `tidegate`, `tidegatectl` and the page's own program agree on each.

#![expect(clippy::unwrap_used, reason = "a table that cannot be made fails where it stands")]

use anyhow::ensure;
use e2e::command;
use e2e::programs::Programs;
use model::{
    AccountId, AccountName, ConnectorId, Deed, GranteeId, Incarnation, IntegrationId, ReceiptBody, Timestamp,
};
use seal::keys::ReceiptKey;
use seal::receipt::{ChainHead, Checkpoint, Line, SignedReceipt, sign};
use services::folder::Folder;
use services::process::workplace;
use tokio::process::Command;
use uuid::Uuid;

use super::{A_COMMAND, by_the_page};
use crate::unwrapped;

fn integration() -> IntegrationId {
    IntegrationId::parse("orders-db").unwrap()
}

/// Signs receipts of one memory onto a head; the first names it.
fn lived(key: &ReceiptKey, start: &ChainHead, memory: u128, count: i64) -> Vec<(SignedReceipt, ChainHead)> {
    let mut head = start.clone();
    let mut receipts = vec![];
    for n in 0..count {
        let body = ReceiptBody {
            at: Timestamp::from_secs(n),
            integration: integration(),
            target: None,
            account: Some(AccountId::from_uuid(Uuid::from_u128(memory))),
            account_name: Some(AccountName("tg_zoë \"\\\n".into())),
            immutable: None,
            grantee: Some(GranteeId::parse("zoe").unwrap()),
            access: None,
            deed: Deed::Deleted,
            read_back: None,
            residual: vec![],
            recorded_late: false,
            life: (n == 0 && memory != 0).then(|| Incarnation::from_uuid(Uuid::from_u128(memory))),
        };
        let (receipt, next) = sign(key, &head, &body).unwrap();
        receipts.push((receipt, next.clone()));
        head = next;
    }
    receipts
}

fn text(receipts: &[SignedReceipt]) -> String {
    receipts.iter().map(|receipt| Line::Receipt(receipt.clone()).to_text().unwrap() + "\n").collect()
}

fn pick(receipts: &[SignedReceipt], numbers: &[usize]) -> Vec<SignedReceipt> {
    numbers.iter().map(|number| receipts[number - 1].clone()).collect()
}

/// One export: what it is called, its text, a head that it must contain, and whether it is good.
type Row = (&'static str, String, Option<ChainHead>, bool);

fn table(key: &ReceiptKey) -> Vec<Row> {
    let genesis = ChainHead::genesis(integration());
    let (first, heads): (Vec<_>, Vec<_>) = lived(key, &genesis, 1, 6).into_iter().unzip();
    let (copy, of_copy): (Vec<_>, Vec<_>) = lived(key, &heads[2], 2, 3).into_iter().unzip();
    let (empty, of_empty): (Vec<_>, Vec<_>) = lived(key, &genesis, 3, 2).into_iter().unzip();
    let (silent, _): (Vec<_>, Vec<_>) = lived(key, &heads[2], 0, 3).into_iter().unzip();
    let (stranger, _): (Vec<_>, Vec<_>) =
        lived(&ReceiptKey::generate().unwrap(), &heads[2], 9, 1).into_iter().unzip();
    let last = |heads: &[ChainHead]| heads.last().unwrap().clone();
    let all = [first.as_slice(), &copy, &empty].concat();
    let ends = vec![last(&heads), last(&of_copy), last(&of_empty)];
    let connector = ConnectorId::parse("c").unwrap();
    let point = Checkpoint { connector, at: Timestamp::ZERO, heads: ends.clone() }.sign(key).unwrap();
    let checkpoint = Line::Checkpoint(point.clone()).to_text().unwrap() + "\n";
    let mut spoilt = point;
    spoilt.body = spoilt.body.replace("orders", "others");
    let spoilt = Line::Checkpoint(spoilt).to_text().unwrap() + "\n";
    let with = |receipts: &[SignedReceipt]| text(receipts) + &checkpoint;
    let one = |numbers: &[usize]| text(&pick(&first, numbers));
    let mut relabelled = stranger.clone();
    relabelled[0].key_id = key.id().clone();
    vec![
        ("nothing", String::new(), Some(genesis), true),
        ("one life", text(&first), Some(last(&heads)), true),
        ("one life and an older head", text(&first), Some(heads[3].clone()), true),
        ("three lives", text(&all), None, true),
        ("three lives and their heads", with(&all), Some(last(&of_copy)), true),
        ("a silent branch alone is the chain", text(&[&first[..3], &silent[..]].concat()), None, true),
        ("changed", text(&first).replacen("tg_zo", "tg_jo", 1), None, false),
        ("renumbered", text(&first).replacen("\"number\":6", "\"number\":7", 1), None, false),
        ("the first missing", one(&[2, 3, 4, 5, 6]), None, false),
        ("one missing", one(&[1, 2, 4, 5, 6]), None, false),
        ("two swapped", one(&[1, 3, 2, 4, 5, 6]), None, false),
        ("one twice", one(&[1, 2, 2, 3, 4]), None, false),
        ("one again later", one(&[1, 2, 3, 4, 2]), None, false),
        ("forked", text(&[first.as_slice(), &silent].concat()), None, false),
        ("another in its place", text(&[&first[..3], &silent[..1], &first[4..]].concat()), None, false),
        ("cut, and nobody knows", one(&[1, 2, 3]), None, true),
        ("cut, and a head is known", one(&[1, 2, 3]), Some(last(&heads)), false),
        (
            "another life cut",
            text(&[first.as_slice(), &copy[..2], &empty].concat()),
            Some(last(&of_copy)),
            false,
        ),
        ("another life gone, by the checkpoint", with(&[first.as_slice(), &copy].concat()), None, false),
        ("a life without its first", text(&[first.as_slice(), &copy[1..]].concat()), None, false),
        ("a life twice", text(&[all.as_slice(), &copy[..1]].concat()), None, false),
        ("a life begun by a stranger", text(&[first.as_slice(), &stranger].concat()), None, false),
        ("a stranger's under our name", text(&[first.as_slice(), &relabelled].concat()), None, false),
        ("a life made unsaid", text(&all).replace("\\\"life\\\"", "\\\"lyfe\\\""), None, false),
        ("a checkpoint changed", text(&all) + &spoilt, None, false),
    ]
}

#[tokio::test]
async fn three_verifiers_say_the_same_of_good_and_spoilt_exports() {
    let key = ReceiptKey::generate().unwrap();
    let folder = workplace("receipts").unwrap();
    let mut told_of_lives = 0;
    for (name, export, head, good) in table(&key) {
        let told = unwrapped(verify(&folder, &key, &export, head.as_ref()).await);
        let expected = [("tidegate", good), ("tidegatectl", good), ("the page", good)];
        let found = told.each_ref().map(|(who, taken, _)| (*who, *taken));
        assert_eq!(found, expected, "{name}: {told:#?}");
        let of_lives = told.each_ref().map(|(_, _, said)| good && said.contains(" lives"));
        assert!(of_lives == [of_lives[0]; 3], "{name}: not all tell of lives: {told:#?}");
        told_of_lives += usize::from(of_lives[0]);
    }
    assert_eq!(told_of_lives, 2, "lives are told where there are some");
}

type Said = (&'static str, bool, String);

/// Has an export verified by all three: whether each takes it, and what it says.
async fn verify(
    folder: &Folder,
    key: &ReceiptKey,
    export: &str,
    head: Option<&ChainHead>,
) -> anyhow::Result<[Said; 3]> {
    let programs = Programs::find()?;
    let file = folder.path().join("export.jsonl");
    let heads = folder.path().join("heads.json");
    std::fs::write(&file, export)?;
    let public = key.public().to_base64();
    let line = head.map(|head| format!("{}:{}:{}", head.integration, head.number, head.hash));

    let mut agent = Command::new(&programs.agent);
    agent.args(["receipts", "verify"]).arg(&file).args(["--key", &public]);
    let mut ctl = Command::new(&programs.ctl);
    ctl.args(["receipts", "verify"]).arg(&file).args(["--key", &public]);
    let mut arguments = vec![public.as_str()];
    if let (Some(head), Some(line)) = (head, &line) {
        agent.args(["--head", line]);
        std::fs::write(&heads, serde_json::to_string(&[head])?)?;
        ctl.arg("--head").arg(&heads);
        arguments.push(line);
    }
    for command in [&mut agent, &mut ctl] {
        command.current_dir(folder.path()).env_clear().env("HOME", folder.path());
    }
    let agent = command::run(agent, "", A_COMMAND).await?;
    let ctl = command::run(ctl, "", A_COMMAND).await?;
    let page = by_the_page(export, &arguments).await?;
    ensure!(agent.status.success() || agent.status.code() == Some(7), "tidegate could not: {agent:?}");
    ensure!(ctl.status.success() || ctl.status.code() == Some(1), "tidegatectl could not: {ctl:?}");
    ensure!(
        page.status.success() || page.err.contains("Error: ") || page.err.contains("InvalidSignature"),
        "{page:?}"
    );
    let said = |who, ended: e2e::command::Finished| (who, ended.status.success(), ended.out + &ended.err);
    Ok([said("tidegate", agent), said("tidegatectl", ctl), said("the page", page)])
}
