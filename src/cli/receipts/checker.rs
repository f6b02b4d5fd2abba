//! Verifies receipts and checkpoints as they come, one after the other.

use std::collections::BTreeMap;

use model::IntegrationId;
use seal::keys::ReceiptPublic;
use seal::receipt::{ChainCheck, ChainHead, Life, ReceiptFault, SignedCheckpoint, SignedReceipt};

use super::super::fault::Fault;

/// All chains of a list, each from its beginning.
pub(super) struct Checker {
    keys: Vec<ReceiptPublic>,
    chains: BTreeMap<IntegrationId, ChainCheck>,
    count: u64,
}

impl Checker {
    pub(super) const fn new(keys: Vec<ReceiptPublic>) -> Self {
        Self { keys, chains: BTreeMap::new(), count: 0 }
    }

    /// Takes the next receipt.
    pub(super) fn receipt(&mut self, receipt: &SignedReceipt) -> Result<(), Fault> {
        let integration = &receipt.integration;
        let chain =
            self.chains.entry(integration.clone()).or_insert_with(|| ChainCheck::new(integration.clone()));
        self.count += 1;
        Ok(chain.take(receipt, &self.keys)?)
    }

    /// How many receipts it took.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Takes a checkpoint: the receipts before it must contain what it names.
    pub(super) fn checkpoint(&mut self, signed: &SignedCheckpoint) -> Result<(), Fault> {
        for head in signed.verify(&self.keys)?.heads {
            self.expect(&head)?;
        }
        Ok(())
    }

    /// Insists that the receipts so far contain a head.
    pub(super) fn expect(&self, head: &ChainHead) -> Result<(), Fault> {
        match self.chains.get(&head.integration) {
            Some(chain) => Ok(chain.contains(head)?),
            None => Ok(ChainCheck::new(head.integration.clone()).contains(head)?),
        }
    }

    /// Ends the list and returns the lives of each chain.
    pub(super) fn finish(self) -> Result<Vec<Vec<Life>>, Fault> {
        let ended: Result<Vec<_>, ReceiptFault> =
            self.chains.into_values().map(|chain| chain.finish(None)).collect();
        Ok(ended?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{AccountId, AccountName, ConnectorId, Deed, GranteeId, ReceiptBody, Timestamp};
    use seal::keys::ReceiptKey;
    use seal::receipt::{Checkpoint, sign};
    use uuid::Uuid;

    fn chain(of: &str, key: &ReceiptKey, length: u64) -> (Vec<SignedReceipt>, ChainHead) {
        let integration = IntegrationId::parse(of).unwrap();
        let mut head = ChainHead::genesis(integration.clone());
        let mut receipts = vec![];
        for number in 0..length {
            let body = ReceiptBody {
                at: Timestamp::from_secs(i64::try_from(number).unwrap()),
                integration: integration.clone(),
                target: None,
                account: Some(AccountId::from_uuid(Uuid::nil())),
                account_name: Some(AccountName("tg_ann".into())),
                immutable: None,
                grantee: Some(GranteeId::parse("ann").unwrap()),
                access: None,
                deed: Deed::Deleted,
                read_back: None,
                residual: vec![],
                recorded_late: false,
                life: None,
            };
            let (receipt, next) = sign(key, &head, &body).unwrap();
            receipts.push(receipt);
            head = next;
        }
        (receipts, head)
    }

    fn checkpoint(key: &ReceiptKey, heads: Vec<ChainHead>) -> SignedCheckpoint {
        let connector = ConnectorId::parse("c").unwrap();
        Checkpoint { connector, at: Timestamp::from_secs(9), heads }.sign(key).unwrap()
    }

    #[test]
    fn chains_may_be_mixed_and_must_hold_what_a_checkpoint_names() {
        let key = ReceiptKey::generate().unwrap();
        let ((a, a_head), (b, b_head)) = (chain("a", &key, 3), chain("b", &key, 2));
        let mut checker = Checker::new(vec![*key.public()]);
        for receipt in a.iter().take(1).chain(&b).chain(a.iter().skip(1)) {
            checker.receipt(receipt).unwrap();
        }
        checker.checkpoint(&checkpoint(&key, vec![a_head.clone(), b_head.clone()])).unwrap();
        checker.expect(&ChainHead::genesis(IntegrationId::parse("never-used").unwrap())).unwrap();
        let heads: Vec<_> = checker.finish().unwrap().into_iter().flatten().map(|life| life.head).collect();
        assert_eq!(heads, [a_head, b_head]);
    }

    #[test]
    fn what_is_held_back_or_foreign_is_found() {
        let (key, other) = (ReceiptKey::generate().unwrap(), ReceiptKey::generate().unwrap());
        let (receipts, head) = chain("a", &key, 3);
        let told = |taken: usize, keys: &ReceiptKey, point: &SignedCheckpoint| {
            let mut checker = Checker::new(vec![*keys.public()]);
            let walk = receipts.iter().take(taken).try_for_each(|receipt| checker.receipt(receipt));
            walk.and_then(|()| checker.checkpoint(point)).unwrap_err().to_string()
        };
        let point = checkpoint(&key, vec![head]);
        let table = [
            ("the newest are held back", told(2, &key, &point), "was cut"),
            ("all are held back", told(0, &key, &point), "was cut"),
            ("another key", told(3, &other, &point), "none of the given keys"),
            ("another's checkpoint", told(3, &key, &checkpoint(&other, vec![])), "none of the given keys"),
        ];
        for (name, told, expected) in table {
            assert!(told.contains(expected), "{name}: {told}");
        }
    }
}
