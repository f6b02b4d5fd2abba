//! Verifying receipts of one integration, one after the other: what was tampered with, by name.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{IntegrationId, KeyId};

use super::life::{Beginning, Life, Trail};
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
    #[error(
        "receipt {number} of {integration} follows none of the receipts before it: of its life one is missing, or stands later"
    )]
    Rootless { integration: IntegrationId, number: u64 },
    #[error("receipt {number} of {integration} is signed by key {}, which is none of the given keys", .key.0)]
    ForeignKey { integration: IntegrationId, number: u64, key: KeyId },
    #[error("a receipt of {found} stands in the chain of {chain}")]
    OtherChain { found: IntegrationId, chain: IntegrationId },
    #[error("the chain of {integration} was cut: it ends at receipt {found} and must reach {expected}")]
    Truncated { integration: IntegrationId, expected: u64, found: u64 },
    #[error(
        "receipt {number} of {integration} must be here and is in none of the lives that are: the end of another life is missing"
    )]
    LifeCut { integration: IntegrationId, number: u64 },
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

/// Verifies the lives of one chain, receipt by receipt. Keeps 32 bytes for each receipt seen.
#[derive(Debug)]
pub struct ChainCheck {
    integration: IntegrationId,
    /// The first ones go on from where the list starts.
    trails: Vec<Trail>,
    /// From which number on the list is read.
    start: u64,
    /// The first number that was not where it should be. From then on only one thing is of interest: does
    /// it come later?
    gap: Option<u64>,
}

impl ChainCheck {
    /// Begins where the chain begins.
    pub fn new(integration: IntegrationId) -> Self {
        Self::after(ChainHead::genesis(integration), [])
    }

    /// Begins after a head that is believed, and after those of further lives.
    pub fn after(start: ChainHead, further: impl IntoIterator<Item = ChainHead>) -> Self {
        let integration = start.integration.clone();
        let trails: Vec<Trail> = [start].into_iter().chain(further).map(|head| Trail::after(&head)).collect();
        let start = trails.iter().map(|trail| trail.start).min().unwrap_or_default();
        Self { integration, trails, start, gap: None }
    }

    /// Takes the next receipt as it stands in the list.
    ///
    /// # Errors
    /// The first thing that is wrong, except a gap: [`Self::finish`] tells that one.
    pub fn take(&mut self, receipt: &SignedReceipt, keys: &[ReceiptPublic]) -> Result<(), ReceiptFault> {
        let (integration, number) = (receipt.integration.clone(), receipt.number);
        if integration != self.integration {
            return Err(ReceiptFault::OtherChain { found: integration, chain: self.integration.clone() });
        }
        let link = verified_link(receipt, keys)?;
        if let Some(missing) = self.gap {
            return if number == missing {
                Err(ReceiptFault::Reordered { integration, number })
            } else {
                Ok(())
            };
        }
        let beginning = Beginning::of(receipt);
        if let Some(trail) = self.trails.iter_mut().find(|trail| trail.ends_at(receipt)) {
            trail.push(link, beginning);
            return Ok(());
        }
        let beside: Vec<_> = self.trails.iter().filter_map(|trail| trail.follower(receipt)).collect();
        if beside.is_empty() {
            return self.take_rootless(receipt, link, beginning);
        }
        if beside.iter().any(|(other, _)| *other == link) {
            return Err(ReceiptFault::Reordered { integration, number });
        }
        if beside.iter().any(|(_, life)| *life == beginning.life) {
            return Err(ReceiptFault::Forked { integration, number });
        }
        self.trails.push(Trail::begun(receipt, link, beginning));
        Ok(())
    }

    /// Takes a receipt that follows none of those before it.
    fn take_rootless(
        &mut self,
        receipt: &SignedReceipt,
        link: [u8; 32],
        beginning: Beginning,
    ) -> Result<(), ReceiptFault> {
        let (integration, number) = (self.integration.clone(), receipt.number);
        let (start, last) = (self.start, self.last());
        if number > last.saturating_add(1) {
            self.gap = Some(last.saturating_add(1));
            return Ok(());
        }
        if number > start {
            let known = self.trails.iter().any(|trail| trail.link_of(number).is_some());
            return Err(if known {
                ReceiptFault::Rootless { integration, number }
            } else {
                ReceiptFault::Forked { integration, number }
            });
        }
        // Before where the list is read from: it was here already, or a life begins there.
        let genesis = ChainHead::genesis(integration.clone());
        match beginning.life {
            Some(_) if number == 1 && receipt.previous == genesis.hash => {
                self.trails.push(Trail::begun(receipt, link, beginning));
                Ok(())
            }
            Some(_) => Err(ReceiptFault::StartTooLate { integration, start, head: number.saturating_sub(1) }),
            None => Err(ReceiptFault::Reordered { integration, number }),
        }
    }

    /// Ends the list. With an expected head, the chain must contain it. Returns the lives, the one that was
    /// there first before the others.
    ///
    /// # Errors
    /// [`ReceiptFault::Missing`]; with an expected head those of [`Self::contains`].
    pub fn finish(self, expected: Option<&ChainHead>) -> Result<Vec<Life>, ReceiptFault> {
        self.whole()?;
        if let Some(expected) = expected {
            self.contains(expected)?;
        }
        Ok(self.trails.into_iter().map(|trail| trail.life(&self.integration)).collect())
    }

