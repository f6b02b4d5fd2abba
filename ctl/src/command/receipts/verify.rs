//! `receipts verify`: whether exported chains are whole, in order, and signed by the connector's keys.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use model::IntegrationId;
use seal::keys::ReceiptPublic;
use seal::receipt::{ChainCheck, ChainHead, Life, Line, SignedCheckpoint, SignedReceipt};
use serde::Deserialize;
use serde_json::json;

use crate::api::read;
use crate::command::Desk;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::Table;
use crate::shape::Connector;

/// Largest file, in bytes.
const LARGEST: u64 = 1024 * 1024 * 1024;

/// What to verify, and with what.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An export; `-` for the standard input [default: the chain of --integration, from the server]
    #[arg(value_name = "FILE", required_unless_present = "integration", conflicts_with = "integration")]
    file: Option<PathBuf>,
    /// Verify this integration's chain as the server has it
    #[arg(long, value_name = "ID")]
    integration: Option<IntegrationId>,
    /// A public receipt key of the connector, as `tidegate keys show` prints it; may be given more than once
    /// [default: the keys that the control plane pinned]
    #[arg(long, value_name = "BASE64")]
    key: Vec<String>,
    /// Heads that the chains must contain: the JSON output of an earlier verify, or a signed checkpoint
    #[arg(long, value_name = "FILE")]
    head: Vec<PathBuf>,
    /// Heads after which the chains begin, when the export does not begin at number 1
    #[arg(long, value_name = "FILE")]
    start: Option<PathBuf>,
}

pub(super) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let text = match (&args.file, &args.integration) {
        (Some(path), _) => file(path)?,
        (None, Some(integration)) => {
            let bytes = super::exported(desk, integration, None).await?;
            String::from_utf8(bytes).map_err(|fault| Fault::system("read the export", &fault))?
        }
        (None, None) => {
            return Err(Fault::usage("verify receipts", "none are named", "give FILE or --integration"));
        }
    };
    let keys = keys(&args, desk).await?;
    let (chains, checkpoints) = lines(&text)?;
    let mut expected: BTreeMap<IntegrationId, Vec<ChainHead>> = BTreeMap::new();
    let mut trusted = vec![];
    for path in &args.head {
        trusted.extend(heads(path, &keys)?);
    }
    for checkpoint in &checkpoints {
        trusted.extend(opened(checkpoint, &keys)?);
    }
    for head in trusted {
        expected.entry(head.integration.clone()).or_default().push(head);
    }
    let mut starts: BTreeMap<IntegrationId, Vec<ChainHead>> = BTreeMap::new();
    if let Some(path) = &args.start {
        for head in heads(path, &keys)? {
            starts.entry(head.integration.clone()).or_default().push(head);
        }
    }
    let found = verified(&chains, &expected, &starts, &keys)?;
    desk.printer.answer(&json!(found), |text| {
        let mut table = Table::new(&["INTEGRATION", "RECEIPTS", "HEAD"]);
        for Life { head, .. } in &found {
            table.row([head.integration.to_string(), head.number.to_string(), head.hash.clone()]);
        }
        text.table(&table);
        text.line("Whole, in order, and signed by the given keys.");
        for lives in found.chunk_by(|one, next| one.head.integration == next.head.integration) {
            for line in seal::receipt::told(lives) {
                text.line(&line);
            }
        }
    })?;
    if expected.is_empty() {
        desk.printer.note("without --head it is not known whether newer receipts were held back");
    }
    Ok(Exit::Ok)
}

type Chains = BTreeMap<IntegrationId, Vec<SignedReceipt>>;

