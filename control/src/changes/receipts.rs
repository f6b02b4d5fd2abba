//! Receipts: kept exactly as they came, and verified against the connector's pinned keys when they come.
//!
//! A break is an alarm, and stays with the receipt; what follows it is still checked, so that one break is one
//! alarm. That a life of the chain begins beside another is no break: it is noted, and told by who verifies.

use model::receipt::Deed as Done;
use seal::receipt::{Line, Place, SignedReceipt, place};
use serde_json::json;

use super::Deed;
use crate::record::{Connector, ReceiptRecord};
use crate::refusal::Refusal;

/// At most this many receipts of one number are compared; honest lives are fewer.
const COMPARED: u32 = 256;

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
    let (integration, number) = (&receipt.integration, receipt.number);
    let beside = deed.rows.receipts_numbered(&connector.id, integration, number, COMPARED).await?;
    if beside.iter().any(|kept| kept.signed == signed) {
        return Ok(());
    }
    let number_before = number.saturating_sub(1);
    let before = deed.rows.receipts_numbered(&connector.id, integration, number_before, COMPARED).await?;
    let found = place(&receipt, &connector.receipt_keys(), &as_signed(&before), &as_signed(&beside));
    let (access, word) = match receipt.statement() {
        Ok(statement) => (statement.access, deed_word(&statement.deed)),
        Err(_) => (None, "unreadable"),
    };
    let record = ReceiptRecord {
        connector: connector.id.clone(),
        integration: integration.clone(),
        number,
        access,
        deed: word.into(),
        fault: found.as_ref().err().map(ToString::to_string),
        received_at: deed.now,
        signed,
    };
    deed.rows.add_receipt(&record).await?;
    let subject = format!("receipt/{integration}/{number}");
    match found {
        Ok(Place::GoesOn) => {}
        Ok(Place::Begins(beginning)) => {
            let detail = "the agent's journal was lost, or an old copy of it was put back";
            let after = json!({ "life": beginning.life, "at": beginning.at, "detail": detail });
            deed.note("receipts.life_begun", subject, None, Some(after)).await?;
        }
        Err(fault) => deed.alarm("receipt_chain_broken", subject, fault.to_string()).await?,
    }
    Ok(())
}

fn as_signed(kept: &[ReceiptRecord]) -> Vec<SignedReceipt> {
    let read = |kept: &ReceiptRecord| match Line::from_text(&kept.signed) {
        Ok(Line::Receipt(receipt)) => Some(receipt),
        Ok(Line::Checkpoint(_)) | Err(_) => None,
    };
    kept.iter().filter_map(read).collect()
}

const fn deed_word(deed: &Done) -> &'static str {
    match deed {
        Done::Opened { .. } => "opened",
        Done::Extended { .. } => "extended",
        Done::Rotated { .. } => "rotated",
        Done::Ended { .. } => "ended",
        Done::Undone { .. } => "undone",
        Done::Deleted => "deleted",
        Done::Canceled => "canceled",
        Done::Retired { .. } => "retired",
    }
}
