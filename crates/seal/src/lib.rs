//! Seals, marks and receipts: what lets others believe a connector, and a connector recognise its own.
//!
//! Floor 1: no I/O, no clock, no runtime; all cryptography is the one provider's. Where keys are kept is
//! left to the identity, what a mark or receipt says to the rules.
//!
//! | thing | proves | cannot detect |
//! |---|---|---|
//! | [`mark`] | this connector wrote this mark for this account on this target | an older mark put back: compare the revision; a mark removed: only the journal knows |
//! | [`credential`] | only the grantee's key opens it, and only as the credential of that access, account and generation | who sealed it; whether the key is really the grantee's: pin it |
//! | sealed references ([`credential::SealedReference`]) | only the connector opens it, and only for that integration, kind, host and TLS floor | who sealed it; a changed port: pin it; how long the secret is |
//! | [`receipt`] | the connector stated this, in this order, and nothing between was taken out or changed | that it is true; newest receipts held back and no head known elsewhere; a chain written anew by whoever has the secret key |
//! | checkpoints ([`receipt::SignedCheckpoint`]) | the chains had these heads then | anything after it |

pub mod credential;
mod frame;
pub mod hpke;
pub mod keys;
pub mod mark;
pub mod receipt;
#[cfg(test)]
mod samples;