fn verified(
    chains: &Chains,
    expected: &BTreeMap<IntegrationId, Vec<ChainHead>>,
    starts: &BTreeMap<IntegrationId, Vec<ChainHead>>,
    keys: &[ReceiptPublic],
) -> Result<Vec<Life>, Fault> {
    let bad = |fault: seal::receipt::ReceiptFault| {
        Fault::new(Exit::Failed, "verify the receipts", fault.to_string())
            .or("keep what you have, and ask who runs control plane and agent how it came about")
    };
    let mut found = vec![];
    let mut named: Vec<&IntegrationId> = chains.keys().chain(expected.keys()).collect();
    named.sort();
    named.dedup();
    for integration in named {
        let mut starts = starts.get(integration).into_iter().flatten().cloned();
        let start = starts.next().unwrap_or_else(|| ChainHead::genesis(integration.clone()));
        let mut check = ChainCheck::after(start, starts);
        for receipt in chains.get(integration).into_iter().flatten() {
            check.take(receipt, keys).map_err(bad)?;
        }
        for wanted in expected.get(integration).into_iter().flatten() {
            check.contains(wanted).map_err(bad)?;
        }
        found.extend(check.finish(None).map_err(bad)?);
    }
    Ok(found)
}

async fn keys(args: &Args, desk: &Desk<'_>) -> Result<Vec<ReceiptPublic>, Fault> {
    let what = "read the receipt keys";
    let mut texts = args.key.clone();
    if texts.is_empty() {
        let (api, _) = desk.api()?;
        let (items, _) = api.list(&["connectors"], &[], None, what).await?;
        let connectors: Vec<Connector> = read(items.into(), what)?;
        let all = connectors.into_iter().flat_map(|connector| connector.keys);
        texts = all.filter(|key| key.purpose == "receipts").map(|key| key.public_key).collect();
        desk.printer
            .note("the keys are those that the control plane pinned; give --key to believe only the agent's");
    }
    let keys = texts.iter().map(|text| {
        ReceiptPublic::from_base64(text)
            .map_err(|fault| Fault::usage(what, fault.to_string(), "copy it from `tidegate keys show`"))
    });
    keys.collect()
}

fn file(path: &Path) -> Result<String, Fault> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(LARGEST).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text))
    };
    let what = format!("read {}", path.display());
    read.map_err(|fault| Fault::new(Exit::Usage, what, fault.to_string()).or("name an export"))?;
    Ok(text)
}

/// Takes lines apart: receipts by chain, and checkpoints. A receipt may stand there with or without the word
/// that says that it is one.
fn lines(text: &str) -> Result<(Chains, Vec<SignedCheckpoint>), Fault> {
    let (mut chains, mut checkpoints): (Chains, _) = (BTreeMap::new(), vec![]);
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let bare = || serde_json::from_str::<SignedReceipt>(line).map(Line::Receipt);
        let line = Line::from_text(line)
            .or_else(|fault| bare().map_err(|_| fault))
            .map_err(|fault| Fault::new(Exit::Failed, format!("read line {}", n + 1), fault.to_string()))?;
        match line {
            Line::Receipt(receipt) => chains.entry(receipt.integration.clone()).or_default().push(receipt),
            Line::Checkpoint(checkpoint) => checkpoints.push(checkpoint),
        }
    }
    Ok((chains, checkpoints))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Heads {
    Many(Vec<ChainHead>),
    One(ChainHead),
}

/// Reads heads that were kept: the output of an earlier run, or a signed checkpoint.
fn heads(path: &Path, keys: &[ReceiptPublic]) -> Result<Vec<ChainHead>, Fault> {
    let text = file(path)?;
    match serde_json::from_str(&text) {
        Ok(Heads::Many(heads)) => Ok(heads),
        Ok(Heads::One(head)) => Ok(vec![head]),
        Err(_) => match Line::from_text(text.trim()) {
            Ok(Line::Checkpoint(checkpoint)) => opened(&checkpoint, keys),
            Ok(Line::Receipt(_)) | Err(_) => Err(Fault::usage(
                format!("read the heads in {}", path.display()),
                "it holds neither heads nor a checkpoint",
                "keep the output of: tidegatectl receipts verify … -o json",
            )),
        },
    }
}

fn opened(checkpoint: &SignedCheckpoint, keys: &[ReceiptPublic]) -> Result<Vec<ChainHead>, Fault> {
    let opened = checkpoint.verify(keys);
    opened
        .map(|checkpoint| checkpoint.heads)
        .map_err(|fault| Fault::new(Exit::Failed, "verify the checkpoint", fault.to_string()))
}
