//! The office: names for accounts and signatures for receipts, as the rules ask for them. Pure.

use std::sync::Arc;

use driver::naming::{self, Prefix};
use model::{
    AccountId, AccountName, Code, ConnectorId, Incarnation, Integration, IntegrationId, Ownership,
    ReceiptBody,
};
use rules::{ChainHead, Grantee};
use seal::keys::ReceiptKey;

use crate::drivers;

/// What the offices of one connector share.
#[derive(Clone)]
pub(crate) struct Office {
    connector: ConnectorId,
    receipts: Arc<ReceiptKey>,
}

impl Office {
    pub(crate) fn new(connector: ConnectorId, receipts: ReceiptKey) -> Self {
        Self { connector, receipts: Arc::new(receipts) }
    }

    /// The office of a memory that has just been read from the journal, under a name that no other has.
    pub(crate) fn of_memory(&self, life: Incarnation) -> OfMemory {
        OfMemory { office: self.clone(), life }
    }
}

/// The office of one memory.
pub(crate) struct OfMemory {
    office: Office,
    life: Incarnation,
}

impl rules::Office for OfMemory {
    fn account(
        &self,
        integration: &Integration,
        grantee: &Grantee,
    ) -> Result<(AccountId, AccountName, Ownership), Code> {
        let driver = drivers::find(&integration.kind).ok_or(Code::CONFIG_REFUSED)?;
        let limits = driver.manifest().names;
        let (connector, id) = (&self.office.connector, &integration.id);
        let prefix = Prefix::ours(limits);
        let name = naming::account_name(&prefix, &grantee.hint, connector, id, &grantee.id, limits)
            .map_err(|_| Code::NAME_REFUSED)?;
        Ok((naming::account_id(connector, id, &grantee.id), name, driver.manifest().ownership))
    }

    fn life(&self) -> Incarnation {
        self.life
    }

    fn sign(
        &self,
        integration: &IntegrationId,
        head: &ChainHead,
        body: &ReceiptBody,
    ) -> Result<(String, ChainHead), Code> {
        let genesis = seal::receipt::ChainHead::genesis(integration.clone());
        let head = if head.number == 0 {
            genesis
        } else {
            seal::receipt::ChainHead { number: head.number, hash: head.hash.clone(), ..genesis }
        };
        let (signed, next) =
            seal::receipt::sign(&self.office.receipts, &head, body).map_err(|_| Code::DRIVER_FAULT)?;
        let text = serde_json::to_string(&signed).map_err(|_| Code::DRIVER_FAULT)?;
        Ok((text, ChainHead { number: next.number, hash: next.hash, life: Some(self.life) }))
    }
}
