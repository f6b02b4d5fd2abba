//! Seals, marks and receipts: what lets others believe a connector, and a connector recognise its own.

pub mod keys;
pub mod mark;
