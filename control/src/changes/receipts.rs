//! Receipts: kept exactly as they came, and verified against the connector's pinned keys when they come.
//!
//! A break is an alarm, and stays with the receipt; the chain is then followed on from where it goes, so
//! that one break is one alarm and what comes after is still checked.

use model::receipt::Deed as Done;
use seal::receipt::{ChainCheck, ChainHead, Line, ReceiptFault, SignedReceipt};

use super::Deed;
use crate::record::{Connector, ReceiptRecord};
use crate::refusal::Refusal;

/// Takes a receipt.
///
/// # Errors
/// The store is not available.
pub async fn take(deed: &mut Deed<'_>, connector: &Connector, receipt: SignedReceipt) -> Result<(), Refusal> {
    let signed = match Line::Receipt(receipt.clone()).to_text() {
        Ok(signed) => signed,
        Err(fault) => {
            let subject = format!("connector/{}", connector.id);
            return Ok(deed.alarm("receipt_unreadable", subject, fault.to_string()).await?);
        }
    };
    let head = deed.rows.chain_head(&connector.id, &receipt.integration).await?;
    let head = head.unwrap_or_else(|| ChainHead::genesis(receipt.integration.clone()));
    if receipt.number <= head.number {
        let known = deed.rows.receipt(&connector.id, &receipt.integration, receipt.number).await?;
        if known.is_some_and(|known| known.signed == signed) {
            return Ok(());
        }
    }
    let (next, fault) = follow(&head, &receipt, connector);
    if let Some(next) = next {
        deed.rows.put_chain_head(&connector.id, &next).await?;
    }
    let (access, word) = match receipt.statement() {
        Ok(statement) => (statement.access, deed_word(&statement.deed)),
        Err(_) => (None, "unreadable"),
    };
    let record = ReceiptRecord {
        connector: connector.id.clone(),
        integration: receipt.integration.clone(),
        number: receipt.number,
        access,
        deed: word.into(),
        fault: fault.as_ref().map(ToString::to_string),
        received_at: deed.now,
        signed,
    };
    deed.rows.add_receipt(&record).await?;
    if let Some(fault) = fault {
        let subject = format!("receipt/{}/{}", receipt.integration, receipt.number);
        deed.alarm("receipt_chain_broken", subject, fault.to_string()).await?;
    }
    Ok(())
}

/// Returns where the chain stands after the receipt, and what is wrong with it. A receipt whose signature is
/// not good moves nothing.
fn follow(
    head: &ChainHead,
    receipt: &SignedReceipt,
    connector: &Connector,
) -> (Option<ChainHead>, Option<ReceiptFault>) {
    let keys = connector.receipt_keys();
    let mut check = ChainCheck::new(head.clone());
    let fault = match check.take(receipt, &keys) {
        Ok(()) => match check.finish(None) {
            Ok(next) => return (Some(next), None),
            Err(fault) => fault,
        },
        Err(fault) => fault,
    };
    if receipt.number <= head.number {
        return (None, Some(fault));
    }
    let own_place = ChainHead {
        integration: receipt.integration.clone(),
        number: receipt.number.saturating_sub(1),
        hash: receipt.previous.clone(),
    };
    let mut alone = ChainCheck::new(own_place);
    let next = alone.take(receipt, &keys).and_then(|()| alone.finish(None)).ok();
    (next, Some(fault))
}

const fn deed_word(deed: &Done) -> &'static str {
    match deed {
        Done::Opened { .. } => "opened",
        Done::Ended { .. } => "ended",
        Done::Undone { .. } => "undone",
        Done::Deleted => "deleted",
        Done::Canceled => "canceled",
        Done::Retired { .. } => "retired",
    }
}
