//! `tidegate receipts`: what the agent states that it did, signed, for others to verify.
//!
//! Exporting reads the journal, beside the agent when one runs. Verifying reads the journal or an export, with this connector's public keys or given ones, so that it can be done elsewhere.

mod checker;

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::{Args as Arguments, Subcommand};
use model::IntegrationId;
use model::durable::Table;
use rules::book::IntegrationRecord;
use seal::keys::ReceiptPublic;
use seal::receipt::{ChainHead, Checkpoint, Life, Line, SignedReceipt, told};
use serde_json::json;

use super::export::Export;
use super::fault::Fault;
use super::print::many;
use super::shared::{block_on, identity, with_journal};
use super::{Context, Ended};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::exit::Exit;
use crate::journals::Beside;
use checker::Checker;

/// How many receipts are read at once.
const PAGE: u32 = 256;
/// The longest line of an export, in bytes: a receipt with its frame.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

const EXAMPLES: &str = "\
Examples:
  tidegate receipts export --out receipts.jsonl
  tidegate receipts verify                                  # those of the journal
  tidegate receipts verify receipts.jsonl --key BASE64      # anywhere, with the public key alone
  tidegate receipts verify receipts.jsonl --head orders-db:4711:9f86d081884c7d65…

What verifying cannot detect: that the connector stated what is not true, or that the newest receipts are
held back, unless a checkpoint in the file or a --head from elsewhere names them.";

/// What the agent did, signed
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write all receipts as JSON lines, and a signed checkpoint after them
    #[command(after_help = EXAMPLES)]
    Export {
        /// Where to [default: the standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Only those of these integrations
        #[arg(long = "integration", value_name = "ID")]
        integrations: Vec<IntegrationId>,
    },
    /// Verify that no receipt was changed, left out or moved
    #[command(after_help = EXAMPLES)]
    Verify {
        /// An export, `-` for the standard input [default: the journal]
        file: Option<PathBuf>,
        /// Public receipt key [default: those of this connector's identity]
        #[arg(long = "key", value_name = "BASE64", value_parser = ReceiptPublic::from_base64)]
        keys: Vec<ReceiptPublic>,
        /// A head that the receipts must contain, as an earlier verification printed it
        #[arg(long = "head", value_name = "INTEGRATION:NUMBER:HASH", value_parser = head)]
        heads: Vec<ChainHead>,
    },
}

fn head(text: &str) -> Result<ChainHead, String> {
    let fault = || "write it as INTEGRATION:NUMBER:HASH, the hash as 64 hex digits".to_owned();
    let mut parts = text.splitn(3, ':');
    let (Some(integration), Some(number), Some(hash)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(fault());
    };
    let hash = hash.to_ascii_lowercase();
    if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(fault());
    }
    Ok(ChainHead {
        integration: integration.parse().map_err(|fault: model::id::IdFault| fault.to_string())?,
        number: number.parse().map_err(|_| fault())?,
        hash,
    })
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    match &args.what {
        What::Export { out, integrations } => export(context, out.as_deref(), integrations),
        What::Verify { file, keys, heads } => verify(context, file.as_deref(), keys, heads),
    }
}

fn export(context: &Context, out: Option<&Path>, only: &[IntegrationId]) -> Ended {
    let config = context.config()?;
    let (_, identity) = identity(&config)?;
    let mut to = Export::to(out)?;
    let heads = block_on(async {
        with_journal(context, &config, async |journal| {
            let mut heads = vec![];
            for chain in chains(journal).await? {
                if only.is_empty() || only.contains(&chain.integration) {
                    each(journal, &chain, |receipt| to.line(&text(&Line::Receipt(receipt))?)).await?;
                    heads.push(chain);
                }
            }
            Ok(heads)
        })
        .await
    })?;
    let heads = heads.unwrap_or_default();
    let count: u64 = heads.iter().map(|head| head.number).sum();
    let checkpoint = Checkpoint { connector: identity.connector, at: SystemClock.wall(), heads };
    to.line(&text(&Line::Checkpoint(checkpoint.sign(&identity.receipt)?))?)?;
    to.finish()?;
    context.printer.note(&format!(
        "{} of {}.",
        many(count, "receipt", "receipts"),
        many(checkpoint.heads.len(), "integration", "integrations")
    ));
    Ok(Exit::Done)
}

fn text(line: &Line) -> Result<String, Fault> {
    line.to_text().map_err(|fault| Fault::Line { line: 0, fault })
}

