//! Checkpoints: the heads of all chains at one time, signed, to be kept where the connector cannot reach.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{ConnectorId, KeyId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{ChainHead, ReceiptFault, SignFault, key_of};
use crate::frame::framed;
use crate::keys::{ReceiptKey, ReceiptPublic};

const LABEL: &[u8] = b"tidegate checkpoint v1";

/// The heads of all chains of a connector at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub connector: ConnectorId,
    pub at: Timestamp,
    pub heads: Vec<ChainHead>,
}

/// A checkpoint as signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCheckpoint {
    /// The exact text that is signed: a [`Checkpoint`] as JSON.
    pub body: String,
    pub key_id: KeyId,
    pub signature: String,
}

impl Checkpoint {
    /// Signs the checkpoint.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, key: &ReceiptKey) -> Result<SignedCheckpoint, SignFault> {
        let body = serde_json::to_string(self)
            .map_err(|fault| SignFault::Unwritable { detail: fault.to_string() })?;
        let key_id = key.id().clone();
        let signature = STANDARD.encode(key.sign(&signed_bytes(&body, &key_id))?);
        Ok(SignedCheckpoint { body, key_id, signature })
    }
}

impl SignedCheckpoint {
    /// Verifies the signature and reads the checkpoint.
    ///
    /// # Errors
    /// [`ReceiptFault::CheckpointForeignKey`], [`ReceiptFault::CheckpointChanged`],
    /// [`ReceiptFault::CheckpointUnreadable`].
    pub fn verify(&self, keys: &[ReceiptPublic]) -> Result<Checkpoint, ReceiptFault> {
        let Some(key) = key_of(keys, &self.key_id) else {
            return Err(ReceiptFault::CheckpointForeignKey { key: self.key_id.clone() });
        };
        let signed = signed_bytes(&self.body, &self.key_id);
        match STANDARD.decode(&self.signature) {
            Ok(signature) if key.verifies(&signed, &signature) => serde_json::from_str(&self.body)
                .map_err(|fault| ReceiptFault::CheckpointUnreadable { detail: fault.to_string() }),
            _ => Err(ReceiptFault::CheckpointChanged),
        }
    }
}

fn signed_bytes(body: &str, key_id: &KeyId) -> Vec<u8> {
    framed(&[LABEL, body.as_bytes(), key_id.0.as_bytes()])
}
