//! Lives: a chain branches where the agent's memory was lost or an old copy of it was put back. The first
//! receipt that a memory signs names it, and only there may a chain branch.

use std::collections::BTreeMap;

use model::{Incarnation, IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{ChainHead, SignedReceipt};
use crate::keys::hex;

/// What a receipt says of the life that begins with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// Of the receipt.
    #[serde(default)]
    pub number: u64,
    /// When it was signed, by the agent's clock.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// None: it says of no life.
    #[serde(default)]
    pub life: Option<Incarnation>,
}

impl Beginning {
    /// Reads it from a receipt. A statement that this build cannot read begins no life.
    pub(super) fn of(receipt: &SignedReceipt) -> Self {
        let read: Self = serde_json::from_str(&receipt.body).unwrap_or_default();
        Self { number: receipt.number, ..read }
    }
}

/// One life of a chain: where it stands, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Life {
    #[serde(flatten)]
    pub head: ChainHead,
    /// The first of its receipts that was verified; none when there was none.
    pub begins: Option<Beginning>,
}

/// Says, in lines for people, what must be asked about a chain: nothing when it has one life.
pub fn told(lives: &[Life]) -> Vec<String> {
    let [first, _, ..] = lives else { return vec![] };
    let integration = &first.head.integration;
    let why = "the agent's journal was lost, or an old copy of it was put back. Ask when, and why.";
    let mut lines = vec![format!("{integration} has {} lives: {why}", lives.len())];
    for (n, life) in (1..).zip(lives) {
        let Some(begins) = &life.begins else { continue };
        let at = begins.at.map(|at| format!(" of {at}")).unwrap_or_default();
        lines.push(format!("  life {n}: from receipt {}{at} to receipt {}", begins.number, life.head.number));
    }
    lines
}

/// Receipts of which each follows the one before it.
#[derive(Debug)]
pub(super) struct Trail {
    /// The number of the receipt that the first one follows.
    pub(super) start: u64,
    /// Its link, in hex.
    previous: String,
    begins: Option<Beginning>,
    links: Vec<[u8; 32]>,
    /// Those of its receipts that say of a life.
    lives: BTreeMap<u64, Incarnation>,
}

impl Trail {
    pub(super) fn after(head: &ChainHead) -> Self {
        let previous = head.hash.clone();
        Self { start: head.number, previous, begins: None, links: vec![], lives: BTreeMap::new() }
    }

    pub(super) fn begun(receipt: &SignedReceipt, link: [u8; 32], beginning: Beginning) -> Self {
        let mut trail = Self::after(&ChainHead {
            integration: receipt.integration.clone(),
            number: receipt.number.saturating_sub(1),
            hash: receipt.previous.clone(),
        });
        trail.push(link, beginning);
        trail
    }

    pub(super) fn push(&mut self, link: [u8; 32], beginning: Beginning) {
        if let Some(life) = beginning.life {
            self.lives.insert(beginning.number, life);
        }
        self.begins.get_or_insert(beginning);
        self.links.push(link);
    }

    /// The number of its last receipt.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.links.len() as u64)
    }

    /// The link, in hex, of one of its receipts, or of the one that its first one follows.
    pub(super) fn at(&self, number: u64) -> Option<String> {
        if number == self.start {
            Some(self.previous.clone())
        } else {
            self.link_of(number).map(|link| hex(&link))
        }
    }

    /// The link of one of its receipts.
    pub(super) fn link_of(&self, number: u64) -> Option<[u8; 32]> {
        let at = number.checked_sub(self.start)?.checked_sub(1)?;
        self.links.get(usize::try_from(at).ok()?).copied()
    }

    /// Whether the receipt follows its last one.
    pub(super) fn ends_at(&self, receipt: &SignedReceipt) -> bool {
        self.end().checked_add(1) == Some(receipt.number) && self.has_before(receipt)
    }

    /// What already follows the receipt that this one follows: its link, and the life that it says of.
    pub(super) fn follower(&self, receipt: &SignedReceipt) -> Option<([u8; 32], Option<Incarnation>)> {
        let link = self.link_of(receipt.number).filter(|_| self.has_before(receipt))?;
        Some((link, self.lives.get(&receipt.number).copied()))
    }

    fn has_before(&self, receipt: &SignedReceipt) -> bool {
        let before = receipt.number.checked_sub(1).and_then(|number| self.at(number));
        before.is_some_and(|link| link == receipt.previous)
    }

    /// Whether a life begins in it at a number or before.
    pub(super) fn has_life_by(&self, number: u64) -> bool {
        self.lives.range(..=number).next().is_some()
    }

    pub(super) fn life(self, integration: &IntegrationId) -> Life {
        let hash = self.at(self.end()).unwrap_or_default();
        let head = ChainHead { integration: integration.clone(), number: self.end(), hash };
        Life { head, begins: self.begins }
    }
}