/// Returns where each integration's chain ends.
async fn chains(journal: &Beside) -> Result<Vec<ChainHead>, Fault> {
    let mut heads = vec![];
    for row in journal.load().await?.rows.iter().filter(|row| row.table == Table::Integration) {
        let record: IntegrationRecord = serde_json::from_str(&row.body).map_err(|fault| Fault::Row {
            key: format!("`{}` of `{}`", row.key, row.table.word()),
            detail: fault.to_string(),
        })?;
        let genesis = ChainHead::genesis(record.integration.id);
        heads.push(if record.chain.number == 0 {
            genesis
        } else {
            ChainHead { number: record.chain.number, hash: record.chain.hash, ..genesis }
        });
    }
    Ok(heads)
}

/// Reads a chain page by page.
async fn each(
    journal: &Beside,
    chain: &ChainHead,
    mut take: impl FnMut(SignedReceipt) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut after = 0;
    loop {
        let page = journal.receipts(&chain.integration, after, PAGE).await?;
        let Some(last) = page.last().filter(|_| after < chain.number) else { return Ok(()) };
        after = last.number;
        // A running agent may have added more than its head names.
        for stored in page.into_iter().filter(|stored| stored.number <= chain.number) {
            let receipt = serde_json::from_str(&stored.body).map_err(|fault| Fault::Row {
                key: format!("of receipt {} of {}", stored.number, stored.integration),
                detail: fault.to_string(),
            })?;
            take(receipt)?;
        }
    }
}

fn verify(context: &Context, file: Option<&Path>, keys: &[ReceiptPublic], heads: &[ChainHead]) -> Ended {
    let keys = match keys {
        [] => identity(&context.config()?)?.1.receipt_publics,
        given => given.to_vec(),
    };
    let mut checker = Checker::new(keys);
    match file {
        None => of_journal(context, &context.config()?, &mut checker)?,
        Some(path) if path == Path::new("-") => of_lines(io::stdin().lock(), path, &mut checker)?,
        Some(path) => {
            let fault = |cause| Fault::File { doing: "read", path: path.into(), cause };
            of_lines(BufReader::new(File::open(path).map_err(fault)?), path, &mut checker)?;
        }
    }
    for head in heads {
        checker.expect(head)?;
    }
    let (count, chains) = (checker.count(), checker.finish()?);
    let heads: Vec<&Life> = chains.iter().flatten().collect();
    let answer = json!({ "verified": true, "receipts": count, "heads": heads });
    context.printer.answer(&answer, |lines| {
        lines.push(format!(
            "{} of {} {}.",
            many(count, "receipt", "receipts"),
            many(chains.len(), "integration", "integrations"),
            if count == 1 { "verifies" } else { "verify" }
        ));
        for Life { head, .. } in &heads {
            lines.push(format!("{}:{}:{}", head.integration, head.number, head.hash));
        }
        chains.iter().flat_map(|lives| told(lives)).for_each(|line| lines.push(line));
    })?;
    Ok(Exit::Done)
}

fn of_journal(context: &Context, config: &Config, checker: &mut Checker) -> Result<(), Fault> {
    let looked = block_on(async {
        with_journal(context, config, async |journal| {
            for chain in chains(journal).await? {
                each(journal, &chain, |receipt| checker.receipt(&receipt)).await?;
                checker.expect(&chain)?;
            }
            Ok(())
        })
        .await
    });
    looked.map(|_| ())
}

fn of_lines(mut from: impl io::BufRead, path: &Path, checker: &mut Checker) -> Result<(), Fault> {
    let fault = |cause| Fault::File { doing: "read", path: path.into(), cause };
    for number in 1.. {
        let mut text = String::new();
        let read = from.by_ref().take(LONGEST_LINE).read_line(&mut text).map_err(fault)?;
        if read == 0 {
            break;
        }
        if text.trim().is_empty() {
            continue;
        }
        match Line::from_text(text.trim_end()).map_err(|fault| Fault::Line { line: number, fault })? {
            Line::Receipt(receipt) => checker.receipt(&receipt)?,
            Line::Checkpoint(checkpoint) => checker.checkpoint(&checkpoint)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_printed() {
        let hash = "0f".repeat(32);
        let table = [
            (format!("orders-db:12:{hash}"), true),
            (format!("orders-db:12:{}", hash.to_uppercase()), true),
            (format!("orders-db:x:{hash}"), false),
            (format!("orders db:1:{hash}"), false),
            ("orders-db:12:0f".into(), false),
            ("orders-db:12".into(), false),
            (format!("orders-db:12:{}", "zz".repeat(32)), false),
        ];
        for (text, taken) in table {
            assert_eq!(head(&text).is_ok(), taken, "{text}");
        }
        assert_eq!(head(&format!("a:12:{hash}")).unwrap().number, 12);
    }
}