    fn whole(&self) -> Result<(), ReceiptFault> {
        let integration = self.integration.clone();
        self.gap.map_or(Ok(()), |number| Err(ReceiptFault::Missing { integration, number }))
    }

    /// Says whether what was taken so far contains a head that is known from elsewhere.
    ///
    /// # Errors
    /// [`ReceiptFault::Truncated`] when no life reaches it, [`ReceiptFault::Forked`] when the chain has another
    /// receipt in its place, [`ReceiptFault::LifeCut`] when that one may be of another life,
    /// [`ReceiptFault::StartTooLate`].
    pub fn contains(&self, expected: &ChainHead) -> Result<(), ReceiptFault> {
        self.whole()?;
        let integration = self.integration.clone();
        if expected.integration != integration {
            return Err(ReceiptFault::OtherChain { found: integration, chain: expected.integration.clone() });
        }
        let number = expected.number;
        if self.trails.iter().any(|trail| trail.at(number).is_some_and(|hash| hash == expected.hash)) {
            return Ok(());
        }
        if number == 0 && expected.hash == ChainHead::genesis(integration.clone()).hash {
            return Ok(());
        }
        if number > self.last() {
            return Err(ReceiptFault::Truncated { integration, expected: number, found: self.last() });
        }
        if number < self.start {
            return Err(ReceiptFault::StartTooLate { integration, start: self.start, head: number });
        }
        // A life that begins at or before it follows what may have had other followers.
        if self.trails.iter().any(|trail| trail.has_life_by(number)) {
            return Err(ReceiptFault::LifeCut { integration, number });
        }
        Err(ReceiptFault::Forked { integration, number })
    }

    fn last(&self) -> u64 {
        self.trails.iter().map(Trail::end).max().unwrap_or_default()
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

/// How a receipt stands to those that were kept before it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It follows a receipt that nothing followed before.
    GoesOn,
    /// It begins a life beside what follows the same receipt.
    Begins(Beginning),
}

/// Verifies one receipt against those that were kept of its chain: those with the number before its own, and
/// those with the same number. Those whose own signatures are not good count for nothing.
///
/// # Errors
/// [`ReceiptFault::ForeignKey`], [`ReceiptFault::Changed`], [`ReceiptFault::Missing`] when there is nothing
/// that it could follow, [`ReceiptFault::Forked`].
pub fn place(
    receipt: &SignedReceipt,
    keys: &[ReceiptPublic],
    before: &[SignedReceipt],
    beside: &[SignedReceipt],
) -> Result<Place, ReceiptFault> {
    let (integration, number) = (receipt.integration.clone(), receipt.number);
    verified_link(receipt, keys)?;
    let mut links = before.iter().filter_map(|kept| verified_link(kept, keys).ok()).peekable();
    if number > 1 && links.peek().is_none() {
        return Err(ReceiptFault::Missing { integration, number: number.saturating_sub(1) });
    }
    let genesis = ChainHead::genesis(integration.clone()).hash;
    let follows = match number {
        1 => receipt.previous == genesis,
        _ => links.any(|link| hex(&link) == receipt.previous),
    };
    let beginning = Beginning::of(receipt);
    let is_beside =
        |kept: &&SignedReceipt| kept.previous == receipt.previous && verified_link(kept, keys).is_ok();
    let followers: Vec<_> = beside.iter().filter(is_beside).map(Beginning::of).collect();
    if !follows || followers.iter().any(|other| other.life == beginning.life) {
        return Err(ReceiptFault::Forked { integration, number });
    }
    Ok(if followers.is_empty() { Place::GoesOn } else { Place::Begins(beginning) })
}

/// Verifies one chain from its beginning, or after the heads in `starts`, and that it contains `expected`.
/// Returns its lives.
///
/// # Errors
/// The first thing that is wrong. A life that lacks its newest receipts is noticed only with `expected`.
pub fn verify<R: Borrow<SignedReceipt>>(
    receipts: impl IntoIterator<Item = R>,
    keys: &[ReceiptPublic],
    start: ChainHead,
    expected: Option<&ChainHead>,
) -> Result<Vec<Life>, ReceiptFault> {
    let mut check = ChainCheck::after(start, []);
    for receipt in receipts {
        check.take(receipt.borrow(), keys)?;
    }
    check.finish(expected)
}

/// Verifies many chains in one list, each from its beginning, and that they contain every head of the
/// checkpoint. Returns the lives of each chain.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_all<R: Borrow<SignedReceipt>>(
    receipts: impl IntoIterator<Item = R>,
    keys: &[ReceiptPublic],
    checkpoint: Option<&Checkpoint>,
) -> Result<BTreeMap<IntegrationId, Vec<Life>>, ReceiptFault> {
    let begin = |integration: &IntegrationId| ChainCheck::new(integration.clone());
    let expected: Vec<&ChainHead> = checkpoint.iter().flat_map(|point| &point.heads).collect();
    let mut checks: BTreeMap<IntegrationId, ChainCheck> =
        expected.iter().map(|head| (head.integration.clone(), begin(&head.integration))).collect();
    for receipt in receipts {
        let receipt = receipt.borrow();
        let check = checks.entry(receipt.integration.clone()).or_insert_with(|| begin(&receipt.integration));
        check.take(receipt, keys)?;
    }
    for head in expected {
        checks.get(&head.integration).map_or(Ok(()), |check| check.contains(head))?;
    }
    checks.into_iter().map(|(integration, check)| Ok((integration, check.finish(None)?))).collect()
}
