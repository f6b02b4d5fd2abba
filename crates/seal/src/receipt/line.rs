//! Receipts and checkpoints as lines of a file: JSONL, one of them a line.

use serde::{Deserialize, Serialize};

use super::{SignedCheckpoint, SignedReceipt};

/// One line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    Receipt(SignedReceipt),
    Checkpoint(SignedCheckpoint),
}

/// Why a line cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the line is not a receipt or checkpoint: {detail}; export it again")]
pub struct LineFault {
    detail: String,
}

impl Line {
    /// Writes the line, without its end.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn to_text(&self) -> Result<String, LineFault> {
        serde_json::to_string(self).map_err(|fault| LineFault { detail: fault.to_string() })
    }

    /// Reads one line. Believes nothing of it: verify it next.
    ///
    /// # Errors
    /// When it is not JSON, lacks a field, or has one that nobody signed.
    pub fn from_text(text: &str) -> Result<Self, LineFault> {
        serde_json::from_str(text).map_err(|fault| LineFault { detail: fault.to_string() })
    }
}
