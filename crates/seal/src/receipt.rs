//! Receipts: signed statements in one chain per integration, and signed checkpoints over all chains.
//!
//! What is signed, how receipts follow each other, a verifier in another language, what receipts prove and
//! what they cannot: `docs/receipts.md`.

mod checkpoint;
mod life;
mod line;
mod verify;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{IntegrationId, KeyId, ReceiptBody};
use serde::{Deserialize, Serialize};

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use life::{Beginning, Life, told};
pub use line::{Line, LineFault};
pub use verify::{ChainCheck, Place, ReceiptFault, place, verify, verify_all};

use crate::frame::framed;
use crate::keys::{KeyFault, ReceiptKey, ReceiptPublic, hex};

const LABEL: &[u8] = b"tidegate receipt v1";

/// Why a receipt or checkpoint cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignFault {
    #[error(
        "the receipt is about integration {found} and the chain is {chain}'s: use that integration's head"
    )]
    OtherChain { found: IntegrationId, chain: IntegrationId },
    #[error("the chain of {integration} has used up its numbers")]
    Full { integration: IntegrationId },
    #[error("the statement cannot be written as JSON: {detail}")]
    Unwritable { detail: String },
    #[error("the receipt key cannot sign: {0}")]
    Key(#[from] KeyFault),
}

/// Where a chain stands: what the next receipt continues.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChainHead {
    pub integration: IntegrationId,
    /// The number of the last receipt; 0 before the first.
    pub number: u64,
    /// The link of the last receipt; 64 zeros before the first.
    pub hash: String,
}

impl ChainHead {
    /// Returns the head of a chain that has no receipt yet.
    pub fn genesis(integration: IntegrationId) -> Self {
        Self { integration, number: 0, hash: "0".repeat(64) }
    }
}

/// A receipt with its place in its integration's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedReceipt {
    pub integration: IntegrationId,
    /// One more than that of the receipt before this one; 1 for the first.
    pub number: u64,
    /// The link of the receipt before this one; 64 zeros for the first.
    pub previous: String,
    /// The exact text that is signed: a [`ReceiptBody`] as JSON.
    pub body: String,
    pub key_id: KeyId,
    pub signature: String,
}

impl SignedReceipt {
    /// Reads what the receipt states. Says nothing of whether it is true or even signed: verify it first.
    ///
    /// # Errors
    /// When the body is not a statement that this build knows.
    pub fn statement(&self) -> Result<ReceiptBody, serde_json::Error> {
        serde_json::from_str(&self.body)
    }

    fn signed_bytes(&self) -> Vec<u8> {
        framed(&[
            LABEL,
            self.integration.as_str().as_bytes(),
            self.number.to_string().as_bytes(),
            self.previous.as_bytes(),
            self.body.as_bytes(),
            self.key_id.0.as_bytes(),
        ])
    }
}

fn link(signed: &[u8], signature: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(signed);
    context.update(&framed(&[signature]));
    let mut link = [0; 32];
    link.copy_from_slice(context.finish().as_ref());
    link
}

fn key_of<'k>(keys: &'k [ReceiptPublic], id: &KeyId) -> Option<&'k ReceiptPublic> {
    keys.iter().find(|key| key.id() == *id)
}

/// Signs a statement as the next receipt of its chain, and returns the head after it. The same key, head
/// and statement give the same receipt: keep the new head together with the receipt, or neither.
///
/// # Errors
/// [`SignFault::OtherChain`] when statement and head are of different integrations.
pub fn sign(
    key: &ReceiptKey,
    head: &ChainHead,
    statement: &ReceiptBody,
) -> Result<(SignedReceipt, ChainHead), SignFault> {
    if statement.integration != head.integration {
        return Err(SignFault::OtherChain {
            found: statement.integration.clone(),
            chain: head.integration.clone(),
        });
    }
    let body = serde_json::to_string(statement)
        .map_err(|fault| SignFault::Unwritable { detail: fault.to_string() })?;
    sign_text(key, head, body)
}

fn sign_text(
    key: &ReceiptKey,
    head: &ChainHead,
    body: String,
) -> Result<(SignedReceipt, ChainHead), SignFault> {
    let number = head
        .number
        .checked_add(1)
        .ok_or_else(|| SignFault::Full { integration: head.integration.clone() })?;
    let mut receipt = SignedReceipt {
        integration: head.integration.clone(),
        number,
        previous: head.hash.clone(),
        body,
        key_id: key.id().clone(),
        signature: String::new(),
    };
    let signed = receipt.signed_bytes();
    let signature = key.sign(&signed)?;
    receipt.signature = STANDARD.encode(&signature);
    let hash = hex(&link(&signed, &signature));
    Ok((receipt, ChainHead { integration: head.integration.clone(), number, hash }))
}

#[cfg(test)]
mod tests;
