//! Verifying a chain of receipts: what was tampered with, by name.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{IntegrationId, KeyId};

use super::{ChainHead, Checkpoint, SignedReceipt, key_of, link};
use crate::keys::{ReceiptPublic, hex};

/// What is wrong with receipts or a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    #[error("receipt {number} of {integration} was changed: its signature does not verify")]
    Changed { integration: IntegrationId, number: u64 },
    #[error("receipt {number} of {integration} is missing")]
    Missing { integration: IntegrationId, number: u64 },
    #[error("receipt {number} of {integration} stands in the wrong place, or twice")]
    Reordered { integration: IntegrationId, number: u64 },
    #[error("the chain of {integration} has two different histories at receipt {number}")]
    Forked { integration: IntegrationId, number: u64 },
    #[error("receipt {number} of {integration} is signed by key {}, which is none of the given keys", .key.0)]
    ForeignKey { integration: IntegrationId, number: u64, key: KeyId },
    #[error("a receipt of {found} stands in the chain of {chain}")]
    OtherChain { found: IntegrationId, chain: IntegrationId },
    #[error("the chain of {integration} was cut: it ends at receipt {found} and must reach {expected}")]
    Truncated { integration: IntegrationId, expected: u64, found: u64 },
    #[error(
        "the chain of {integration} is read from receipt {start} on, so its head at {head} cannot be compared: give the receipts before it, too"
    )]
    StartTooLate { integration: IntegrationId, start: u64, head: u64 },
    #[error("the checkpoint was changed: its signature does not verify")]
    CheckpointChanged,
    #[error("the checkpoint is signed by key {}, which is none of the given keys", .key.0)]
    CheckpointForeignKey { key: KeyId },
    #[error("the checkpoint verifies, but this build cannot read it: {detail}")]
    CheckpointUnreadable { detail: String },
}

/// Verifies one chain, receipt by receipt. Keeps 32 bytes for each receipt seen.
#[derive(Debug)]
pub struct ChainCheck {
    start: ChainHead,
    head: ChainHead,
    /// The links of the receipts after `start`, in order.
    links: Vec<[u8; 32]>,
    /// The first number that was not where it should be. From then on only one thing is of interest: does
    /// it come later?
    gap: Option<u64>,
}

impl ChainCheck {
    /// Begins after `start`: [`ChainHead::genesis`], or a head that is believed.
    pub fn new(start: ChainHead) -> Self {
        Self { head: start.clone(), start, links: Vec::new(), gap: None }
    }

    /// Takes the next receipt as it stands in the list.
    ///
    /// # Errors
    /// The first thing that is wrong, except a gap: [`Self::finish`] tells that one.
    pub fn take(&mut self, receipt: &SignedReceipt, keys: &[ReceiptPublic]) -> Result<(), ReceiptFault> {
        let (integration, number) = (receipt.integration.clone(), receipt.number);
        if integration != self.head.integration {
            return Err(ReceiptFault::OtherChain {
                found: integration,
                chain: self.head.integration.clone(),
            });
        }
        let link = verified_link(receipt, keys)?;
        if let Some(missing) = self.gap {
            return if number == missing {
                Err(ReceiptFault::Reordered { integration, number })
            } else {
                Ok(())
            };
        }
        let next = self.head.number.saturating_add(1);
        if number > next {
            self.gap = Some(next);
            return Ok(());
        }
        if number < next {
            return Err(match self.link_of(number) {
                Some(seen) if *seen != link => ReceiptFault::Forked { integration, number },
                _ => ReceiptFault::Reordered { integration, number },
            });
        }
        if receipt.previous != self.head.hash {
            return Err(ReceiptFault::Forked { integration, number });
        }
        self.links.push(link);
        self.head.number = number;
        self.head.hash = hex(&link);
        Ok(())
    }

    /// Ends the list. With an expected head, the chain must contain it.
    ///
    /// # Errors
    /// [`ReceiptFault::Missing`], [`ReceiptFault::Truncated`], [`ReceiptFault::Forked`] when the chain has
    /// another receipt at the head's number, [`ReceiptFault::StartTooLate`].
    pub fn finish(self, expected: Option<&ChainHead>) -> Result<ChainHead, ReceiptFault> {
        self.whole()?;
        if let Some(expected) = expected {
            self.contains(expected)?;
        }
        Ok(self.head)
    }

    fn whole(&self) -> Result<(), ReceiptFault> {
        let integration = self.head.integration.clone();
        self.gap.map_or(Ok(()), |number| Err(ReceiptFault::Missing { integration, number }))
    }

    /// Says whether what was taken so far contains a head that is known from elsewhere.
    ///
    /// # Errors
    /// As [`Self::finish`] with an expected head.
    pub fn contains(&self, expected: &ChainHead) -> Result<(), ReceiptFault> {
        self.whole()?;
        let integration = self.head.integration.clone();
        if expected.integration != integration {
            return Err(ReceiptFault::OtherChain { found: integration, chain: expected.integration.clone() });
        }
        let number = expected.number;
        if number > self.head.number {
            return Err(ReceiptFault::Truncated { integration, expected: number, found: self.head.number });
        }
        let found = if number == self.start.number {
            self.start.hash.clone()
        } else if let Some(link) = self.link_of(number) {
            hex(link)
        } else if number == 0 {
            ChainHead::genesis(integration.clone()).hash
        } else {
            return Err(ReceiptFault::StartTooLate { integration, start: self.start.number, head: number });
        };
        if found == expected.hash { Ok(()) } else { Err(ReceiptFault::Forked { integration, number }) }
    }

    fn link_of(&self, number: u64) -> Option<&[u8; 32]> {
        let at = number.checked_sub(self.start.number)?.checked_sub(1)?;
        self.links.get(usize::try_from(at).ok()?)
    }
}

fn verified_link(receipt: &SignedReceipt, keys: &[ReceiptPublic]) -> Result<[u8; 32], ReceiptFault> {
    let (integration, number) = (receipt.integration.clone(), receipt.number);
    let Some(key) = key_of(keys, &receipt.key_id) else {
        return Err(ReceiptFault::ForeignKey { integration, number, key: receipt.key_id.clone() });
    };
    let signed = receipt.signed_bytes();
    match STANDARD.decode(&receipt.signature) {
        Ok(signature) if key.verifies(&signed, &signature) => Ok(link(&signed, &signature)),
        _ => Err(ReceiptFault::Changed { integration, number }),
    }
}

/// Verifies one chain after `start`, and that it contains `expected`. Returns its head.
///
/// # Errors
/// The first thing that is wrong. A chain that lacks its newest receipts is noticed only with `expected`.
pub fn verify<R: Borrow<SignedReceipt>>(
    receipts: impl IntoIterator<Item = R>,
    keys: &[ReceiptPublic],
    start: ChainHead,
    expected: Option<&ChainHead>,
) -> Result<ChainHead, ReceiptFault> {
    let mut check = ChainCheck::new(start);
    for receipt in receipts {
        check.take(receipt.borrow(), keys)?;
    }
    check.finish(expected)
}

/// Verifies many chains in one list, each from its beginning or from its head in `starts`, and that they
/// contain every head of the checkpoint. Returns the head of each chain.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_all<R: Borrow<SignedReceipt>>(
    receipts: impl IntoIterator<Item = R>,
    keys: &[ReceiptPublic],
    starts: &BTreeMap<IntegrationId, ChainHead>,
    checkpoint: Option<&Checkpoint>,
) -> Result<BTreeMap<IntegrationId, ChainHead>, ReceiptFault> {
    let begin = |integration: &IntegrationId| {
        let start = starts.get(integration).filter(|head| head.integration == *integration).cloned();
        ChainCheck::new(start.unwrap_or_else(|| ChainHead::genesis(integration.clone())))
    };
    let expected: BTreeMap<_, _> =
        checkpoint.iter().flat_map(|point| &point.heads).map(|head| (&head.integration, head)).collect();
    let mut checks: BTreeMap<IntegrationId, ChainCheck> =
        expected.keys().map(|integration| ((*integration).clone(), begin(integration))).collect();
    for receipt in receipts {
        let receipt = receipt.borrow();
        checks
            .entry(receipt.integration.clone())
            .or_insert_with(|| begin(&receipt.integration))
            .take(receipt, keys)?;
    }
    checks
        .into_iter()
        .map(|(integration, check)| {
            let head = check.finish(expected.get(&integration).copied())?;
            Ok((integration, head))
        })
        .collect()
}
